package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// process is one worker. Who took it from the pool is its only user, but for kill and what Status reads.
type process struct {
	pid     int
	wire    *wire
	answers answers
	journal *journal
	cmd     *exec.Cmd
	tmp     string
	started time.Time
	rungs   []predictor.Rung
	model   Model
	id      uint64 // of the last request
	metric  func(name string, value float64)

	ended   chan struct{} // closed once the process was waited for
	logs    *os.File
	reading sync.WaitGroup
	once    sync.Once

	requests atomic.Int64
	memory   atomic.Int64
	state    atomic.Value // string
	why      atomic.Value // string: why it was killed
	spent    atomic.Bool  // to be replaced as soon as it is free
	// Of the pool's lock:
	replaced  bool // its successor was asked for
	succeeded bool // and is there
}

// start runs the launcher, which becomes the interpreter. The worker has said nothing yet.
func (p *Pool) start() (*process, error) {
	p.mu.Lock()
	p.born++
	number := p.born
	p.mu.Unlock()
	tmp := filepath.Join(p.manager.options.Dir, "tmp", fmt.Sprintf("%d-%d", p.number, number))
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("make the temporary folder of a worker: %w", err)
	}
	ours, theirs, err := pipes(p.in.language == "r")
	if err != nil {
		return nil, err
	}
	logs, write, err := os.Pipe()
	if err != nil {
		closeAll(append(ours, theirs...))
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	apart := p.manager.apart() == nil && !p.spec.Network
	l := launch{Argv: append(slices.Clone(p.in.argv), p.script), Network: p.spec.Network, Apart: apart, Memory: p.spec.Memory, Files: 1024, Processes: 256,
		Report: launchFD + len(theirs) - 1, ReadWrite: []string{tmp}, ReadOnly: append(append([]string{p.script, p.spec.Dir}, p.in.folders...), p.spec.ReadOnly...)}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	self, err := selfPath()
	if err != nil {
		return nil, err
	}
	w := &process{journal: p.journal, tmp: tmp, started: time.Now(), ended: make(chan struct{}), wire: &wire{in: ours[0], out: ours[len(ours)-1]}, metric: p.metric}
	w.state.Store("starting")
	w.cmd = &exec.Cmd{Path: self, Args: []string{launcherName, string(text)}, Dir: tmp, Env: p.environment(tmp), Stdout: write, Stderr: write, ExtraFiles: theirs, SysProcAttr: attributes(apart)}
	launched := make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that made a process for the end of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := w.cmd.Start()
		launched <- err
		if err == nil {
			_ = w.cmd.Wait() // how it ended stands in its state
			close(w.ended)
		}
	}()
	err = <-launched
	closeAll(append(theirs, write))
	if err != nil {
		closeAll(append(ours, logs))
		return nil, fault.Wrap(err, fault.Unavailable, "a worker could not be started")
	}
	w.pid = w.cmd.Process.Pid
	w.logs = logs
	w.reading.Go(func() { p.journal.follow(logs) })
	return w, nil
}

// pipes makes the connection: a socket pair, or for R, which cannot read a socket that it inherits, two pipes.
func pipes(two bool) (ours, theirs []*os.File, err error) {
	if two {
		r1, w1, err := os.Pipe()
		if err != nil {
			return nil, nil, fmt.Errorf("make a pipe: %w", err)
		}
		r2, w2, err := os.Pipe()
		if err != nil {
			closeAll([]*os.File{r1, w1})
			return nil, nil, fmt.Errorf("make a pipe: %w", err)
		}
		return []*os.File{r2, w1}, []*os.File{r1, w2}, nil
	}
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // ours waits in the runtime's poller
		return nil, nil, err
	}
	return []*os.File{os.NewFile(uintptr(fds[0]), "worker")}, []*os.File{os.NewFile(uintptr(fds[1]), "worker")}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // a pipe loses nothing by that
	}
}

