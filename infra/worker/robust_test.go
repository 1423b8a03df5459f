package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/predictor/predictortest"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// behaviour is a predict.py that does what the input "do" says, with nothing but the standard library.
const behaviour = `
import os, signal, sys, time
import trimtab_worker

INPUTS = [{"name": "do", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [{"name": "done", "datatype": "BYTES", "shape": [-1]}]
held = []

def load(path):
    return {"path": path, "n": 0}

def predict(model, inputs, params):
    model["n"] += 1
    do = inputs["do"][0]
    what, _, value = do.partition(" ")
    if what == "sleep":
        time.sleep(float(value))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
        os.abort()  # in a namespace of its own it is process 1, which SIGKILL from within does not reach
    elif what == "exit":
        os._exit(int(value))
    elif what == "quit":
        sys.exit(3)
    elif what == "garbage":
        os.write(3, b"this is no frame, but enough of it to be taken for one")
    elif what == "print":
        print(value, flush=True)
    elif what == "log":
        trimtab_worker.log(value)
    elif what == "metric":
        trimtab_worker.metric("depth", float(value))
    elif what == "hold":
        held.append(bytearray(os.urandom(1 << 20) * int(value)))
    elif what == "leak":
        held.append(bytearray(os.urandom(1 << 20) * int(value)))
        held.append(held)
    elif what == "refuse":
        raise ValueError(value)
    elif what == "fail":
        raise RuntimeError(value)
    elif what == "read":
        with open(value) as f:
            return {"done": [f.read(100)]}
    elif what == "write":
        with open(value, "w") as f:
            f.write("x")
    elif what == "connect":
        import socket
        host, port = value.split(":")
        socket.create_connection((host, int(port)), timeout=2).close()
    elif what == "env":
        return {"done": [",".join(sorted(os.environ))]}
    elif what == "pid":
        return {"done": [str(model["n"])]}
    elif what == "child":
        import subprocess
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    elif what == "params":
        return {"done": [str(params.get(value))]}
    return {"done": inputs["do"]}
`

// behaving opens a pool of the program above; spec's folder is made.
func behaving(t testing.TB, s Spec) *Pool {
	t.Helper()
	m := manager(t, python(t))
	return open(t, m, program(t, s, behaviour))
}

// program is a spec with a predict.py.
func program(t testing.TB, s Spec, text string) Spec {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "predict.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Kind, s.Dir = Program, dir
	if s.Name == "" {
		s.Name = t.Name()
	}
	return s
}

// python is one with the standard library at least.
func python(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("TRIMTAB_PYTHON"), "/usr/bin/python3", "/usr/local/bin/python3"} {
		if _, err := os.Stat(name); name != "" && err == nil {
			return name
		}
	}
	return "python3"
}

func do(ctx context.Context, p *Pool, what string) (string, error) {
	out, err := p.Predict(ctx, &predictor.Request{Inputs: []tensor.Named{{Name: "do", Tensor: tensor.New([]string{what}, 1)}}})
	if err != nil {
		return "", err
	}
	return out[0].Data.([]string)[0], nil
}

// works asks until the pool answers again; it may only be busy with starting a worker.
func works(t *testing.T, p *Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, err := do(ctx, p, "nothing"); err != nil || got != "nothing" {
		t.Fatalf("the next request: %q, %v", got, err)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never came to that", what)
		}
	}
}

func TestConformance(t *testing.T) {
	m := manager(t, python(t))
	predictortest.Run(t, func(t *testing.T) predictortest.Subject {
		p, err := m.Open(t.Context(), program(t, Spec{Max: 2}, `
INPUTS = [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}, {"name": "s", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [{"name": "sum", "datatype": "FP64", "shape": [-1]}, {"name": "text", "datatype": "BYTES", "shape": [-1]}]

def predict(model, inputs):
    return {"sum": [float(sum(row)) for row in inputs["x"]], "text": inputs["s"]}
`))
		if err != nil {
			t.Fatal(err)
		}
		return predictortest.Subject{Predictor: p, Request: func(rows int) []tensor.Named {
			x, s := make([]float64, 2*rows), make([]string, rows)
			for i := range s {
				x[2*i], x[2*i+1], s[i] = float64(i), 1, "row "+strconv.Itoa(i)
			}
			return []tensor.Named{{Name: "x", Tensor: tensor.New(x, rows, 2)}, {Name: "s", Tensor: tensor.New(s, rows)}}
		}}
	})
}

