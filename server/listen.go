package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/infra/port"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// listen opens the port and answers HTTP on it: with 503 until the program is ready. gRPC waits until then.
func (s *Server) listen() (net.Listener, error) {
	var config *tls.Config
	scheme := "http://"
	if f := &s.cfg.TLS; *f != (port.Files{}) {
		if f.Cert == "" || f.Key == "" {
			return nil, fault.New(fault.Invalid, "TLS needs a certificate and its key").WithHint("give both --tls-cert and --tls-key")
		}
		var err error
		for _, name := range []*string{&f.Cert, &f.Key, &f.ClientCA} { // commands elsewhere read the certificate's name
			if *name != "" {
				if *name, err = filepath.Abs(*name); err != nil {
					return nil, err
				}
			}
		}
		if config, err = port.TLS(*f, s.log); err != nil {
			return nil, err
		}
		scheme = "https://"
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return nil, fault.Wrap(err, fault.Conflict, "listen on %s", s.cfg.Listen).
			WithHint("choose another address with --listen, for example --listen 127.0.0.1:0 for any free port")
	}
	s.url = scheme + reachable(listener.Addr())
	s.port = port.New(listener, config, s.log)
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), Protocols: new(http.Protocols)}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	if config != nil {
		s.http.Handler = http.HandlerFunc(s.serveSecure)
		s.http.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
			if state := port.TLSOf(conn); state != nil {
				ctx = context.WithValue(ctx, secureKey{}, state)
			}
			return ctx
		}
	}
	s.serving.Go(func() {
		if err := s.http.Serve(s.port.HTTP()); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.fail("serve HTTP", err)
		}
	})
	s.serving.Go(func() {
		if err := s.port.Serve(); !errors.Is(err, net.ErrClosed) {
			s.fail("listen", err)
		}
	})
	return listener, nil
}

// fail tells whoever waits for Failed; the first error counts.
func (s *Server) fail(what string, err error) {
	select {
	case s.failed <- fmt.Errorf("%s: %w", what, err):
	default:
		s.log.Error("the server fails", "at", what, "error", err)
	}
}

// drain closes the port, lets requests of HTTP and of gRPC end, and waits for all that serve.
func (s *Server) drain(ctx context.Context) error {
	errs := []error{s.port.Close()}
	rpc := make(chan error, 1)
	go func() {
		if s.program == nil || s.program.grpc == nil {
			rpc <- nil
			return
		}
		rpc <- s.program.grpc.Shutdown(ctx)
	}()
	if err := s.http.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("drain requests: %w", err), s.http.Close())
	}
	if err := <-rpc; err != nil {
		errs = append(errs, fmt.Errorf("drain requests of gRPC: %w", err))
	}
	s.serving.Wait()
	return errors.Join(errs...)
}

// reachable is the address by which this machine reaches a listener: one on every address is reached by loopback.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}

// secureKey is under what the state of TLS of a connection of HTTP/2 waits for its requests.
type secureKey struct{}

// serveSecure is serve for a server with TLS: requests of HTTP/2 are told of it here, those of HTTP/1.1 by net/http.
func (s *Server) serveSecure(w http.ResponseWriter, req *http.Request) {
	if req.TLS == nil {
		req.TLS, _ = req.Context().Value(secureKey{}).(*tls.ConnectionState)
	}
	s.serve(w, req)
}

// serve hands requests to the program once there is one.
func (s *Server) serve(w http.ResponseWriter, req *http.Request) {
	if h := s.handler.Load(); h != nil {
		(*h).ServeHTTP(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintln(w, `{"title":"Service Unavailable","status":503,"code":"unavailable","detail":"the server is starting"}`)
}