// environment is all variables of a worker: nothing of the server's own but its time zone and language.
func (p *Pool) environment(tmp string) []string {
	env := map[string]string{
		"PATH": filepath.Dir(p.in.argv[0]) + ":/usr/local/bin:/usr/bin:/bin", "HOME": tmp, "USER": "model", "LOGNAME": "model", "TMPDIR": tmp, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": os.Getenv("TZ"),
		// One thread: the pool is what works in parallel. joblib without processes: it has no shared memory here.
		"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "JOBLIB_MULTIPROCESSING": "0", "LOKY_MAX_CPU_COUNT": "1",
		"MPLCONFIGDIR": tmp, "NUMBA_CACHE_DIR": tmp, "XDG_CACHE_HOME": tmp, "TF_CPP_MIN_LOG_LEVEL": "2", "MLFLOW_TRACKING_URI": "file://" + tmp,
	}
	for _, name := range []string{"LD_LIBRARY_PATH", "TZDIR"} {
		if v := os.Getenv(name); v != "" {
			env[name] = v
		}
	}
	for k, v := range p.in.environ {
		env[k] = v
	}
	for k, v := range p.spec.Environ {
		env[k] = v
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		if v != "" || k != "TZ" {
			out = append(out, k+"="+v)
		}
	}
	slices.Sort(out)
	return out
}

// load goes through the handshake, within the time that Spec.Start allows.
func (w *process) load(ctx context.Context, s *Spec) error {
	ctx, cancel := context.WithTimeout(ctx, s.Start)
	defer cancel()
	stop := w.heed(ctx)
	defer stop()
	hello, err := w.greeting()
	if err != nil {
		return w.failure(ctx, err, s)
	}
	header, err := json.Marshal(struct {
		Kind    Kind              `json:"kind"`
		Path    string            `json:"path"`
		Predict string            `json:"predict,omitempty"`
		Flavour map[string]any    `json:"flavour,omitempty"`
		Inputs  []predictor.Field `json:"inputs,omitempty"`
		Outputs []predictor.Field `json:"outputs,omitempty"`
	}{s.Kind, s.path(), s.Predict, s.Flavor, s.Inputs, s.Outputs})
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the model %q", s.Name)
	}
	w.wire.begin(frameLoad, 0)
	w.wire.sent = append(w.wire.sent, header...)
	w.wire.headerEnds()
	if err := w.wire.send(time.Time{}); err != nil {
		return w.failure(ctx, err, s)
	}
	f, err := w.next(frameReady)
	if err != nil {
		return w.failure(ctx, err, s)
	}
	if err := json.Unmarshal(f.header, &w.model); err != nil {
		return w.failure(ctx, errGarbage, s)
	}
	if w.model.Versions == nil {
		w.model.Versions = map[string]string{}
	}
	w.model.Versions[hello.Language] = hello.Version
	if s.Inputs != nil {
		w.model.Inputs = s.Inputs
	}
	if s.Outputs != nil {
		w.model.Outputs = s.Outputs
	}
	w.state.Store("ready")
	return nil
}

// greeting reads the launcher's HELLO and then the worker's.
func (w *process) greeting() (hello, error) {
	for {
		f, err := w.next(frameHello)
		if err != nil {
			return hello{}, err
		}
		var h hello
		if json.Unmarshal(f.header, &h) != nil {
			return h, errGarbage
		}
		if h.Language != launcherName {
			return h, nil
		}
		w.rungs = h.Rungs
	}
}

// heed makes what is read and written fail when ctx ends. The deadline is for good: who runs into it does not use the pipe again.
func (w *process) heed(ctx context.Context) (stop func()) {
	if d, ok := ctx.Deadline(); ok {
		_ = w.wire.in.SetReadDeadline(d) // a pipe that is closed fails by itself
	} else {
		_ = w.wire.in.SetReadDeadline(time.Time{})
	}
	if ctx.Done() == nil {
		return func() {}
	}
	after := context.AfterFunc(ctx, func() { _ = w.wire.in.SetReadDeadline(time.Unix(1, 0)) })
	return func() { after() }
}

// modelError is an ERROR frame.
type modelError struct{ problem }

func (e *modelError) Error() string { return e.Message }

// next waits for a frame of a type, and takes log lines and metrics on the way.
func (w *process) next(want frameType) (frame, error) {
	for {
		f, err := w.wire.receive()
		if err != nil {
			return f, err
		}
		switch f.kind {
		case want:
			if want == frameResult && f.id != w.id {
				return f, errGarbage
			}
			return f, nil
		case frameError:
			e := &modelError{}
			if json.Unmarshal(f.header, &e.problem) != nil {
				return f, errGarbage
			}
			return f, e
		case frameLog:
			var line struct {
				Message string `json:"message"`
			}
			if json.Unmarshal(f.header, &line) != nil {
				return f, errGarbage
			}
			w.journal.add(line.Message)
		case frameMetric:
			var m struct {
				Name  string  `json:"name"`
				Value float64 `json:"value"`
			}
			if json.Unmarshal(f.header, &m) != nil {
				return f, errGarbage
			}
			w.metric(m.Name, m.Value)
		default:
			return f, errGarbage
		}
	}
}

