package port

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Files names what TLS is spoken with, in PEM.
type Files struct {
	Cert     string // the server's certificate, followed by those that signed it
	Key      string // its private key
	ClientCA string // who signs the certificates of clients; "" = they need none
}

// certificates keeps the configuration of the files, and reads them again when they change.
type certificates struct {
	files Files
	log   *slog.Logger
	now   func() time.Time

	config atomic.Pointer[tls.Config]
	looked atomic.Int64 // nanoseconds of the last look
	mu     sync.Mutex
	seen   [3]stamp
}

// stamp tells one state of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
}

// lookEvery is how often a handshake looks whether the files have changed.
const lookEvery = time.Second

// TLS is a configuration of files that are read again when they change: connections that are open stay, the next handshake has the new
// certificate. When what is new cannot be used the old stays, and the log says so. Files that cannot be used now are an error.
func TLS(files Files, log *slog.Logger) (*tls.Config, error) {
	c := &certificates{files: files, log: log, now: time.Now}
	if err := c.begin(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }}, nil
}

var protocols = []string{"h2", "http/1.1"}

func (c *certificates) begin() error {
	seen, err := c.stamps()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "TLS")
	}
	config, err := c.load()
	if err != nil {
		return err
	}
	c.seen = seen
	c.config.Store(config)
	c.looked.Store(c.now().UnixNano())
	return nil
}

// current is the configuration for a handshake.
func (c *certificates) current() *tls.Config {
	now := c.now().UnixNano()
	if last := c.looked.Load(); now-last >= int64(lookEvery) && c.looked.CompareAndSwap(last, now) {
		c.reload()
	}
	return c.config.Load()
}

// reload reads files that have changed.
func (c *certificates) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, err := c.stamps()
	if err == nil && seen == c.seen {
		return
	}
	if err == nil {
		c.seen = seen // what is broken is told once, and read again when it changes again
		var config *tls.Config
		if config, err = c.load(); err == nil {
			c.config.Store(config)
			c.log.Info("the TLS certificate is read again", "file", c.files.Cert, "until", until(config))
			return
		}
	}
	c.log.Error("the TLS files have changed and cannot be used; the ones before stay", "error", err)
}

func until(config *tls.Config) time.Time { return config.Certificates[0].Leaf.NotAfter }

func (c *certificates) stamps() (out [3]stamp, err error) {
	for i, name := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return out, err
		}
		out[i] = stamp{info.ModTime(), info.Size()}
	}
	return out, nil
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		f := fault.Wrap(err, fault.Invalid, "the TLS certificate %s and its key %s", c.files.Cert, c.files.Key)
		if errors.Is(err, fs.ErrPermission) {
			return nil, f.WithHint("the user that runs the server must be able to read them")
		}
		return nil, f.WithHint("both are PEM; the certificate is that of the key, followed by those that signed it")
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the TLS certificate %s", c.files.Cert)
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{pair}}
	if c.files.ClientCA != "" {
		pem, err := os.ReadFile(c.files.ClientCA)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the certificates that sign those of clients")
		}
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, "%s holds no certificate in PEM", c.files.ClientCA)
		}
	}
	return config, nil
}
