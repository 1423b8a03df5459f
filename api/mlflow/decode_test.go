package mlflow

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// TestRefusals compares with what the server of mlflow 3.17.2 says to the same bodies, unless the comment says otherwise.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		form *message
		body string
		want string // "" = accepted
	}{
		{experimentNew, `{"name":"e"}`, ""},
		{experimentNew, `{"name":123}`, "Invalid value 123 for parameter 'name' supplied:  Hint: Value was of type 'int'." + docs},
		{experimentNew, `{}`, "Missing value for required parameter 'name'." + docs},
		{experimentNew, ``, "Missing value for required parameter 'name'." + docs},
		{experimentNew, ` `, "Missing value for required parameter 'name'." + docs},
		{experimentNew, `null`, "Missing value for required parameter 'name'." + docs},
		{experimentNew, `{"name":""}`, "Missing value for required parameter 'name'." + docs},
		{experimentNew, `{"name":null}`, "Missing value for required parameter 'name'." + docs},
		{experimentNew, `"{}"`, "Missing value for required parameter 'name'." + docs},
		{experimentNew, `"{\"name\":\"e\"}"`, ""},
		{experimentNew, `{"name":"e","tags":{"a": 1}}`, `Invalid value {"a":1} for parameter 'tags' supplied:  Hint: Value was of type 'dict'.` + docs},
		{experimentNew, `{"name":"e","unknown":{"a":[1,{}]}}`, ""},
		{experimentNew, `{"name":"e","artifactLocation":5}`, "Invalid value 5 for parameter 'artifact_location' supplied:  Hint: Value was of type 'int'." + docs},
		{experimentTag, `{"experiment_id":1,"key":"a"}`, "Invalid value 1 for parameter 'experiment_id' supplied:  Hint: Value was of type 'int'." + docs},
		{experimentSearch, `{"max_results":"x"}`, `Invalid value "x" for parameter 'max_results' supplied:  Hint: Value was of type 'str'.` + docs},
		{runNew, `{"start_time":"123"}`, ""},
		{runNew, `{"start_time":1e3}`, ""},
		{runNew, `{"start_time":123.0}`, ""},
		{runNew, `{"start_time":"x"}`, `Invalid value "x" for parameter 'start_time' supplied:  Hint: Value was of type 'str'.` + docs},
		{runSearch, `{"max_results":60000}`, "Invalid value 60000 for parameter 'max_results' supplied:  Hint: Value was of type 'int'." + docs},
		{runSearch, `{"experiment_ids":"1"}`, `Invalid value "1" for parameter 'experiment_ids' supplied:  Hint: Value was of type 'str'.` + docs},
		{runSearch, `{"order_by":[5]}`, "Invalid value [5] for parameter 'order_by' supplied:  Hint: Value was of type 'list'." + docs},
		{runSearch, `{"run_view_type":2}`, ""},
		{runSearch, `{"run_view_type":"ALL"}`, ""},
		{metricNew, `{"run_id":"r","key":"m","value":"NaN","timestamp":1}`, ""},
		{metricNew, `{"run_uuid":"r","key":"m","value":1,"timestamp":0}`, ""},
		{metricNew, `{"run_id":"r","key":"m","value":"x","timestamp":1}`, `Invalid value "x" for parameter 'value' supplied:  Hint: Value was of type 'str'.` + docs},
		{metricNew, `{"run_id":"r","key":"m","value":null,"timestamp":1}`, "Missing value for required parameter 'value'." + docs},
		{metricNew, `{"run_id":"r","key":"m","value":1}`, "Missing value for required parameter 'timestamp'." + docs},
		{metricNew, `{"run_id":"r","key":"m","value":1,"timestamp":"a"}`, `Invalid value "a" for parameter 'timestamp' supplied:  Hint: Value was of type 'str'.` + docs},
		{batchForm, `{"run_id":"r","metrics":[{"key":"a","timestamp":1}]}`, "Missing value for required parameter 'metrics[0].value'." + docs},
		{batchForm, `{"run_id":"r","metrics":[{"key":"a","value":1,"timestamp":1},{"value":1,"timestamp":1}]}`, "Missing value for required parameter 'metrics[1].key'." + docs},
		{batchForm, `{"run_id":"r","metrics":{"a":1}}`, `Invalid value {"a":1} for parameter 'metrics' supplied:  Hint: Value was of type 'dict'.` + docs},
		{batchForm, `{"metrics":[]}`, "Missing value for required parameter 'run_id'." + docs},
		{batchForm, `{"run_id":"r","tags":[{"key":""}]}`, "Missing value for required parameter 'tags[0].key'." + docs},
		{versionStage, `{"name":"n","version":"1","stage":"s","archive_existing_versions":"x"}`, `Invalid value "x" for parameter 'archive_existing_versions' supplied:  Hint: Value was of type 'str'.` + docs},
		{aliasNew, `{"name":"n","alias":"a","version":1}`, "Invalid value 1 for parameter 'version' supplied:  Hint: Value was of type 'int'." + docs},

		// MLflow answers 500 to these.
		{experimentNew, `[1]`, "Bad Request. The body must be a JSON object."},
		{experimentNew, `3`, "Bad Request. The body must be a JSON object."},
		{experimentNew, `"zz"`, "Bad Request. The body is no valid JSON: expected a value at byte 0, found 'z'"},
		{experimentNew, `"\"{}\""`, "Bad Request. The body must be a JSON object."},
		{batchForm, `{"run_id":"r","metrics":[5]}`, "Invalid value [5] for parameter 'metrics' supplied:  Hint: Value was of type 'list'." + docs},
		{metricNew, `{"run_id":"r","key":"m","value":[1],"timestamp":1}`, "Invalid value [1] for parameter 'value' supplied:  Hint: Value was of type 'list'." + docs},
		// It takes these for nothing, and stores something else or nothing at all.
		{experimentNew, `nope`, "Bad Request. The body is no valid JSON: expected a value at byte 0, found 'n'"},
		{experimentNew, `{"name":"e","tags":[1]}`, "Invalid value [1] for parameter 'tags' supplied:  Hint: Value was of type 'list'." + docs},
		{experimentNew, `{"name":"e","tags":[{"key":"a","value":1}]}`, "Invalid value 1 for parameter 'tags[0].value' supplied:  Hint: Value was of type 'int'." + docs},
		{runNew, `{"start_time":1.5}`, "Invalid value 1.5 for parameter 'start_time' supplied:  Hint: Value was of type 'float'." + docs},
		{runNew, `{"start_time":99999999999999999999}`, "Invalid value 99999999999999999999 for parameter 'start_time' supplied:  Hint: Value was of type 'int'." + docs},
		{runUpdate, `{"run_id":"r","status":"BOGUS"}`, `Invalid value "BOGUS" for parameter 'status' supplied:  Hint: Value was of type 'str'.` + docs},
		{runSearch, `{"run_view_type":7}`, "Invalid value 7 for parameter 'run_view_type' supplied:  Hint: Value was of type 'int'." + docs},
		{runSearch, `{"page_token":5}`, "Invalid value 5 for parameter 'page_token' supplied:  Hint: Value was of type 'int'." + docs},
		{runSearch, `{"experiment_ids":[1]}`, "Invalid value [1] for parameter 'experiment_ids' supplied:  Hint: Value was of type 'list'." + docs},
		{metricNew, `{"run_id":"r","key":"m","value":true,"timestamp":1}`, "Invalid value true for parameter 'value' supplied:  Hint: Value was of type 'bool'." + docs},
		{metricNew, `{"run_id":"r","key":"m","value":"Infinityy","timestamp":1}`, `Invalid value "Infinityy" for parameter 'value' supplied:  Hint: Value was of type 'str'.` + docs},
		{metricNew, `{"run_id":"r","key":"m","value":1e999,"timestamp":1}`, "Invalid value 1e999 for parameter 'value' supplied:  Hint: Value was of type 'float'." + docs},
		{metricNew, `{"run_id":"r","key":"m","value":NaN,"timestamp":1}`, `Bad Request. The body is no valid JSON: expected a value at byte 32, found 'N': send it in quotes, "NaN"`},
		{metricNew, `{"run_id":"r","key":"m","value":-Infinity,"timestamp":1}`, `Bad Request. The body is no valid JSON: expected a value at byte 32, found '-': send it in quotes, "-Infinity"`},
		{historyInterval, `{"run_ids":["r"],"metric_key":"m","max_results":5000}`, "max_results must be between 1 and 2500." + docs},

		{experimentNew, `{"name":"e"} x`, "Bad Request. The body is no valid JSON: something follows the value at byte 13: 'x'"},
		{experimentNew, `{"name":"e"`, "Bad Request. The body is no valid JSON: expected ',' or '}' at byte 11, found the end"},
		{experimentNew, `{"name":"\ud800"}`, "Bad Request. The body is no valid JSON: half a surrogate pair before byte 15"},
		{experimentNew, "{\"name\":\"\xff\"}", "Bad Request. The body is no valid JSON: the text at byte 9 is not UTF-8"},
		{experimentNew, `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "Bad Request. The body is no valid JSON: it is nested deeper than 64"},
		{experimentNew, strings.Repeat("[", 100000), "Bad Request. The body is no valid JSON: it is nested deeper than 64"},
		{experimentNew, strings.Repeat(`{"a":`, 100000), "Bad Request. The body is no valid JSON: it is nested deeper than 64"},
	} {
		_, err := decode(test.form, []byte(test.body))
		got := ""
		if err != nil {
			got = err.Error()
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%.60s: the code is %s", test.body, fault.CodeOf(err))
			}
		}
		if got != test.want {
			t.Errorf("%.100s:\n got %s\nwant %s", test.body, got, test.want)
		}
	}
}

func TestQueries(t *testing.T) {
	for _, test := range []struct {
		form  *message
		query string
		want  string
	}{
		{experimentID, "experiment_id=1", ""},
		{experimentID, "experiment_id=", "Missing value for required parameter 'experiment_id'." + docs},
		{runID, "run_uuid=r", ""},
		{runID, "x=1", "Missing value for required parameter 'run_id'." + docs},
		{modelSearch, "max_results=5000", `Invalid value "5000" for parameter 'max_results' supplied:  Hint: Value was of type 'str'.` + docs},
		{modelSearch, "max_results=x", `Invalid value "x" for parameter 'max_results' supplied:  Hint: Value was of type 'str'.` + docs},
		{history, "run_id=r&metric_key=m&max_results=x", `Invalid value "x" for parameter 'max_results' supplied:  Hint: Value was of type 'str'.` + docs}, // MLflow ignores it
		{history, "run_id=r&metric_key=m&max_results=%D9%A3", "Invalid value \"\u0663\" for parameter 'max_results' supplied:  Hint: Value was of type 'str'." + docs},
		{loggedGet, "allow_deleted=TRUE", ""},
		{loggedGet, "allow_deleted=1", "Invalid boolean value: 1, must be 'true' or 'false'."},
		{historyInterval, "metric_key=m", "Missing value for required parameter 'run_ids'." + docs},
		{historyInterval, "metric_key=m&run_ids=a&run_ids=b&max_results=0", "max_results must be between 1 and 2500." + docs},
		{historyInterval, "metric_key=m" + strings.Repeat("&run_ids=a", 101), "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. Received 101 run_ids." + docs},
	} {
		query, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeQuery(test.form, query)
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("%.60s:\n got %s\nwant %s", test.query, got, test.want)
		}
	}
	r, err := decodeQuery(modelLatest, url.Values{"name": {"m"}, "stages": {"a", "b"}})
	if err != nil || cmp.Diff([]string{"a", "b"}, r.texts("stages")) != "" {
		t.Errorf("%v, %v", r, err)
	}
}

// TestBatchesReadAlike reads bodies in the fast way and by the form: what the fast way understands, the form understands alike.
func TestBatchesReadAlike(t *testing.T) {
	for body, fast := range map[string]bool{
		`{"run_id":"r","metrics":[{"key":"a","value":1.5,"timestamp":12,"step":3},{"key":"a","value":-2e-3,"timestamp":13}],"params":[],"tags":[]}`:                        true,
		`{"run_id":"r","metrics":[{"key":"a","value":"NaN","timestamp":1},{"key":"b","value":"-Infinity","timestamp":1,"run_id":"r","model_id":"m","dataset_name":null}]}`: true,
		`{"run_id":"r","params":[{"key":"p","value":"v"},{"key":"q"}],"tags":[{"key":"t","value":"\u00e4\n"}],"x":[1,{"y":null}]}`:                                         true,
		`{"run_id":"r"}`: true,
		`"{\"run_id\":\"r\",\"metrics\":[{\"key\":\"a\",\"value\":1,\"timestamp\":1}]}"`:               false,
		`{"runId":"r","metrics":[{"key":"a","value":"1.5","timestamp":"7","step":1.0,"modelId":"m"}]}`: false,
		`{"run_id":"r","metrics":null,"params":null}`:                                                  false,
		`{"run_id":"r","metrics":[{"key":"a","value":1,"timestamp":1,"step":null}]}`:                   false,
	} {
		quick := &batch{body: []byte(body)}
		if got := quick.fast(); got != fast {
			t.Errorf("%s: fast %v", body, got)
		}
		whole := &batch{body: []byte(body)}
		if err := whole.decode(); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		r, err := decode(batchForm, []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		var want []track.Metric
		for _, m := range r.records("metrics") {
			want = append(want, track.Metric{Key: m.text("key"), Value: m.get("value").float, At: m.int("timestamp"), Step: m.int("step"),
				ModelID: m.text("model_id"), DatasetName: m.text("dataset_name"), DatasetDigest: m.text("dataset_digest")})
		}
		if diff := cmp.Diff(want, whole.Metrics, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" || whole.run != "r" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

// FuzzDecode feeds bodies to every form: nothing panics, what is accepted is JSON by Go's standard too, and the fast way of batches
// never understands what the form refuses.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"run_id":"r","metrics":[{"key":"a","value":"NaN","timestamp":1,"step":-1}]}`, `"{\"name\":\"x\"}"`, `[[[`, `{"a":1e5}`, `{"tags":[{"key":"\ud83d\ude00"}]}`} {
		f.Add([]byte(seed))
	}
	forms := []*message{experimentNew, runNew, runSearch, metricNew, inputsNew, loggedSearch, versionNew, batchForm, uploadDone}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, form := range forms {
			if _, err := decode(form, body); err == nil && len(strings.TrimSpace(string(body))) > 0 && !json.Valid(body) {
				t.Fatalf("%q was accepted and is not JSON", body)
			} else if err != nil && !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", body, err)
			}
		}
		b := &batch{body: body}
		if !b.fast() {
			return
		}
		r, err := decode(batchForm, body)
		if err != nil {
			t.Fatalf("the fast way took %q, the form says %v", body, err)
		}
		for i, m := range r.records("metrics") {
			got := b.Metrics[i]
			if got.Key != m.text("key") || math.Float64bits(got.Value) != math.Float64bits(m.get("value").float) && got.Value == got.Value || got.At != m.int("timestamp") || got.Step != m.int("step") {
				t.Fatalf("%q: metric %d reads as %+v and %+v", body, i, got, m)
			}
		}
		if b.run != r.text("run_id") || len(b.Params) != len(r.records("params")) || len(b.Tags) != len(r.records("tags")) {
			t.Fatalf("%q reads in two ways", body)
		}
	})
}

// thousand is a body as the client writes it when it logs 1,000 metrics, about 90 KB.
func thousand() []byte {
	var b strings.Builder
	b.WriteString(`{"run_id": "474f763185be4f71b1da1c81633f8670", "metrics": [`)
	for i := range 1000 {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `{"key": "train/metric_%d", "value": %v, "timestamp": 1795255032614, "step": %d}`, i%10, math.Sqrt(float64(i)), i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func BenchmarkBatch(b *testing.B) {
	body := thousand()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		x := batches.Get().(*batch)
		x.body = append(x.body[:0], body...)
		if !x.fast() || len(x.Metrics) != 1000 {
			b.Fatal("not read")
		}
		x.release()
	}
}

func BenchmarkForm(b *testing.B) {
	body := []byte(`{"run_uuid": "474f763185be4f71b1da1c81633f8670", "key": "loss", "value": 0.5, "timestamp": 1795255032424, "step": 1, "run_id": "474f763185be4f71b1da1c81633f8670"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(metricNew, body); err != nil {
			b.Fatal(err)
		}
	}
}