func TestMistakesOfCallersAndModels(t *testing.T) {
	p := behaving(t, Spec{})
	if _, err := do(t.Context(), p, "refuse the age is negative"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "the age is negative") {
		t.Errorf("a ValueError: %v", err)
	}
	var own *ModelError
	if _, err := do(t.Context(), p, "fail oh no"); !errors.As(err, &own) || own.Message != "RuntimeError: oh no" || !strings.Contains(own.Traceback, "predict.py") {
		t.Errorf("a RuntimeError: %v", err)
	}
	if _, err := do(t.Context(), p, "quit"); !errors.As(err, &own) || own.Message != "SystemExit: 3" {
		t.Errorf("sys.exit: %v", err)
	}
	out, err := p.Predict(t.Context(), &predictor.Request{Inputs: []tensor.Named{{Name: "do", Tensor: tensor.New([]string{"params a"}, 1)}}, Params: map[string]any{"a": "b"}})
	if err != nil || out[0].Data.([]string)[0] != "b" {
		t.Errorf("parameters: %v, %v", out, err)
	}
	if n := p.Status().Restarts; n != 0 {
		t.Errorf("%d restarts by mistakes", n)
	}
}

// A worker that dies, whatever of, costs its caller a clear error, and nobody else.
func TestWorkersThatEnd(t *testing.T) {
	for _, test := range []struct{ do, says string }{
		{"kill", "ended by the signal"},
		{"exit 7", "ended with the code 7"},
		{"garbage", "no answer"},
	} {
		t.Run(test.do, func(t *testing.T) {
			p := behaving(t, Spec{Deadline: 20 * time.Second})
			works(t, p)
			_, err := do(t.Context(), p, test.do)
			if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			works(t, p)
			if n := p.Status().Restarts; n != 1 {
				t.Errorf("%d restarts, want 1", n)
			}
		})
	}
	t.Run("between requests", func(t *testing.T) {
		p := behaving(t, Spec{})
		for range 5 { // more than would break the pool, and each answered between
			pid := p.Status().Workers[0].PID
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			works(t, p)
			until(t, "a new worker", func() bool {
				s := p.Status()
				return len(s.Workers) == 1 && s.Workers[0].PID != pid && s.Workers[0].PID != 0
			})
		}
	})
}

func TestWorkersThatHang(t *testing.T) {
	p := behaving(t, Spec{Deadline: 300 * time.Millisecond})
	begun := time.Now()
	_, err := do(t.Context(), p, "sleep 1000")
	if took := time.Since(begun); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "300ms") || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	works(t, p)

	// The caller's own deadline is shorter than the pool's: it is kept, and the worker is killed a little later.
	p = behaving(t, Spec{Deadline: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun = time.Now()
	if _, err := do(ctx, p, "sleep 1000"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	works(t, p)
	if n := p.Status().Restarts; n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}

	// A caller who leaves a worker that is only slow costs no restart.
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := do(ctx, p, "sleep 0.3"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	works(t, p)
	if n := p.Status().Restarts; n != 1 {
		t.Errorf("%d restarts, want 1 still", n)
	}
}

func TestPoolBreaksAfterCrashesInARow(t *testing.T) {
	p := behaving(t, Spec{})
	told := make(chan string, 2)
	p.OnBroken(func(reason string) { told <- reason })
	for range crashes {
		if _, err := do(t.Context(), p, "exit 9"); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	if reason := <-told; !strings.Contains(reason, "code 9") {
		t.Error(reason)
	}
	if _, err := do(t.Context(), p, "nothing"); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "does not run") {
		t.Error(err)
	}
	if s := p.Status(); s.Broken == "" || s.Restarts != crashes {
		t.Errorf("%+v", s)
	}
	p.Retry()
	works(t, p)
	if p.Status().Broken != "" || len(told) != 0 {
		t.Error("it is broken still, or told twice")
	}
}

func TestMemoryCeiling(t *testing.T) {
	p := behaving(t, Spec{Memory: 256 << 20})
	_, err := do(t.Context(), p, "hold 1000")
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("1000 MB at once: %v", err)
	}
	works(t, p)
	if !slices.ContainsFunc(p.Status().Isolated, func(r predictor.Rung) bool { return r.Name == rungMemory && r.Holds }) {
		t.Errorf("%+v", p.Status().Isolated)
	}
	// A leak: the worker is replaced before it comes to that, and nobody notices.
	first := p.Status().Workers[0].PID
	for i := 0; ; i++ {
		if _, err := do(t.Context(), p, "leak 5"); err != nil {
			if !fault.Is(err, fault.Unavailable) || i < 20 {
				t.Fatalf("request %d: %v", i, err)
			}
			break // the watch came too late: the ceiling held all the same
		}
		if w := p.Status().Workers; len(w) > 0 && w[0].PID != first && w[0].PID != 0 {
			break
		}
		if i > 200 {
			t.Fatalf("after 1000 MB: %+v", p.Status())
		}
		time.Sleep(10 * time.Millisecond) // the watch looks five times a second
	}
	works(t, p)
}

func TestWorkersAreReplacedAfterTheirShare(t *testing.T) {
	p := behaving(t, Spec{MaxRequests: 10})
	seen := map[int]bool{}
	for i := range 200 {
		if _, err := do(t.Context(), p, "nothing"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		for _, w := range p.Status().Workers {
			seen[w.PID] = true
		}
		if len(seen) > 4 {
			break
		}
		time.Sleep(10 * time.Millisecond) // a successor needs a moment to load
	}
	if len(seen) < 3 {
		t.Errorf("only the processes %v answered", seen)
	}
	if n := p.Status().Restarts; n != 0 {
		t.Errorf("%d restarts; being replaced is none", n)
	}
}

// Ten thousand requests, from many callers, with workers that crash among them: everyone gets their own answer, and nothing is left.
func TestManyRequestsLeaveNothingBehind(t *testing.T) {
	files, tasks := openFiles(t), len(children(t))
	p := behaving(t, Spec{Min: 2, Max: 3, MaxRequests: 3000})
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() {
			for i := range 1250 {
				want := fmt.Sprintf("caller %d request %d", c, i)
				if c == 0 && i%400 == 399 {
					if _, err := do(t.Context(), p, "exit 1"); !fault.Is(err, fault.Unavailable) {
						t.Error(err)
					}
				}
				if got, err := do(t.Context(), p, want); err != nil || got != want {
					t.Errorf("%s: %q, %v", want, got, err)
					return
				}
			}
		})
	}
	group.Wait()
	if _, err := do(t.Context(), p, "child"); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "no process is left", func() bool { return len(children(t)) <= tasks })
	until(t, "no file is left", func() bool { runtime.GC(); return openFiles(t) <= files+2 }) // the poller's own
	if left, _ := os.ReadDir(filepath.Join(p.manager.options.Dir, "tmp")); len(left) > 0 {
		t.Errorf("%d temporary folders are left", len(left))
	}
	if _, err := do(t.Context(), p, "nothing"); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc")
	}
	return len(entries)
}

