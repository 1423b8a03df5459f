package inference_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/api/inference"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// model answers the first feature divided by 10 for each of its outputs.
type model struct {
	learn.Model
	outputs int
}

func (m model) Kind() string  { return "tenths" }
func (m model) Features() int { return 2 }
func (m model) Outputs() int  { return m.outputs }
func (m model) PredictRow(x []float32, dst []float64) {
	for k := range dst {
		dst[k] = float64(x[0]) / 10 / float64(k+1)
	}
}

func (m model) Predict(x *table.Matrix, dst []float64) {
	for i := range x.Rows {
		m.PredictRow(x.Row(i), dst[i*m.outputs:(i+1)*m.outputs])
	}
}

// stump is 3/4 of the training rows at a temp of 5 or less and a margin of -1/2, and the rest at 3/2.
func stump() learn.Model {
	t := tree.Tree{}
	t.Add(0, 5, true, 0, 1, 4)
	t.Left[0], t.Right[0] = t.Add(tree.Leaf, 0, false, -1, 0, 3), t.Add(tree.Leaf, 0, false, 1, 0, 1)
	m, err := tree.NewModel("gbdt", learn.Binary, tree.Ensemble{Features: 2, Base: []float64{0.5}, Trees: []tree.Tree{t}, Link: tree.Logistic, Scale: 1, Single: true})
	if err != nil {
		panic(err)
	}
	return m
}

// loader makes version 1 binary, 2 multiclass, 3 a regression and 4 a binary one of trees.
type loader struct{}

func (loader) LoadPackage(_ context.Context, name string, version int) (*serve.Package, error) {
	train := table.New(&table.Column{Name: "temp", Kind: table.Double, Floats: []float64{1, 2}}, &table.Column{Name: "dest", Kind: table.String, Strings: []string{"BOS", "LAX"}})
	fitted, _, err := recipe.Fit(recipe.Spec{Inputs: []recipe.Input{{Name: "temp", Kind: table.Double}, {Name: "dest", Kind: table.String}}}, train, []float64{0, 1}, 0)
	if err != nil {
		return nil, err
	}
	sig := registry.Signature{Task: "binary", Label: "late", Features: []string{"temp", "dest"}, Inputs: []registry.Input{
		{Name: "temp", Kind: table.Double, Role: registry.RoleFeature},
		{Name: "dest", Kind: table.String, Role: registry.RoleFeature, Categories: []string{"BOS", "LAX"}},
		{Name: "night", Kind: table.Boolean, Role: registry.RoleContext},
		{Name: "when", Kind: table.Datetime, Role: registry.RoleContext},
	}}
	outputs := 1
	switch version {
	case 2:
		sig.Task, sig.Classes, outputs = "multiclass", []string{"a", "b", "c"}, 3
	case 3:
		sig.Task = "regression"
	}
	p := &serve.Package{Model: name, Version: version, Signature: sig, Fitted: fitted, Learned: model{outputs: outputs}, Threshold: 0.5}
	if version == 4 {
		p.Learned = stump()
	}
	return p, nil
}

type recorder struct{ recs []serve.Prediction }

func (r *recorder) Record(_ context.Context, _ string, recs []serve.Prediction) error {
	r.recs = append(r.recs, recs...)
	return nil
}

// discard keeps nothing, for benchmarks.
type discard struct{}

func (discard) Record(context.Context, string, []serve.Prediction) error { return nil }

