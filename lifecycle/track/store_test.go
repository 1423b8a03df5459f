package track_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func TestManyClientsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const clients, rounds = 12, 15
		shared := w.run(t, "0")
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				ctx := context.Background()
				own, err := w.CreateRun(ctx, track.NewRun{Name: fmt.Sprint("own-", c)})
				if err != nil {
					t.Error(err)
					return
				}
				for i := range rounds {
					key := fmt.Sprintf("c%d/%d", c, i)
					for _, err := range []error{
						w.LogParam(ctx, own.ID, track.Param{Key: key, Value: "v"}),
						w.LogBatch(ctx, shared.ID, track.Batch{Params: []track.Param{{Key: key, Value: "v"}}, Tags: []track.Tag{{Key: "last", Value: key}},
							Metrics: []track.Metric{{Key: "shared", Step: int64(c*rounds + i), At: 1, Value: float64(i)}, {Key: key, Value: 1}}}),
					} {
						if err != nil {
							t.Error(err)
						}
					}
					// A refused write among the others takes none of them with it.
					if err := w.LogParam(ctx, own.ID, track.Param{Key: fmt.Sprintf("c%d/0", c), Value: "other"}); !fault.Is(err, fault.Invalid) {
						t.Errorf("%v", err)
					}
				}
				if now, err := w.Get(ctx, own.ID); err != nil || len(now.Params) != rounds {
					t.Errorf("%v, %d params", err, len(now.Params))
				}
			})
		}
		all.Wait()
		now := w.get(t, shared.ID)
		if len(now.Params) != clients*rounds || len(now.Metrics) != clients*rounds+1 || now.Latest["shared"].Step != clients*rounds-1 {
			t.Errorf("%d params, %d metrics, %+v", len(now.Params), len(now.Metrics), now.Latest["shared"])
		}
		points, _, err := w.History(t.Context(), shared.ID, "shared", "", 0)
		must(t, err)
		if len(points) != clients*rounds {
			t.Errorf("%d points", len(points))
		}
	})
}

func TestACanceledClientChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.run(t, "0")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.SetTag(ctx, r.ID, track.Tag{Key: "k", Value: "v"}); err == nil {
			t.Error("a canceled client wrote")
		}
		if _, ok := w.get(t, r.ID).Tags["k"]; ok {
			t.Error("the tag is there")
		}
	})
}

// A process that was killed has written nothing behind: its points are in the series store only.
func TestLatestMetricsComeBackAfterACrash(t *testing.T) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) {
		w := openWorld(t, db, t.TempDir())
		r := w.run(t, "0")
		must(t, w.LogMetric(t.Context(), r.ID, track.Metric{Key: "loss", Value: 0.25, At: 5, Step: 9}))
		ended := w.run(t, "0")
		got(w.UpdateRun(t.Context(), ended.ID, track.RunChange{State: ptr(track.Failed)}))(t)
		must(t, w.LogMetric(t.Context(), ended.ID, track.Metric{Key: "late", Value: 1}))
		// The points are stored once more behind the service's back, as if it had died before it wrote their latest values.
		must(t, w.points.Append(r.ID, []series.Entry{{Key: "loss", Point: series.Point{Step: 10, At: 6, Value: 0.125}}}))
		w = w.again(t)
		if now := w.get(t, r.ID); now.Metrics["loss"] != 0.125 || now.Latest["loss"].Step != 10 {
			t.Errorf("%+v", now.Latest)
		}
		if now := w.get(t, ended.ID); now.Metrics["late"] != 1 {
			t.Errorf("%+v", now.Latest)
		}
	})
}