// errIdle says that the worker was gone before it had read the request: another one may have it.
var errIdle = errors.New("the worker was gone")

// infer asks the worker, until the deadline. Errors are those of the pipe, or a *modelError.
func (w *process) infer(q *predictor.Request, inputs []tensor.Named, deadline time.Time) ([]tensor.Named, error) {
	w.id++
	if err := w.wire.request(w.id, inputs, q.Wanted, q.Params); err != nil {
		return nil, err
	}
	if err := w.wire.in.SetReadDeadline(deadline); err != nil {
		return nil, errIdle
	}
	if err := w.wire.send(deadline); err != nil {
		if errors.Is(err, syscall.EPIPE) {
			return nil, errIdle // it cannot have begun what it has not whole
		}
		return nil, err
	}
	f, err := w.next(frameResult)
	if err != nil {
		if errors.Is(err, syscall.ECONNRESET) {
			return nil, errIdle // Linux says so of a socket that is closed with something unread in it
		}
		return nil, err
	}
	return w.answers.read(f)
}

// kill ends the worker and all that it started. It may be called at any time and more than once; the first reason stays.
func (w *process) kill(why string) {
	if why != "" {
		w.why.CompareAndSwap(nil, why)
	}
	_ = syscall.Kill(-w.pid, syscall.SIGKILL) // it may have ended already
}

// bury waits for the end of a worker that was killed or drained and removes what it leaves.
func (w *process) bury() {
	w.once.Do(func() {
		<-w.ended
		_ = syscall.Kill(-w.pid, syscall.SIGKILL) // what it started and left
		w.wire.close()
		w.readRest()
		_ = os.RemoveAll(w.tmp) // else the next manager does it
	})
}

// readRest waits for the rest of what an ended worker said. A process that left its group may hold the pipe open for as long as it likes.
func (w *process) readRest() {
	done := make(chan struct{})
	go func() {
		w.reading.Wait()
		close(done)
	}()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	_ = w.logs.Close() // ends the reading
	<-done
}

// drain asks the worker to end, and ends it when it does not.
func (w *process) drain(grace time.Duration) {
	w.state.Store("stopping")
	w.wire.begin(frameDrain, 0)
	w.wire.headerEnds()
	if w.wire.send(time.Now().Add(grace)) != nil {
		w.kill("")
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
		w.kill("it did not end when it was asked to")
	}
	w.bury()
}

// ending tells how the worker ended, once it has: what killed it and what it said last.
func (w *process) ending() string {
	if why, ok := w.why.Load().(string); ok {
		return why
	}
	select {
	case <-w.ended:
	case <-time.After(2 * time.Second): // it closed its pipe and lives on
		return "it closed its pipe"
	}
	if s, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return "it was ended by the signal " + strings.ToUpper(s.Signal().String())
	}
	return fmt.Sprintf("it ended with the code %d", w.cmd.ProcessState.ExitCode())
}

// failure tells why a worker could not load its model.
func (w *process) failure(ctx context.Context, err error, s *Spec) error {
	var told *modelError
	switch {
	case errors.As(err, &told):
		code := fault.Invalid
		if strings.HasPrefix(told.Message, "ModuleNotFoundError") || strings.HasPrefix(told.Message, "ImportError") {
			code = fault.FormatNotServed
		}
		f := fault.New(code, "the model %q does not load: %s", s.Name, told.Message).With("traceback", told.Traceback)
		if code == fault.FormatNotServed {
			f.Hint = "name the environment that the model needs: its requirements, or an interpreter that has them"
		}
		if told.Kind == "memory" {
			f = fault.New(fault.Invalid, "the model %q does not load in %d bytes of memory", s.Name, s.Memory).WithHint("raise its memory ceiling")
		}
		return f
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case isTimeout(err):
		return fault.New(fault.Unavailable, "the model %q was not loaded after %s", s.Name, time.Since(w.started).Round(time.Millisecond)).With("log", w.journal.last(20))
	case errors.Is(err, errGarbage):
		return fault.New(fault.Unavailable, "a worker of the model %q was ended while it loaded: %v", s.Name, err).With("log", w.journal.last(20))
	}
	why := w.ending()
	w.kill("")
	w.readRest()
	lines := w.journal.last(20)
	f := fault.New(fault.Unavailable, "a worker of the model %q ended while it loaded it: %s", s.Name, why).With("log", lines)
	if len(lines) > 0 {
		f.Message += "; its last line: " + lines[len(lines)-1]
	}
	return f
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}