func door(t testing.TB, log serve.Recorder) http.Handler {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), serve.Schema)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s := serve.New(serve.Config{DB: db, Loader: loader{}, Recorder: log, Clock: func(string) clock.Clock { return clock.Wall{} }, Log: slog.New(slog.DiscardHandler)})
	must(t, s.Start(t.Context()))
	for i, name := range []string{"binary", "classes", "value", "trees", "empty"} {
		_, err := s.Ensure(t.Context(), serve.Deployment{Project: "p", Name: name, Model: "m"})
		must(t, err)
		if name != "empty" {
			must(t, s.SetRoute(t.Context(), nil, name, serve.Route{Champion: i + 1}))
		}
	}
	r := route.New(route.Config{})
	inference.Register(r, s, inference.Options{Version: "1.2.3"})
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func call(h http.Handler, method, path, body string) (int, string) {
	req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

const predictPath = "/api/v1/deployments/binary/predict"

func TestRowForm(t *testing.T) {
	log := &recorder{}
	h := door(t, log)
	status, body := call(h, "POST", predictPath, `{"id":"r1","rows":[{"temp":7.5,"dest":"LAX","night":true,"when":"2013-04-01T10:00:00Z"},{"temp":2,"dest":"S\u0046O \"x\"","extra":{"a":[1]}}],"keys":["k\n1",null],"at":"2013-04-01 10:00:00"}`)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	var got struct {
		Predictions []struct {
			ID      string
			Version int
			Arm     string
			Key     string
			At      time.Time
			Score   float64
			Label   string
			Flags   map[string][]string
		}
	}
	must(t, json.Unmarshal([]byte(body), &got))
	p := got.Predictions
	if len(p) != 2 || p[0].Score != 0.75 || p[0].Label != "true" || p[0].Key != "k\n1" || p[0].Version != 1 || p[0].Arm != "champion" || !id.Valid(p[0].ID) || p[0].Flags != nil {
		t.Errorf("answers %+v", p)
	}
	if p[1].Label != "false" || p[1].Key != "" || p[1].Flags["unseen"][0] != "dest" || len(p[1].Flags["missing"]) != 2 || !p[1].At.Equal(time.Date(2013, 4, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("second answer %+v", p[1])
	}
	if len(log.recs) != 2 || log.recs[1].Inputs[1].S != `SFO "x"` || log.recs[0].Request != "r1" || log.recs[1].Key != p[1].ID {
		t.Errorf("recorded %+v", log.recs)
	}
}

func TestRowFormFaults(t *testing.T) {
	h := door(t, &recorder{})
	for _, tc := range []struct {
		body   string
		status int
		want   string
	}{
		{``, 400, "expected '{' at byte 0, found the end"},
		{`[]`, 400, "expected '{'"},
		{`{}`, 400, "has no rows"},
		{`{"rows":[]}`, 400, "has no rows"},
		{`{"rows":[{"temp":1}]`, 400, "found the end"},
		{`{"rows":[{"temp":1}]} x`, 400, "something follows the request"},
		{`{"rows":[{"temp":1,}]}`, 400, "expected a name in quotes"},
		{`{"rows":[{"temp":01}]}`, 400, "expected a value"},
		{`{"rows":[{"temp":NaN}]}`, 400, "expected a value"},
		{`{"rows":[{"temp":1e999}]}`, 400, "out of range"},
		{`{"rows":[{"temp":"7"}]}`, 400, `row 0, column \"temp\": expected a number, got the text \"7\"`},
		{`{"rows":[{"temp":1,"dest":"` + "\xff" + `"}]}`, 400, "not UTF-8"},
		{`{"rows":[{"temp":1,"dest":"a` + "\x01" + `"}]}`, 400, "control character"},
		{`{"rows":[{"temp":1,"dest":"\ud800"}]}`, 400, "surrogate"},
		{`{"rows":[{"temp":1}],"row":1}`, 400, `no field \"row\"`},
		{`{"rows":[{"temp":1}],"rows":[]}`, 400, "rows twice"},
		{`{"rows":[{"temp":1}],"at":"soon"}`, 400, "at is a time"},
		{`{"rows":[{"temp":1}],"keys":["a","b"]}`, 400, "1 rows and 2 keys"},
		{`{"rows":[{"temp":1}],"version":9}`, 404, "no version 9"},
		{`{"rows":[{"temp":` + strings.Repeat("[", 100) + `]}`, 400, "nested deeper"},
		{`{"rows":[` + strings.Repeat("{},", 10000) + `{}]}`, 413, "more than 10000 rows"},
		{`{"rows":["` + strings.Repeat("x", 8<<20) + `"]}`, 413, "bytes"},
	} {
		status, body := call(h, "POST", predictPath, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%.60s: %d %.200s, want %d %s", tc.body, status, body, tc.status, tc.want)
		}
		if !json.Valid([]byte(body)) {
			t.Errorf("%.60s: the answer is not JSON: %s", tc.body, body)
		}
	}
	if status, _ := call(h, "POST", "/api/v1/deployments/nobody/predict", `{"rows":[{"temp":1}]}`); status != 404 {
		t.Errorf("unknown deployment: %d", status)
	}
	if status, _ := call(h, "POST", "/api/v1/deployments/empty/predict", `{"rows":[{"temp":1}]}`); status != 503 {
		t.Errorf("deployment without a version: %d", status)
	}
}

func TestOpenInferenceProtocol(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		want                     string // the answer, with ids replaced by ID
	}{
		{"server", "GET", "/v2", "", 200, `{"name":"trimtab","version":"1.2.3","extensions":["binary_tensor_data","classification","model_configuration","model_repository","parameters","schedule_policy","statistics"]}`},
		{"live", "GET", "/v2/health/live", "", 200, `{"live":true}`},
		{"ready", "GET", "/v2/health/ready", "", 200, `{"ready":true}`},
		{"model", "GET", "/v2/models/binary", "", 200,
			`{"name":"binary","versions":["1"],"platform":"trimtab","inputs":[{"name":"temp","datatype":"FP64","shape":[-1]},{"name":"dest","datatype":"BYTES","shape":[-1]},{"name":"night","datatype":"BOOL","shape":[-1]},{"name":"when","datatype":"BYTES","shape":[-1],"parameters":{"content_type":"datetime"}}],"outputs":[{"name":"probabilities","datatype":"FP64","shape":[-1,2]},{"name":"label","datatype":"BYTES","shape":[-1]},{"name":"prediction_id","datatype":"BYTES","shape":[-1]},{"name":"version","datatype":"INT64","shape":[-1]},{"name":"arm","datatype":"BYTES","shape":[-1]}]}`},
		{"model version", "GET", "/v2/models/value/versions/3/ready", "", 200, `{"name":"value","ready":true}`},
		{"model ready", "GET", "/v2/models/binary/ready", "", 200, `{"name":"binary","ready":true}`},
		{"model not ready", "GET", "/v2/models/empty/ready", "", 400, `{"error":"empty is not ready: empty has no version yet; a version is released when its gate holds: trimtab models show m"}`},
		{"unknown model", "GET", "/v2/models/nobody", "", 404, `{"error":"there is no deployment \"nobody\"; deployments are binary, classes, empty, trees, value"}`},
		{"unknown version", "GET", "/v2/models/binary/versions/7", "", 404, `{"error":"binary has no version 7 loaded; loaded versions are 1"}`},
		{"no version", "GET", "/v2/models/binary/versions/x", "", 404, `{"error":"binary has no version \"x\"; versions are 1, 2, 3, …"}`},
		{"infer", "POST", "/v2/models/binary/infer", `{"id":"42","inputs":[{"name":"temp","shape":[2],"datatype":"FP64","data":[7.5,2]},{"name":"dest","shape":[2,1],"datatype":"BYTES","data":[["LAX"],["BOS"]]}]}`, 200,
			`{"model_name":"binary","model_version":"1","id":"42","outputs":[{"name":"probabilities","shape":[2,2],"datatype":"FP64","data":[0.25,0.75,0.8,0.2]},{"name":"label","shape":[2],"datatype":"BYTES","data":["true","false"]},{"name":"prediction_id","shape":[2],"datatype":"BYTES","data":["ID","ID"]},{"name":"version","shape":[2],"datatype":"INT64","data":[1,1]}]}`},
		{"a version", "POST", "/v2/models/value/versions/3/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"INT32","data":[5]}],"outputs":[{"name":"variable","parameters":{"binary_data":false}},{"name":"arm"}]}`, 200,
			`{"model_name":"value","model_version":"3","outputs":[{"name":"variable","shape":[1,1],"datatype":"FP64","data":[0.5]},{"name":"arm","shape":[1],"datatype":"BYTES","data":["champion"]}]}`},
		{"classes", "POST", "/v2/models/classes/infer", `{"inputs":[{"data":[6],"parameters":{"content_type":"np"},"datatype":"FP32","shape":[1],"name":"temp"}],"outputs":[{"name":"probabilities"},{"name":"label"}]}`, 200,
			`{"model_name":"classes","model_version":"2","outputs":[{"name":"probabilities","shape":[1,3],"datatype":"FP64","data":[0.6,0.3,0.19999999999999998]},{"name":"label","shape":[1],"datatype":"BYTES","data":["a"]}]}`},
		{"null is missing", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[5]},{"name":"dest","shape":[1],"datatype":"BYTES","data":[null]}],"outputs":[{"name":"label"}]}`, 200,
			`{"model_name":"binary","model_version":"1","outputs":[{"name":"label","shape":[1],"datatype":"BYTES","data":["true"]}]}`},
		{"no inputs", "POST", "/v2/models/binary/infer", `{"inputs":[]}`, 400, `has no inputs`},
		{"lengths differ", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[1]},{"name":"dest","shape":[2],"datatype":"BYTES","data":["a","b"]}]}`, 400, `has 2 rows, \"temp\" has 1`},
		{"too few elements", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[2],"datatype":"FP64","data":[1]}]}`, 400, `1 elements; its shape says 2`},
		{"too many elements", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[1,2]}]}`, 400, `more elements than its shape says`},
		{"a matrix", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1,2],"datatype":"FP64","data":[1,2]}]}`, 400, `has 2 values per row; it is one column; shapes are [1] or [1, 1]`},
		{"a huge shape", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[2000000000,2000000000],"datatype":"FP64","data":[1]}]}`, 400, `more elements than the request can hold`},
		{"an unknown datatype", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP8","data":[1]}]}`, 400, `\"FP8\", which is none of the protocol's`},
		{"a value of another datatype", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":["1"]}]}`, 400, `element 0 of \"temp\" is no FP64: row 0 has the text \"1\"`},
		{"an overflow", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"INT8","data":[128]}]}`, 400, `is no INT8`},
		{"a wrong input", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"BYTES","data":["1"]}]}`, 400, `row 0, column \"temp\": expected a number`},
		{"an unknown output", "POST", "/v2/models/binary/infer", `{"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[1]}],"outputs":[{"name":"y"}]}`, 400, `there is no output \"y\"; outputs are probabilities, label`},
		{"not JSON", "POST", "/v2/models/binary/infer", `x`, 400, `{"error":"the body is no valid request`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := &recorder{}
			status, body := call(door(t, log), tc.method, tc.path, tc.body)
			for _, p := range log.recs {
				body = strings.ReplaceAll(body, p.ID, "ID")
			}
			if status != tc.status || !strings.Contains(body, tc.want) || status == 200 && body != tc.want+"\n" {
				t.Errorf("%d %s\nwant %d %s", status, body, tc.status, tc.want)
			}
			if !json.Valid([]byte(body)) {
				t.Error("the answer is not JSON")
			}
		})
	}
}

