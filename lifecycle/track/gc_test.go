package track_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// yard is a service with a collector and a clock.
type yard struct {
	*testing.T
	*track.Service
	gc    *track.Collector
	blobs *blob.Guard
	db    *catalog.DB
	now   time.Time
	other holder
}

// holder is another package that keeps blobs.
type holder map[string]bool

// Blobs gives them.
func (h holder) Blobs(_ context.Context, f func(string) error) error {
	for hash := range h {
		if err := f(hash); err != nil {
			return err
		}
	}
	return nil
}

func eachYard(t *testing.T, f func(y *yard)) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) {
		dir := t.TempDir()
		y := &yard{T: t, db: db, now: start, other: holder{}}
		files, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
		must(t, err)
		y.blobs = blob.NewGuard(files, 0)
		points, err := series.Open(context.Background(), series.Options{Dir: filepath.Join(dir, "series")})
		must(t, err)
		y.Service, err = track.New(context.Background(), track.Config{DB: db, Blobs: y.blobs, Series: points, Events: govern.New(db),
			Uploads: filepath.Join(dir, "uploads"), Now: func() time.Time { return y.now }})
		must(t, err)
		t.Cleanup(func() {
			must(t, y.Service.Close(context.Background()))
			must(t, points.Close())
		})
		y.gc = track.NewCollector(track.CollectorConfig{Runs: y.Service, Blobs: y.blobs, Holders: []track.BlobHolder{y.other}})
		f(y)
	})
}

// run makes a run with a file of its own and one that all runs have.
func (y *yard) run(experiment, name string) *track.Run {
	y.Helper()
	y.now = y.now.Add(time.Second)
	at := y.now
	run, err := y.CreateRun(y.Context(), track.NewRun{ExperimentID: experiment, Name: name, StartedAt: &at})
	must(y.T, err)
	root := strings.TrimPrefix(run.ArtifactURI, "mlflow-artifacts:/")
	for path, body := range map[string]string{"own": "bytes of " + run.ID, "shared": "bytes of all"} {
		_, err := y.PutArtifact(y.Context(), root+"/"+path, strings.NewReader(body), track.Expect{})
		must(y.T, err)
	}
	must(y.T, y.LogMetric(y.Context(), run.ID, track.Metric{Key: "m", Value: 1}))
	done := track.Finished
	_, err = y.UpdateRun(y.Context(), run.ID, track.RunChange{State: &done, FinishedAt: &at})
	must(y.T, err)
	return run
}

func (y *yard) collect(req track.CollectRequest) track.CollectReport {
	y.Helper()
	report, err := y.gc.Run(y.Context(), req, nil)
	must(y.T, err)
	return *report
}

func (y *yard) stored() (n int) {
	y.Helper()
	must(y.T, y.blobs.List(y.Context(), func(string, int64) error { n++; return nil }))
	return n
}

var atOnce = time.Duration(0)

func TestGarbageIsWhatNothingHolds(t *testing.T) {
	eachYard(t, func(y *yard) {
		ctx := y.Context()
		kept, gone := y.run("0", "kept"), y.run("0", "gone")
		foreign, _, err := y.blobs.Put(ctx, strings.NewReader("of another package"))
		must(y.T, err)
		y.other[foreign] = true
		_, _, err = y.blobs.Put(ctx, strings.NewReader("of nobody"))
		must(y.T, err)
		files, err := y.Tree(ctx, strings.TrimPrefix(gone.ArtifactURI, "mlflow-artifacts:/"))
		must(y.T, err)
		snapshot := files[:1] // its own file, which a registered version holds
		must(y.T, y.db.Write(ctx, func(tx *catalog.Tx) error { return y.LinkArtifacts(ctx, tx, "versions/abc", snapshot) }))
		must(y.T, y.DeleteRun(ctx, gone.ID))

		// Without a policy what was deleted stays.
		if got := y.collect(track.CollectRequest{Grace: &atOnce, DryRun: true}); got != (track.CollectReport{DryRun: true, Blobs: 1, Bytes: 9}) {
			t.Errorf("dry: %+v", got)
		}
		dry := y.collect(track.CollectRequest{Grace: &atOnce, OlderThan: &atOnce, DryRun: true})
		if dry.Runs != 1 || y.stored() != 5 {
			t.Errorf("dry: %+v, %d blobs", dry, y.stored())
		}
		got := y.collect(track.CollectRequest{Grace: &atOnce, OlderThan: &atOnce})
		if got != (track.CollectReport{Runs: 1, Blobs: 1, Bytes: 9}) {
			t.Errorf("%+v", got)
		}
		if _, err := y.Get(ctx, gone.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the run is there: %v", err)
		}
		if _, err := y.Get(ctx, kept.ID); err != nil {
			t.Error(err)
		}
		must(y.T, y.db.Write(ctx, func(tx *catalog.Tx) error { return y.Unlink(ctx, tx, "versions/abc") }))
		if got := y.collect(track.CollectRequest{Grace: &atOnce}); got.Blobs != 1 || y.stored() != 3 {
			t.Errorf("after the version went: %+v, %d blobs", got, y.stored())
		}
		for _, path := range []string{"own", "shared"} {
			r, err := y.OpenArtifact(ctx, strings.TrimPrefix(kept.ArtifactURI, "mlflow-artifacts:/")+"/"+path)
			if err != nil {
				t.Errorf("%s of the kept run: %v", path, err)
				continue
			}
			must(y.T, r.Close())
		}
	})
}