func TestHardDelete(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		keep, gone := w.run(t, "0"), w.run(t, "0", track.Tag{Key: "k", Value: "v"})
		m := got(w.CreateLoggedModel(ctx, track.NewLoggedModel{ID: "m-1", ExperimentID: "0"}))(t)
		for _, r := range []*track.Run{keep, gone} {
			must(t, w.LogBatch(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "m", Value: 1, ModelID: m.ID}}, Params: []track.Param{{Key: "p", Value: "1"}}}))
			must(t, w.LogInputs(ctx, r.ID, []track.DatasetInput{{Dataset: track.Dataset{Name: "d", Digest: "1"}}}, nil))
			_, err := w.PutArtifact(ctx, "0/"+r.ID+"/artifacts/a.txt", strings.NewReader("text of "+r.ID), track.Expect{Size: -1})
			must(t, err)
		}
		must(t, w.HardDeleteRun(ctx, gone.ID, "nobody"))
		must(t, w.HardDeleteRun(ctx, gone.ID))
		_, err := w.Get(ctx, gone.ID)
		refuses(t, err, fault.NotFound, "Run with id="+gone.ID+" not found")
		refuses(t, w.LogMetric(ctx, gone.ID, track.Metric{Key: "m"}), fault.NotFound, "Run with id="+gone.ID+" not found")
		_, err = w.OpenArtifact(ctx, "0/"+gone.ID+"/artifacts/a.txt")
		refuses(t, err, fault.NotFound, "")
		if points, _, err := w.points.History(gone.ID, "m", series.Cursor{}, 9); err != nil || len(points) != 0 {
			t.Errorf("%v, %v", points, err)
		}
		w = w.again(t)
		for _, table := range []string{"runs", "run_params", "run_metrics", "run_inputs", "model_metrics"} {
			var n int
			must(t, w.db.Read().QueryRow(`SELECT count(*) FROM `+table).Scan(&n))
			if n != 1 {
				t.Errorf("%d rows in %s", n, table)
			}
		}
		if now := w.get(t, keep.ID); now.Metrics["m"] != 1 || len(now.Datasets) != 1 {
			t.Errorf("%+v", now)
		}
		must(t, w.points.Append("0123456789abcdef0123456789abcdef", []series.Entry{{Key: "m"}}))
		if n, err := w.SweepPoints(ctx, false); err != nil || n != 1 {
			t.Errorf("%d orphans, %v", n, err)
		}
		if points, _, err := w.points.History(keep.ID, "m", series.Cursor{}, 9); err != nil || len(points) != 1 {
			t.Errorf("%v, %v", points, err)
		}
	})
}

// The evenly spread steps are those of mlflow 3.17.2, get-history-bulk-interval on SQLite.
func TestHistoryInterval(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		ten, twenty := w.run(t, "0"), w.run(t, "0")
		for i := range int64(20) {
			if i < 10 {
				must(t, w.LogMetric(ctx, ten.ID, track.Metric{Key: "m", Step: i, At: 100 - i, Value: 1})) // times run backwards
			}
			must(t, w.LogMetric(ctx, twenty.ID, track.Metric{Key: "m", Step: i, At: i, Value: math.NaN()}))
		}
		steps := func(run string, from, to *int64, n int) (out []int64) {
			t.Helper()
			points, err := w.HistoryInterval(ctx, []string{run}, "m", from, to, n)
			must(t, err)
			for _, p := range points {
				out = append(out, p.Step)
			}
			return out
		}
		for _, test := range []struct {
			run      string
			from, to *int64
			n        int
			want     []int64
		}{
			{ten.ID, nil, nil, 5, []int64{0, 2, 4, 6, 9}}, {twenty.ID, nil, nil, 5, []int64{0, 4, 8, 12, 19}}, {ten.ID, nil, nil, 1, []int64{9}},
			{ten.ID, ptr(int64(2)), ptr(int64(5)), 10, []int64{2, 3, 4, 5}}, {ten.ID, nil, nil, 4, []int64{0, 3, 6, 9}}, {ten.ID, ptr(int64(50)), ptr(int64(60)), 4, nil},
		} {
			if got := steps(test.run, test.from, test.to, test.n); !slices.Equal(got, test.want) {
				t.Errorf("%d points of %v..%v: %v, want %v", test.n, test.from, test.to, got, test.want)
			}
		}
		_, err := w.HistoryInterval(ctx, []string{ten.ID}, "m", ptr(int64(1)), nil, 5)
		refuses(t, err, fault.Invalid, "Both start_step and end_step must be specified together, or neither may be specified.")
		_, err = w.HistoryInterval(ctx, []string{ten.ID}, "m", nil, nil, 2501)
		refuses(t, err, fault.Invalid, "max_results must be between 1 and 2500.")
		bulk := got(w.HistoryBulk(ctx, []string{twenty.ID, ten.ID, "nobody"}, "m", 25))(t)
		if len(bulk) != 25 || bulk[0].RunID != min(ten.ID, twenty.ID) {
			t.Errorf("%d points, first of %s", len(bulk), bulk[0].RunID)
		}
		_, err = w.HistoryBulk(ctx, slices.Repeat([]string{"x"}, 101), "m", 0)
		refuses(t, err, fault.Invalid, "GetMetricHistoryBulk request cannot specify more than 100 run_ids. Received 101 run_ids.")
	})
}