func TestEveryDatatype(t *testing.T) {
	h := door(t, &recorder{})
	for datatype, data := range map[string]string{"INT8": "-7", "INT16": "7", "INT32": "7", "INT64": "7", "UINT8": "7", "UINT16": "7", "UINT32": "7", "UINT64": "7", "FP16": "7.5", "BF16": "7.5", "FP32": "7.5", "FP64": "7.5"} {
		status, body := call(h, "POST", "/v2/models/binary/infer", fmt.Sprintf(`{"inputs":[{"name":"temp","shape":[1],"datatype":%q,"data":[%s]},{"name":"night","shape":[1],"datatype":"BOOL","data":[true]}]}`, datatype, data))
		if status != 200 {
			t.Errorf("%s: %d %s", datatype, status, body)
		}
	}
}

func TestKeyAndTime(t *testing.T) {
	log := &recorder{}
	h := door(t, log)
	at := time.Date(2013, 4, 1, 10, 0, 0, 0, time.UTC).UnixMicro()
	status, body := call(h, "POST", "/v2/models/binary/infer", `{"parameters":{"key":"k1","at":"2013-04-01T10:00:00Z","other":1},"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[1]}]}`)
	if status != 200 || log.recs[0].Key != "k1" || log.recs[0].At != at {
		t.Errorf("%d %s %+v", status, body, log.recs)
	}
	status, body = call(h, "POST", "/v2/models/binary/infer", fmt.Sprintf(`{"inputs":[{"name":"temp","shape":[2],"datatype":"FP64","data":[1,2]},{"name":"trimtab_key","shape":[2],"datatype":"BYTES","data":["a",null]},{"name":"trimtab_at","shape":[2],"datatype":"INT64","data":[%d,%d]}]}`, at, at+1))
	if status != 200 || log.recs[1].Key != "a" || log.recs[2].Key != log.recs[2].ID || log.recs[2].At != at+1 {
		t.Errorf("%d %s %+v", status, body, log.recs)
	}
}

