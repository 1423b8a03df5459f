package track_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func ptr[T any](v T) *T { return &v }

func TestALifeOfARun(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r := got(w.CreateRun(ctx, track.NewRun{User: "ada", StartedAt: &start, Tags: []track.Tag{{Key: "k", Value: "v"}, {Key: "mlflow.parentRunId", Value: "p1"}}}))(t)
		if r.ExperimentID != "0" || r.State != track.Running || r.Stage != "active" || r.ArtifactURI != "mlflow-artifacts:/0/"+r.ID+"/artifacts" || r.Name == "" ||
			r.Tags["mlflow.runName"] != r.Name || r.ParentID != "p1" || r.User != "ada" || !r.StartedAt.Equal(start) {
			t.Fatalf("%+v", r)
		}
		must(t, w.LogParam(ctx, r.ID, track.Param{Key: "lr", Value: "0.1"}))
		must(t, w.LogParam(ctx, r.ID, track.Param{Key: "lr", Value: "0.1"}))
		refuses(t, w.LogParam(ctx, r.ID, track.Param{Key: "lr", Value: "0.2"}), fault.Invalid,
			"Changing param values is not allowed. Param with key='lr' was already logged with value='0.1' for run ID='"+r.ID+"'. Attempted logging new value '0.2'.")
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "loss", Value: 0.5, At: 10, Step: 1}))
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "loss", Value: 0.9, At: 99, Step: 0})) // an earlier step
		must(t, w.LogBatch(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "nan", Value: math.NaN(), At: 1}, {Key: "inf", Value: math.Inf(-1), At: 1}},
			Params: []track.Param{{Key: "a", Value: "1"}}, Tags: []track.Tag{{Key: "k", Value: "w"}}}))
		now := w.get(t, r.ID)
		if now.Metrics["loss"] != 0.5 || !math.IsNaN(now.Metrics["nan"]) || !math.IsInf(now.Metrics["inf"], -1) || now.Tags["k"] != "w" {
			t.Errorf("%+v", now)
		}
		if diff := cmp.Diff(map[string]string{"lr": "0.1", "a": "1"}, now.Params); diff != "" {
			t.Error(diff)
		}
		must(t, w.SetTag(ctx, r.ID, track.Tag{Key: "mlflow.runName", Value: "better"}))
		if now := w.get(t, r.ID); now.Name != "better" || now.Tags["mlflow.runName"] != "better" {
			t.Errorf("name %q, tag %q", now.Name, now.Tags["mlflow.runName"])
		}
		end := start.Add(time.Minute)
		done := got(w.UpdateRun(ctx, r.ID, track.RunChange{Name: ptr("best"), State: ptr(track.Finished), FinishedAt: &end}))(t)
		if done.Name != "best" || done.Tags["mlflow.runName"] != "best" || done.State != track.Finished || !done.FinishedAt.Equal(end) || done.Metrics["loss"] != 0.5 {
			t.Errorf("%+v", done)
		}
		must(t, w.DeleteTag(ctx, r.ID, "k"))
		refuses(t, w.DeleteTag(ctx, r.ID, "k"), fault.NotFound, "No tag with name: k in run with id "+r.ID)
		// After the end more may be logged, and it is there after a restart.
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "late", Value: 7, At: 5, Step: -3}))
		w2 := w.again(t)
		now = w2.get(t, r.ID)
		if now.Metrics["late"] != 7 || now.Latest["late"].Step != -3 || now.Metrics["loss"] != 0.5 || now.Name != "best" {
			t.Errorf("after a restart: %+v", now)
		}
		points, next, err := w2.History(ctx, r.ID, "loss", "", 1)
		must(t, err)
		rest, end2, err := w2.History(ctx, r.ID, "loss", next, 5)
		must(t, err)
		if len(points) != 1 || points[0].At != 10 || len(rest) != 1 || rest[0].Value != 0.9 || end2 != "" {
			t.Errorf("history %v then %v, %q", points, rest, end2)
		}
	})
}

func TestWritesToADeletedRunAreRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r := w.run(t, "0")
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: 1}))
		must(t, w.DeleteRun(ctx, r.ID))
		must(t, w.DeleteRun(ctx, r.ID))
		want := "The run " + r.ID + " must be in the 'active' state. Current state is deleted."
		_, update := w.UpdateRun(ctx, r.ID, track.RunChange{Name: ptr("x")})
		for name, err := range map[string]error{
			"metric":  w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: 2}),
			"param":   w.LogParam(ctx, r.ID, track.Param{Key: "p"}),
			"batch":   w.LogBatch(ctx, r.ID, track.Batch{}),
			"tag":     w.SetTag(ctx, r.ID, track.Tag{Key: "t"}),
			"untag":   w.DeleteTag(ctx, r.ID, "mlflow.runName"),
			"inputs":  w.LogInputs(ctx, r.ID, nil, nil),
			"outputs": w.LogOutputs(ctx, r.ID, nil),
			"legacy":  w.LogLegacyModel(ctx, r.ID, `{"artifact_path":"m","flavors":{},"run_id":"r","utc_time_created":"t"}`),
			"update":  update,
		} {
			t.Run(name, func(t *testing.T) { refuses(t, err, fault.Invalid, want) })
		}
		if now := w.get(t, r.ID); now.Stage != "deleted" || now.Metrics["m"] != 1 {
			t.Errorf("%+v", now)
		}
		must(t, w.RestoreRun(ctx, r.ID))
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: 2}))
	})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		_, get := w.Get(ctx, "nope")
		_, update := w.UpdateRun(ctx, "nope", track.RunChange{State: ptr(track.Finished)})
		_, _, history := w.History(ctx, "nope", "k", "", 0)
		for name, err := range map[string]error{
			"get": get, "update": update, "history": history,
			"metric":  w.LogMetric(ctx, "nope", track.Metric{Key: "m"}),
			"param":   w.LogParam(ctx, "nope", track.Param{Key: "p"}),
			"batch":   w.LogBatch(ctx, "nope", track.Batch{Metrics: []track.Metric{{Key: "m"}}}),
			"delete":  w.DeleteRun(ctx, "nope"),
			"restore": w.RestoreRun(ctx, "nope"),
		} {
			t.Run(name, func(t *testing.T) { refuses(t, err, fault.NotFound, "Run with id=nope not found") })
		}
		must(t, w.HardDeleteRun(ctx, "nope"))
	})
}

