// Package cli is the command line: one file per noun, each command a function that makes it and one that runs it.
//
// It owns how commands are spelled and what they print. It must never reach past the native API: every command speaks
// HTTP to a server, which may be this very program for the length of the command, so that a command does the same
// thing on a laptop and against a server far away. The one exception is trimtab learn (package learning), which works on
// files alone.
package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

// ProjectFile is the name of the file that defines a project; the state directory lies beside it.
const ProjectFile = "trimtab.yaml"

// StateDir is the name of that directory.
const StateDir = ".trimtab"

// Factory gives commands what they need, made when it is first asked for.
type Factory struct {
	IO      *term.IO
	Version string
	JSON    bool   // --json: print data as JSON
	Server  string // --server or TRIMTAB_SERVER
	Dir     string // --dir or TRIMTAB_DIR; "" = beside trimtab.yaml

	mu     sync.Mutex
	client *Client
	local  *server.Server // started by this command
}

// StateDirectory is the directory of --dir, of TRIMTAB_DIR, or .trimtab beside the nearest trimtab.yaml, looking in
// the working directory and upward; without one, .trimtab in the working directory.
func (f *Factory) StateDirectory() (string, error) {
	if f.Dir != "" {
		return filepath.Abs(f.Dir)
	}
	if dir := os.Getenv("TRIMTAB_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	working, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := working; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ProjectFile)); err == nil {
			return filepath.Join(dir, StateDir), nil
		}
		if dir == filepath.Dir(dir) {
			return filepath.Join(working, StateDir), nil
		}
	}
}

// Client is a client of the server at --server; else of the live server on the state directory; else of this program,
// started on a free loopback port and stopped when the command ends.
func (f *Factory) Client(ctx context.Context) (*Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client != nil {
		return f.client, nil
	}
	client, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	f.client = client
	return client, nil
}

func (f *Factory) connect(ctx context.Context) (*Client, error) {
	address := f.Server
	if address == "" {
		address = os.Getenv("TRIMTAB_SERVER")
	}
	if address != "" {
		return newClient(f.IO, address, os.Getenv("TRIMTAB_TOKEN"), "")
	}
	dir, err := f.StateDirectory()
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		client, err := f.live(ctx, dir)
		if client != nil || err != nil {
			return client, err
		}
		client, err = f.inProcess(ctx, dir)
		// Somebody else holds the directory but tells no address yet or any more: a server that starts or stops, or
		// another command. Both take a moment.
		if !fault.Is(err, fault.Conflict) || time.Now().After(deadline) {
			return client, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// live is a client of the server that has the directory now; nil when there is none.
func (f *Factory) live(ctx context.Context, dir string) (*Client, error) {
	info, err := server.ReadInfo(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	token := os.Getenv("TRIMTAB_TOKEN")
	if token == "" {
		if b, err := os.ReadFile(filepath.Join(dir, server.TokenFile)); err == nil {
			token = string(b)
		}
	}
	client, err := newClient(f.IO, info.URL, token, info.Certificate)
	if err != nil {
		return nil, err
	}
	ask, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := client.Do(ask, "GET", "/health", nil, nil, io.Discard); err != nil {
		if strings.HasPrefix(info.URL, "https://") && server.Holder(dir) != "" && ctx.Err() == nil {
			return nil, err // it is there, and one of the two does not accept the other's certificate
		}
		return nil, ctx.Err() // the file was left behind by a server that was killed
	}
	return client, nil
}

// inProcess starts this program as the server for the length of the command.
func (f *Factory) inProcess(ctx context.Context, dir string) (*Client, error) {
	s := server.New(server.Config{Dir: dir, Catalog: os.Getenv(catalogVariable), Listen: "127.0.0.1:0", Version: f.Version, Log: nil, Embedded: true})
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	f.local = s
	client, err := newClient(f.IO, s.URL(), "", "")
	if err != nil {
		return nil, err
	}
	client.local = true
	return client, nil
}

// Close stops the server that the command started, if it did.
func (f *Factory) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.client = nil
	if f.local == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := f.local.Stop(ctx)
	f.local = nil
	return err
}