func TestBytesStayForTheGracePeriod(t *testing.T) {
	eachYard(t, func(y *yard) {
		hash, _, err := y.blobs.Put(y.Context(), strings.NewReader("of nobody"))
		must(y.T, err)
		waiting := track.CollectReport{WaitingBlobs: 1, WaitingBytes: 9}
		for range 2 {
			if got := y.collect(track.CollectRequest{}); got != waiting {
				t.Errorf("at first: %+v", got)
			}
			y.now = y.now.Add(23 * time.Hour)
		}
		y.now = y.now.Add(-23 * time.Hour)
		y.other[hash] = true // held for a moment: the clock starts anew
		if got := y.collect(track.CollectRequest{}); got != (track.CollectReport{}) {
			t.Errorf("held: %+v", got)
		}
		delete(y.other, hash)
		y.now = y.now.Add(2 * time.Hour)
		if got := y.collect(track.CollectRequest{}); got != waiting {
			t.Errorf("without a holder again: %+v", got)
		}
		y.now = y.now.Add(24 * time.Hour)
		if got := y.collect(track.CollectRequest{}); got != (track.CollectReport{Blobs: 1, Bytes: 9}) || y.stored() != 0 {
			t.Errorf("after a day: %+v", got)
		}
	})
}

func TestSnapshotsOfDeletedVersionsGo(t *testing.T) {
	eachYard(t, func(y *yard) {
		ctx := y.Context()
		file, _, err := y.blobs.Put(ctx, strings.NewReader("a model"))
		must(y.T, err)
		digest, _, err := y.blobs.Put(ctx, strings.NewReader("its manifest"))
		must(y.T, err)
		must(y.T, y.db.Write(ctx, func(tx *catalog.Tx) error {
			return y.LinkArtifacts(ctx, tx, "versions/"+digest, []track.Artifact{{Path: "MLmodel", Blob: file, Size: 7}})
		}))
		y.other[digest] = true // the registry has the version
		if got := y.collect(track.CollectRequest{Grace: &atOnce}); got != (track.CollectReport{}) {
			t.Errorf("while it is registered: %+v", got)
		}
		delete(y.other, digest)
		if got := y.collect(track.CollectRequest{}); got.Snapshots != 0 || got.WaitingBlobs != 1 {
			t.Errorf("when it was deleted: %+v", got)
		}
		y.now = y.now.Add(25 * time.Hour)
		if got := y.collect(track.CollectRequest{DryRun: true}); got.Snapshots != 1 {
			t.Errorf("a day later, dry: %+v", got)
		}
		if got := y.collect(track.CollectRequest{}); got.Snapshots != 1 || got.Blobs != 1 || got.WaitingBlobs != 1 {
			t.Errorf("a day later: %+v", got)
		}
		y.now = y.now.Add(25 * time.Hour)
		if got := y.collect(track.CollectRequest{}); got.Blobs != 1 || y.stored() != 0 {
			t.Errorf("two days later: %+v", got)
		}
	})
}

