package tfserving_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/inference/tfserving"
)

// TestDocumentedExamples sends the bodies of TensorFlow Serving's page of the REST API (tensorflow_serving/g3doc/api_rest.md) and of its
// README, byte for byte, with the content type that curl -d gives them.
func TestDocumentedExamples(t *testing.T) {
	h := Door(t, tfserving.Register)
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"status", "GET", "/v1/models/half_plus_three", "", 200,
			`{"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}],"name":"half_plus_three","ready":true}`},
		{"predict", "POST", "/v1/models/half_plus_three:predict", `{"instances": [1.0,2.0,5.0]}`, 200, `{"predictions":[3.5,4,5.5]}`},
		{"regress", "POST", "/v1/models/half_plus_three:regress", `{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}`, 200, `{"results":[3.5,4]}`},
		{"half plus two", "POST", "/v1/models/half_plus_two:predict", `{"instances": [1.0, 2.0, 5.0]}`, 200, `{"predictions":[2.5,3,4.5]}`},
		{"half plus two, columns", "POST", "/v1/models/half_plus_two:predict", `{"inputs": [1.0, 2.0, 5.0]}`, 200, `{"outputs":[2.5,3,4.5]}`},
		{"no such model", "POST", "/v1/models/half:predict", `{"instances": [1.0,5.0]}`, 404, `there is no deployment "half"`},
	} {
		status, body := Call(h, tc.method, tc.path, tc.body, "Content-Type: application/x-www-form-urlencoded")
		if status != tc.status {
			t.Errorf("%s: %d %s", tc.name, status, body)
			continue
		}
		if status >= 400 {
			var refused struct{ Error string }
			if err := json.Unmarshal([]byte(body), &refused); err != nil || !strings.Contains(refused.Error, tc.want) {
				t.Errorf("%s: %s", tc.name, body)
			}
			continue
		}
		same(t, tc.name, body, tc.want)
	}
}

