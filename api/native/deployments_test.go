package native_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/api/inference"
	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// half is a model that answers 0.5 to everything.
type half struct{ learn.Model }

func (half) Outputs() int                            { return 1 }
func (half) PredictRow(_ []float32, score []float64) { score[0] = 0.5 }
func (half) Predict(x *table.Matrix, scores []float64) {
	for i := range x.Rows {
		scores[i] = 0.5
	}
}

type oneVersion struct{}

func (oneVersion) LoadPackage(context.Context, string, int) (*serve.Package, error) {
	train := table.New(&table.Column{Name: "temp", Kind: table.Double, Floats: []float64{1, 2}})
	fitted, _, err := recipe.Fit(recipe.Spec{Inputs: []recipe.Input{{Name: "temp", Kind: table.Double}}}, train, []float64{0, 1}, 0)
	return &serve.Package{Model: "m", Version: 1, Fitted: fitted, Learned: half{}, Threshold: 0.5,
		Signature: registry.Signature{Task: "binary", Label: "late", Expr: "arr_delay >= 15", Features: []string{"temp"},
			Inputs: []registry.Input{{Name: "temp", Kind: table.Double, Role: registry.RoleFeature}}}}, err
}

// deploymentDoor is a router over one deployment "d" with a log of its own. Its clock stands at noon of 1 April 2013.
type deploymentDoor struct {
	t *testing.T
	http.Handler
	seen time.Time
}

func newDeploymentDoor(t *testing.T) *deploymentDoor {
	t.Helper()
	dir := t.TempDir()
	noon := time.Date(2013, 4, 1, 12, 0, 0, 0, time.UTC)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := catalog.Open(t.Context(), catalogtest.In(t, dir), serve.Schema, feedback.Schema)
	check(err)
	t.Cleanup(func() { check(db.Close()) })
	blobs, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
	check(err)
	tables, err := duck.Open(duck.Options{Threads: 1, TempDir: filepath.Join(dir, "duck")})
	check(err)
	t.Cleanup(func() { check(tables.Close()) })
	truth, err := feedback.Open(t.Context(), feedback.Config{Dir: filepath.Join(dir, "log"), DB: db, Blobs: blobs, Duck: tables,
		Now: func(string) time.Time { return noon }, Log: slog.New(slog.DiscardHandler)})
	check(err)
	t.Cleanup(func() { check(truth.Close()) })
	serving := serve.New(serve.Config{DB: db, Loader: oneVersion{}, Recorder: truth, Clock: func(string) clock.Clock { return clock.NewReplay(noon) }, Log: slog.New(slog.DiscardHandler)})
	check(serving.Start(t.Context()))
	_, err = serving.Ensure(t.Context(), serve.Deployment{Project: "p", Name: "d", Model: "m"})
	check(err)
	check(serving.SetRoute(t.Context(), nil, "d", serve.Route{Champion: 1}))
	r := route.New(route.Config{})
	d := &deploymentDoor{t: t, Handler: r}
	native.RegisterDeployments(r, serving, truth, func(_ string, at time.Time) { d.seen = at }, func(string) time.Time { return noon }, dir)
	inference.Register(r, serving, inference.Options{})
	return d
}