// An answer is explained when the request asks for it, and refused when the model cannot be.
func TestExplain(t *testing.T) {
	const (
		rows  = `{"predictions":[{"id":"ID","version":4,"arm":"champion","at":"2013-04-01T10:00:00Z","score":0.8175744761936437,"label":"true","flags":{"missing":["night","when"]},"explanation":{"unit":"log_odds","expected":[0],"margin":[1.5],"contributions":{"temp":[1.5],"dest":[0]}}}]}`
		infer = `{"model_name":"trees","model_version":"4","outputs":[{"name":"label","shape":[2],"datatype":"BYTES","data":["true","false"]},{"name":"expected_value","shape":[2,1],"datatype":"FP64","data":[0,0]},{"name":"contributions","shape":[2,1,2],"datatype":"FP64","data":[1.5,0,-0.5,0]},{"name":"contribution_features","shape":[2],"datatype":"BYTES","data":["temp","dest"]}]}`
	)
	for _, tc := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"rows", "/api/v1/deployments/trees/predict", `{"explain":true,"rows":[{"temp":7.5,"dest":"LAX"}],"at":"2013-04-01T10:00:00Z"}`, 200, rows + "\n"},
		{"not asked", "/api/v1/deployments/trees/predict", `{"explain":false,"rows":[{"temp":7.5,"dest":"LAX"}],"at":"2013-04-01T10:00:00Z"}`, 200, strings.Replace(rows, `,"explanation":{"unit":"log_odds","expected":[0],"margin":[1.5],"contributions":{"temp":[1.5],"dest":[0]}}`, "", 1) + "\n"},
		{"another model", predictPath, `{"explain":true,"rows":[{"temp":7.5}]}`, 400, "m v1 cannot explain its predictions"},
		{"not a flag", predictPath, `{"explain":1,"rows":[{"temp":7.5}]}`, 400, "explain is true or false"},
		{"too many", "/api/v1/deployments/trees/predict", `{"explain":true,"rows":[` + strings.Repeat(`{"temp":1},`, 1000) + `{"temp":1}]}`, 413, "explains at most 1000 at once"},
		{"infer", "/v2/models/trees/infer", `{"parameters":{"explain":true},"inputs":[{"name":"temp","shape":[2],"datatype":"FP64","data":[7.5,2]},{"name":"dest","shape":[2],"datatype":"BYTES","data":["LAX","BOS"]}],"outputs":[{"name":"label"}]}`, 200, infer + "\n"},
		{"infer another", "/v2/models/classes/infer", `{"parameters":{"explain":true},"inputs":[{"name":"temp","shape":[1],"datatype":"FP64","data":[1]}]}`, 400, "m v2 cannot explain its predictions"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := &recorder{}
			status, body := call(door(t, log), "POST", tc.path, tc.body)
			for _, p := range log.recs {
				body = strings.ReplaceAll(body, p.ID, "ID")
			}
			if status != tc.status || !strings.Contains(body, tc.want) || status == 200 && body != tc.want {
				t.Errorf("%d %s\nwant %d %s", status, body, tc.status, tc.want)
			}
			if status != 200 && len(log.recs) > 0 {
				t.Error("a refused request was recorded")
			}
		})
	}
}

