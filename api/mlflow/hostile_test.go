package mlflow_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/api/mlflow"
	"github.com/trimtab-ml/trimtab/api/route"
)

// fields are every field that a request has somewhere, as a client may send it. <r> and <m> are a run and a logged model.
var fields = map[string]string{
	"run_id": `"<r>"`, "run_uuid": `"<r>"`, "experiment_id": `"0"`, "experiment_ids": `["0"]`, "experiment_name": `"Default"`, "name": `"n"`, "new_name": `"n2"`,
	"key": `"k"`, "value": `1`, "timestamp": `1`, "step": `1`, "model_id": `"<m>"`, "metrics": `[{"key":"k","value":1,"timestamp":1}]`, "params": `[{"key":"p","value":"v"}]`,
	"tags": `[{"key":"t","value":"v"}]`, "filter": `""`, "order_by": `[]`, "max_results": `5`, "page_token": `""`, "view_type": `"ALL"`, "run_view_type": `"ALL"`,
	"status": `"FINISHED"`, "start_time": `1`, "end_time": `2`, "run_name": `"r"`, "user_id": `"u"`, "artifact_location": `""`, "path": `"f"`, "num_parts": `1`,
	"upload_id": `"x"`, "parts": `[{"part_number":1,"etag":"e"}]`, "datasets": `[]`, "models": `[{"model_id":"<m>","step":0}]`, "model_json": `"{}"`, "source": `"models:/<m>"`,
	"version": `"1"`, "alias": `"a"`, "stage": `"Staging"`, "archive_existing_versions": `false`, "description": `"d"`, "run_link": `""`, "source_run_id": `"<r>"`, "model_type": `""`,
	"metric_key": `"k"`, "run_ids": `["<r>"]`, "expiration": `5`, "stages": `["None"]`,
}

var values = []string{
	`null`, `true`, `-1`, `0`, `9223372036854775808`, `1e400`, `1.5`, `""`, `"` + strings.Repeat("x", 9000) + `"`, `"\u0000"`, `"\ud800\udc00é"`, `[]`, `{}`, `[null]`, `[[[]]]`,
	`[{"key":null}]`, `"'; DROP TABLE runs; --"`, `"../../etc/passwd"`, `"%2e%2e%2f"`, `"NaN"`, `"٣"`, `"metrics.x > "`, `"{{7*7}}"`, `[1,"a",{}]`, `"eyJvZmZzZXQiOiAtMX0="`,
	`[{"field_name":"metrics.a","ascending":false,"dataset_digest":"x"}]`, `["metrics.` + "`" + `a DESC"]`, `9007199254740993`, `-9223372036854775808`, `253402300800000`,
}

