// Package demo replays a year of flights through the public API of a server of its own, so that the whole life of a model can be
// watched: training, serving, drift, retraining, a fault upstream, a bad release. Nothing is scripted but the replay and the two
// incidents; what the platform does about them is what it would do anywhere.
//
// It is a client: it must not import what the server is made of, except to read the example's files and to add up the summary.
package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/examples/flights"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Names of the example.
const (
	projectName = "flight-delays"
	deployment  = "flight-delays"
	model       = "flight-delays"
)

// Incidents that can be left out.
const (
	Celsius    = "celsius"     // two days of temperatures in Celsius, some missing
	BadRelease = "bad-release" // a challenger trained on shuffled labels, forced past its gate
)

// Options of a demo.
type Options struct {
	Dir         string // state directory; empty is a temporary one
	Listen      string
	Seed        uint64
	From        time.Time // replay from here; zero is 1 April
	Until       time.Time // replay up to here; zero is the end of the year
	Without     []string  // incidents to leave out
	Connections int
	IO          *term.IO
	Log         io.Writer // of the server's log; nil throws it away
}

// Demo is a demo whose server runs.
type Demo struct {
	opt    Options
	client *client
	server *exec.Cmd
	done   chan error
	dir    string
	temp   string
	start  time.Time
	replay chan loaded // the days, read while the first version is trained
}

type loaded struct {
	days [][]departure
	err  error
}

// Start starts the server process, applies the example and waits for the first version to answer.
func Start(ctx context.Context, opt Options) (*Demo, error) {
	if opt.Connections <= 0 {
		opt.Connections = 8
	}
	d := &Demo{opt: opt, dir: opt.Dir, start: time.Now()}
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "trimtab-demo-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for the demo: %w", err)
		}
		d.dir, d.temp = dir, dir
	}
	if err := d.unpack(); err != nil {
		d.Stop()
		return nil, err
	}
	d.replay = make(chan loaded, 1)
	go func() {
		days, err := d.load(ctx)
		d.replay <- loaded{days, err}
	}()
	if err := d.serve(ctx); err != nil {
		d.Stop()
		return nil, err
	}
	d.say("Server at %s", d.URL())
	if err := d.apply(ctx); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

// URL is where the server answers.
func (d *Demo) URL() string { return d.client.base }

// Project is the folder that the example was unpacked to.
func (d *Demo) Project() string { return filepath.Join(d.dir, "project") }

func (d *Demo) without(incident string) bool {
	for _, w := range d.opt.Without {
		if w == incident {
			return true
		}
	}
	return false
}

// say tells a line of the story on standard error; standard output is for the summary.
func (d *Demo) say(format string, args ...any) {
	fmt.Fprintf(d.opt.IO.Err, format+"\n", args...)
}

// unpack writes the example's files.
func (d *Demo) unpack() error {
	if err := os.MkdirAll(d.Project(), 0o700); err != nil {
		return fmt.Errorf("make the project's folder: %w", err)
	}
	entries, err := flights.Files.ReadDir(".")
	if err != nil {
		return fmt.Errorf("read the example: %w", err)
	}
	for _, e := range entries {
		data, err := flights.Files.ReadFile(e.Name())
		if err != nil {
			return fmt.Errorf("read the example: %w", err)
		}
		if err := os.WriteFile(filepath.Join(d.Project(), e.Name()), data, 0o600); err != nil {
			return fmt.Errorf("unpack the example: %w", err)
		}
	}
	return nil
}

// serve starts this same program as a server of its own process and waits until it is ready. A taken port is replaced by a free one.
func (d *Demo) serve(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	listen, err := freeAddress(d.opt.Listen)
	if err != nil {
		return err
	}
	d.server = exec.Command(self, "server", "--dir", filepath.Join(d.dir, "state"), "--listen", listen)
	// What the demo makes goes with its directory: it must not get into the catalog that the user works with.
	d.server.Env = append(os.Environ(), "TRIMTAB_CATALOG=")
	log := d.opt.Log
	if log == nil {
		file, err := os.Create(filepath.Join(d.dir, "server.log"))
		if err != nil {
			return fmt.Errorf("make the server's log: %w", err)
		}
		defer file.Close()
		log = file
	}
	d.server.Stderr, d.server.Stdout = log, log
	d.server.SysProcAttr = ownGroup()
	if err := d.server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	d.done = make(chan error, 1)
	go func() { d.done <- d.server.Wait() }()
	d.client = newClient("http://"+listen, d.opt.Connections)
	deadline := time.Now().Add(30 * time.Second)
	for !d.client.ready(ctx) {
		select {
		case err := <-d.done:
			d.done <- err
			return fault.New(fault.Unavailable, "the server ended before it was ready: %v", err).WithHint("its log is %s", filepath.Join(d.dir, "server.log"))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fault.New(fault.Unavailable, "the server is not ready after 30 s").WithHint("its log is %s", filepath.Join(d.dir, "server.log"))
		}
	}
	return nil
}

// Wait blocks until the server ends or the context does.
func (d *Demo) Wait(ctx context.Context) {
	select {
	case err := <-d.done:
		d.done <- err
	case <-ctx.Done():
	}
}

// Stop ends the server and removes the temporary folder. It may be called twice.
func (d *Demo) Stop() {
	if d.done != nil {
		_ = d.server.Process.Signal(os.Interrupt) // it may have ended already
		select {
		case <-d.done:
		case <-time.After(15 * time.Second):
			_ = d.server.Process.Kill()
			<-d.done
		}
		d.done = nil
	}
	if d.temp != "" {
		_ = os.RemoveAll(d.temp) // a folder under the system's temporary one
		d.temp = ""
	}
}