func number(n int64) *int64 { return &n }

func TestRetention(t *testing.T) {
	eachYard(t, func(y *yard) {
		ctx := y.Context()
		e, err := y.CreateExperiment(ctx, track.NewExperiment{Name: "e"})
		must(y.T, err)
		m, err := y.CreateLoggedModel(ctx, track.NewLoggedModel{ExperimentID: e.ID, Name: "m"})
		must(y.T, err)
		must(y.T, y.SetRetention(ctx, "", track.Retention{DeletedDays: number(7)}))
		must(y.T, y.SetRetention(ctx, e.ID, track.Retention{DeletedDays: number(1), MaxRuns: number(2)}))
		var runs []string
		for i := range 4 {
			runs = append(runs, y.run(e.ID, fmt.Sprint("r", i)).ID)
		}
		at := y.now.Add(-time.Hour)
		open, err := y.CreateRun(ctx, track.NewRun{ExperimentID: e.ID, StartedAt: &at})
		must(y.T, err)
		other := y.run("0", "other")
		must(y.T, y.DeleteRun(ctx, other.ID))

		got := y.collect(track.CollectRequest{DryRun: true})
		if got.Expired != 2 || got.Runs != 0 {
			t.Errorf("dry: %+v", got)
		}
		got = y.collect(track.CollectRequest{})
		stages := map[string]string{}
		for _, id := range append(runs, open.ID) {
			run, err := y.Get(ctx, id)
			must(y.T, err)
			stages[id] = run.Stage
		}
		want := map[string]string{runs[0]: "deleted", runs[1]: "deleted", runs[2]: "active", runs[3]: "active", open.ID: "active"}
		if diff := cmp.Diff(want, stages); diff != "" || got.Expired != 2 {
			t.Errorf("%+v: %s", got, diff)
		}
		y.now = y.now.Add(25 * time.Hour)
		if got := y.collect(track.CollectRequest{}); got.Runs != 2 {
			t.Errorf("a day later: %+v", got)
		}
		must(y.T, y.DeleteLoggedModel(ctx, m.ID))
		must(y.T, y.DeleteExperiment(ctx, e.ID))
		y.now = y.now.Add(25 * time.Hour)
		if got := y.collect(track.CollectRequest{}); got.Runs != 3 || got.LoggedModels != 1 || got.Experiments != 1 {
			t.Errorf("after the experiment was deleted: %+v", got)
		}
		if _, err := y.Experiment(ctx, e.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the experiment is there: %v", err)
		}
		if _, err := y.Get(ctx, other.ID); err != nil {
			t.Errorf("the run of the other experiment: %v", err)
		}
		y.now = y.now.Add(7 * 24 * time.Hour)
		if got := y.collect(track.CollectRequest{}); got.Runs != 1 {
			t.Errorf("after a week: %+v", got)
		}
		if files, err := y.ListArtifacts(ctx, ""); err != nil || len(files) > 0 {
			t.Errorf("files are left: %+v, %v", files, err)
		}
	})
}

func TestRetentionIsReadAndChecked(t *testing.T) {
	eachYard(t, func(y *yard) {
		ctx := y.Context()
		for _, bad := range []track.Retention{{DeletedDays: number(-1)}, {MaxRuns: number(0)}, {DeletedDays: number(40000)}} {
			if err := y.SetRetention(ctx, "0", bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if err := y.SetRetention(ctx, "77", track.Retention{}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		must(y.T, y.SetRetention(ctx, "", track.Retention{DeletedDays: number(30)}))
		for experiment, want := range map[string]string{"": "30 days after deletion, no bound on runs", "0": "30 days after deletion, no bound on runs"} {
			if r, err := y.Retention(ctx, experiment); err != nil || r.String() != want {
				t.Errorf("%q: %s, %v", experiment, r, err)
			}
		}
		must(y.T, y.SetRetention(ctx, "0", track.Retention{MaxRuns: number(5)}))
		if r, err := y.Retention(ctx, "0"); err != nil || r.String() != "no bound on days after deletion, 5 runs" {
			t.Errorf("its own: %s, %v", r, err)
		}
	})
}
