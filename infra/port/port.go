// Package port lets HTTP/1.1, HTTP/2 and gRPC share one listener, with TLS or without: it looks at the beginning of every connection and
// hands it to the server that it is for.
//
// It owns the bytes of a connection until it is known whose they are, and the certificates. It must never know what is served.
package port

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Deadlines of a connection that has not said yet what it is.
const (
	helloTime = 10 * time.Second // for the handshake of TLS, and for the first bytes
	idleTime  = time.Minute      // between an HTTP/2 preface and the first request
)

// Port splits the connections of a listener. HTTP and GRPC may be served from before Serve on, and end with Close.
type Port struct {
	listener net.Listener
	tls      *tls.Config // nil = plain
	log      *slog.Logger
	http     *queue
	grpc     *queue

	mu      sync.Mutex
	closed  bool
	sorting map[net.Conn]bool
	pending sync.WaitGroup
}

// New makes a port of a listener, which it owns from then on. config says how TLS is spoken; nil = it is not.
func New(listener net.Listener, config *tls.Config, log *slog.Logger) *Port {
	return &Port{listener: listener, tls: config, log: log, http: newQueue(listener.Addr()), grpc: newQueue(listener.Addr()), sorting: map[net.Conn]bool{}}
}

// HTTP gives the connections of HTTP/1.1 and HTTP/2, the latter as if without TLS: their first bytes are the preface. TLSOf knows more.
func (p *Port) HTTP() net.Listener { return p.http }

// GRPC gives the connections whose first request is one of gRPC, TLS undone.
func (p *Port) GRPC() net.Listener { return p.grpc }

// Serve accepts connections until Close, and then returns net.ErrClosed. It never waits for one of them.
func (p *Port) Serve() error {
	var pause time.Duration
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			p.mu.Lock()
			closed := p.closed
			p.mu.Unlock()
			var temporary interface{ Temporary() bool }
			if closed || errors.Is(err, net.ErrClosed) || !errors.As(err, &temporary) || !temporary.Temporary() {
				return err
			}
			// Too many open files, most often: one may be free soon.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			p.log.Warn("cannot accept a connection", "error", err, "again_in", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			_ = conn.Close()
			continue
		}
		p.sorting[conn] = true
		p.pending.Add(1)
		p.mu.Unlock()
		go p.sort(conn)
	}
}

// Close ends the listener and the connections that nobody has taken yet.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	err := p.listener.Close()
	for conn := range p.sorting {
		_ = conn.Close()
	}
	p.mu.Unlock()
	_ = p.http.Close()
	_ = p.grpc.Close()
	p.pending.Wait()
	return err
}

// sort finds out what a connection speaks and hands it on. One that says nothing in time, or nothing that makes sense, is closed.
func (p *Port) sort(raw net.Conn) {
	defer p.pending.Done()
	defer func() {
		p.mu.Lock()
		delete(p.sorting, raw)
		p.mu.Unlock()
	}()
	conn, to := p.look(raw)
	if conn == nil {
		_ = raw.Close()
		return
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = raw.Close()
		return
	}
	to.put(conn)
}

// look reads the beginning of a connection and says who takes it; nil for one that is to be closed.
func (p *Port) look(raw net.Conn) (net.Conn, *queue) {
	if err := raw.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return nil, nil
	}
	if p.tls == nil {
		return p.lookPlain(raw)
	}
	conn := tls.Server(raw, p.tls)
	ctx, cancel := context.WithTimeout(context.Background(), helloTime)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		p.explain(err)
		return nil, nil
	}
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		return conn, p.http // as it is: net/http asks it for its state
	}
	return p.lookHTTP2(conn, conn, nil)
}

// explain logs a handshake that failed, and tells who speaks plain HTTP what is wrong.
func (p *Port) explain(err error) {
	p.log.Debug("TLS handshake", "error", err)
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		_, _ = record.Conn.Write([]byte("HTTP/1.0 400 Bad Request\r\n\r\nthis server speaks https\n")) // a courtesy
	}
}

func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH", "PRI *":
		return true
	}
	return false
}

// queue is a listener of connections that are put into it.
type queue struct {
	addr net.Addr
	next chan net.Conn
	end  chan struct{}
	once sync.Once
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, next: make(chan net.Conn), end: make(chan struct{})}
}

// put hands a connection to who accepts, or closes it when nobody will.
func (q *queue) put(conn net.Conn) {
	select {
	case q.next <- conn:
	case <-q.end:
		_ = conn.Close()
	}
}

// Accept waits for a connection.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.next:
		return conn, nil
	case <-q.end:
		return nil, net.ErrClosed
	}
}

// Close ends the waiting.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.end) })
	return nil
}

// Addr is that of the port.
func (q *queue) Addr() net.Addr { return q.addr }
