package scoring_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"

	. "github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/inference/scoring"
)

const isJSON = "Content-Type: application/json"

// TestForms asks in every form of MLflow's scoring server (docs: "Deploy MLflow models", request formats) and of SageMaker's common data
// formats, at the root, where the default deployment answers, and below a deployment.
func TestForms(t *testing.T) {
	h := Door(t, scoring.Register)
	for _, tc := range []struct{ name, path, content, accept, body, want string }{
		{"split", "/invocations", "application/json", "", `{"dataframe_split":{"columns":["dest","temp"],"index":[0,1],"data":[["LAX",7],["BOS",2]]}}`, `{"predictions":["true","false"]}`},
		{"split, data first", "/invocations", "application/json; charset=utf-8", "", `{"dataframe_split":{"data":[["LAX",7.5]],"columns":["dest","temp"]},"params":{"predict_method":"predict_proba"}}`, `{"predictions":[[0.25,0.75]]}`},
		{"split by place", "/invocations", "application/json", "", `{"dataframe_split":{"columns":[0,1],"data":[[7,"LAX"]]}}`, `{"predictions":["true"]}`},
		{"split with more columns", "/invocations", "application/json", "", `{"dataframe_split":{"columns":["more","dest","temp"],"data":[[[1,2],"LAX",7]]}}`, `{"predictions":["true"]}`},
		{"records", "/invocations", "application/json", "", `{"dataframe_records":[{"temp":7,"dest":"LAX","extra":{}},{"temp":2}]}`, `{"predictions":["true","false"]}`},
		{"instances", "/invocations", "application/json", "", `{"instances":[{"temp":7,"dest":"LAX"},{"temp":2,"dest":NaN}]}`, `{"predictions":["true","false"]}`},
		{"inputs", "/invocations", "application/json", "", `{"inputs":{"temp":[7,2],"dest":["LAX","BOS"]}}`, `{"predictions":["true","false"]}`},
		{"inputs as records", "/invocations", "application/json", "", `{"inputs":[{"temp":7,"dest":"LAX"}]}`, `{"predictions":["true"]}`},
		{"whole numbers", "/d/iris/mlflow/invocations", "application/json", "", `{"inputs":[[7,1],[2,1]]}`, `{"predictions":[0,0]}`},
		{"regression", "/d/value/mlflow/invocations", "application/json", "", `{"dataframe_split":{"columns":["temp","dest"],"data":[[5,null]]}}`, `{"predictions":[0.5]}`},
		{"CSV", "/invocations", "text/csv", "", "dest,temp\nLAX,7\n,2\n", `{"predictions":["true","false"]}`},
		{"CSV of pandas", "/d/binary/mlflow/invocations", "text/csv; charset=UTF-8", "", "\xef\xbb\xbfdest,temp,night,when,more\nLAX,7,True,2013-04-01,\"a\nb\"\nNA,2,,,\n", `{"predictions":["true","false"]}`},
		{"CSV without a header", "/invocations", "text/csv", "", "7.5,LAX\n2.5,BOS\n", "0.75\n0.25\n"},
		{"CSV of SageMaker", "/d/classes/sagemaker/invocations", "text/csv;label_size=0", "", "6,LAX\n", "0.6000000000000001,0.30000000000000004,0.20000000000000004\n"},
		{"CSV asked for JSON", "/d/binary/sagemaker/invocations", "text/csv", "application/json", "7.5,LAX\n", `{"predictions":[{"score":0.75,"predicted_label":"true"}]}`},
		{"JSON lines", "/invocations", "application/jsonlines", "*/*", "{\"features\":[7.5,\"LAX\"]}\n{\"data\":{\"features\":{\"values\":[2.5,\"BOS\"]}}}\n", "{\"score\":0.75,\"predicted_label\":\"true\"}\n{\"score\":0.25,\"predicted_label\":\"false\"}\n"},
		{"JSON lines of objects", "/d/value/sagemaker/invocations", "application/jsonlines", "", "{\"temp\":5,\"dest\":\"LAX\"}\n\n{\"temp\":6,\"dest\":\"LAX\"}", "{\"score\":0.5}\n{\"score\":0.6000000000000001}\n"},
		{"instances of SageMaker", "/d/iris/sagemaker/invocations", "application/json", "", `{"instances":[{"features":[6,1]}]}`, `{"predictions":[{"score":[0.6000000000000001,0.30000000000000004,0.20000000000000004],"predicted_label":0}]}`},
		{"instances in full", "/d/iris/sagemaker/invocations", "application/json", "application/jsonlines", `{"instances":[{"data":{"features":{"values":[6,1]}}}]}`, "{\"score\":[0.6000000000000001,0.30000000000000004,0.20000000000000004],\"predicted_label\":0}\n"},
		{"tensors", "/d/mean/mlflow/invocations", "application/json", "", `{"inputs":{"image":[[1,2],[3,4]]}}`, `{"predictions":[1.5,3.5]}`},
		{"a tensor alone", "/d/mean/mlflow/invocations", "application/json", "", `{"instances":[[1,2],[3,4]]}`, `{"predictions":[1.5,3.5]}`},
		{"tensors of SageMaker", "/d/mean/sagemaker/invocations", "text/csv", "", "1,2\n3,4\n", "1.5\n3.5\n"},
		{"tensors as JSON lines", "/d/mean/sagemaker/invocations", "application/jsonlines", "", "[1,2]\n[3,4]\n", "1.5\n3.5\n"},
	} {
		headers := []string{"Content-Type: " + tc.content}
		if tc.accept != "" {
			headers = append(headers, "Accept: "+tc.accept)
		}
		status, body := Call(h, "POST", tc.path, tc.body, headers...)
		if status != 200 || body != tc.want && body != tc.want+"\n" {
			t.Errorf("%s: %d %s, want %s", tc.name, status, body, tc.want)
		}
	}
}