// Whatever is sent, the answer is JSON, and an accepted body is JSON too.
func fuzz(f *testing.F, path string) {
	h := door(f, discard{})
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest("POST", "http://localhost"+path, bytes.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is not JSON: %s", w.Body)
		}
		if w.Code == 200 && !json.Valid(body) {
			t.Errorf("a body that is not JSON was accepted: %q", body)
		}
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte(`{"id":"r1","rows":[{"temp":7.5,"dest":"LAX","night":true,"when":"2013-04-01T10:00:00Z"},{"temp":-2e3,"dest":"\u0046\ud83d\ude00","x":{"a":[1]}}],"keys":["k",null],"at":[1,"2013-04-01"]}`))
	f.Add([]byte(`{"rows":[{"temp":0.1}],"version":1,"explain":true}`))
	fuzz(f, predictPath)
}

func FuzzInfer(f *testing.F) {
	f.Add([]byte(`{"id":"42","parameters":{"key":"a"},"inputs":[{"name":"temp","shape":[2],"datatype":"FP64","data":[7.5,2]},{"data":[["LAX"],[null]],"name":"dest","shape":[2,1],"datatype":"BYTES"}],"outputs":[{"name":"label"}]}`))
	fuzz(f, "/v2/models/binary/infer")
}

func BenchmarkRowForm(b *testing.B) {
	h := door(b, discard{})
	body := []byte(`{"rows":[{"temp":7.5,"dest":"LAX","night":true,"when":"2013-04-01T10:00:00Z"}],"keys":["k1"],"at":"2013-04-01T10:00:00Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("POST", "http://localhost"+predictPath, bytes.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
