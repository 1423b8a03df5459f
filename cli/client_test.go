package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// office is a server with jobs and events that a test steers.
type office struct {
	*httptest.Server
	jobs   *queue.Queue
	events *govern.Service
	began  chan struct{}
}

func openOffice(t *testing.T, handler queue.Handler) *office {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), queue.Schema, govern.Schema)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{jobs: queue.New(db, queue.Options{MaxAttempts: 1}), events: govern.New(db), began: make(chan struct{}, 10)}
	o.jobs.Register("work", func(ctx context.Context, r *queue.Running) error {
		o.began <- struct{}{}
		return handler(ctx, r)
	})
	r := route.New(route.Config{})
	native.RegisterJobs(r, o.jobs)
	native.RegisterEvents(r, o.events)
	if err := o.jobs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.Drain()
		o.Close()
		if err := errors.Join(o.jobs.Stop(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *office) enqueue(t *testing.T) queue.Job {
	t.Helper()
	job, err := o.jobs.Enqueue(t.Context(), nil, queue.Enqueue{Kind: "work", Project: "p", Cause: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// run runs a command line against the server and gives its exit code and output.
func (o *office) run(ctx context.Context, args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = Run(ctx, term.Plain(strings.NewReader(""), &stdout, &stderr), append([]string{"--server", o.URL}, args...))
	return code, stdout.String(), stderr.String()
}

func TestJobsWaitTellsTheOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		handler queue.Handler
		code    int
		out     string
		err     string
	}{
		"done": {func(_ context.Context, r *queue.Running) error {
			r.Progress(10, 10, "rows", "")
			return r.Result(map[string]int{"version": 3})
		}, 0, `{"version":3}`, ""},
		"refused": {func(context.Context, *queue.Running) error {
			return fault.New(fault.GateRefused, "auc >= 0.9 does not hold").WithHint("train longer").With("auc", 0.7)
		}, 6, "", "error: auc >= 0.9 does not hold\n  auc: 0.7\nhint: train longer\n"},
		"broken": {func(context.Context, *queue.Running) error { return errors.New("disk") }, 1, "", "error: disk\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, test.handler)
			code, out, err := o.run(t.Context(), "jobs", "wait", o.enqueue(t).ID)
			if code != test.code || !strings.Contains(out, test.out) || err != test.err {
				t.Errorf("exit %d\n%s\n%s", code, out, err)
			}
		})
	}
}

func TestAnInterruptedWaitLeavesTheJobOfALiveServer(t *testing.T) {
	release := make(chan struct{})
	o := openOffice(t, func(context.Context, *queue.Running) error { <-release; return nil })
	job := o.enqueue(t)
	<-o.began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, said := o.run(ctx, "jobs", "wait", job.ID)
	if code != term.ExitInterrupted {
		t.Errorf("exit %d: %s", code, said)
	}
	close(release)
	if done, err := o.jobs.Wait(t.Context(), job.ID); err != nil || done.State != queue.Done {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestJobsCancelAndList(t *testing.T) {
	o := openOffice(t, func(ctx context.Context, _ *queue.Running) error { <-ctx.Done(); return ctx.Err() })
	job := o.enqueue(t)
	<-o.began
	if code, out, err := o.run(t.Context(), "jobs", "ls", "--state", "active"); code != 0 || !strings.Contains(out, job.ID+"\twork\tp\trunning") {
		t.Errorf("exit %d\n%s\n%s", code, out, err)
	}
	if code, _, err := o.run(t.Context(), "jobs", "cancel", job.ID); code != 0 {
		t.Errorf("exit %d\n%s", code, err)
	}
	if code, _, err := o.run(t.Context(), "jobs", "wait", job.ID); code != 1 || !strings.Contains(err, "was canceled") {
		t.Errorf("exit %d\n%s", code, err)
	}
	if code, out, _ := o.run(t.Context(), "jobs", "show", job.ID, "--json"); code != 0 || !strings.Contains(out, `"state": "canceled"`) {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestEventsFollow(t *testing.T) {
	o := openOffice(t, nil)
	ctx, cancel := context.WithCancel(govern.WithActor(t.Context(), "user:alice"))
	add := func(kind string) {
		t.Helper()
		if err := o.events.Append(ctx, nil, govern.Event{Project: "p", Kind: kind, Subject: "model/m/1", Message: "about " + kind}); err != nil {
			t.Fatal(err)
		}
	}
	add("version.registered")
	add("alert.opened")
	lines := make(chan string, 100)
	ended := make(chan int)
	go func() {
		ended <- Run(ctx, term.Plain(nil, lineWriter{lines}, &bytes.Buffer{}), []string{"--server", o.URL, "events", "ls", "--follow", "--kind", "version."})
	}()
	if line := <-lines; !strings.Contains(line, "version.registered\tmodel/m/1\tuser:alice\tabout version.registered") {
		t.Errorf("first: %q", line)
	}
	add("alert.closed")
	add("version.promoted")
	if line := <-lines; !strings.Contains(line, "version.promoted") {
		t.Errorf("then: %q", line)
	}
	cancel()
	if code := <-ended; code != term.ExitInterrupted {
		t.Errorf("exit %d", code)
	}
}

type lineWriter struct{ lines chan string }

func (w lineWriter) Write(b []byte) (int, error) { w.lines <- string(b); return len(b), nil }

func TestClientErrorsAreFaults(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			http.Error(w, "<html>", http.StatusBadGateway)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = w.Write([]byte("not JSON"))
		}
	}))
	defer server.Close()
	client, err := newClient(term.Plain(nil, nil, nil), server.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := client.Get(t.Context(), "/page", &out); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "502") {
		t.Errorf("%v", err)
	}
	if err := client.Get(t.Context(), "/empty", &out); err != nil {
		t.Errorf("%v", err)
	}
	if err := client.Get(t.Context(), "/other", &out); err == nil || !strings.Contains(err.Error(), "not what it should be") {
		t.Errorf("%v", err)
	}
	server.Close()
	if err := client.Get(t.Context(), "/empty", &out); !fault.Is(err, fault.Unavailable) || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestPathEscapesNames(t *testing.T) {
	if got, want := Path("models", "a/b ?#..", "versions"), "models/a%2Fb%20%3F%23../versions"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestStateDirectory(t *testing.T) {
	home := t.TempDir()
	home, err := filepath.EvalSymlinks(home)
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(home, "project", "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	t.Setenv("TRIMTAB_DIR", "")
	check := func(f *Factory, want string) {
		t.Helper()
		if got, err := f.StateDirectory(); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	check(&Factory{}, filepath.Join(deep, ".trimtab"))
	if err := os.WriteFile(filepath.Join(home, "project", "trimtab.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(&Factory{}, filepath.Join(home, "project", ".trimtab"))
	t.Setenv("TRIMTAB_DIR", "elsewhere")
	check(&Factory{}, filepath.Join(deep, "elsewhere"))
	check(&Factory{Dir: "/flag"}, "/flag")
}

// TestCommandsExplainThemselves: every command that does something has a short text and an example, and every flag a
// word about it.
func TestCommandsExplainThemselves(t *testing.T) {
	root := newRootCommand(&Factory{IO: term.Plain(nil, &bytes.Buffer{}, &bytes.Buffer{})})
	visit(root, func(path string, c commandText) {
		if c.short == "" || strings.HasSuffix(c.short, ".") {
			t.Errorf("%s: %q: one line, no full stop", path, c.short)
		}
		if c.runs && c.example == "" && path != "trimtab version" {
			t.Errorf("%s has no example", path)
		}
		for _, flag := range c.flags {
			if flag[1] == "" {
				t.Errorf("%s --%s says nothing", path, flag[0])
			}
		}
	})
}
