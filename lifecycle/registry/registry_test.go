package registry_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
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
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// world is a registry with tracking beside it, on a fresh catalog.
type world struct {
	*registry.Service
	runs      *track.Service
	artifacts *track.Artifacts
	deployed  map[string]string // model to deployment
	db        *catalog.DB
	blobs     blob.Store
	events    *govern.Service
}

// each runs a test on both catalogs.
func each(t *testing.T, f func(t *testing.T, ctx context.Context, w *world)) {
	catalogtest.Each(t, []fs.FS{govern.Schema, track.Schema, registry.Schema}, func(t *testing.T, db *catalog.DB) {
		ctx, dir := t.Context(), t.TempDir()
		blobs, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
		must(t, err)
		events := govern.New(db)
		points, err := series.Open(t.Context(), series.Options{Dir: filepath.Join(dir, "series")})
		must(t, err)
		t.Cleanup(func() { _ = points.Close() })
		runs, err := track.New(t.Context(), track.Config{DB: db, Blobs: blobs, Series: points, Events: events, Uploads: filepath.Join(dir, "uploads")})
		must(t, err)
		t.Cleanup(func() { _ = runs.Close(context.Background()) })
		artifacts := runs.Artifacts
		w := &world{runs: runs, artifacts: artifacts, deployed: map[string]string{}, db: db, blobs: blobs, events: events}
		w.Service = registry.New(registry.Config{DB: db, Blobs: blobs, Events: events, Runs: runs, Artifacts: artifacts,
			InUse: func(_ context.Context, model string) (string, error) { return w.deployed[model], nil }})
		f(t, ctx, w)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refuses checks the code of an error and that its text has a part.
func refuses(t *testing.T, err error, code fault.Code, part string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want %s with %q", err, code, part)
	}
}

func (w *world) run(t *testing.T, ctx context.Context) *track.Run {
	t.Helper()
	r, err := w.runs.CreateRun(ctx, track.NewRun{ExperimentID: "0"})
	must(t, err)
	return r
}

// put stores a file below an artifact address.
func (w *world) put(t *testing.T, ctx context.Context, uri, name, content string) {
	t.Helper()
	root := strings.TrimPrefix(uri, "mlflow-artifacts:/")
	_, err := w.artifacts.PutArtifact(ctx, root+"/"+name, strings.NewReader(content), track.Expect{})
	must(t, err)
}

func TestModelsAreNames(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		m, err := w.CreateModel(ctx, registry.NewModel{Name: "iris", Description: "flowers", Tags: []track.Tag{{Key: "team", Value: "a"}}})
		must(t, err)
		if m.Description != "flowers" || m.Tags["team"] != "a" || m.CreatedAt.IsZero() {
			t.Errorf("created %+v", m)
		}
		_, err = w.CreateModel(ctx, registry.NewModel{Name: "iris"})
		refuses(t, err, fault.Conflict, "Registered Model (name=iris) already exists.")
		for name, part := range map[string]string{
			"": "Missing value for required parameter 'name'.", " ": "Missing value", "a/b": "Names cannot contain '/' or ':'", "a:b": "cannot contain", "..": "This name would resolve to '..'",
		} {
			_, err := w.CreateModel(ctx, registry.NewModel{Name: name})
			refuses(t, err, fault.Invalid, part)
		}
		_, err = w.Model(ctx, "zz")
		refuses(t, err, fault.NotFound, "Registered Model with name=zz not found")

		must(t, w.SetModelTag(ctx, "iris", track.Tag{Key: "k", Value: "v"}))
		must(t, w.DeleteModelTag(ctx, "iris", "team"))
		must(t, w.DeleteModelTag(ctx, "iris", "never there"))
		refuses(t, w.SetModelTag(ctx, "iris", track.Tag{Key: "a/../b"}), fault.Invalid, "would resolve to")
		refuses(t, w.SetModelTag(ctx, "iris", track.Tag{Key: "k", Value: strings.Repeat("x", 100_001)}), fault.Invalid, "exceeds the maximum length of 100000")
		if m, err = w.DescribeModel(ctx, "iris", "more flowers"); err != nil || m.Description != "more flowers" || !cmp.Equal(m.Tags, map[string]string{"k": "v"}) {
			t.Errorf("described: %+v, %v", m, err)
		}
		must(t, w.DeleteModel(ctx, "iris"))
		refuses(t, w.DeleteModel(ctx, "iris"), fault.NotFound, "iris")
	})
}