func TestCharts(t *testing.T) {
	w := benchless(t)
	ctx := t.Context()
	r := w.run(t, "0")
	metrics := make([]track.Metric, 1000)
	for i := range metrics {
		metrics[i] = track.Metric{Key: "m", Step: int64(i), At: 5000 + int64(i), Value: float64(i % 10)}
	}
	metrics[500].Value, metrics[501].Value = 99, -99
	must(t, w.LogBatch(ctx, r.ID, track.Batch{Metrics: metrics}))
	curves := got(w.Charts(ctx, track.ChartRequest{Runs: []string{r.ID, "nobody"}, Keys: []string{"m", "none"}, Axis: "relative", Buckets: 10}))(t)
	if len(curves) != 1 || !curves[0].Downsampled || curves[0].Total != 1000 || len(curves[0].Points) > 11 {
		t.Fatalf("%+v", curves)
	}
	low, high := math.Inf(1), math.Inf(-1)
	for i, p := range curves[0].Points {
		low, high = min(low, p.Low), max(high, p.High)
		if i > 0 && p.X <= curves[0].Points[i-1].X {
			t.Errorf("%d after %d", p.X, curves[0].Points[i-1].X)
		}
	}
	if last := curves[0].Points[len(curves[0].Points)-1]; low != -99 || high != 99 || last.X != 999 || last.Y != 9 {
		t.Errorf("%g to %g, last %+v", low, high, last)
	}
	part := got(w.Charts(ctx, track.ChartRequest{Runs: []string{r.ID}, Keys: []string{"m"}, From: ptr(int64(10)), To: ptr(int64(19)), Buckets: 100}))(t)
	if len(part) != 1 || part[0].Downsampled || len(part[0].Points) != 10 || part[0].Points[0].X != 10 {
		t.Errorf("%+v", part)
	}
	for _, q := range []track.ChartRequest{{Axis: "x"}, {Runs: []string{"../x"}, Keys: []string{"m"}}, {Runs: []string{r.ID}, Keys: []string{"m"}, Buckets: -1}, {Runs: make([]string, 1000), Keys: make([]string, 11)}} {
		if _, err := w.Charts(ctx, q); fault.CodeOf(err) != fault.Invalid && fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%+v gives %v", q, err)
		}
	}
}

// benchless is a world on SQLite, for what does not touch the catalog.
func benchless(t *testing.T) *world {
	dir := t.TempDir()
	return openWorld(t, catalogtest.Open(t, filepath.Join(dir, "catalog.db"), schemas...), dir)
}

func TestExportIsExact(t *testing.T) {
	w := benchless(t)
	ctx := t.Context()
	r := w.run(t, "0")
	values := []float64{0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e16 + 2}
	for i, v := range values {
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: `a key`, Step: int64(-i), At: int64(i), Value: v}))
	}
	var text bytes.Buffer
	must(t, w.ExportMetrics(ctx, []string{r.ID}, "csv", &text))
	rows, err := csv.NewReader(&text).ReadAll()
	must(t, err)
	want := [][]string{{"run_id", "key", "step", "timestamp", "value"}}
	for i, v := range []string{"0.1", "1.7976931348623157e+308", "5e-324", "NaN", "Infinity", "-Infinity", "-0", "1.0000000000000002e+16"} {
		want = append(want, []string{r.ID, "a key", fmt.Sprint(-i), fmt.Sprint(i), v})
	}
	if !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("%q\nwant %q", rows, want)
	}
	var stream bytes.Buffer
	must(t, w.ExportMetrics(ctx, []string{r.ID}, "arrow", &stream))
	in, err := ipc.NewReader(&stream)
	must(t, err)
	defer in.Release()
	n := 0
	for in.Next() {
		for _, v := range in.RecordBatch().Column(4).(*array.Float64).Float64Values() {
			if math.Float64bits(v) != math.Float64bits(values[n]) {
				t.Errorf("value %d is %v, want %v", n, v, values[n])
			}
			n++
		}
	}
	if n != len(values) {
		t.Errorf("%d values", n)
	}
	var packed bytes.Buffer
	must(t, w.ExportMetrics(ctx, []string{r.ID}, "parquet", &packed))
	table, err := file.NewParquetReader(bytes.NewReader(packed.Bytes()))
	must(t, err)
	column, err := table.RowGroup(0).Column(4)
	must(t, err)
	read := make([]float64, len(values)+1)
	total, _, err := column.(*file.Float64ColumnChunkReader).ReadBatch(int64(len(read)), read, nil, nil)
	must(t, err)
	if total != int64(len(values)) || !slices.EqualFunc(read[:total], values, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
		t.Errorf("%v", read[:total])
	}
	refuses(t, w.ExportMetrics(ctx, []string{r.ID}, "xml", &stream), fault.Invalid, "metrics cannot be exported as 'xml'")
	refuses(t, w.ExportMetrics(ctx, []string{"nobody"}, "csv", &stream), fault.NotFound, "Run with id=nobody not found")
}

