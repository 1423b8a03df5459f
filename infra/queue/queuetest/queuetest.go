// Package queuetest is the conformance suite of job queues: what every implementation of Queue must do, whatever it is
// made of. It was written before the implementation was chosen (docs/decisions/2026-11-21-queue.md).
package queuetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Queue is what the platform asks of a queue.
type Queue interface {
	Register(kind string, h queue.Handler)
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Enqueue(ctx context.Context, tx *catalog.Tx, e queue.Enqueue) (queue.Job, error)
	Get(ctx context.Context, id string) (queue.Job, error)
	List(ctx context.Context, f queue.Filter) ([]queue.Job, error)
	Cancel(ctx context.Context, id string) (queue.Job, error)
	Watch() (<-chan queue.Job, func())
	Idle(ctx context.Context, project string) (bool, error)
	Wait(ctx context.Context, id string) (queue.Job, error)
}

// Opener opens queues, and knows where.
type Opener struct {
	Fresh func(t *testing.T) string              // a place where no catalog is
	Crash func(t *testing.T, from string) string // another one, with what kill -9 would leave there now of a catalog in use
	Open  func(t *testing.T, place string, opts queue.Options) (*catalog.DB, Queue)
}

// patience bounds every wait of the suite; it only shows when something is broken.
const patience = 30 * time.Second

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for name, test := range map[string]func(*testing.T, Opener){
		"RunsAfterTheCommit":              runsAfterTheCommit,
		"RolledBackNeverRuns":             rolledBackNeverRuns,
		"StartsSoon":                      startsSoon,
		"OneActiveJobPerKindAndKey":       oneActiveJobPerKindAndKey,
		"CancelsAWaitingJob":              cancelsAWaitingJob,
		"CancelsARunningJob":              cancelsARunningJob,
		"CancelLeavesAFinalJob":           cancelLeavesAFinalJob,
		"RetriesWhatMayPass":              retriesWhatMayPass,
		"RunsAgainAfterACrash":            runsAgainAfterACrash,
		"ACanceledJobStaysSoAfterACrash":  aCanceledJobStaysSoAfterACrash,
		"AJobThatKillsTheServerIsGivenUp": aJobThatKillsTheServerIsGivenUp,
		"ShowsProgress":                   showsProgress,
		"TellsWhenIdle":                   tellsWhenIdle,
		"StopDrains":                      stopDrains,
		"StopIsBounded":                   stopIsBounded,
		"RunsManyAtOnce":                  runsManyAtOnce,
		"ListsByFilter":                   listsByFilter,
		"KeepsResults":                    keepsResults,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// bench is a queue with kinds that the tests steer.
type bench struct {
	Queue
	db      *catalog.DB
	path    string
	began   chan queue.Job // every start of "gate"
	release chan error     // what the next "gate" returns; a closed channel means nil
	runs    atomic.Int64   // of "count"
}

func (b *bench) gate(ctx context.Context, r *queue.Running) error {
	b.began <- r.Job
	select {
	case err := <-b.release:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openBench opens a queue without starting it. It is stopped and closed with the test.
func openBench(t *testing.T, open Opener, path string, opts queue.Options) *bench {
	t.Helper()
	if opts.Backoff == nil {
		opts.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	db, q := open.Open(t, path, opts)
	b := &bench{Queue: q, db: db, path: path, began: make(chan queue.Job, 100), release: make(chan error, 100)}
	q.Register("gate", b.gate)
	q.Register("count", func(context.Context, *queue.Running) error { b.runs.Add(1); return nil })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func start(t *testing.T, open Opener, opts queue.Options) *bench {
	t.Helper()
	b := openBench(t, open, open.Fresh(t), opts)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) enqueue(t *testing.T, e queue.Enqueue) queue.Job {
	t.Helper()
	job, err := b.Enqueue(t.Context(), nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// wait gives the final job.
func (b *bench) wait(t *testing.T, id string) queue.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job, err := b.Wait(ctx, id)
	if err != nil {
		t.Fatalf("wait for job %s: %v (%+v)", id, err, job)
	}
	return job
}

// begin waits for the start of a "gate".
func (b *bench) begin(t *testing.T) queue.Job {
	t.Helper()
	select {
	case job := <-b.began:
		return job
	case <-time.After(patience):
		t.Fatal("the job did not start")
		return queue.Job{}
	}
}

func runsAfterTheCommit(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	var job queue.Job
	err := b.db.Write(t.Context(), func(tx *catalog.Tx) (err error) {
		if job, err = b.Enqueue(t.Context(), tx, queue.Enqueue{Kind: "gate", Project: "p", Cause: "test", Args: map[string]int{"n": 7}}); err != nil {
			return err
		}
		// Longer than any poll: what starts before the commit starts here.
		select {
		case <-b.began:
			t.Error("the job runs before the commit")
		case <-time.After(250 * time.Millisecond):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if job.State != queue.Waiting || job.Project != "p" || job.Cause != "test" || job.CreatedAt.IsZero() || string(job.Args) != `{"n":7}` {
		t.Errorf("enqueued: %+v", job)
	}
	if running := b.begin(t); running.ID != job.ID || running.State != queue.Active || running.Attempt != 1 {
		t.Errorf("running: %+v", running)
	}
	b.release <- nil
	if done := b.wait(t, job.ID); done.State != queue.Done || done.FinishedAt.Before(done.StartedAt) || done.Error != nil {
		t.Errorf("done: %+v", done)
	}
}

func rolledBackNeverRuns(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	var ghost queue.Job
	no := errors.New("no")
	err := b.db.Write(t.Context(), func(tx *catalog.Tx) (err error) {
		if ghost, err = b.Enqueue(t.Context(), tx, queue.Enqueue{Kind: "count"}); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "count"}).ID) // one that is later would run later
	if n := b.runs.Load(); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	if _, err := b.Get(t.Context(), ghost.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the job that was rolled back: %v", err)
	}
}

// startsSoon: 100 ms is the bound of the design; in process the wake-up is on commit and takes a few milliseconds.
func startsSoon(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	var took []time.Duration
	for range 21 {
		from := time.Now()
		job := b.enqueue(t, queue.Enqueue{Kind: "gate"})
		b.begin(t)
		took = append(took, time.Since(from))
		b.release <- nil
		b.wait(t, job.ID)
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("from Enqueue to the handler: median %v, worst %v", median, took[len(took)-1])
	if median > 100*time.Millisecond {
		t.Errorf("half of the jobs start later than %v", median)
	}
}

func oneActiveJobPerKindAndKey(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	first := b.enqueue(t, queue.Enqueue{Kind: "gate", Key: "k"})
	b.begin(t)
	if again := b.enqueue(t, queue.Enqueue{Kind: "gate", Key: "k"}); again.ID != first.ID {
		t.Error("a second job of the same kind and key was made while the first runs")
	}
	other := b.enqueue(t, queue.Enqueue{Kind: "gate", Key: "other"})
	if other.ID == first.ID {
		t.Error("another key is another job")
	}
	if kind := b.enqueue(t, queue.Enqueue{Kind: "count", Key: "k"}); kind.ID == first.ID {
		t.Error("another kind is another job")
	}
	if a, c := b.enqueue(t, queue.Enqueue{Kind: "count"}), b.enqueue(t, queue.Enqueue{Kind: "count"}); a.ID == c.ID {
		t.Error("jobs without a key are their own")
	}
	close(b.release)
	b.wait(t, first.ID)
	b.wait(t, other.ID)
	if next := b.enqueue(t, queue.Enqueue{Kind: "gate", Key: "k"}); next.ID == first.ID {
		t.Error("a job that is done keeps its key")
	}
}

func cancelsAWaitingJob(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{Workers: 1})
	blocker := b.enqueue(t, queue.Enqueue{Kind: "gate"})
	b.begin(t)
	waiting := b.enqueue(t, queue.Enqueue{Kind: "count"})
	job, err := b.Cancel(t.Context(), waiting.ID)
	if err != nil || job.State != queue.Canceled || job.FinishedAt.IsZero() {
		t.Fatalf("%+v, %v", job, err)
	}
	close(b.release)
	b.wait(t, blocker.ID)
	b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "gate"}).ID)
	if b.runs.Load() != 0 {
		t.Error("a canceled job ran")
	}
	if _, err := b.Cancel(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("cancel of an unknown job: %v", err)
	}
}

func cancelsARunningJob(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	job := b.enqueue(t, queue.Enqueue{Kind: "gate", Key: "k"})
	b.begin(t)
	if _, err := b.Cancel(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if ended := b.wait(t, job.ID); ended.State != queue.Canceled || ended.Attempt != 1 {
		t.Errorf("%+v", ended)
	}
	if next := b.enqueue(t, queue.Enqueue{Kind: "gate", Key: "k"}); next.ID == job.ID {
		t.Error("a canceled job keeps its key")
	}
}

func cancelLeavesAFinalJob(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	job := b.enqueue(t, queue.Enqueue{Kind: "count"})
	b.wait(t, job.ID)
	if after, err := b.Cancel(t.Context(), job.ID); err != nil || after.State != queue.Done {
		t.Errorf("%+v, %v", after, err)
	}
}

func showsProgress(t *testing.T, open Opener) {
	b := openBench(t, open, open.Fresh(t), queue.Options{})
	told := make(chan struct{})
	end := make(chan struct{})
	b.Register("tell", func(_ context.Context, r *queue.Running) error {
		r.Progress(3, 10, "rows", "reading")
		close(told)
		<-end
		return nil
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes, stop := b.Watch()
	defer stop()
	from := time.Now().UTC().Truncate(time.Microsecond)
	job := b.enqueue(t, queue.Enqueue{Kind: "tell"})
	<-told
	want := queue.Progress{Done: 3, Total: 10, Unit: "rows", Message: "reading"}
	now, err := b.Get(t.Context(), job.ID)
	if err != nil || now.Progress != want || now.Heartbeat.Before(from) {
		t.Errorf("%+v, %v", now, err)
	}
	close(end)
	b.wait(t, job.ID)
	var seen []string
	progress := false
	for len(seen) == 0 || seen[len(seen)-1] != queue.Done {
		select {
		case change := <-changes:
			if len(seen) == 0 || seen[len(seen)-1] != change.State {
				seen = append(seen, change.State)
			}
			progress = progress || change.Progress == want
		case <-time.After(patience):
			t.Fatalf("the watch ends at %v", seen)
		}
	}
	if !slices.Equal(seen, []string{queue.Waiting, queue.Active, queue.Done}) || !progress {
		t.Errorf("watched %v, progress %v", seen, progress)
	}
}

func tellsWhenIdle(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	idle := func(project string, want bool) {
		t.Helper()
		if got, err := b.Idle(t.Context(), project); err != nil || got != want {
			t.Errorf("idle %q: %v, %v; want %v", project, got, err, want)
		}
	}
	idle("", true)
	job := b.enqueue(t, queue.Enqueue{Kind: "gate", Project: "p"})
	idle("", false)
	idle("p", false)
	idle("q", true)
	b.release <- nil
	b.wait(t, job.ID)
	idle("p", true)
	idle("", true)
}

func stopDrains(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{Workers: 1})
	job := b.enqueue(t, queue.Enqueue{Kind: "gate"})
	b.begin(t)
	behind := b.enqueue(t, queue.Enqueue{Kind: "count"})
	for range 2 {
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if b.runs.Load() != 0 {
		t.Error("a job was taken after the stop")
	}
	now, err := b.Get(t.Context(), job.ID)
	if err != nil || now.State != queue.Waiting || now.Attempt != 0 || now.Error != nil {
		t.Errorf("the job that was running: %+v, %v", now, err)
	}
	after := openBench(t, open, open.Crash(t, b.path), queue.Options{})
	if err := after.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := after.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	after.release <- nil
	after.wait(t, job.ID)
	after.wait(t, behind.ID)
}

func stopIsBounded(t *testing.T, open Opener) {
	b := openBench(t, open, open.Fresh(t), queue.Options{})
	busy, end := make(chan struct{}), make(chan struct{})
	b.Register("deaf", func(context.Context, *queue.Running) error { close(busy); <-end; return nil })
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	job := b.enqueue(t, queue.Enqueue{Kind: "deaf"})
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a stop that ran out of time: %v", err)
	}
	close(end)
	if done := b.wait(t, job.ID); done.State != queue.Done {
		t.Errorf("the work that ended after the stop is lost: %+v", done)
	}
}

func runsManyAtOnce(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{Workers: 3})
	for range 3 {
		b.enqueue(t, queue.Enqueue{Kind: "gate"})
	}
	var ids []string
	for range 3 {
		ids = append(ids, b.begin(t).ID)
	}
	for range 200 {
		ids = append(ids, b.enqueue(t, queue.Enqueue{Kind: "count"}).ID)
	}
	close(b.release)
	for _, id := range ids {
		b.wait(t, id)
	}
	if n := b.runs.Load(); n != 200 {
		t.Errorf("%d runs, want 200", n)
	}
}

func listsByFilter(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	done := b.enqueue(t, queue.Enqueue{Kind: "count", Project: "p"})
	b.wait(t, done.ID)
	active := b.enqueue(t, queue.Enqueue{Kind: "gate", Project: "q"})
	b.begin(t)
	for name, test := range map[string]struct {
		filter queue.Filter
		want   []string
	}{
		"all":     {queue.Filter{}, []string{active.ID, done.ID}},
		"project": {queue.Filter{Project: "p"}, []string{done.ID}},
		"kind":    {queue.Filter{Kind: "gate"}, []string{active.ID}},
		"state":   {queue.Filter{State: queue.Done}, []string{done.ID}},
		"active":  {queue.Filter{State: "active"}, []string{active.ID}},
		"limit":   {queue.Filter{Limit: 1}, []string{active.ID}},
		"none":    {queue.Filter{State: queue.Failed}, nil},
	} {
		jobs, err := b.List(t.Context(), test.filter)
		var got []string
		for _, job := range jobs {
			got = append(got, job.ID)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
	for _, f := range []queue.Filter{{State: "asleep"}, {Limit: -1}, {Limit: 1001}} {
		if _, err := b.List(t.Context(), f); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if _, err := b.Enqueue(t.Context(), nil, queue.Enqueue{Kind: "unknown"}); err == nil {
		t.Error("a job that nobody can run was enqueued")
	}
}

func keepsResults(t *testing.T, open Opener) {
	b := openBench(t, open, open.Fresh(t), queue.Options{})
	b.Register("double", func(_ context.Context, r *queue.Running) error {
		var n int
		if err := r.Decode(&n); err != nil {
			return err
		}
		return r.Result(map[string]int{"twice": 2 * n})
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if job := b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "double", Args: 21}).ID); string(job.Result) != `{"twice":42}` {
		t.Errorf("result %s", job.Result)
	}
	job := b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "double", Args: "x"}).ID)
	if job.State != queue.Failed || job.Error.Code != fault.Invalid || job.Result != nil {
		t.Errorf("%+v", job)
	}
}
