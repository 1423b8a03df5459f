package track_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func TestALifeOfALoggedModel(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r := w.run(t, "0")
		m := got(w.CreateLoggedModel(ctx, track.NewLoggedModel{ExperimentID: "0", Name: "model", SourceRunID: r.ID, ModelType: "agent", Params: []track.Param{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}},
			Tags: []track.Tag{{Key: "t", Value: "1"}}}))(t)
		if len(m.ID) != 34 || !strings.HasPrefix(m.ID, "m-") || m.Status != track.ModelPending || m.ArtifactURI != "mlflow-artifacts:/0/models/"+m.ID+"/artifacts" || m.Params[0].Key != "a" {
			t.Fatalf("%+v", m)
		}
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "auc", Value: 0.5, At: 1, Step: 1, ModelID: m.ID, DatasetName: "d", DatasetDigest: "x"}))
		must(t, w.LogBatch(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "auc", Value: 0.9, At: 1, Step: 3, ModelID: m.ID, DatasetName: "d", DatasetDigest: "x"},
			{Key: "auc", Value: 0.7, At: 1, Step: 2, ModelID: m.ID, DatasetName: "d", DatasetDigest: "x"}, {Key: "nan", Value: math.NaN(), ModelID: m.ID}, {Key: "other", Value: 1}}}))
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "auc", Value: 0.1, At: 9, Step: 0, ModelID: m.ID, DatasetName: "d", DatasetDigest: "x"})) // an earlier step
		m = got(w.FinalizeLoggedModel(ctx, m.ID, track.ModelReady, ""))(t)
		m = got(w.SetLoggedModelTags(ctx, m.ID, []track.Tag{{Key: "t", Value: "2"}, {Key: "u", Value: "3"}}))(t)
		must(t, w.DeleteLoggedModelTag(ctx, m.ID, "u"))
		refuses(t, w.DeleteLoggedModelTag(ctx, m.ID, "u"), fault.NotFound, "No tag with key 'u' found for model with ID '"+m.ID+"'.")
		must(t, w.LogLoggedModelParams(ctx, m.ID, []track.Param{{Key: "c", Value: "3"}, {Key: "a", Value: "1"}}))
		refuses(t, w.LogLoggedModelParams(ctx, m.ID, []track.Param{{Key: "a", Value: "9"}}), fault.Invalid, "Changing param values is not allowed.")
		now := got(w.LoggedModel(ctx, m.ID, false))(t)
		if now.Status != track.ModelReady || len(now.Params) != 3 || len(now.Tags) != 1 || now.Tags[0].Value != "2" || len(now.Metrics) != 2 {
			t.Fatalf("%+v", now)
		}
		if auc := now.Metrics[0]; auc.Value != 0.9 || auc.Step != 3 || auc.RunID != r.ID || auc.DatasetName != "d" || !math.IsNaN(now.Metrics[1].Value) {
			t.Errorf("%+v", now.Metrics)
		}
		if run := w.get(t, r.ID); run.Metrics["auc"] != 0.9 || run.Metrics["other"] != 1 {
			t.Errorf("%+v", run.Metrics)
		}
		must(t, w.DeleteLoggedModel(ctx, m.ID))
		must(t, w.DeleteLoggedModel(ctx, m.ID))
		refuses(t, w.DeleteLoggedModel(ctx, "m-none"), fault.NotFound, "Logged model with ID 'm-none' not found.")
		refuses(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "auc", ModelID: "m-none"}), fault.NotFound, "Logged model with ID 'm-none' not found.")
		_, err := w.LoggedModel(ctx, m.ID, false)
		refuses(t, err, fault.NotFound, "Logged model with ID '"+m.ID+"' not found.")
		if gone := got(w.LoggedModel(ctx, m.ID, true))(t); gone.Stage != "deleted" {
			t.Errorf("%+v", gone)
		}
		_, err = w.FinalizeLoggedModel(ctx, "m-none", track.ModelReady, "")
		refuses(t, err, fault.NotFound, "Logged model with ID 'm-none' not found.")
		_, err = w.CreateLoggedModel(ctx, track.NewLoggedModel{ExperimentID: "0", Name: "a.b"})
		refuses(t, err, fault.Invalid, `Invalid model name ('a.b') provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%', '"', "'")`)
		_, err = w.CreateLoggedModel(ctx, track.NewLoggedModel{ExperimentID: "5"})
		refuses(t, err, fault.NotFound, "No Experiment with id=5 exists")
	})
}