func TestPromptsAndModelsShareNames(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		_, err := w.CreateModel(ctx, registry.NewModel{Name: "p", Tags: []track.Tag{{Key: registry.IsPrompt, Value: "true"}}})
		must(t, err)
		_, err = w.CreateModel(ctx, registry.NewModel{Name: "p"})
		refuses(t, err, fault.Conflict, "Tried to create a registered model with name 'p', but the name is already taken by a prompt.")
		v, err := w.CreateVersion(ctx, registry.NewVersion{Model: "p", Source: "dummy-source"})
		if err != nil || v.Source != "dummy-source" {
			t.Errorf("a version of a prompt: %+v, %v", v, err)
		}
	})
}

func TestRenameTakesEverythingAlong(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "old", 2)
		must(t, w.SetModelAlias(ctx, "old", "champion", 1))
		must(t, w.SetModelAlias(ctx, "old", "champion", 2))
		w.model(t, ctx, "taken", 0)
		_, err := w.RenameModel(ctx, "old", "taken")
		refuses(t, err, fault.Conflict, "Registered Model (name=taken) already exists.")
		m, err := w.RenameModel(ctx, "old", "new")
		must(t, err)
		if m.Name != "new" || m.Aliases["champion"] != 2 || m.Latest.Version != 2 || m.Latest.Model != "new" {
			t.Errorf("renamed: %+v", m)
		}
		moves, err := w.History(ctx, "new")
		if err != nil || len(moves) != 2 {
			t.Errorf("history after the rename: %v, %v", moves, err)
		}
		_, err = w.Model(ctx, "old")
		refuses(t, err, fault.NotFound, "old")
		w.deployed["new"] = "prod"
		_, err = w.RenameModel(ctx, "new", "newer")
		refuses(t, err, fault.Invalid, "deployment prod answers with it")
		refuses(t, w.DeleteModel(ctx, "new"), fault.Invalid, "deployment prod answers with it")
	})
}

// model makes a model with versions whose files lie elsewhere.
func (w *world) model(t *testing.T, ctx context.Context, name string, versions int) {
	t.Helper()
	_, err := w.CreateModel(ctx, registry.NewModel{Name: name})
	must(t, err)
	for range versions {
		_, err := w.CreateVersion(ctx, registry.NewVersion{Model: name, Source: "s3://bucket/" + name})
		must(t, err)
	}
}

func TestAliasesAndTheirHistory(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "m", 3)
		for alias, part := range map[string]string{"": "cannot be empty", "Latest": "is reserved", "v1": "Version alias name 'v1' is reserved.", "a b": "Invalid alias name: 'a b'", strings.Repeat("x", 256): "exceeds the maximum length of 255"} {
			refuses(t, w.SetModelAlias(ctx, "m", alias, 1), fault.Invalid, part)
		}
		refuses(t, w.SetModelAlias(ctx, "m", "prod", 9), fault.NotFound, "Model Version (name=m, version=9) not found")
		must(t, w.SetModelAlias(ctx, "m", "prod", 1))
		between := time.Now()
		must(t, w.SetModelAlias(ctx, "m", "prod", 3))
		v, err := w.ByAlias(ctx, "m", "prod")
		if err != nil || v.Version != 3 || !slices.Equal(v.Aliases, []string{"prod"}) {
			t.Errorf("prod is %+v, %v", v, err)
		}
		if v, err = w.ByAlias(ctx, "m", "LATEST"); err != nil || v.Version != 3 {
			t.Errorf("latest is %+v, %v", v, err)
		}
		_, err = w.ByAlias(ctx, "m", "nobody")
		refuses(t, err, fault.Invalid, "Registered model alias nobody not found.")
		if held, err := w.HeldAt(ctx, "m", "prod", between); err != nil || held != 1 {
			t.Errorf("prod was v%d then, %v; want v1", held, err)
		}
		must(t, w.DeleteModelAlias(ctx, "m", "prod"))
		must(t, w.DeleteModelAlias(ctx, "m", "prod"))
		moves, err := w.History(ctx, "m")
		must(t, err)
		got := [][2]int{}
		for _, m := range moves {
			got = append(got, [2]int{m.From, m.To})
		}
		if want := [][2]int{{3, 0}, {1, 3}, {0, 1}}; !cmp.Equal(got, want) {
			t.Errorf("moves %v, want %v", got, want)
		}
		must(t, w.SetModelAlias(ctx, "m", "champion", 2))
		w.deployed["m"] = "prod"
		refuses(t, w.SetModelAlias(ctx, "m", "champion", 1), fault.Invalid, "follows the traffic of deployment prod")
		refuses(t, w.DeleteVersion(ctx, "m", 2), fault.Invalid, "may answer with it")
	})
}

