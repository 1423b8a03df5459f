package track_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func (w *world) experiment(t testing.TB, name string, tags ...track.Tag) string {
	t.Helper()
	return got(w.CreateExperiment(t.Context(), track.NewExperiment{Name: name, Tags: tags}))(t).ID
}

func TestExperimentsComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if e := got(w.Experiment(ctx, "0"))(t); e.Name != "Default" || e.ArtifactRoot != "mlflow-artifacts:/0" || e.Stage != "active" {
			t.Errorf("%+v", e)
		}
		refuses(t, w.DeleteExperiment(ctx, "0"), fault.Invalid, "Cannot delete the default experiment '0'.")
		id := w.experiment(t, "a", track.Tag{Key: "k", Value: "v"})
		if id != "1" {
			t.Errorf("the first id is %s", id)
		}
		_, err := w.CreateExperiment(ctx, track.NewExperiment{Name: "a"})
		refuses(t, err, fault.Conflict, "Experiment(name=a) already exists.")
		must(t, w.SetExperimentTag(ctx, id, track.Tag{Key: "k2", Value: "v2"}))
		must(t, w.DeleteExperimentTag(ctx, id, "k"))
		refuses(t, w.DeleteExperimentTag(ctx, id, "k"), fault.NotFound, "No tag with name: k in experiment with id 1")
		if e := got(w.ExperimentByName(ctx, "a"))(t); e.ID != id || len(e.Tags) != 1 || e.Tags["k2"] != "v2" {
			t.Errorf("%+v", e)
		}
		r := w.run(t, id)
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: 1}))
		must(t, w.DeleteExperiment(ctx, id))
		refuses(t, w.DeleteExperiment(ctx, id), fault.NotFound, "No Experiment with id=1 exists")
		refuses(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: 2}), fault.Invalid, "The run "+r.ID+" must be in the 'active' state. Current state is deleted.")
		_, err = w.CreateRun(ctx, track.NewRun{ExperimentID: id})
		refuses(t, err, fault.Invalid, "The experiment 1 must be in the 'active' state. Current state is deleted.")
		refuses(t, w.SetExperimentTag(ctx, id, track.Tag{Key: "k"}), fault.Invalid, "The experiment 1 must be in the 'active' state.")
		refuses(t, w.RenameExperiment(ctx, id, "b"), fault.Invalid, "Cannot rename a non-active experiment.")
		// The name is free again, and restoring onto it is refused.
		_, err = w.ExperimentByName(ctx, "a")
		refuses(t, err, fault.NotFound, "Could not find experiment with name 'a'")
		again := w.experiment(t, "a")
		refuses(t, w.RestoreExperiment(ctx, id), fault.Conflict, "Experiment(name=a) already exists.")
		must(t, w.RenameExperiment(ctx, again, "b"))
		must(t, w.RestoreExperiment(ctx, id))
		refuses(t, w.RenameExperiment(ctx, again, "a"), fault.Conflict, "Experiment(name=a) already exists.")
		must(t, w.LogMetric(ctx, r.ID, track.Metric{Key: "m", Value: 3, Step: 1}))
		if now := w.get(t, r.ID); now.Stage != "active" || now.Metrics["m"] != 3 {
			t.Errorf("%+v", now)
		}
	})
}

func TestBadExperiments(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for _, n := range []track.NewExperiment{
			{}, {Name: strings.Repeat("x", 501)}, {Name: "a\x00b"}, {Name: "x", Tags: []track.Tag{{Key: "a/../b"}}}, {Name: "x", Tags: []track.Tag{{Key: "k", Value: strings.Repeat("x", 20001)}}},
			{Name: "x", ArtifactRoot: "runs:/x/y"}, {Name: "x", ArtifactRoot: "s3://b/c#d"}, {Name: "x", ArtifactRoot: strings.Repeat("x", 2049)},
			{Name: "x", ArtifactRoot: "mlflow-artifacts:/"}, {Name: "x", ArtifactRoot: "mlflow-artifacts:/../x"}, {Name: "x", ArtifactRoot: "mlflow-artifacts:/versions/abc"},
			{Name: "x", ArtifactRoot: "mlflow-artifacts:///a/%2e%2e/b"},
		} {
			_, err := w.CreateExperiment(ctx, n)
			refuses(t, err, fault.Invalid, "")
		}
		for _, id := range []string{"", "x", "-1", "+1", " 1", "1e3", "0x1", "99999999999999999999", "\u0663"} {
			_, err := w.Experiment(ctx, id)
			refuses(t, err, fault.Invalid, "Invalid experiment ID '")
		}
		_, err := w.Experiment(ctx, "9223372036854775807")
		refuses(t, err, fault.NotFound, "No Experiment with id=9223372036854775807 exists")
		e := got(w.CreateExperiment(ctx, track.NewExperiment{Name: "own", ArtifactRoot: "s3://bucket/p?endpoint=x"}))(t)
		if r := w.run(t, e.ID); r.ArtifactURI != "s3://bucket/p/"+r.ID+"/artifacts?endpoint=x" {
			t.Error(r.ArtifactURI)
		}
	})
}

