// Package server builds the whole program from a configuration and runs it: one process, one state directory.
//
// It owns the order of start and stop, the lock and the token of the directory, and the wiring of packages to one
// another (wire.go). It must hold no flow and no rule: those live in lifecycle.
package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/port"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// DefaultListen is where a server listens when it is told nothing.
const DefaultListen = "127.0.0.1:7070"

// InfoFile is the name of the file in the state directory by which commands find the live server.
const InfoFile = "server.json"

// undoTime bounds how long a start that failed may take to stop what it had started.
const undoTime = 10 * time.Second

// Config says what to run. Dir is required.
type Config struct {
	Dir      string     // state directory; made when missing
	Catalog  string     // postgres:// URL of the catalog; "" = where it was, or a file in Dir
	Listen   string     // host:port; "" = DefaultListen; port 0 = any free one
	Token    string     // overrides the token of the directory
	TLS      port.Files // certificate and key; none = the server speaks no TLS
	Hosts    []string   // further Host names that a loopback listener answers to
	Webhooks []string   // what webhooks may call although it is not public: host[:port], address[:port] or prefix
	// ModelMemory bounds the bytes that loaded models hold together: those asked longest ago make room for others. 0 = no bound.
	ModelMemory int64
	Version     string       // of the program
	Log         *slog.Logger // nil = discard

	// Embedded is set by a command that runs the program for its own length: other commands wait for the directory
	// instead of using a server that is about to leave.
	Embedded bool

	url string // where it listens; known when it does
}

// Info is what a live server tells about itself in InfoFile.
type Info struct {
	URL         string    `json:"url"`
	PID         int       `json:"pid"`
	Version     string    `json:"version"`
	StartedAt   time.Time `json:"started_at"`
	Certificate string    `json:"certificate,omitempty"` // file of the certificate that it shows, when the URL is https
}

// Server is one program on one state directory. Start and Stop may each be called more than once.
type Server struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex
	state   int
	lock    *os.File
	port    *port.Port
	http    *http.Server
	serving sync.WaitGroup
	program *program
	url     string
	failed  chan error

	handler atomic.Pointer[http.Handler] // nil until ready
}

const (
	fresh = iota
	started
	stopped
)

// New prepares a server; it touches nothing.
func New(cfg Config) *Server {
	cfg.Listen = cmp.Or(cfg.Listen, DefaultListen)
	cfg.Version = cmp.Or(cfg.Version, "dev")
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, log: cfg.Log, failed: make(chan error, 1)}
}

// Start takes the directory's lock, listens, builds the program and returns when it is ready. While it builds,
// /health answers 503. On an error everything that was started is stopped again.
// A second server on the directory is refused with fault.Conflict that names the process.
func (s *Server) Start(ctx context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != fresh {
		return nil
	}
	begun := time.Now()
	dir, err := filepath.Abs(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	s.cfg.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "make the state directory").WithHint("choose another one with --dir")
	}
	if s.lock, err = acquire(dir); err != nil {
		return err
	}
	s.state = started
	defer func() {
		if err != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
			defer cancel()
			err = errors.Join(err, s.stop(last))
		}
	}()
	listener, err := s.listen()
	if err != nil {
		return err
	}
	secret := s.cfg.Token
	if secret == "" {
		if secret, err = token(dir); err != nil {
			return err
		}
	}
	s.cfg.url = s.url
	s.program, err = build(ctx, s.cfg, secret, loopback(listener.Addr()))
	if err != nil {
		return err
	}
	if err := s.program.start(ctx); err != nil {
		return err
	}
	var handler http.Handler = s.program.router
	s.handler.Store(&handler)
	s.serving.Go(func() {
		if err := s.program.grpc.Serve(s.port.GRPC()); err != nil && !errors.Is(err, net.ErrClosed) {
			s.fail("serve gRPC", err)
		}
	})
	if !s.cfg.Embedded {
		if err := s.writeInfo(); err != nil {
			return err
		}
	}
	s.log.Info("ready", "url", s.url, "dir", dir, "version", s.cfg.Version, "pid", os.Getpid(),
		"loopback", loopback(listener.Addr()), "ms", time.Since(begun).Milliseconds())
	return nil
}

func (s *Server) writeInfo() error {
	b, err := json.Marshal(Info{URL: s.url, PID: os.Getpid(), Version: s.cfg.Version, StartedAt: time.Now().UTC(), Certificate: s.cfg.TLS.Cert})
	if err != nil {
		return err
	}
	path := filepath.Join(s.cfg.Dir, InfoFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fault.Wrap(err, fault.Unavailable, "tell commands where the server is").WithHint("is the disk full?")
	}
	return os.Rename(path+".new", path)
}

// ReadInfo is what the last server on a state directory told about itself. A server that was killed leaves it behind:
// ask its /health before believing it.
func ReadInfo(dir string) (Info, error) {
	b, err := os.ReadFile(filepath.Join(dir, InfoFile))
	if err != nil {
		return Info{}, err
	}
	var info Info
	if err := json.Unmarshal(b, &info); err != nil {
		return Info{}, fault.Wrap(err, fault.Corrupt, "read %s", filepath.Join(dir, InfoFile)).WithHint("delete the file")
	}
	return info, nil
}

// URL is where the server listens, for example http://127.0.0.1:7070; "" before Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Routes is the route table of a started server, for tests and for the documentation.
func (s *Server) Routes() []route.Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.program.router.Table()
}

// Failed gives the error of a listener that broke while the server ran.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop drains: it takes no more connections, ends streams, lets requests finish, ends jobs (they go on after the next
// start) and closes the catalog. ctx bounds how long requests and jobs may take; then they are cut.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != started {
		return nil
	}
	return s.stop(ctx)
}

func (s *Server) stop(ctx context.Context) error {
	s.state = stopped
	var errs []error
	// Commands must not find a server that is about to leave.
	if err := os.Remove(filepath.Join(s.cfg.Dir, InfoFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	if s.program != nil {
		s.program.router.Drain()
	}
	if s.http != nil {
		errs = append(errs, s.drain(ctx))
	}
	if s.program != nil {
		errs = append(errs, s.program.stop(ctx))
	}
	// The lock goes last: the next server may then have everything.
	errs = append(errs, s.lock.Close())
	err := errors.Join(errs...)
	s.log.Info("stopped", "url", s.url, "error", err)
	return err
}