func TestWatchersHear(t *testing.T) {
	w := benchless(t)
	ctx := t.Context()
	other := w.experiment(t, "other")
	changes, end := w.Watch("0")
	hear := func(want track.Change) {
		t.Helper()
		timeout := time.After(20 * time.Second)
		for {
			select {
			case c := <-changes:
				if c.Experiment != "0" {
					t.Fatalf("heard %+v", c)
				}
				if c == want {
					return
				}
			case <-timeout:
				t.Fatalf("never heard %+v", want)
			}
		}
	}
	several, endSeveral := w.Watch("0", other)
	elsewhere := w.run(t, other)
	select {
	case c := <-several:
		if c.Run != elsewhere.ID || c.Experiment != other {
			t.Errorf("who watches several experiments heard %+v", c)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("who watches several experiments heard nothing of the second")
	}
	endSeveral()
	r := w.run(t, "0")
	hear(track.Change{Run: r.ID, Experiment: "0", What: track.ChangeCreated})
	must(t, w.SetTag(ctx, r.ID, track.Tag{Key: "k"}))
	hear(track.Change{Run: r.ID, Experiment: "0", What: track.ChangeUpdated})
	must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m"}))
	hear(track.Change{Run: r.ID, Experiment: "0", What: track.ChangeMetrics})
	must(t, w.DeleteRun(ctx, r.ID))
	hear(track.Change{Run: r.ID, Experiment: "0", What: track.ChangeDeleted})
	for range 300 { // a watcher who does not listen is told to look again, and holds nobody up
		w.run(t, "0")
	}
	hear(track.Change{Experiment: "0"})
	end()
	end()
	if _, open := <-changes; open {
		for range changes {
		}
	}
}

// Jobs of the platform write their runs whole.
func TestRunsOfJobs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r := got(w.Start(ctx, track.Run{Project: "flights", Cause: "apply", Actor: "user:ada", StartedAt: start, Params: map[string]string{"rounds": "10"},
			Inputs: []track.Input{{Dataset: "flights", Number: 1, ID: "x", Rows: 7}}, GitCommit: "abc"}))(t)
		must(t, w.Log(r.ID, "train_loss", 1, start, 0.5))
		lost := got(w.Start(ctx, track.Run{Project: "flights"}))(t)
		client := w.run(t, r.ExperimentID)
		end := start.Add(time.Hour)
		r.State, r.FinishedAt, r.Seconds, r.Model, r.Metrics = track.Finished, &end, 3.5, "m", track.Values{"auc": 0.75, "train_loss": 0.5}
		must(t, w.db.Write(ctx, func(tx *catalog.Tx) error {
			r.Version = 4
			return w.Finish(ctx, tx, r)
		}))
		w = w.again(t)
		must(t, w.Abandon(ctx, end))
		now := w.get(t, r.ID)
		if now.State != track.Finished || now.Version != 4 || now.Seconds != 3.5 || now.Metrics["auc"] != 0.75 || now.Latest["train_loss"].Step != 1 || now.GitCommit != "abc" ||
			now.Actor != "user:ada" || now.Cause != "apply" || now.Inputs[0].Rows != 7 || now.Params["rounds"] != "10" {
			t.Errorf("%+v", now)
		}
		if e := got(w.ExperimentByName(ctx, "flights"))(t); e.ID != now.ExperimentID {
			t.Errorf("experiment %s", now.ExperimentID)
		}
		if now := w.get(t, lost.ID); now.State != track.Killed || now.Error == "" || now.FinishedAt == nil {
			t.Errorf("%+v", now)
		}
		if now := w.get(t, client.ID); now.State != track.Running {
			t.Errorf("a client's run was ended: %+v", now)
		}
		list := got(w.List(ctx, "flights", 10))(t)
		curve := got(w.Curve(r.ID, ""))(t)
		if len(list) != 2 || len(curve) != 2 || curve[0].Key != "auc" {
			t.Errorf("%d runs, curve %+v", len(list), curve)
		}
	})
}

// old is the schema of runs before experiments, and a run with its file of points as that program wrote them.
var oldRuns, _ = fs.ReadFile(track.Schema, "schema/00500_runs.sql")