func TestSearchLoggedModels(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r, other := w.run(t, "0"), w.experiment(t, "other")
		ids := map[string]string{}
		for i, name := range []string{"a", "b", "c", "d"} {
			m := got(w.CreateLoggedModel(ctx, track.NewLoggedModel{ExperimentID: "0", Name: name, SourceRunID: r.ID, Params: []track.Param{{Key: "depth", Value: name + name}}, Tags: []track.Tag{{Key: "team", Value: "x"}}}))(t)
			ids[m.ID] = name
			if name != "d" {
				must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "auc", Value: []float64{0.5, math.NaN(), 0.9}[i], At: 1, ModelID: m.ID, DatasetName: []string{"x", "y", "y"}[i], DatasetDigest: "1"}))
			}
			if name == "c" {
				got(w.FinalizeLoggedModel(ctx, m.ID, track.ModelReady, ""))(t)
			}
		}
		m := got(w.CreateLoggedModel(ctx, track.NewLoggedModel{ExperimentID: other, Name: "e"}))(t)
		ids[m.ID] = "e"
		for _, test := range []struct {
			q    track.ModelSearch
			want string
		}{
			{track.ModelSearch{Order: []track.ModelOrder{{Field: "name"}}, MaxResults: 3}, "abcd"},
			{track.ModelSearch{Order: []track.ModelOrder{{Field: "name", Descending: true}}, MaxResults: 1}, "dcba"},
			{track.ModelSearch{Filter: "name = 'c'"}, "c"},
			{track.ModelSearch{Filter: "status = 'READY'"}, "c"},
			{track.ModelSearch{Filter: "status != 'READY'", Order: []track.ModelOrder{{Field: "name"}}}, "abd"},
			{track.ModelSearch{Filter: "metrics.auc > 0.4", Order: []track.ModelOrder{{Field: "metrics.auc", Descending: true}}}, "ca"},
			{track.ModelSearch{Order: []track.ModelOrder{{Field: "metrics.auc"}}}, "acbd"}, // NaN after values, nothing last
			{track.ModelSearch{Filter: "metrics.auc > 0.4", Datasets: []track.DatasetFilter{{Name: "y"}}}, "c"},
			{track.ModelSearch{Datasets: []track.DatasetFilter{{Name: "x", Digest: "1"}}}, "a"},
			{track.ModelSearch{Datasets: []track.DatasetFilter{{Name: "x", Digest: "2"}}}, ""},
			{track.ModelSearch{Filter: "params.depth = 'bb' AND tags.team = 'x'"}, "b"},
			{track.ModelSearch{Filter: "source_run_id = '" + r.ID + "'", Order: []track.ModelOrder{{Field: "name"}}}, "abcd"},
			{track.ModelSearch{Experiments: []string{"0", other}, Order: []track.ModelOrder{{Field: "name"}}}, "abcde"},
			{track.ModelSearch{Experiments: []string{}}, ""},
		} {
			if test.q.Experiments == nil {
				test.q.Experiments = []string{"0"}
			}
			found := ""
			for {
				items, next, err := w.SearchLoggedModels(ctx, test.q)
				must(t, err)
				for _, m := range items {
					found += ids[m.ID]
				}
				if next == "" || len(found) > 10 {
					break
				}
				test.q.PageToken = next
			}
			if found != test.want {
				t.Errorf("%+v gives %q, want %q", test.q, found, test.want)
			}
		}
		_, _, err := w.SearchLoggedModels(ctx, track.ModelSearch{Datasets: []track.DatasetFilter{{}}})
		refuses(t, err, fault.Invalid, "`dataset_name` in the `datasets` clause must be specified.")
	})
}

func TestLegacyModels(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r := w.run(t, "0")
		model := `{"artifact_path":"m","flavors":{"sklearn":{"v":"1","config":{"big":1}},"x":"y"},"run_id":"r","utc_time_created":"t","model_uuid":"u","signature":{"s":1}}`
		must(t, w.LogLegacyModel(ctx, r.ID, model))
		must(t, w.LogLegacyModel(ctx, r.ID, model))
		var history []map[string]any
		must(t, json.Unmarshal([]byte(w.get(t, r.ID).Tags["mlflow.log-model.history"]), &history))
		want := map[string]any{"artifact_path": "m", "run_id": "r", "utc_time_created": "t", "model_uuid": "u", "flavors": map[string]any{"sklearn": map[string]any{"v": "1"}, "x": "y"}}
		if diff := cmp.Diff([]map[string]any{want, want}, history); diff != "" {
			t.Error(diff)
		}
		for range 100 { // more than a tag holds: the newest stay, and it stays JSON
			must(t, w.LogLegacyModel(ctx, r.ID, model))
		}
		must(t, json.Unmarshal([]byte(w.get(t, r.ID).Tags["mlflow.log-model.history"]), &history))
		refuses(t, w.LogLegacyModel(ctx, r.ID, "{"), fault.Invalid, "Malformed model info. \n { \n is not a valid JSON.")
		refuses(t, w.LogLegacyModel(ctx, r.ID, "[]"), fault.Invalid, "Malformed model info.")
		refuses(t, w.LogLegacyModel(ctx, r.ID, `{"flavors":{}}`), fault.Invalid, "Model json is missing mandatory fields: {'artifact_path', 'run_id', 'utc_time_created'}")
	})
}
