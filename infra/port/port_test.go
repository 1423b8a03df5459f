package port

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// serve runs an HTTP server and a gRPC server on one port.
func serve(t *testing.T, config *tls.Config) (address string, p *Port) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = New(listener, config, slog.New(slog.DiscardHandler))
	rpc := grpc.NewServer()
	healthpb.RegisterHealthServer(rpc, health.NewServer())
	web := &http.Server{Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s %s %d", req.Proto, req.Method, len(body))
	})}
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetUnencryptedHTTP2(true)
	web.Protocols.SetHTTP2(true)
	var all sync.WaitGroup
	all.Go(func() { _ = web.Serve(p.HTTP()) })
	all.Go(func() { _ = rpc.Serve(p.GRPC()) })
	all.Go(func() {
		if err := p.Serve(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		rpc.GracefulStop()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := web.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	return listener.Addr().String(), p
}

func ask(t *testing.T, client *http.Client, url string, body int) string {
	t.Helper()
	res, err := client.Post(url, "text/plain", bytes.NewReader(make([]byte, body)))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func h2c() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

func checkHealth(ctx context.Context, address string, creds credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 3 {
		if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
			return err
		}
	}
	return nil
}

func TestThreeProtocolsOnOnePort(t *testing.T) {
	address, _ := serve(t, nil)
	plain := &http.Client{Transport: &http.Transport{}}
	defer plain.CloseIdleConnections()
	two := h2c()
	defer two.CloseIdleConnections()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, body := range []int{0, 10, 5000, 300_000} {
				if got, want := ask(t, plain, "http://"+address+"/", body), fmt.Sprintf("HTTP/1.1 POST %d", body); got != want {
					t.Errorf("%q is not %q", got, want)
				}
				if got, want := ask(t, two, "http://"+address+"/", body), fmt.Sprintf("HTTP/2.0 POST %d", body); got != want {
					t.Errorf("%q is not %q", got, want)
				}
			}
		})
		all.Go(func() {
			if err := checkHealth(t.Context(), address, insecure.NewCredentials()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestPreface speaks HTTP/2 by hand: byte by byte, with pings before the first request, with and without the acknowledgement before it.
func TestPreface(t *testing.T) {
	address, _ := serve(t, nil)
	for _, c := range []struct {
		name           string
		slow, ackFirst bool
		contentType    string
		status         string
	}{
		{"at once", false, false, "text/plain", "200"},
		{"after the server's settings", false, true, "text/plain", "200"},
		{"byte by byte", true, true, "text/plain", "200"},
		{"gRPC at once", false, false, "application/grpc", "200"},
		{"gRPC after the settings", true, true, "application/grpc+proto", "200"},
		{"gRPC for the web is none", false, true, "application/grpc-web", "200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			out.WriteString(http2.ClientPreface)
			write := http2.NewFramer(&out, nil)
			read := http2.NewFramer(io.Discard, conn)
			flush := func() {
				b := out.Bytes()
				for len(b) > 0 {
					n := len(b)
					if c.slow {
						n = 1
					}
					if _, err := conn.Write(b[:n]); err != nil {
						t.Fatal(err)
					}
					b = b[n:]
				}
				out.Reset()
			}
			_ = write.WriteSettings()
			_ = write.WritePing(false, [8]byte{1})
			if c.ackFirst {
				flush()
				if f, err := read.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
					t.Fatal(f, err)
				}
				if f, err := read.ReadFrame(); err != nil || !f.(*http2.PingFrame).IsAck() {
					t.Fatal(f, err)
				}
				_ = write.WriteSettingsAck()
			}
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", "localhost"}, {"te", "trailers"}, {"content-type", c.contentType}} {
				_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			half := block.Len() / 2
			_ = write.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()[:half], PadLength: 7, Priority: http2.PriorityParam{Weight: 3}})
			_ = write.WriteContinuation(1, true, block.Bytes()[half:])
			_ = write.WriteData(1, true, []byte{0, 0, 0, 0, 0})
			flush()
			decoder := hpack.NewDecoder(4096, nil)
			for {
				f, err := read.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				switch f := f.(type) {
				case *http2.SettingsFrame:
					if !f.IsAck() {
						_ = write.WriteSettingsAck()
						flush()
					}
				case *http2.GoAwayFrame:
					t.Fatalf("the server goes away: %s %s", f.ErrCode, f.DebugData())
				case *http2.HeadersFrame:
					fields, err := decoder.DecodeFull(f.HeaderBlockFragment())
					if err != nil {
						t.Fatal(err)
					}
					answered := ""
					for _, field := range fields {
						if field.Name == ":status" {
							answered = field.Value
						}
						if field.Name == "content-type" && strings.HasPrefix(field.Value, "application/grpc") != (strings.HasPrefix(c.contentType, "application/grpc") && c.contentType != "application/grpc-web") {
							t.Errorf("answered by the other server: %v", fields)
						}
					}
					if answered != c.status {
						t.Errorf("status %s", answered)
					}
					return
				}
			}
		})
	}
}

// TestHostile opens connections that say nothing, or nonsense: others are served meanwhile, and the port closes without them.
func TestHostile(t *testing.T) {
	address, _ := serve(t, nil)
	garbage := []string{"", "P", "PRI * HT", http2.ClientPreface, http2.ClientPreface + "\x00\x00\x00\x01\x05\x00\x00\x00\x01", http2.ClientPreface + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x02\x01\x0d\x00\x00\x00\x01\xff\xff", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x02\x01\x04\x00\x00\x00\x01\xff\xff",
		"\x16\x03\x01\x02\x00", "\x00\x01\x02\x03", strings.Repeat("A", 100_000)}
	var open []net.Conn
	for range 5 {
		for _, g := range garbage {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte(g)) // the server may have closed it
			open = append(open, conn)
		}
	}
	if got := ask(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+address, 3); got != "HTTP/1.1 POST 3" {
		t.Errorf("%q", got)
	}
	if err := checkHealth(t.Context(), address, insecure.NewCredentials()); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	})
}

// FuzzHello gives the reader of the first frames any bytes, in any pieces.
func FuzzHello(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x02\x01\x0d\x00\x00\x00\x01\xff\xff"), 3)
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"), 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		if step < 1 || len(b) > 1<<16 {
			return
		}
		h := &hello{conn: &pieces{b: b, step: step}, have: nil}
		_, _ = h.first()
		// What the server would read: the filter must end, and never give more than came.
		c := &filter{Conn: &pieces{b: b, step: step}, pending: nil}
		got, err := io.ReadAll(c)
		if err != nil || len(got) > len(b) {
			t.Fatalf("%d of %d bytes: %v", len(got), len(b), err)
		}
	})
}

// pieces is a connection that gives its bytes some at a time.
type pieces struct {
	net.Conn
	b    []byte
	step int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(p.step, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}
func (p *pieces) Write(b []byte) (int, error)     { return len(b), nil }
func (p *pieces) SetReadDeadline(time.Time) error { return nil }