func TestFaultsNameWhatIsWrong(t *testing.T) {
	h := Door(t, scoring.Register)
	for _, tc := range []struct {
		path, content, body string
		status              int
		code, want          string
	}{
		{"/invocations", "application/json", ``, 400, "BAD_REQUEST", "expected '{'"},
		{"/invocations", "application/json", `[1]`, 400, "BAD_REQUEST", "Received a list"},
		{"/invocations", "application/json", `{}`, 400, "BAD_REQUEST", "exactly one of the input fields"},
		{"/invocations", "application/json", `{"inputs":[[1,2]],"instances":[[1,2]]}`, 400, "BAD_REQUEST", "exactly one of the input fields"},
		{"/invocations", "application/json", `{"columns":["a"],"data":[[1]]}`, 400, "BAD_REQUEST", "input fields: ['columns', 'data']"},
		{"/invocations", "application/json", `{"instances":[],"signature_name":"x"}`, 400, "BAD_REQUEST", "signature_name"},
		{"/invocations", "application/json", `{"messages":[]}`, 400, "BAD_REQUEST", "language models"},
		{"/invocations", "application/json", `{"instances":[]}`, 400, "BAD_REQUEST", "no rows"},
		{"/invocations", "application/json", `{"dataframe_split":{"columns":["temp","dest"],"data":[]}}`, 400, "BAD_REQUEST", "no rows"},
		{"/invocations", "application/json", `{"dataframe_split":{"columns":["temp","dest"]}}`, 400, "BAD_REQUEST", "no data"},
		{"/invocations", "application/json", `{"dataframe_split":{"columns":["temp","dest"],"data":[[1]]}}`, 400, "BAD_REQUEST", "row 0 has 1 values for 2 columns"},
		{"/invocations", "application/json", `{"dataframe_split":{"columns":["temp"],"data":[[1,2]]}}`, 400, "BAD_REQUEST", "more values than there are columns"},
		{"/invocations", "application/json", `{"dataframe_split":{"columns":["dest"],"data":[["LAX"]]}}`, 400, "BAD_REQUEST", "Model is missing inputs ['temp']"},
		{"/invocations", "application/json", `{"dataframe_split":{"columns":["temp","dest"],"data":[[1,"LAX"],["x","BOS"]]}}`, 400, "BAD_REQUEST", `row 1, column "temp": expected a number, got the text "x"`},
		{"/invocations", "application/json", `{"dataframe_records":[{"temp":true,"dest":"LAX"}]}`, 400, "BAD_REQUEST", `row 0, column "temp": expected a number, got true`},
		{"/invocations", "application/json", `{"instances":[{"temp":1}],"params":{"predict_method":"other"}}`, 400, "BAD_REQUEST", "predict_method"},
		{"/invocations", "application/json", `{"instances":[{"temp":1}],"params":{"a":[1]}}`, 400, "BAD_REQUEST", "a parameter is"},
		{"/d/value/mlflow/invocations", "application/json", `{"instances":[{"temp":1}],"params":{"predict_method":"predict_proba"}}`, 400, "BAD_REQUEST", "no probabilities"},
		{"/invocations", "text/plain", `x`, 415, "BAD_REQUEST", "only supports the following content types"},
		{"/invocations", "application/x-www-form-urlencoded", `{"instances":[[1,2]]}`, 415, "BAD_REQUEST", "Got 'application/x-www-form-urlencoded'"},
		{"/invocations", "application/json; charset=latin-1", `{}`, 415, "BAD_REQUEST", "UTF-8"},
		{"/invocations", "application/json; format=pandas-split", `{}`, 415, "BAD_REQUEST", "Unrecognized content type parameters: format"},
		{"/d/binary/mlflow/invocations", "application/jsonlines", `{}`, 415, "BAD_REQUEST", "content types"},
		{"/invocations", "text/csv", "temp,dest\n1\n", 400, "BAD_REQUEST", "row 0 has 1 values for 2 columns"},
		{"/invocations", "text/csv", "temp,dest\n1,\"x\n", 400, "BAD_REQUEST", "no CSV"},
		{"/invocations", "text/csv", "temp,temp\n1,2\n", 400, "BAD_REQUEST", "twice"},
		{"/invocations", "text/csv", "temp,dest\n", 400, "BAD_REQUEST", "no rows"},
		{"/invocations", "text/csv", "", 400, "BAD_REQUEST", "no rows"},
		{"/invocations", "text/csv", "\xff\n", 400, "BAD_REQUEST", "UTF-8"},
		{"/invocations", "text/csv", "1,2,3\n", 400, "BAD_REQUEST", "a row has 3 values"},
		{"/d/binary/mlflow/invocations", "text/csv", "a,b\n1,2\n", 400, "BAD_REQUEST", "none of the model's inputs"},
		{"/invocations", "text/csv", "temp,dest\n0x10,LAX\n", 400, "BAD_REQUEST", `row 0, column "temp": expected a number, got the text "0x10"`},
		{"/d/nobody/mlflow/invocations", "application/json", `{}`, 404, "RESOURCE_DOES_NOT_EXIST", "no deployment"},
		{"/d/empty/mlflow/invocations", "application/json", `{}`, 503, "TEMPORARILY_UNAVAILABLE", "no version yet"},
		{"/d/value/mlflow/nothing", "application/json", `{}`, 404, "RESOURCE_DOES_NOT_EXIST", "nothing at"},
		{"/invocations", "application/json", `{"instances":` + Rows(`{"temp":1}`, 10001) + `}`, 413, "BAD_REQUEST", "more than 10000 rows"},
		{"/invocations", "application/json", `{"instances":["` + strings.Repeat("x", 8<<20) + `"]}`, 413, "BAD_REQUEST", "bytes"},
	} {
		status, body := Call(h, "POST", tc.path, tc.body, "Content-Type: "+tc.content)
		var refused struct {
			Code    string `json:"error_code"`
			Message string
			Trace   *string `json:"stack_trace"`
		}
		if err := json.Unmarshal([]byte(body), &refused); err != nil || status != tc.status || refused.Code != tc.code || refused.Trace == nil || !strings.Contains(refused.Message, tc.want) {
			t.Errorf("%s %.70s: %d %.300s, want %d %s", tc.path, tc.body, status, body, tc.status, tc.want)
		}
	}
	if status, body := Call(h, "POST", "/invocations", `{"instances":[[1,"LAX"]]}`, isJSON, "Accept: application/xml"); status != 406 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := Call(h, "POST", "/d/binary/mlflow/invocations", `{"instances":[[1,"LAX"]]}`, isJSON, "Accept: application/xml"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

func TestPing(t *testing.T) {
	h := Door(t, scoring.Register)
	for path, want := range map[string]int{"/ping": 200, "/d/binary/mlflow/ping": 200, "/d/binary/mlflow/health": 200, "/d/binary/sagemaker/ping": 200, "/d/empty/sagemaker/ping": 503, "/d/nobody/mlflow/ping": 404} {
		if status, body := Call(h, "GET", path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestCompression(t *testing.T) {
	h := Door(t, scoring.Register)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(`{"instances":` + Rows(`{"temp":7,"dest":"LAX"}`, 1000) + `}`))
	_ = z.Close()
	w := Answer(h, "POST", "/invocations", packed.String(), isJSON, "Content-Encoding: gzip", "Accept-Encoding: gzip")
	if w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	plain, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(plain)
	if err != nil || strings.Count(string(body), `"true"`) != 1000 {
		t.Errorf("%v %.80s", err, body)
	}
}

func FuzzInvocations(f *testing.F) {
	h := Door(f, scoring.Register)
	for _, seed := range []struct{ content, body string }{
		{"application/json", `{"dataframe_split":{"columns":["dest","temp"],"index":[0],"data":[["LAX",7]]}}`},
		{"application/json", `{"dataframe_records":[{"temp":7,"dest":"LAX","extra":{}}],"params":{"predict_method":"predict_proba"}}`},
		{"application/json", `{"inputs":{"temp":[7,NaN],"dest":["LAX",["BOS"]]}}`},
		{"text/csv", "temp,dest\n7,LAX\n"}, {"text/csv;header=absent", "7,\"LAX\"\n"}, {"application/jsonlines", "{\"features\":[1,2]}\n[1,2]\n"},
	} {
		f.Add("binary", seed.content, seed.body)
		f.Add("mean", seed.content, seed.body)
		f.Add("simple", seed.content, seed.body)
	}
	f.Fuzz(func(t *testing.T, model, content, body string) {
		for _, c := range model {
			if c < 'a' || c > 'z' {
				return
			}
		}
		for _, dialect := range []string{"mlflow", "sagemaker"} {
			if status, answer := Call(h, "POST", "/d/"+model+"x/"[1:]+dialect+"/invocations", body, "Content-Type: "+content); status >= 500 && status != 503 {
				t.Errorf("%d %s", status, answer)
			}
		}
	})
}