const oldDocument = `{"id":"%s","project":"flights","name":"run-1","state":"finished","cause":"apply","started_at":"2026-01-02T03:04:05Z","finished_at":"2026-01-02T03:05:05Z",
"seconds":1.5,"params":{"learner":"gbdt"},"metrics":{"auc":0.7},"inputs":[{"dataset":"flights","number":1,"id":"x","rows":9}],"model":"flights","version":2}`

func TestRunsOfOlderVersionsAreTakenOver(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		ctx := t.Context()
		db := catalogtest.Open(t, place, fstest.MapFS{"schema/00500_runs.sql": {Data: oldRuns}})
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "metrics"), 0o700))
		ids := []string{}
		for i := range 3 {
			id := fmt.Sprintf("%032x", i+1)
			ids = append(ids, id)
			must(t, db.Write(ctx, func(tx *catalog.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO runs (id, project, name, state, cause, started_at, finished_at, document) VALUES ($1, 'flights', 'run-1', 'finished', 'apply', 1767323045000000, 1767323105000000, $2)`,
					id, fmt.Sprintf(oldDocument, id))
				return err
			}))
			must(t, os.WriteFile(filepath.Join(dir, "metrics", id+".jsonl"), []byte(`{"key":"train_loss","step":1,"at":"2026-01-02T03:04:06Z","value":0.5}
{"key":"train_loss","step":2,"at":"2026-01-02T03:04:07Z","value":0.25}
{"key":"train_lo`), 0o600))
		}
		must(t, db.Close())
		// Two servers start at once.
		two := []*catalog.DB{catalogtest.Open(t, place, govern.Schema, track.Schema), catalogtest.Open(t, place, govern.Schema, track.Schema)}
		worlds := make([]*world, 2)
		var both sync.WaitGroup
		for i := range two {
			other := filepath.Join(dir, fmt.Sprint("server-", i)) // a series store has one owner; the catalog and the old files are shared
			must(t, os.MkdirAll(other, 0o700))
			must(t, os.Symlink(filepath.Join(dir, "metrics"), filepath.Join(other, "metrics")))
			both.Go(func() { worlds[i] = openWorld(t, two[i], other) })
		}
		both.Wait()
		for _, id := range ids {
			r := worlds[0].get(t, id)
			if r.Metrics["auc"] != 0.7 || r.Params["learner"] != "gbdt" || r.Version != 2 || r.Seconds != 1.5 || r.Inputs[0].Rows != 9 || r.Stage != "active" ||
				r.ArtifactURI != "mlflow-artifacts:/"+r.ExperimentID+"/"+id+"/artifacts" || r.Tags["mlflow.runName"] != "run-1" || r.StartedAt.Unix() != 1767323045 {
				t.Errorf("%+v", r)
			}
			// The points are with the server that took the run over; the other one may have read the run before.
			if other := worlds[1].get(t, id); r.Metrics["train_loss"] != 0.25 && other.Metrics["train_loss"] != 0.25 {
				t.Errorf("%+v, %+v", r.Metrics, other.Metrics)
			}
		}
		e := got(worlds[1].ExperimentByName(ctx, "flights"))(t)
		items, _, err := worlds[1].SearchExperiments(ctx, track.Search{Filter: "name = 'flights'"})
		must(t, err)
		if len(items) != 1 || items[0].Runs != 3 || items[0].ID != e.ID {
			t.Errorf("%+v", items)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "metrics", "*")); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
		for _, w := range worlds {
			w.end()
			w.end = func() {}
		}
	})
}

// A server hears within a second that another one deleted a run.
func TestTwoServersAgree(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		a := openWorld(t, catalogtest.Open(t, place, schemas...), t.TempDir())
		b := openWorld(t, catalogtest.Open(t, place, schemas...), t.TempDir())
		r := a.run(t, "0")
		must(t, a.LogMetric(t.Context(), r.ID, track.Metric{Key: "m", Value: 1}))
		must(t, b.DeleteRun(t.Context(), r.ID))
		deadline := time.Now().Add(20 * time.Second)
		for step := int64(0); ; step++ {
			err := a.LogMetric(t.Context(), r.ID, track.Metric{Key: "m", Value: 1, Step: step})
			if fault.Is(err, fault.Invalid) {
				break
			}
			must(t, err)
			if time.Now().After(deadline) {
				t.Fatal("the other server goes on logging to a deleted run")
			}
		}
		must(t, b.HardDeleteRun(t.Context(), r.ID))
		for {
			if err := a.LogMetric(t.Context(), r.ID, track.Metric{Key: "m"}); fault.Is(err, fault.NotFound) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the other server goes on with a removed run")
			}
		}
	})
}