// children are the processes that descend from this one, or did.
func children(t *testing.T) []string {
	t.Helper()
	var out []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) > 1 && fields[0] != "Z" && (fields[1] == strconv.Itoa(os.Getpid())) {
			out = append(out, name)
		}
	}
	return out
}

func TestQueue(t *testing.T) {
	p := behaving(t, Spec{MaxQueue: 1})
	var group sync.WaitGroup
	group.Go(func() { _, _ = do(t.Context(), p, "sleep 0.5") })
	until(t, "busy", func() bool { return p.Status().Workers[0].State == "busy" })
	group.Go(func() { works(t, p) })
	until(t, "one waits", func() bool { return p.Status().Queued == 1 })
	if _, err := do(t.Context(), p, "nothing"); !fault.Is(err, fault.TooMany) {
		t.Error(err)
	}
	group.Wait()
}

func TestLogAndMetrics(t *testing.T) {
	p := behaving(t, Spec{})
	for _, what := range []string{"print printed", "log logged", "metric 4"} {
		if _, err := do(t.Context(), p, what); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "both lines", func() bool {
		log := p.Status().Log
		return slices.Contains(log, "printed") && slices.Contains(log, "logged")
	})
	b, err := os.ReadFile(p.journal.path)
	if err != nil || !strings.Contains(string(b), "printed\n") {
		t.Errorf("%s, %v", b, err)
	}
	if _, known := p.values.Load("depth"); !known {
		t.Error("the metric is unknown")
	}
}

func TestModelsThatDoNotLoad(t *testing.T) {
	m := manager(t, python(t))
	for _, test := range []struct {
		text string
		code fault.Code
		says string
	}{
		{"def predict(:", fault.Invalid, "SyntaxError"},
		{"import there_is_no_such_module", fault.FormatNotServed, "there_is_no_such_module"},
		{"def load(path): raise OSError('no file')\ndef predict(m, i): pass", fault.Invalid, "no file"},
		{"x = 1", fault.Invalid, "predict"},
		{"import os\nos._exit(4)", fault.Unavailable, "code 4"},
		{"import time\ntime.sleep(1000)", fault.Unavailable, "was not loaded after"},
	} {
		_, err := m.Open(t.Context(), program(t, Spec{Start: 5 * time.Second}, test.text))
		if !fault.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v", test.text, err)
		}
	}
	if _, err := m.Open(t.Context(), Spec{Name: "x", Kind: Sklearn, Dir: t.TempDir(), File: "../x"}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := m.Open(t.Context(), program(t, Spec{Env: Env{Interpreter: "/no/such/python"}}, "x")); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	if _, err := m.Open(t.Context(), program(t, Spec{Env: Env{Interpreter: "/bin/true"}}, "x")); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}