func TestSearchExperiments(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for i := range 12 {
			w.experiment(t, fmt.Sprintf("exp-%02d", i), track.Tag{Key: "parity", Value: []string{"even", "odd"}[i%2]})
		}
		gone := w.experiment(t, "Gone")
		must(t, w.DeleteExperiment(ctx, gone))
		w.run(t, "3")
		find := func(q track.Search) []string {
			t.Helper()
			names := []string{}
			for {
				items, next, err := w.SearchExperiments(ctx, q)
				must(t, err)
				for _, e := range items {
					names = append(names, e.Name)
				}
				if next == "" {
					return names
				}
				if q.PageToken = next; len(names) > 100 {
					t.Fatal("pages do not end")
				}
			}
		}
		for _, test := range []struct {
			q    track.Search
			want string
		}{
			{track.Search{Filter: "name LIKE 'exp-1%'"}, "exp-11 exp-10"},
			{track.Search{Filter: "name ILIKE 'EXP-1%'", OrderBy: []string{"name"}}, "exp-10 exp-11"},
			{track.Search{Filter: "tags.parity = 'odd' AND name != 'exp-01'", OrderBy: []string{"name DESC"}, MaxResults: 2}, "exp-11 exp-09 exp-07 exp-05 exp-03"},
			{track.Search{View: track.ViewDeleted}, "Gone"},
			{track.Search{Filter: "name = 'Gone'"}, ""},
			{track.Search{Filter: "experiment_id IN ('9', '10', '77')", OrderBy: []string{"experiment_id ASC"}, MaxResults: 1}, "exp-08 exp-09"},
			{track.Search{Filter: "creation_time > 0 AND last_update_time > 0 AND name = 'exp-03'"}, "exp-03"},
		} {
			if got := strings.Join(find(test.q), " "); got != test.want {
				t.Errorf("%+v\ngives %s\nwant  %s", test.q, got, test.want)
			}
		}
		if all := find(track.Search{View: track.ViewAll, MaxResults: 5}); len(all) != 14 || all[0] != "Gone" || all[13] != "Default" {
			t.Errorf("%q", all)
		}
		items, _, err := w.SearchExperiments(ctx, track.Search{Filter: "name = 'exp-02'"})
		must(t, err)
		if items[0].Runs != 1 || !items[0].LastRunAt.Equal(start) {
			t.Errorf("%+v", items[0])
		}
		_, next, err := w.SearchExperiments(ctx, track.Search{MaxResults: 3})
		must(t, err)
		for _, q := range []track.Search{{Filter: "name ="}, {OrderBy: []string{"nope"}}, {View: "x"}, {MaxResults: 50001}, {MaxResults: -1}, {PageToken: "!"}, {PageToken: "e30"},
			{Filter: "name LIKE 'e%'", PageToken: next}} {
			_, _, err := w.SearchExperiments(ctx, q)
			refuses(t, err, fault.Invalid, "")
		}
	})
}

func TestEnsureExperiment(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var first, second string
		must(t, w.db.Write(t.Context(), func(tx *catalog.Tx) (err error) {
			if first, err = w.EnsureExperiment(t.Context(), tx, "flights"); err != nil {
				return err
			}
			second, err = w.EnsureExperiment(t.Context(), tx, "flights")
			return err
		}))
		if first != second || first == "" {
			t.Errorf("%q, %q", first, second)
		}
	})
}