// TestNoRequestIsTheServersFault asks every route with every field wrong in many ways, and with bodies that are none. Clients repeat a
// request for minutes when the answer is 5xx, so none may be.
func TestNoRequestIsTheServersFault(t *testing.T) {
	w := on(t, mlflow.Limits{})
	w.talk(`
		POST mlflow/runs/create {"experiment_id":"0","run_name":"n"}
		200 {"run":{"info":{"run_uuid":"<r>","experiment_id":"0","run_name":"n","user_id":"","status":"RUNNING","start_time":0,"artifact_uri":"mlflow-artifacts:/0/<r>/artifacts","lifecycle_stage":"active","run_id":"<r>"},"data":{"tags":[{"key":"mlflow.runName","value":"n"}]},"inputs":{}}}
		POST mlflow/logged-models {"experiment_id":"0","name":"model"}
		200 {"model":{"info":{"model_id":"<m>","experiment_id":"0","name":"model","creation_timestamp_ms":0,"last_updated_timestamp_ms":0,"artifact_uri":"mlflow-artifacts:/0/models/<m>/artifacts","status":"LOGGED_MODEL_PENDING","model_type":"","source_run_id":""},"data":{}}}
	`)
	base := map[string]string{}
	for name, value := range fields {
		base[name] = strings.NewReplacer("<r>", w.names["r"], "<m>", w.names["m"]).Replace(value)
	}
	names := slices.Sorted(maps.Keys(base))
	asked, turn := 0, 0
	// Every route meets every field with every eighth value, another one each time: all of them together take a minute.
	some := func() bool {
		turn++
		return turn%8 == 0
	}
	ask := func(method, path, body string) {
		asked++
		req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			return // no client can send it
		}
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.router.ServeHTTP(rec, req.WithContext(t.Context()))
		if rec.Code >= 500 && rec.Code != http.StatusNotImplemented || rec.Code >= 300 && rec.Code < 400 {
			t.Errorf("%s %.200s %.200s: %d %.300s", method, path, body, rec.Code, rec.Body)
		}
	}
	whole := func(change, to string) string {
		var b strings.Builder
		for _, name := range names {
			value := base[name]
			if name == change {
				value = to
			}
			fmt.Fprintf(&b, ",%q:%s", name, value)
		}
		return "{" + b.String()[1:] + "}"
	}
	for _, r := range w.router.Table() {
		if !strings.HasPrefix(r.Pattern, "/api/2.0/") && !strings.HasPrefix(r.Pattern, "/get-") && !strings.HasPrefix(r.Pattern, "/model-versions") {
			continue
		}
		path := strings.NewReplacer("{model_id}", w.names["m"], "{tag_key}", "t", "{path...}", "a/b", "{upload}", "u", "{part}", "1").Replace(r.Pattern)
		if r.Method == http.MethodGet {
			for _, name := range names {
				for _, value := range values {
					if !some() {
						continue
					}
					query := url.Values{}
					for _, other := range names {
						query.Set(other, strings.Trim(base[other], `"[]`))
					}
					query.Set(name, strings.Trim(value, `"`))
					ask(r.Method, path+"?"+query.Encode(), "")
				}
			}
			ask(r.Method, path+"?%zz=1&;=&run_id=%ff", "")
			continue
		}
		if r.Access.MaxBody > 0 {
			for _, name := range names {
				for _, value := range values {
					if some() {
						ask(r.Method, path, whole(name, value))
					}
				}
			}
		}
		for _, body := range []string{"", " ", "null", "[]", "1", `"`, `""`, `"{}"`, "{", "{}", `{"a"}`, "\xff\xfe{}", "{'run_id': 1}", strings.Repeat("[", 5000), strings.Repeat(`{"a":`, 5000), "run_id=1&key=2"} {
			ask(r.Method, path, body)
		}
		for _, hostile := range []string{"..", "%2e%2e", "%00", "%ff", "a%2f..%2f..%2fb", strings.Repeat("x", 5000), "'%22;--", "m-%0a", "%252e%252e%255c"} {
			ask(r.Method, strings.NewReplacer("{model_id}", hostile, "{tag_key}", hostile, "{path...}", hostile, "{upload}", hostile, "{part}", hostile).Replace(r.Pattern), "{}")
		}
	}
	if asked < 5000 {
		t.Errorf("only %d requests were sent", asked)
	}
}

// TestEveryRouteSaysWhatItDoes keeps the table of routes in step with what MLflow has.
func TestEveryRouteSaysWhatItDoes(t *testing.T) {
	w := on(t, mlflow.Limits{})
	core := 0
	for _, r := range w.router.Table() {
		if strings.HasPrefix(r.Pattern, "/api/2.0/") {
			core++
		}
		if strings.HasPrefix(r.Pattern, "/a") && !strings.HasPrefix(r.Pattern, "/api/v1") && !r.Access.Plain {
			t.Errorf("%s %s may be compressed on its way", r.Method, r.Pattern)
		}
		if r.Access.Audit == route.Public {
			t.Errorf("%s %s is open to everyone", r.Method, r.Pattern)
		}
	}
	if core < 60 {
		t.Errorf("%d routes under /api/2.0, of at least 60", core)
	}
}