func TestStagesStillWork(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "m", 3)
		_, err := w.TransitionStage(ctx, "m", 1, "prod", false)
		refuses(t, err, fault.Invalid, "Invalid Model Version stage: prod. Value must be one of None, Staging, Production, Archived.")
		_, err = w.TransitionStage(ctx, "m", 1, "archived", true)
		refuses(t, err, fault.Invalid, "cannot archive existing model versions")
		for version := 1; version <= 2; version++ {
			v, err := w.TransitionStage(ctx, "m", version, "production", version == 2)
			if err != nil || v.Stage != registry.StageProduction {
				t.Errorf("v%d: %+v, %v", version, v, err)
			}
		}
		latest, err := w.LatestVersions(ctx, "m", nil)
		must(t, err)
		got := map[string]int{}
		for _, v := range latest {
			got[v.Stage] = v.Version
		}
		if want := map[string]int{"Archived": 1, "Production": 2, "None": 3}; !cmp.Equal(got, want) {
			t.Errorf("latest by stage: %v, want %v", got, want)
		}
	})
}

func TestDeletedVersionsLeaveTheirNumber(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "m", 2)
		must(t, w.SetModelAlias(ctx, "m", "prod", 2))
		must(t, w.DeleteVersion(ctx, "m", 2))
		_, err := w.Get(ctx, "m", 2)
		refuses(t, err, fault.NotFound, "version=2")
		if aliases, err := w.Aliases(ctx, "m"); err != nil || len(aliases) != 0 {
			t.Errorf("aliases after the deletion: %v, %v", aliases, err)
		}
		v, err := w.CreateVersion(ctx, registry.NewVersion{Model: "m", Source: "s3://b/c"})
		if err != nil || v.Version != 3 {
			t.Errorf("next version %+v, %v; want 3", v, err)
		}
	})
}

// TestSnapshot registers what a run wrote and then takes the run's files away.
func TestSnapshot(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "m", 0)
		run := w.run(t, ctx)
		w.put(t, ctx, run.ArtifactURI, "model/MLmodel", "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {pickled_model: model.pkl}\n")
		w.put(t, ctx, run.ArtifactURI, "model/model.pkl", "not really")
		v, err := w.CreateVersion(ctx, registry.NewVersion{Model: "m", Source: "runs:/" + run.ID + "/model", RunID: run.ID})
		must(t, err)
		if v.Format != "sklearn" || len(v.Files) != 2 || v.RunID != run.ID || v.Stage != registry.StageNone || v.State != registry.Registered {
			t.Errorf("registered %+v", v)
		}
		must(t, w.artifacts.DeleteArtifacts(ctx, strings.TrimPrefix(run.ArtifactURI, "mlflow-artifacts:/")))
		uri, err := w.DownloadURI(ctx, "m", 1)
		if err != nil || uri != "mlflow-artifacts:/versions/"+v.Digest {
			t.Errorf("download from %q, %v", uri, err)
		}
		files, err := w.artifacts.Tree(ctx, strings.TrimPrefix(uri, "mlflow-artifacts:/"))
		if err != nil || len(files) != 2 {
			t.Errorf("files of the version: %v, %v", files, err)
		}
		_, err = w.LoadPackage(ctx, "m", 1)
		refuses(t, err, fault.FormatNotServed, "sklearn")
		again, err := w.CreateVersion(ctx, registry.NewVersion{Model: "m", Source: "models:/m/1"})
		if err != nil || again.Digest != v.Digest || again.RunID != run.ID || again.Source != "models:/m/1" {
			t.Errorf("registered from a version: %+v, %v", again, err)
		}
	})
}