// call sends a request and decodes the answer into out.
func (d *deploymentDoor) call(method, path, body string, want int, out any) {
	d.t.Helper()
	req := httptest.NewRequest(method, "http://localhost/api/v1/deployments"+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	if w.Code != want {
		d.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
}

func TestOutcomesAreAnsweredItemByItem(t *testing.T) {
	d := newDeploymentDoor(t)
	var answer struct {
		Predictions []struct{ ID string }
	}
	d.call("POST", "/d/predict", `{"rows":[{"temp":1},{"temp":2},{"temp":3}],"keys":["a","b","c"]}`, 200, &answer)
	var got struct {
		Items                                           []feedback.Answer
		Accepted, Pending, Duplicate, Revised, Rejected int
	}
	d.call("POST", "/d/outcomes", `{"outcomes":[
		{"prediction_id":"`+answer.Predictions[0].ID+`","values":{"arr_delay":20},"known_at":"2013-04-02T12:00:00Z"},
		{"key":"b","label":null},
		{"key":"b","label":false},
		{"key":"b","label":0},
		{"key":"c","at":"2013-04-01T12:00:00Z","label":"yes"},
		{"key":"never"  ,"label":1},
		{"label":1}]}`, 200, &got)
	var statuses []string
	for _, a := range got.Items {
		statuses = append(statuses, a.Status)
	}
	if s := strings.Join(statuses, " "); s != "accepted accepted revised duplicate rejected pending rejected" {
		t.Errorf("statuses are %s", s)
	}
	if got.Accepted != 2 || got.Pending != 1 || got.Duplicate != 1 || got.Revised != 1 || got.Rejected != 2 {
		t.Errorf("counts are %+v", got)
	}
	if !d.seen.Equal(time.Date(2013, 4, 2, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("the clock was told %s", d.seen)
	}
	var shown native.Deployment
	d.call("GET", "/d", "", 200, &shown)
	if s := shown.Stats; s.Predictions != 3 || s.Labeled != 2 || s.Pending != 1 || s.DayRequests != 3 || s.Failed != 0 || s.Lost != 0 || s.Revised != 1 {
		t.Errorf("statistics are %+v", s)
	}
	if shown.Versions["1"].Rollout.Requests != 3 || shown.State != "ready" {
		t.Errorf("the deployment is %+v", shown)
	}
	d.call("POST", "/d/outcomes", `{"outcomes":[{"key":"a","label":[1]}]}`, 400, nil)
	d.call("POST", "/d/outcomes", `{"outcomes":[]}`, 400, nil)
	d.call("POST", "/nobody/outcomes", `{"outcomes":[{"key":"a","label":1}]}`, 404, nil)
}

func TestLogAsRowsAndAsParquet(t *testing.T) {
	d := newDeploymentDoor(t)
	d.call("GET", "/d/log.parquet", "", 404, nil)
	d.call("POST", "/d/predict", `{"rows":[{"temp":1.5}],"keys":["a"],"id":"r1"}`, 200, nil)
	d.call("POST", "/d/outcomes", `{"outcomes":[{"key":"a","values":{"arr_delay":20}}]}`, 200, nil)
	var list struct{ Items []native.LogRow }
	d.call("GET", "/d/log?limit=5", "", 200, &list)
	if len(list.Items) != 1 {
		t.Fatalf("the log is %+v", list)
	}
	if r := list.Items[0]; r.Key != "a" || r.Scores[0] != 0.5 || r.Label != "true" || *r.Outcome != 1 || r.Inputs["temp"] != 1.5 || r.Request != "r1" || r.Arm != "champion" {
		t.Errorf("the row is %+v", r)
	}
	req := httptest.NewRequest("GET", "http://localhost/api/v1/deployments/d/log.parquet", nil)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	path := filepath.Join(t.TempDir(), "log.parquet")
	b, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 || !bytes.HasPrefix(b, []byte("PAR1")) {
		t.Fatalf("%d %v", w.Code, err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	tables, err := duck.Open(duck.Options{Threads: 1, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	rows, err := tables.Table(t.Context(), "SELECT key, temp, score, label FROM read_parquet("+duck.Literal(path)+")")
	if err != nil {
		t.Fatal(err)
	}
	if rows.Rows != 1 || rows.Column("temp").Floats[0] != 1.5 || rows.Column("label").Floats[0] != 1 {
		t.Errorf("the file holds %+v", rows)
	}
	d.call("GET", "/nobody/log", "", 404, nil)
	d.call("GET", "/d/log?limit=0", "", 400, nil)
}

func TestDeploymentsAreListedByProject(t *testing.T) {
	d := newDeploymentDoor(t)
	var list struct{ Items []native.Deployment }
	d.call("GET", "", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].Name != "d" {
		t.Errorf("deployments are %+v", list)
	}
	d.call("GET", "?project=other", "", 200, &list)
	if list.Items == nil || len(list.Items) != 0 {
		t.Errorf("deployments of another project are %+v", list)
	}
}
