package exec

import (
	"bytes"
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// patience bounds every wait; it only shows when something is broken.
const patience = 30 * time.Second

// parent names the variable that makes this test binary a process that starts a program and waits to be killed.
const parent = "TRIMTAB_TEST_EXEC_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parent) != "" {
		p, err := Start(Command{Argv: []string{"sleep", "1000"}, Env: os.Environ()})
		if err != nil {
			panic(err)
		}
		fmt.Println(p.Pid)
		p.Wait(context.Background())
		return
	}
	os.Exit(m.Run())
}

func sh(line string) Command { return Command{Argv: []string{"sh", "-c", line}, Env: os.Environ()} }

// alive tells whether a process runs; one that has ended and that nobody has waited for does not.
func alive(pid int) bool {
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		rest := b[bytes.LastIndexByte(b, ')')+1:]
		return !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("Z"))
	}
	return runtime.GOOS != "linux" && syscall.Kill(pid, 0) == nil
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); alive(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestResults(t *testing.T) {
	for _, c := range []struct {
		line   string
		code   int
		signal string
		log    string
	}{
		{line: "echo out; echo err >&2; exit 3", code: 3},
		{line: "printf 'no end'", log: "no end\n"},
		{line: `kill -9 $$`, code: 137, signal: "killed"}, // 128 + 9, as bash(1) says under EXIT STATUS
		{line: `echo "[$HOME]"; pwd`, log: "[]\n/\n"},
	} {
		command := sh(c.line)
		command.Env, command.Dir, command.Log = []string{"PATH=" + os.Getenv("PATH")}, "/", NewLog(1<<10)
		r, err := Run(t.Context(), command)
		if err != nil {
			t.Fatal(err)
		}
		if r.End != Exited || r.Code != c.code || r.Signal != c.signal {
			t.Errorf("%s: %+v", c.line, r)
		}
		if got := string(command.Log.Bytes()); c.log != "" && got != c.log {
			t.Errorf("%s printed %q, want %q", c.line, got, c.log)
		}
	}
}

func TestUse(t *testing.T) {
	r, err := Run(t.Context(), sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"))
	if err != nil {
		t.Fatal(err)
	}
	if r.CPU <= 0 || r.PeakMemory < 100<<10 || r.Elapsed <= 0 {
		t.Errorf("used %+v", r)
	}
}

// A program that does not listen to SIGTERM, with a child of its own, ends when the context does.
func TestTheGroupEnds(t *testing.T) {
	for _, how := range []End{Canceled, TimedOut} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := make(chan int, 1)
		c := sh("trap '' TERM; (trap '' TERM; sleep 1000) & echo $!; wait; wait")
		c.Grace, c.Stdout = 20*time.Millisecond, first(func(line string) {
			pid, _ := strconv.Atoi(line)
			seen <- pid
			if how == Canceled {
				cancel()
			}
		})
		if how == TimedOut {
			c.Timeout = 200 * time.Millisecond
		}
		r, err := Run(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if r.End != how || r.Signal != "killed" {
			t.Errorf("%s: %+v", how, r)
		}
		waitGone(t, <-seen)
	}
}

// first gives the first line to a function.
func first(f func(line string)) writer {
	var text strings.Builder
	done := false
	return func(p []byte) (int, error) {
		text.Write(p)
		if line, _, ok := strings.Cut(text.String(), "\n"); ok && !done {
			done = true
			f(line)
		}
		return len(p), nil
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A process that a program leaves behind ends with it, and does not hold up the end by the pipe that it has inherited.
func TestNothingIsLeftBehind(t *testing.T) {
	c := sh("sleep 1000 & echo $!")
	c.Log = NewLog(1 << 10)
	begun := time.Now()
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > patience {
		t.Errorf("it took %v", took)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(c.Log.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}

// A program does not outlive the process that started it, even when that one is killed.
func TestNoOrphan(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parent+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil || !alive(pid) {
		t.Fatalf("process %d: %v", pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	waitGone(t, pid)
}

func TestWhatCannotBeStarted(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.py")
	if err := os.WriteFile(plain, []byte("print()"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		argv []string
		code fault.Code
		text string
	}{
		{nil, fault.Invalid, "no program to run"},
		{[]string{"no-such-program-here"}, fault.NotFound, `no program "no-such-program-here" in PATH`},
		{[]string{"./nowhere"}, fault.NotFound, "no program ./nowhere"},
		{[]string{"./plain.py"}, fault.Invalid, "./plain.py cannot be run"},
		{[]string{dir}, fault.Invalid, "cannot be run"},
	} {
		_, err := Run(t.Context(), Command{Argv: c.argv, Dir: dir, Env: os.Environ()})
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: %v", c.argv, err)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line  string
		words []string // nil = refused
	}{
		{"python train.py", []string{"python", "train.py"}},
		{"  a\tb\n c ", []string{"a", "b", "c"}},
		{`a "b c" 'd "e"' f\ g ""`, []string{"a", "b c", `d "e"`, "f g", ""}},
		{`a"b"'c'd`, []string{"abcd"}},
		{`"a \"b\" \$HOME \n"`, []string{`a "b" $HOME \n`}},
		{`'a\b'`, []string{`a\b`}},
		{"a \\\n b", []string{"a", "b"}},
		{`grep 'a|b' --x=~`, []string{"grep", "a|b", "--x=~"}},
		{"", nil},
		{`""`, nil},
		{`a "b`, nil},
		{`a \`, nil},
		{"a | b", nil},
		{"a > b", nil},
		{"a $HOME", nil},
		{"a *.csv", nil},
		{"a `b`", nil},
		{"a; b", nil},
	} {
		words, err := Split(c.line)
		if (err != nil) != (c.words == nil) || fmt.Sprintf("%q", words) != fmt.Sprintf("%q", c.words) {
			t.Errorf("%q: %q, %v", c.line, words, err)
		}
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", c.line, err)
			}
			continue
		}
		if again, err := Split(Join(words)); err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", words) {
			t.Errorf("%q joined is %s, which is %q, %v", words, Join(words), again, err)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`a "b c" d\ e 'f'`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			return
		}
		again, err := Split(Join(words))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", words) {
			t.Errorf("%q: %q joined is %s, which is %q, %v", line, words, Join(words), again, err)
		}
	})
}

func TestLog(t *testing.T) {
	l := NewLog(40)
	a, b := l.stream(), l.stream()
	a.write([]byte("one\ntw"))
	b.write([]byte("other\n"))
	a.write([]byte("o\r\n10%\r20%\r30%"))
	if got, want := string(l.Bytes()), "one\nother\ntwo\n30%\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	a.write([]byte("\rdone\n"))
	before := l.Changes()
	for i := range 10 {
		b.write(fmt.Appendf(nil, "line %d\n", i))
	}
	a.end()
	b.end()
	// The first 20 bytes hold whole lines up to 19; the tail holds the newest two of seven bytes each.
	if got, want := string(l.Bytes()), "one\nother\ntwo\ndone\n… 8 lines (56 bytes) left out …\nline 8\nline 9\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	if l.Changes() == before {
		t.Error("it grew and says that it did not")
	}
	if got := l.Last(2); got != "line 8\nline 9" {
		t.Errorf("last lines %q", got)
	}
	if got := l.Last(99); !strings.HasPrefix(got, "one\n") {
		t.Errorf("all lines %q", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	c := sh("head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 200000")
	c.Log = NewLog(256 << 10)
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	text := c.Log.Bytes()
	if len(text) > 256<<10+200 || !bytes.HasSuffix(text, []byte("\n199999\n200000\n")) || !bytes.HasPrefix(text, []byte("xxx")) {
		t.Errorf("%d bytes, from %.20s", len(text), text)
	}
}

func TestWith(t *testing.T) {
	env := []string{"A=1", "B=2", "A=3"}
	if got := fmt.Sprint(With(env, map[string]string{"A": "4", "C": ""})); got != "[B=2 A=4 C=]" {
		t.Error(got)
	}
	if Lookup(env, "A") != "3" || Lookup(env, "X") != "" || len(env) != 3 {
		t.Error("the last value counts, and nothing is changed")
	}
}
