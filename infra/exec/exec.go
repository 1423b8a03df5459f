// Package exec runs programs of the user's own: as processes of this machine, in a group that ends as a whole, with
// what they print, what they use and what they were made of on record.
//
// It owns processes and what the machine tells about them. It must never know what a run, a model or a dataset is:
// what it finds goes to a Recorder that the caller brings. A command is a list of words and never a line for a shell.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	// DefaultGrace is how long a program may take to end after SIGTERM.
	DefaultGrace = 10 * time.Second
	// drain is how long the pipes of a program that ended are read when something outside of its group holds them open.
	drain = 2 * time.Second
)

// Command is a program to run.
type Command struct {
	Argv    []string      // the program and its arguments, as they are; a program without a slash is looked up in Env's PATH
	Dir     string        // "" = the working directory of this process
	Env     []string      // KEY=VALUE, all of it: nothing is inherited
	Stdin   *os.File      // nil = empty
	Stdout  io.Writer     // gets what it prints as it comes; nil = nobody
	Stderr  io.Writer     // may be the same as Stdout; writes to both are made one at a time
	Log     *Log          // keeps the lines of both; nil = nobody
	Timeout time.Duration // 0 = none
	Grace   time.Duration // 0 = DefaultGrace
}

// End is how a program came to its end.
type End string

// The ends.
const (
	Exited   End = "exited"    // by itself, well or not
	Canceled End = "canceled"  // because the context ended
	TimedOut End = "timed_out" // because of Command.Timeout
)

// Result is how a program ended and what it used, with all processes that it waited for.
type Result struct {
	End        End
	Code       int    // 128 + the signal when one ended it, as shells have it
	Signal     string // its name, "" when it was none
	Elapsed    time.Duration
	CPU        time.Duration // user and system
	PeakMemory int64         // bytes, of the largest single process
}

// Process is a program that runs.
type Process struct {
	Pid     int // and the number of its process group
	cmd     *osexec.Cmd
	command Command
	begun   time.Time
	ended   chan struct{} // closed once the program was waited for
	reading sync.WaitGroup
	pipes   []*os.File
}

// Start starts a program in a process group of its own. It dies with this process, however that ends (on Linux).
// Wait must be called. A program that cannot be started is a fault.
func Start(c Command) (*Process, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, fault.New(fault.Invalid, "there is no program to run")
	}
	path, err := Find(c.Argv[0], c.Dir, c.Env)
	if err != nil {
		return nil, err
	}
	p := &Process{command: c, ended: make(chan struct{})}
	p.cmd = &osexec.Cmd{Path: path, Args: c.Argv, Dir: c.Dir, Env: c.Env, SysProcAttr: attributes()}
	if c.Env == nil {
		p.cmd.Env = []string{}
	}
	if c.Stdin != nil {
		p.cmd.Stdin = c.Stdin
	}
	var write []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			_ = f.Close() // a pipe loses nothing by that
		}
	}
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(append(p.pipes, write...))
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		p.pipes, write = append(p.pipes, r), append(write, w)
	}
	p.cmd.Stdout, p.cmd.Stderr = write[0], write[1]
	started := make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that made a process for the end of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.begun = time.Now()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended stands in its state
			close(p.ended)
		}
	}()
	err = <-started
	closeAll(write)
	if err != nil {
		closeAll(p.pipes)
		return nil, unstartable(err, c.Argv[0])
	}
	p.Pid = p.cmd.Process.Pid
	var one sync.Mutex
	for i, to := range []io.Writer{c.Stdout, c.Stderr} {
		p.reading.Go(func() { pump(p.pipes[i], to, &one, c.Log) })
	}
	return p, nil
}

// pump copies what a program prints until there is no more. A writer that fails is not written to again; the program is not disturbed.
func pump(from io.Reader, to io.Writer, one *sync.Mutex, log *Log) {
	lines := log.stream()
	defer lines.end()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			lines.write(buffer[:n])
			if to != nil {
				one.Lock()
				if _, werr := to.Write(buffer[:n]); werr != nil {
					to = nil
				}
				one.Unlock()
			}
		}
		if err != nil {
			return
		}
	}
}

// Wait waits for the end of the program. When ctx or the time allowed ends first, the whole group gets SIGTERM, and
// after the grace SIGKILL. Processes that the program leaves in its group end with it.
func (p *Process) Wait(ctx context.Context) Result {
	r := Result{End: Exited}
	var late <-chan time.Time
	if p.command.Timeout > 0 {
		timer := time.NewTimer(p.command.Timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		r.End = Canceled
	case <-late:
		r.End = TimedOut
	}
	if r.End != Exited {
		p.terminate()
	}
	r.Elapsed = time.Since(p.begun)
	p.signal(syscall.SIGKILL)
	p.read()
	state := p.cmd.ProcessState
	r.Code = state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Code, r.Signal = 128+int(status.Signal()), status.Signal().String()
	}
	r.CPU = state.UserTime() + state.SystemTime()
	r.PeakMemory = peakMemory(state)
	return r
}

// terminate asks the group to end, and ends it when it does not.
func (p *Process) terminate() {
	p.signal(syscall.SIGTERM)
	grace := p.command.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// signal goes to every process of the group; one that has ended already needs none.
func (p *Process) signal(s syscall.Signal) { _ = syscall.Kill(-p.Pid, s) }

// read waits for the rest of the output. A process that left the group may hold a pipe open for as long as it likes.
func (p *Process) read() {
	done := make(chan struct{})
	go func() {
		p.reading.Wait()
		close(done)
	}()
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	for _, pipe := range p.pipes {
		_ = pipe.Close() // ends the reading
	}
	<-done
}

// Run is Start and Wait.
func Run(ctx context.Context, c Command) (Result, error) {
	p, err := Start(c)
	if err != nil {
		return Result{}, err
	}
	return p.Wait(ctx), nil
}

// Find is the file of a program: one with a slash is relative to dir, one without is looked up in the PATH of env.
func Find(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) && dir != "" {
			path = filepath.Join(dir, path)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if err := executable(path); err != nil {
			return "", unstartable(err, name)
		}
		return path, nil
	}
	for _, folder := range filepath.SplitList(Lookup(env, "PATH")) {
		if !filepath.IsAbs(folder) {
			continue // what is in the working directory is no program of the path
		}
		if path := filepath.Join(folder, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", unstartable(fs.ErrNotExist, name)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case info.Mode()&0o111 == 0:
		return fs.ErrPermission
	}
	return nil
}

// unstartable tells why a program cannot be started.
func unstartable(err error, name string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(name, "/"):
		return fault.New(fault.NotFound, "there is no program %s", name)
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "there is no program %q in PATH", name).WithHint("install it, write its path, or name the environment that has it")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR):
		return fault.Wrap(err, fault.Invalid, "%s cannot be run", name).WithHint("is it a program, and executable? A script can be run by its interpreter: python %s", name)
	}
	return fault.Wrap(err, fault.Unavailable, "%s could not be started", name)
}

// Lookup is the value of a variable in an environment, "" when it has none; the last one counts.
func Lookup(env []string, key string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], key+"="); ok {
			return value
		}
	}
	return ""
}

// With is an environment with variables set; the rest stays. Nothing of env is written to.
func With(env []string, set map[string]string) []string {
	out := make([]string, 0, len(env)+len(set))
	for _, e := range env {
		key, _, _ := strings.Cut(e, "=")
		if _, replaced := set[key]; !replaced {
			out = append(out, e)
		}
	}
	for _, key := range sortedKeys(set) {
		out = append(out, key+"="+set[key])
	}
	return out
}