// The messages are those of mlflow-skinny 3.17.2, utils/validation.py, called with the same values.
func TestMessagesAreThoseOfMLflow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r := w.run(t, "0")
		many := func(n int) (out []track.Param) {
			for i := range n {
				out = append(out, track.Param{Key: fmt.Sprint("p", i)})
			}
			return out
		}
		metrics := make([]track.Metric, 1001)
		for i := range metrics {
			metrics[i].Key = "m"
		}
		must(t, w.LogParam(ctx, r.ID, track.Param{Key: "a", Value: "1"}))
		const characters = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
		const files = "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to "
		for want, err := range map[string]error{
			`Invalid value "a!" for parameter 'name' supplied: ` + characters:                                                                             w.LogMetric(ctx, r.ID, track.Metric{Key: "a!"}),
			`Invalid value "\u00e9\u2028" for parameter 'key' supplied: ` + characters:                                                                    w.LogParam(ctx, r.ID, track.Param{Key: "é\u2028"}),
			`Invalid value "../a" for parameter 'name' supplied: ` + files + `'../a'`:                                                                     w.LogMetric(ctx, r.ID, track.Metric{Key: "../a"}),
			`Invalid value "a//b" for parameter 'params[0].key' supplied: ` + files + `'a/b'`:                                                             w.LogBatch(ctx, r.ID, track.Batch{Params: []track.Param{{Key: "a//b"}}}),
			`Invalid value "" for parameter 'tags[1].key' supplied: ` + files + `'.'`:                                                                     w.LogBatch(ctx, r.ID, track.Batch{Tags: []track.Tag{{Key: "a"}, {Key: ""}}}),
			`Invalid value "/a" for parameter 'metrics[0].name' supplied: ` + files + `'/a'`:                                                              w.LogBatch(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "/a"}}}),
			`'Metric name' exceeds the maximum length of 250 characters`:                                                                                  w.LogMetric(ctx, r.ID, track.Metric{Key: strings.Repeat("m", 251)}),
			`'Param key' exceeds the maximum length of 250 characters`:                                                                                    w.LogParam(ctx, r.ID, track.Param{Key: strings.Repeat("m", 251)}),
			`'tags[0].key' exceeds the maximum length of 250 characters`:                                                                                  w.LogBatch(ctx, r.ID, track.Batch{Tags: []track.Tag{{Key: strings.Repeat("m", 251)}}}),
			`'key' exceeds the maximum length of 250 characters`:                                                                                          w.SetTag(ctx, r.ID, track.Tag{Key: strings.Repeat("m", 251)}),
			"Invalid value -1 for parameter 'metrics[0].timestamp' supplied: metric 'm' (value=1e-05). ":                                                  w.LogBatch(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "m", At: -1, Value: 1e-5}}}),
			"Invalid value -1 for parameter 'timestamp' supplied: metric 'm' (value=1.0). ":                                                               w.LogMetric(ctx, r.ID, track.Metric{Key: "m", At: -1, Value: 1}),
			"A batch logging request can contain at most 1000 metrics. Got 1001 metrics. Please split up metrics across multiple requests and try again.": w.LogBatch(ctx, r.ID, track.Batch{Metrics: metrics}),
			"A batch logging request can contain at most 100 params. Got 101 params. Please split up params across multiple requests and try again.":      w.LogBatch(ctx, r.ID, track.Batch{Params: many(101)}),
			"A batch logging request can contain at most 1000 metrics, params, and tags. Got 1001 metrics, params, and tags. Please split up metrics, params, and tags across multiple requests and try again.": w.LogBatch(ctx, r.ID,
				track.Batch{Metrics: metrics[:1000], Params: many(1)}),
			"Duplicate parameter keys have been submitted: ['x', 'x']. Please ensure the request contains only one param value per param key.": w.LogBatch(ctx, r.ID,
				track.Batch{Params: []track.Param{{Key: "x"}, {Key: "x"}, {Key: "x"}}}),
			"Changing param values is not allowed. Params were already logged='[{'key': 'a', 'old_value': '1', 'new_value': \"it's\"}]' for run ID='" + r.ID + "'.": w.LogBatch(ctx, r.ID,
				track.Batch{Params: []track.Param{{Key: "a", Value: "it's"}}, Metrics: []track.Metric{{Key: "lost", Value: 1}}, Tags: []track.Tag{{Key: "lost"}}}),
			`Invalid value "a b" for parameter 'run_id' supplied.`: w.LogBatch(ctx, "a b", track.Batch{}),
		} {
			refuses(t, err, fault.Invalid, want)
		}
		// Nothing of a refused batch is there.
		if now := w.get(t, r.ID); len(now.Metrics) != 0 || len(now.Params) != 1 || len(now.Tags) != 1 {
			t.Errorf("%+v", now)
		}
		// Letters of any script are names, long values are cut by characters.
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "précision/Ж ²: a_b-c.d", Value: 1}))
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: strings.Repeat("Ж", 125), Value: 1}))
		must(t, w.LogParam(ctx, r.ID, track.Param{Key: "long", Value: strings.Repeat("Ж", 6001)}))
		must(t, w.SetTag(ctx, r.ID, track.Tag{Key: "long", Value: strings.Repeat("x", 8001) + "\x00"}))
		now := w.get(t, r.ID)
		if len(now.Params["long"]) != 12000 || len(now.Tags["long"]) != 8000 {
			t.Errorf("cut to %d and %d", len(now.Params["long"]), len(now.Tags["long"]))
		}
	})
}

func TestNamesOfNewRuns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		tagged := track.Tag{Key: "mlflow.runName", Value: "from tag"}
		if r := got(w.CreateRun(ctx, track.NewRun{Tags: []track.Tag{tagged}}))(t); r.Name != "from tag" || !r.StartedAt.IsZero() {
			t.Errorf("%+v", r)
		}
		_, err := w.CreateRun(ctx, track.NewRun{Name: "other", Tags: []track.Tag{tagged}})
		refuses(t, err, fault.Invalid, "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='other', mlflow.runName='from tag').")
		_, err = w.CreateRun(ctx, track.NewRun{ExperimentID: "77"})
		refuses(t, err, fault.NotFound, "No Experiment with id=77 exists")
		_, err = w.CreateRun(ctx, track.NewRun{ExperimentID: "\u0663"}) // an Arabic three
		refuses(t, err, fault.Invalid, "Invalid experiment ID '\u0663'. Experiment ID must be a valid integer.")
		given := got(w.CreateRun(ctx, track.NewRun{ID: "0123456789abcdef0123456789abcdef"}))(t)
		_, err = w.CreateRun(ctx, track.NewRun{ID: given.ID})
		refuses(t, err, fault.Conflict, "Run with id="+given.ID+" already exists")
		year := time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
		_, err = w.CreateRun(ctx, track.NewRun{StartedAt: &year})
		refuses(t, err, fault.Invalid, "Invalid value")
	})
}