func TestSourcesMustLieWhereTheyBelong(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "m", 0)
		run, other := w.run(t, ctx), w.run(t, ctx)
		tests := []struct {
			name string
			n    registry.NewVersion
			part string // of the refusal; "" = accepted
		}{
			{"object store", registry.NewVersion{Source: "s3://bucket/model"}, ""},
			{"own run", registry.NewVersion{Source: run.ArtifactURI + "/model", RunID: run.ID}, ""},
			{"run of a run", registry.NewVersion{Source: "runs:/" + run.ID + "/model", RunID: run.ID}, ""},
			{"run without its id", registry.NewVersion{Source: "runs:/" + run.ID + "/model"}, "The run_id request parameter must identify"},
			{"another run", registry.NewVersion{Source: "runs:/" + run.ID + "/model", RunID: other.ID}, "The run_id request parameter must identify"},
			{"artifacts of another run", registry.NewVersion{Source: run.ArtifactURI, RunID: other.ID}, "The run_id request parameter must identify"},
			{"artifacts of nobody", registry.NewVersion{Source: run.ArtifactURI}, "The run_id request parameter must identify"},
			{"a run that is not there", registry.NewVersion{Source: run.ArtifactURI, RunID: strings.Repeat("0", 32)}, "The run_id request parameter must identify"},
			{"out of the run", registry.NewVersion{Source: run.ArtifactURI + "/../x", RunID: run.ID}, "without relative path references"},
			{"out of the run, escaped", registry.NewVersion{Source: run.ArtifactURI + "/%252e%252e/x", RunID: run.ID}, "without relative path references"},
			{"the disk", registry.NewVersion{Source: "/etc/passwd"}, "To use a local path"},
			{"the disk by URL", registry.NewVersion{Source: "file:///etc", RunID: run.ID}, "To use a local path"},
			{"a model by id without it", registry.NewVersion{Source: "models:/m-" + strings.Repeat("0", 32)}, "The model_id request parameter must identify"},
			{"a model that is not there", registry.NewVersion{Source: "models:/zz/1"}, "not found"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				tt.n.Model = "m"
				_, err := w.CreateVersion(ctx, tt.n)
				if tt.part == "" {
					must(t, err)
				} else if err == nil || !strings.Contains(err.Error(), tt.part) || fault.Is(err, fault.Internal) {
					t.Errorf("got %v, want %q", err, tt.part)
				}
			})
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		for _, name := range []string{"alpha", "Beta", "gamma"} {
			w.model(t, ctx, name, 2)
		}
		must(t, w.SetModelTag(ctx, "Beta", track.Tag{Key: "team", Value: "x"}))
		must(t, w.SetVersionTag(ctx, "gamma", 1, track.Tag{Key: "ok", Value: "yes"}))
		_, err := w.CreateModel(ctx, registry.NewModel{Name: "prompt", Tags: []track.Tag{{Key: registry.IsPrompt, Value: "true"}}})
		must(t, err)
		models := func(filter string, orders ...string) []string {
			t.Helper()
			found, _, err := w.SearchModels(ctx, track.Search{Filter: filter, OrderBy: orders})
			must(t, err)
			names := []string{}
			for _, m := range found {
				names = append(names, m.Name)
			}
			return names
		}
		for _, tt := range []struct {
			filter, order string
			want          []string
		}{
			{"", "", []string{"Beta", "alpha", "gamma"}},
			{"", "name DESC", []string{"gamma", "alpha", "Beta"}},
			{"name ILIKE 'b%'", "", []string{"Beta"}},
			{"name LIKE 'b%'", "", []string{}},
			{"tags.team = 'x'", "", []string{"Beta"}},
			{"tags.team != 'y'", "", []string{"Beta"}}, // a condition on a tag asks for the tag
			{"tags.`mlflow.prompt.is_prompt` = 'true'", "", []string{"prompt"}},
			{"name != 'alpha' AND tag.`mlflow.prompt.is_prompt` != 'true'", "", []string{"Beta", "gamma"}},
		} {
			orders := []string{}
			if tt.order != "" {
				orders = append(orders, tt.order)
			}
			if got := models(tt.filter, orders...); !slices.Equal(got, tt.want) {
				t.Errorf("%s order %s: %v, want %v", tt.filter, tt.order, got, tt.want)
			}
		}
		_, _, err = w.SearchModels(ctx, track.Search{MaxResults: 1001})
		refuses(t, err, fault.Invalid, "It must be at most 1000, but got value 1001")
		versions, _, err := w.SearchVersions(ctx, track.Search{Filter: "name = 'gamma'", OrderBy: []string{"version_number ASC"}})
		if err != nil || len(versions) != 2 || versions[0].Version != 1 || versions[0].Tags["ok"] != "yes" {
			t.Errorf("versions of gamma: %v, %v", versions, err)
		}
		// Pages of two, until the last.
		seen, token := []string{}, ""
		for range 9 {
			page, next, err := w.SearchVersions(ctx, track.Search{MaxResults: 2, PageToken: token, OrderBy: []string{"name ASC"}})
			must(t, err)
			for _, v := range page {
				seen = append(seen, v.Model)
			}
			if token = next; token == "" {
				break
			}
		}
		if want := []string{"Beta", "Beta", "alpha", "alpha", "gamma", "gamma"}; !slices.Equal(seen, want) {
			t.Errorf("pages gave %v, want %v", seen, want)
		}
	})
}

