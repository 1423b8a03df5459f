package transfer

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func TestPostgresAddress(t *testing.T) {
	for given, want := range map[string]string{
		"postgres://alice:secret@db.example/mlflow":                                     "postgresql://db.example:5432/mlflow",
		"postgres://alice@db.example:6432/mlflow?sslmode=disable":                       "postgresql://db.example:6432/mlflow",
		"postgres://alice@[::1]/mlflow?search_path=team":                                "postgresql://[::1]:5432/mlflow?search_path=team",
		"postgres://alice@h/mlflow?options=-csearch_path%3Dteam":                        "postgresql://h:5432/mlflow?search_path=team",
		"postgres://alice@h/mlflow?options=-c%20work_mem%3D1%20-c%20search_path%3Dteam": "postgresql://h:5432/mlflow?search_path=team",
		"postgres://alice@h/mlflow?options=--search_path%3Dteam":                        "postgresql://h:5432/mlflow?search_path=team",
		"postgres:///mlflow?host=/run/postgresql&user=alice":                            "postgresql:///mlflow?host=%2Frun%2Fpostgresql&port=5432",
	} {
		config, err := pgx.ParseConfig(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := postgresAddress(config); got != want {
			t.Errorf("%s is named %s, want %s", given, got, want)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, c := range []struct {
		uri, folder, below string
		ok                 bool
	}{
		{"/a/b/c", "/a/b", "c", true},
		{"/a/b", "/a/b/", "", true},
		{"file:///a/b/c%20d", "/a/b", "c d", true},
		{"/a/bc", "/a/b", "", false},
		{"mlflow-artifacts:/1/r/artifacts/model", "mlflow-artifacts:/1/r/artifacts", "model", true},
		{"s3://bucket/x", "", "", false},
	} {
		if below, ok := under(c.uri, c.folder); below != c.below || ok != c.ok {
			t.Errorf("%s under %s: %q, %v", c.uri, c.folder, below, ok)
		}
	}
}

func TestNumbersAsMLflowWritesThem(t *testing.T) {
	for text, want := range map[string]float64{`1.5`: 1.5, `"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1), `-1e-300`: -1e-300, `"2"`: 2} {
		var n number
		if err := json.Unmarshal([]byte(text), &n); err != nil || math.Float64bits(float64(n)) != math.Float64bits(want) {
			t.Errorf("%s is %v, %v", text, n, err)
		}
		b, err := json.Marshal(n)
		var again number
		if err == nil {
			err = json.Unmarshal(b, &again)
		}
		if err != nil || math.Float64bits(float64(again)) != math.Float64bits(want) {
			t.Errorf("%v written as %s: %v", want, b, err)
		}
	}
	for text, want := range map[string]int64{`7`: 7, `"7"`: 7, `null`: 0, `""`: 0} {
		var n integer
		if err := json.Unmarshal([]byte(text), &n); err != nil || int64(n) != want {
			t.Errorf("%s is %d, %v", text, n, err)
		}
	}
	var n integer
	if err := json.Unmarshal([]byte(`"x"`), &n); err == nil {
		t.Error("x is an integer")
	}
}

// mlruns is a small store of files as MLflow writes one, named as on the machine that it was copied from.
var mlruns = map[string]string{
	"0/meta.yaml":                        "artifact_location: file:///gone/mlruns/0\nexperiment_id: '0'\nlifecycle_stage: active\nname: Default\n",
	"1/meta.yaml":                        "artifact_location: file:///gone/mlruns/1\ncreation_time: 1600000000000\nexperiment_id: '1'\nlast_update_time: 1600000000001\nlifecycle_stage: active\nname: flights\n",
	"1/tags/team":                        "ops",
	"1/r1/meta.yaml":                     "artifact_uri: file:///gone/mlruns/1/r1/artifacts\nend_time: 1600000000900\nexperiment_id: '1'\nlifecycle_stage: active\nrun_id: r1\nrun_name: first\nstart_time: 1600000000100\nstatus: 3\nuser_id: alice\n",
	"1/r1/metrics/loss":                  "1600000000200 1.0 0\n1600000000300 nan 1\n1600000000400 inf 2\n1600000000500 0.25 3\n",
	"1/r1/metrics/deep/auc":              "1600000000200 0.5 0\n",
	"1/r1/params/depth":                  "6",
	"1/r1/tags/a/b":                      "two\nlines",
	"1/r1/artifacts/model/MLmodel":       "flavors: {}\n",
	"1/r1/artifacts/empty":               "",
	"1/r2/meta.yaml":                     "artifact_uri: file:///gone/mlruns/1/r2/artifacts\nexperiment_id: '1'\nlifecycle_stage: deleted\nrun_id: r2\nrun_name: second\nstart_time: 1600000000100\nstatus: 4\nuser_id: alice\n",
	"models/late/meta.yaml":              "creation_timestamp: 1600000001000\ndescription: late or not\nlast_updated_timestamp: 1600000001001\nname: late\n",
	"models/late/aliases/champion":       "2",
	"models/late/tags/tier":              "1",
	"models/late/version-2/meta.yaml":    "creation_timestamp: 1600000002000\ncurrent_stage: Production\nlast_updated_timestamp: 1600000002001\nname: late\nrun_id: r1\nsource: file:///gone/mlruns/1/r1/artifacts/model\nstatus: READY\nuser_id: bob\nversion: 2\n",
	"models/late/version-2/tags/checked": "yes",
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func got[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestCopyOfAFolder takes a folder that was moved into another, twice and after a change.
func TestCopyOfAFolder(t *testing.T) {
	ctx := t.Context()
	from, to := filepath.Join(t.TempDir(), "mlruns"), filepath.Join(t.TempDir(), "mlruns")
	write(t, from, mlruns)
	move := func(o Options) *Report {
		t.Helper()
		source, target := got(OpenFolder(from, ""))(t), got(CreateFolder(to))(t)
		defer source.Close()
		defer target.Close()
		return got(Copy(ctx, source, target, o))(t)
	}
	report := move(Options{})
	want := Counts{Experiments: 1, Runs: 1, Points: 5, Models: 1, Versions: 1, Aliases: 1, Files: 2, Bytes: int64(len("flavors: {}\n"))}
	if diff := cmp.Diff(want, report.Taken); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Left{{"deleted runs", "experiment flights", 1, "--deleted takes them too"}}, report.Left); diff != "" {
		t.Error(diff)
	}

	f := got(OpenFolder(to, ""))(t)
	defer f.Close()
	r := got(f.Run(ctx, "1", "r1"))(t)
	if r.Name != "first" || r.User != "alice" || r.Status != "FINISHED" || r.StartedAt != 1600000000100 || r.EndedAt != 1600000000900 ||
		r.Params["depth"] != "6" || r.Tags["a/b"] != "two\nlines" || r.Tags[TagID] != "r1" || r.Tags[TagFrom] != from || r.Tags[TagDigest] == "" {
		t.Errorf("%+v", r)
	}
	var values []float64
	err := f.History(ctx, r, "loss", func(points []Point) error {
		for _, p := range points {
			values = append(values, p.Value)
		}
		return nil
	})
	if err != nil || len(values) != 4 || values[0] != 1 || !math.IsNaN(values[1]) || !math.IsInf(values[2], 1) || values[3] != 0.25 {
		t.Errorf("loss %v, %v", values, err)
	}
	model := got(f.Models(ctx))(t)[0]
	v := model.Versions[0]
	if model.Description != "late or not" || model.CreatedAt != 1600000001000 || model.Aliases["champion"] != 2 || model.Tags["tier"] != "1" {
		t.Errorf("%+v", model)
	}
	if v.Number != 2 || v.CreatedAt != 1600000002000 || v.UpdatedAt != 1600000002001 || v.User != "bob" || v.Stage != "Production" || v.Tags["checked"] != "yes" {
		t.Errorf("%+v", v)
	}
	place, why := f.Place(v.Source)
	if place == nil {
		t.Fatal(why)
	}
	if files := got(place.List(ctx))(t); len(files) != 1 || files[0].Path != "MLmodel" {
		t.Errorf("the version holds %+v", files)
	}

	if again := move(Options{}); again.Taken != (Counts{}) || again.Present.Runs != 1 || again.Present.Versions != 1 {
		t.Errorf("again: %+v", again)
	}
	write(t, from, map[string]string{"1/r1/tags/later": "yes"})
	if dry := move(Options{DryRun: true, Deleted: true}); dry.Taken.Runs != 2 || dry.Taken.Points != 0 {
		t.Errorf("dry: %+v", dry.Taken)
	}
	if changed := move(Options{Deleted: true}); changed.Taken.Runs != 2 || len(changed.Left) != 0 {
		t.Errorf("changed: %+v, left %+v", changed.Taken, changed.Left)
	}
	if r := got(f.Run(ctx, "1", "r1"))(t); r.Tags["later"] != "yes" {
		t.Errorf("%+v", r.Tags)
	}
	if r := got(f.Run(ctx, "1", "r2"))(t); r.Stage != deleted || r.Status != "FAILED" {
		t.Errorf("%+v", r)
	}
}

func TestOnlyExperimentsThatAreThere(t *testing.T) {
	from := filepath.Join(t.TempDir(), "mlruns")
	write(t, from, mlruns)
	source := got(OpenFolder(from, ""))(t)
	defer source.Close()
	target := got(CreateFolder(filepath.Join(t.TempDir(), "out")))(t)
	defer target.Close()
	_, err := Copy(t.Context(), source, target, Options{Experiments: []string{"Flights"}})
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	report := got(Copy(t.Context(), source, target, Options{Experiments: []string{"Default"}}))(t)
	if want := []Left{{"version", "late v2", 1, elsewhere}}; !slices.Equal(report.Left, want) {
		t.Errorf("left %+v", report.Left)
	}
}

// TestPastIsToldToTrimtab looks at the requests that date what was imported.
func TestPastIsToldToTrimtab(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		asked = append(asked, req.URL.Path+" "+string(body))
		_, _ = io.WriteString(w, `{}`)
	}))
	defer s.Close()
	ctx := context.Background()
	model := Model{Name: "late", CreatedAt: 1600000001000, UpdatedAt: 1600000001001, Versions: []Version{{Number: 2, CreatedAt: 1600000002000, User: "bob"}}}
	for native, want := range map[bool][]string{true: {
		`/api/v1/import/models {"name":"late","versions":[{"created_at":"2020-09-13T12:26:42Z","user":"bob","version":2}]}`,
		`/api/v1/import/models {"created_at":"2020-09-13T12:26:41Z","name":"late","updated_at":"2020-09-13T12:26:41.001Z"}`,
		`/api/v1/import/experiments {"created_at":"2020-09-13T12:26:40Z","id":"7"}`,
	}, false: nil} {
		asked = nil
		target := got(NewServer(s.URL))(t)
		target.native = native
		target.touched.Store("7", true)
		target.touched.Store("8", false) // its user's
		for _, err := range []error{
			target.EndModel(ctx, &model),
			target.EndExperiment(ctx, "7", &Experiment{Stage: active, CreatedAt: 1600000000000}),
			target.EndExperiment(ctx, "8", &Experiment{Stage: active, CreatedAt: 1600000000000}),
			target.EndExperiment(ctx, "9", &Experiment{Stage: active, CreatedAt: 1600000000000}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("native %v: %s", native, diff)
		}
	}
}