func same(t *testing.T, name, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Errorf("%s: %v in %s", name, err, got)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestRequests(t *testing.T) {
	h := Door(t, tfserving.Register)
	for _, tc := range []struct{ name, path, body, want string }{
		{"objects", "binary:predict", `{"instances":[{"temp":7,"dest":"LAX"},{"dest":"BOS","temp":2,"more":[1,2]}]}`, `{"predictions":["true","false"]}`},
		{"lists in the order of the features", "binary:predict", `{"instances":[[7,"LAX"],[2,null]]}`, `{"predictions":["true","false"]}`},
		{"values in lists of one", "binary:predict", `{"instances":[{"temp":[7],"dest":[["LAX"]]}]}`, `{"predictions":["true"]}`},
		{"columns", "binary:predict", `{"inputs":{"dest":["LAX","BOS"],"temp":[7,2]}}`, `{"outputs":["true","false"]}`},
		{"columns of lists of one", "binary:predict", `{"inputs":{"dest":[["LAX"],["BOS"]],"temp":[[7],[2]]}}`, `{"outputs":["true","false"]}`},
		{"columns of one row", "binary:predict", `{"inputs":{"dest":"LAX","temp":7}}`, `{"outputs":["true"]}`},
		{"labels that are whole numbers", "iris:predict", `{"instances":[[1,2],[3,4]]}`, `{"predictions":[0,0]}`},
		{"a matrix as columns", "iris:predict", `{"inputs":[[1,2],[3,4]]}`, `{"outputs":[0,0]}`},
		{"probabilities", "binary:predict", `{"signature_name":"predict_proba","instances":[{"temp":7.5,"dest":"LAX"}]}`, `{"predictions":[[0.25,0.75]]}`},
		{"the default signature by name", "value:predict", `{"signature_name":"serving_default","instances":[{"temp":5,"dest":"LAX"}]}`, `{"predictions":[0.5]}`},
		{"NaN is missing", "binary:predict", `{"instances":[{"temp":7,"dest":NaN}]}`, `{"predictions":["true"]}`},
		{"a text in base64", "binary:predict", `{"instances":[{"temp":7,"dest":{"b64":"TEFY"}}]}`, `{"predictions":["true"]}`},
		{"classify", "binary:classify", `{"context":{"dest":"LAX"},"examples":[{"temp":7.5},{"temp":[2.5]}]}`, `{"results":[[["false",0.25],["true",0.75]],[["false",0.75],["true",0.25]]]}`},
		{"classify, context last", "classes:classify", `{"examples":[{"temp":6}],"context":{"dest":"LAX"}}`, `{"results":[[["a",0.6000000000000001],["b",0.30000000000000004],["c",0.20000000000000004]]]}`},
		{"a version", "two/versions/2:predict", `{"instances":[{"temp":10,"dest":"LAX"}]}`, `{"predictions":[3]}`},
		{"the route's version", "two:predict", `{"instances":[{"temp":10,"dest":"LAX"}]}`, `{"predictions":[1]}`},
		{"a label", "two/labels/stable:predict", `{"instances":[{"temp":10,"dest":"LAX"}]}`, `{"predictions":[1]}`},
		{"a label of the route", "two/labels/next:predict", `{"instances":[{"temp":10,"dest":"LAX"}]}`, `{"predictions":[3]}`},
		{"keys and times", "value:predict", `{"instances":[{"temp":5,"dest":"LAX","trimtab_key":"k","trimtab_at":"2013-04-01T10:00:00Z"}]}`, `{"predictions":[0.5]}`},
		{"tensors as rows", "mean:predict", `{"instances":[[1,2,3],[4,5,6.5]]}`, `{"predictions":[2,5.1666665]}`},
		{"tensors as named rows", "mean:predict", `{"instances":[{"image":[1,2,3]}]}`, `{"predictions":[2]}`},
		{"tensors as a column", "mean:predict", `{"inputs":{"image":[[1,2,3],[3,4,5]]}}`, `{"outputs":[2,4]}`},
		{"bytes", "length:predict", `{"instances":[{"b64":"aW1hZ2UgYnl0ZXM="},{"image_bytes":{"b64":"AAEC"}}]}`, ``},
		{"bytes by name", "length:predict", `{"instances":[{"image_bytes":{"b64":"aW1hZ2UgYnl0ZXM="}},{"image_bytes":{"b64":"AAEC"}}]}`, `{"predictions":[11,3]}`},
		{"bytes alone", "length:predict", `{"instances":[{"b64":"aW1hZ2UgYnl0ZXM="},{"b64":"AAEC"}]}`, `{"predictions":[11,3]}`},
		{"several outputs as rows", "simple:predict", `{"instances":[{"INPUT0":` + Rows("2", 16) + `,"INPUT1":` + Rows("1", 16) + `}]}`,
			`{"predictions":[{"OUTPUT0":` + Rows("3", 16) + `,"OUTPUT1":` + Rows("1", 16) + `}]}`},
		{"several outputs as columns", "simple:predict", `{"inputs":{"INPUT0":[` + Rows("2", 16) + `],"INPUT1":[` + Rows("1", 16) + `]}}`,
			`{"outputs":{"OUTPUT0":[` + Rows("3", 16) + `],"OUTPUT1":[` + Rows("1", 16) + `]}}`},
	} {
		status, body := Call(h, "POST", "/v1/models/"+tc.path, tc.body)
		if tc.want == "" {
			if status != 400 {
				t.Errorf("%s: %d %s", tc.name, status, body)
			}
			continue
		}
		if status != 200 {
			t.Errorf("%s: %d %s", tc.name, status, body)
			continue
		}
		same(t, tc.name, body, tc.want)
	}
}

func TestFaultsNameWhatIsWrong(t *testing.T) {
	h := Door(t, tfserving.Register)
	for _, tc := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"binary:predict", ``, 400, "expected '{'"},
		{"binary:predict", `{}`, 400, "neither instances nor inputs"},
		{"binary:predict", `{"instances":[]}`, 400, "no rows"},
		{"binary:predict", `{"instances":1}`, 400, "a list of rows"},
		{"binary:predict", `{"instances":[1],"inputs":[1]}`, 400, "instances and inputs"},
		{"binary:predict", `{"instances":[{"temp":"7","dest":"LAX"}]}`, 400, `row 0, column "temp": expected a number, got the text "7"`},
		{"binary:predict", `{"instances":[[1,"LAX"],["x","LAX"]]}`, 400, `row 1, column "temp": expected a number, got the text "x"`},
		{"binary:predict", `{"instances":[[1,"LAX"],[1]]}`, 400, `row 1: a list of 1 values, and 2 in those before it`},
		{"binary:predict", `{"instances":[[1,2,3]]}`, 400, `a row has 3 values; the model has 2 features`},
		{"binary:predict", `{"instances":[{"temp":[1,2],"dest":"LAX"}]}`, 400, `row 0, column "temp": expected a number, got an array`},
		{"binary:predict", `{"instances":[{"temp":1},[1]]}`, 400, "row 1 is no object"},
		{"binary:predict", `{"instances":[[1,"a"],{"temp":1}]}`, 400, "row 1 is an object"},
		{"binary:predict", `{"instances":[{"temp":Infinity}]}`, 400, `row 0, column "temp"`},
		{"binary:predict", `{"inputs":{"temp":[1,2],"dest":["a"]}}`, 400, `has 1 rows, "temp" has 2`},
		{"binary:predict", `{"inputs":{"temp":[1],"temp":[1]}}`, 400, "twice"},
		{"binary:predict", `{"instances":[{"dest":{"b64":"!"}}]}`, 400, "not base64"},
		{"binary:predict", `{"instances":[{"temp":1}],"signature_name":"other"}`, 400, `Serving signature name: "other" not found`},
		{"binary:predict", `{"instances":` + strings.Repeat("[", 70) + `}`, 400, "nested deeper"},
		{"binary:predict", `{"instances":` + Rows(`{"temp":1}`, 10001) + `}`, 413, "more than 10000 rows"},
		{"binary:regress", `{"examples":[{"temp":1}]}`, 400, "no regression"},
		{"value:classify", `{"examples":[{"temp":1}]}`, 400, "does not classify"},
		{"value:explain", `{"instances":[{"temp":1,"dest":"LAX"}]}`, 400, "cannot explain"},
		{"value:classify", `{}`, 400, "no examples"},
		{"value:sing", `{}`, 400, "no method"},
		{"value", `{}`, 400, "no method"},
		{"value/versions/9:predict", `{"instances":[{"temp":1}]}`, 404, "no version 9"},
		{"value/versions/x:predict", `{"instances":[{"temp":1}]}`, 404, `no version "x"`},
		{"value/labels/new:predict", `{"instances":[{"temp":1}]}`, 404, `no version "new"`},
		{"empty:predict", `{"instances":[{"temp":1}]}`, 503, "no version yet"},
		{"mean:predict", `{"instances":[[1,2],["x",2]]}`, 400, `row 1, column "image": expected FP32, got the text "x"`},
		{"simple:predict", `{"instances":[[1,2,3]]}`, 400, "the rows do not name them"},
		{"simple:predict", `{"instances":[{"INPUT0":[1]},{"INPUT1":[1]}]}`, 400, `a row before it has not`},
		{"simple:predict", `{"instances":[{"INPUT0":[1.5],"INPUT1":[1]}]}`, 400, `row 0, column "INPUT0": expected INT32, got the number 1.5`},
	} {
		status, body := Call(h, "POST", "/v1/models/"+tc.path, tc.body)
		var refused struct{ Error string }
		if err := json.Unmarshal([]byte(body), &refused); err != nil || status != tc.status || !strings.Contains(refused.Error, tc.want) {
			t.Errorf("%s %.60s: %d %.200s, want %d %s", tc.path, tc.body, status, body, tc.status, tc.want)
		}
	}
	if status, body := Call(h, "POST", "/v1/models/value/metadata", "{}"); status != http.StatusMethodNotAllowed || !strings.HasPrefix(body, `{"error":`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestBelowADeployment(t *testing.T) {
	h := Door(t, tfserving.Register)
	status, body := Call(h, "POST", "/d/half_plus_two/v1/models/any-name:predict", `{"instances":[1]}`)
	if status != 200 || body != "{\"predictions\":[2.5]}\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := Call(h, "POST", "/d/nobody/v1/models/x:predict", `{"instances":[1]}`); status != 404 || !strings.HasPrefix(body, `{"error":"there is no deployment`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := Call(h, "GET", "/d/nobody/v1/nothing", ""); status != 404 || !strings.HasPrefix(body, `{"error":`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestExplain(t *testing.T) {
	h := Door(t, tfserving.Register)
	status, body := Call(h, "POST", "/v1/models/trees:explain", `{"instances":[{"temp":7,"dest":"LAX"}]}`)
	if status != 200 || !strings.HasPrefix(body, `{"explanations":[{"unit":"log_odds","expected":[`) || !strings.Contains(body, `"contributions":{"temp":[`) || !strings.HasSuffix(body, "],\"predictions\":[\"true\"]}\n") {
		t.Errorf("%d %s", status, body)
	}
}

func TestMetadata(t *testing.T) {
	h := Door(t, tfserving.Register)
	for path, want := range map[string][]string{
		"binary/metadata":             {`"name": "binary"`, `"DT_STRING"`, `"predict_proba"`, `"tensorflow/serving/classify"`},
		"value/versions/1/metadata":   {`"version": "1"`, `"tensorflow/serving/regress"`},
		"value/labels/stable":         {`"state": "AVAILABLE"`},
		"simple/metadata":             {`"DT_INT32"`, `"size": "16"`},
		"two":                         {`"version": "2"`},
		"empty":                       {`"ready": false`},
		"two/versions/1":              {`"version": "1"`},
		"iris/labels/stable/metadata": {`"DT_INT64"`},
	} {
		status, body := Call(h, "GET", "/v1/models/"+path, "")
		for _, text := range want {
			if status != 200 || !strings.Contains(body, text) {
				t.Errorf("%s: %d %s, want %s", path, status, body, text)
			}
		}
	}
	if _, body := Call(h, "GET", "/v1/models", ""); !strings.Contains(body, `"half_plus_two"`) {
		t.Error(body)
	}
	if status, body := Call(h, "GET", "/v1/models/value/labels/new", ""); status != 404 {
		t.Errorf("%d %s", status, body)
	}
}

// TestWhatIsLogged: keys, times and ids are those of every dialect.
func TestWhatIsLogged(t *testing.T) {
	log := &Log{}
	h := Logged(t, tfserving.Register, log)
	w := Answer(h, "POST", "/v1/models/value:predict", `{"inputs":{"temp":[5,6],"dest":["LAX","BOS"],"trimtab_key":["k1","k2"],"trimtab_at":["2013-04-01T10:00:00Z","2013-04-01T11:00:00Z"]}}`, "X-Request-Id: r7")
	recs := log.Take()
	if w.Code != 200 || len(recs) != 2 || recs[0].Key != "k1" || recs[1].Key != "k2" || recs[1].At-recs[0].At != 3600e6 || recs[0].Request != "r7" {
		t.Fatalf("%d %s %+v", w.Code, w.Body, recs)
	}
	if got := w.Header().Get("Trimtab-Prediction-Id"); got != recs[0].ID+","+recs[1].ID || w.Header().Get("Trimtab-Version") != "1" {
		t.Errorf("headers %v", w.Header())
	}
}

func FuzzPredict(f *testing.F) {
	h := Door(f, tfserving.Register)
	for _, body := range []string{
		`{"instances":[{"temp":7,"dest":"LAX"}]}`, `{"instances":[[7,"LAX"],[2,null]]}`, `{"inputs":{"dest":[["LAX"]],"temp":[[7]]}}`, `{"inputs":[[1,2],[3,4]]}`,
		`{"signature_name":"predict_proba","instances":[{"temp":NaN,"dest":{"b64":"TEFY"}}]}`, `{"instances":[{"features":[1,2]}]}`, `{"examples":[{"x":[1]}],"context":{"y":1}}`,
	} {
		f.Add("binary", "predict", body)
		f.Add("mean", "predict", body)
		f.Add("classes", "classify", body)
	}
	f.Fuzz(func(t *testing.T, model, verb, body string) {
		for _, c := range model + verb {
			if (c < 'a' || c > 'z') && c != '_' {
				return
			}
		}
		if status, answer := Call(h, "POST", "/v1/models/"+model+":"+verb, body); status >= 500 && status != 503 {
			t.Errorf("%d %s", status, answer)
		}
	})
}