func TestImportedThingsKeepTheirPast(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		mark := []track.Tag{{Key: track.TagImported, Value: "http://old"}}
		w.model(t, ctx, "ours", 1)
		_, err := w.CreateModel(ctx, registry.NewModel{Name: "theirs", Tags: mark})
		must(t, err)
		_, err = w.CreateVersion(ctx, registry.NewVersion{Model: "theirs", Source: "s3://b/1", Tags: mark})
		must(t, err)
		_, err = w.CreateVersion(ctx, registry.NewVersion{Model: "theirs", Source: "s3://b/2"})
		must(t, err)
		created, updated := time.Date(2021, 3, 4, 5, 6, 7, 8_000_000, time.UTC), time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
		importer := govern.WithActor(ctx, "user:carol")
		past := registry.PastVersion{Version: 1, CreatedAt: created, UpdatedAt: updated, User: "alice"}
		before, err := w.Get(ctx, "theirs", 1)
		must(t, err)
		for range 2 { // again is the same
			m, err := w.SetPast(importer, "theirs", registry.Past{CreatedAt: created, UpdatedAt: updated, Versions: []registry.PastVersion{past}})
			must(t, err)
			if !m.CreatedAt.Equal(created) || !m.UpdatedAt.Equal(updated) {
				t.Errorf("model from %v to %v", m.CreatedAt, m.UpdatedAt)
			}
			v, err := w.Get(ctx, "theirs", 1)
			must(t, err)
			if !v.CreatedAt.Equal(created) || !v.UpdatedAt.Equal(updated) || v.Actor != before.Actor {
				t.Errorf("version %+v", v)
			}
			if diff := cmp.Diff(&registry.Imported{At: before.CreatedAt, By: before.Actor, User: "alice"}, v.Imported); diff != "" {
				t.Error(diff)
			}
		}
		// What people do afterwards is of now.
		must(t, w.SetVersionTag(ctx, "theirs", 1, track.Tag{Key: "k", Value: "v"}))
		v, err := w.Get(ctx, "theirs", 1)
		must(t, err)
		if !v.CreatedAt.Equal(created) || !v.UpdatedAt.After(before.UpdatedAt) || v.Imported.User != "alice" {
			t.Errorf("changed %+v", v)
		}

		for name, refused := range map[string]struct {
			model string
			past  registry.Past
			code  fault.Code
			part  string
		}{
			"a model of ours":       {"ours", registry.Past{CreatedAt: created}, fault.Conflict, "was made here"},
			"a version of ours":     {"theirs", registry.Past{Versions: []registry.PastVersion{{Version: 2, CreatedAt: created}}}, fault.Conflict, "theirs v2 was made here"},
			"no such version":       {"theirs", registry.Past{Versions: []registry.PastVersion{{Version: 9}}}, fault.NotFound, "version=9"},
			"no such model":         {"zz", registry.Past{CreatedAt: created}, fault.NotFound, "zz"},
			"a year of five digits": {"theirs", registry.Past{CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, fault.Invalid, "years 1 to 9999"},
			"a long user":           {"theirs", registry.Past{Versions: []registry.PastVersion{{Version: 1, User: strings.Repeat("u", 257)}}}, fault.Invalid, "more than 256"},
		} {
			_, err := w.SetPast(ctx, refused.model, refused.past)
			t.Run(name, func(t *testing.T) { refuses(t, err, refused.code, refused.part) })
		}
	})
}