func TestDatasetsOfRuns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		one, two, other := w.run(t, "0"), w.run(t, "0"), w.run(t, w.experiment(t, "other"))
		input := func(source, context string) track.DatasetInput {
			return track.DatasetInput{Dataset: track.Dataset{Name: "d", Digest: "x1", SourceType: "code", Source: source, Schema: "{}", Profile: "{}"},
				Tags: []track.Tag{{Key: "mlflow.data.context", Value: context}}}
		}
		must(t, w.LogInputs(ctx, one.ID, []track.DatasetInput{input("s1", "train"), input("s2", "again")}, []track.ModelLink{{ModelID: "m-1"}, {ModelID: "m-1"}}))
		must(t, w.LogInputs(ctx, one.ID, []track.DatasetInput{input("s3", "eval")}, nil)) // the run has it already
		must(t, w.LogInputs(ctx, two.ID, []track.DatasetInput{input("s4", "eval")}, nil))
		must(t, w.LogInputs(ctx, other.ID, []track.DatasetInput{input("s5", "")}, nil))
		must(t, w.LogOutputs(ctx, one.ID, []track.ModelLink{{ModelID: "m-1", Step: 1}, {ModelID: "m-1", Step: 2}, {ModelID: "m-1", Step: 1}}))
		r := w.get(t, one.ID)
		if diff := cmp.Diff([]track.DatasetInput{input("s1", "train")}, r.Datasets); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]track.ModelLink{{ModelID: "m-1"}}, r.ModelInputs); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]track.ModelLink{{ModelID: "m-1", Step: 1}, {ModelID: "m-1", Step: 2}}, r.ModelOutputs); diff != "" {
			t.Error(diff)
		}
		// In one experiment the first source wins; another experiment has a dataset of its own.
		if got := w.get(t, two.ID).Datasets[0]; got.Dataset.Source != "s1" || got.Tags[0].Value != "eval" {
			t.Errorf("%+v", got)
		}
		if got := w.get(t, other.ID).Datasets[0].Dataset.Source; got != "s5" {
			t.Errorf("source %s", got)
		}
		found := got(w.SearchDatasets(ctx, []string{"0"}))(t)
		want := []track.DatasetSummary{{ExperimentID: "0", Name: "d", Digest: "x1", Context: "eval"}, {ExperimentID: "0", Name: "d", Digest: "x1", Context: "train"}}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
		_, err := w.SearchDatasets(ctx, slices.Repeat([]string{"0"}, 21))
		refuses(t, err, fault.Invalid, "SearchDatasets request cannot specify more than 20 experiment_ids. Received 21 experiment_ids.")
		for want, d := range map[string]track.Dataset{
			"Dataset name cannot be None":                          {Digest: "x"},
			"Dataset digest cannot be None":                        {Name: "x"},
			"'name' exceeds the maximum length of 500 characters":  {Name: strings.Repeat("x", 501), Digest: "x"},
			"'digest' exceeds the maximum length of 36 characters": {Name: "x", Digest: strings.Repeat("x", 37)},
			"'source' exceeds the maximum length of 65535":         {Name: "x", Digest: "x", Source: strings.Repeat("x", 65536)},
		} {
			refuses(t, w.LogInputs(ctx, one.ID, []track.DatasetInput{{Dataset: d}}, nil), fault.Invalid, want)
		}
	})
}

func TestImportedExperimentsKeepTheirTimes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		created, updated := time.Date(2021, 3, 4, 5, 6, 7, 8_000_000, time.UTC), time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
		ours, theirs := w.experiment(t, "ours"), w.experiment(t, "theirs", track.Tag{Key: track.TagImported, Value: "http://old"})
		_, err := w.SetExperimentPast(ctx, ours, created, updated)
		refuses(t, err, fault.Conflict, "experiment ours was made here: its times stay")
		_, err = w.SetExperimentPast(ctx, "99", created, updated)
		refuses(t, err, fault.NotFound, "No Experiment with id=99 exists")
		_, err = w.SetExperimentPast(ctx, theirs, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), updated)
		refuses(t, err, fault.Invalid, "Invalid value 253402300800000 for parameter 'created_at' supplied")
		if e := got(w.SetExperimentPast(ctx, theirs, created, updated))(t); !e.CreatedAt.Equal(created) || !e.UpdatedAt.Equal(updated) {
			t.Errorf("%+v", e)
		}
		must(t, w.DeleteExperiment(ctx, theirs))
		if e := got(w.SetExperimentPast(ctx, theirs, created, time.Time{}))(t); !e.UpdatedAt.Equal(created) || e.Stage != track.StageDeleted {
			t.Errorf("%+v", e)
		}
	})
}
