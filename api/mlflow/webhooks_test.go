package mlflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

func TestWebhooks(t *testing.T) {
	each(t, func(w *world) {
		w.talk(`
			GET mlflow/webhooks
			200 {}
			POST mlflow/webhooks {"name":"ci","url":"https://93.184.215.14/hook","events":[{"entity":"MODEL_VERSION","action":"CREATED"},{"entity":"MODEL_VERSION_ALIAS","action":"DELETED"}],"secret":"s3cret","description":"d"}
			200 {"webhook":{"webhook_id":"<h>","name":"ci","description":"d","url":"https://93.184.215.14/hook","events":[{"entity":"MODEL_VERSION","action":"CREATED"},{"entity":"MODEL_VERSION_ALIAS","action":"DELETED"}],"status":"ACTIVE","creation_timestamp":0,"last_updated_timestamp":0}}
			POST mlflow/webhooks {"name":"off","url":"https://93.184.215.14/","events":[{"entity":"PROMPT","action":"CREATED"}],"status":"DISABLED"}
			200 {"webhook":{"webhook_id":"<off>","name":"off","url":"https://93.184.215.14/","events":[{"entity":"PROMPT","action":"CREATED"}],"status":"DISABLED","creation_timestamp":0,"last_updated_timestamp":0}}
			GET mlflow/webhooks?max_results=1
			200 {"webhooks":[{"webhook_id":"<off>","name":"off","url":"https://93.184.215.14/","events":[{"entity":"PROMPT","action":"CREATED"}],"status":"DISABLED","creation_timestamp":0,"last_updated_timestamp":0}],"next_page_token":"T"}
			PATCH mlflow/webhooks/<h> {"name":"ci2","description":"","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}],"status":"DISABLED"}
			200 {"webhook":{"webhook_id":"<h>","name":"ci2","url":"https://93.184.215.14/hook","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}],"status":"DISABLED","creation_timestamp":0,"last_updated_timestamp":0}}
			GET mlflow/webhooks/<h>
			200 {"webhook":{"webhook_id":"<h>","name":"ci2","url":"https://93.184.215.14/hook","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}],"status":"DISABLED","creation_timestamp":0,"last_updated_timestamp":0}}
			DELETE mlflow/webhooks/<off>
			200 {}

			# What MLflow 3.17.2 says of mistakes.
			GET mlflow/webhooks/<off>
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Webhook with ID <off> not found.","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			POST mlflow/webhooks {"url":"https://93.184.215.14/","events":[]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Missing value for required parameter 'name'. See the API docs for more information about request parameters.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/webhooks {"name":"x","url":"https://93.184.215.14/","events":[]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Webhook events must be a non-empty list of WebhookEvent objects: [].","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/webhooks {"name":"x","url":"https://93.184.215.14/","events":[{"entity":"MODEL_VERSION_TAG","action":"CREATED"}]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid action 'created' for entity 'model_version_tag'. Valid actions are: ['deleted', 'set']","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/webhooks {"name":"-x","url":"https://93.184.215.14/","events":[{"entity":"PROMPT","action":"CREATED"}]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Webhook name '-x' is invalid. It must start and end with a letter or digit, be less than 63 characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-).","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/webhooks {"name":"x","url":"http://93.184.215.14/","events":[{"entity":"PROMPT","action":"CREATED"}]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid webhook URL scheme: 'http'. Allowed schemes are: https.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			POST mlflow/webhooks {"name":"x","url":"https://10.0.0.1/","events":[{"entity":"PROMPT","action":"CREATED"}]}
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Webhook URL must not resolve to a non-public IP address. '10.0.0.1' resolves to 10.0.0.1.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/webhooks?max_results=1001
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"max_results must be between 1 and 1000.","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
			GET mlflow/webhooks?page_token=x
			400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid page token, could not base64-decode","sqlstate":"KAM00","error_class":"INVALID_PARAMETER_VALUE"}
		`)
		// A webhook of ours alone is not there for MLflow's client, which cannot read it.
		own, err := w.hooks.Create(w.Context(), govern.NewWebhook{Name: "own", URL: "https://93.184.215.14/", Events: []string{"alias."}})
		if err != nil {
			w.Fatal(err)
		}
		w.names["own"] = own.ID
		w.talk(`
			DELETE mlflow/webhooks/<own>
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Webhook with ID <own> not found.","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
			DELETE mlflow/webhooks/<h>
			200 {}
			GET mlflow/webhooks
			200 {}
		`)
	})
}

// allEvents is every event that happens here, as a request names it.
func allEvents() string {
	var events []string
	for _, e := range []string{"REGISTERED_MODEL CREATED", "MODEL_VERSION CREATED", "MODEL_VERSION_TAG SET", "MODEL_VERSION_TAG DELETED", "MODEL_VERSION_ALIAS CREATED",
		"MODEL_VERSION_ALIAS DELETED", "PROMPT CREATED", "PROMPT_VERSION CREATED", "PROMPT_TAG SET", "PROMPT_TAG DELETED", "PROMPT_VERSION_TAG SET", "PROMPT_VERSION_TAG DELETED",
		"PROMPT_ALIAS CREATED", "PROMPT_ALIAS DELETED"} {
		entity, action, _ := strings.Cut(e, " ")
		events = append(events, fmt.Sprintf(`{"entity":%q,"action":%q}`, entity, action))
	}
	return "[" + strings.Join(events, ",") + "]"
}

// TestWhatWebhooksAreSent: the payloads that handlers.py of mlflow 3.17.2 makes for the same requests.
func TestWhatWebhooksAreSent(t *testing.T) {
	each(t, func(w *world) {
		got := make(chan string, 100)
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				w.Error(err)
			}
			for _, name := range []string{"X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"} {
				if req.Header.Get(name) == "" {
					w.Errorf("no %s", name)
				}
			}
			got <- string(body)
		}))
		defer receiver.Close()
		w.names["url"] = receiver.URL
		w.names["all"] = allEvents()
		status, answer := w.do("POST", "/api/2.0/mlflow/webhooks", fmt.Sprintf(`{"name":"ci","url":%q,"secret":"s3cret","events":%s}`, receiver.URL, allEvents()))
		if status.StatusCode != http.StatusOK {
			w.Fatal(answer)
		}
		if err := w.hooks.Start(w.Context()); err != nil {
			w.Fatal(err)
		}
		defer func() {
			if err := w.hooks.Stop(context.Background()); err != nil {
				w.Error(err)
			}
		}()
		for _, step := range []struct{ request, want string }{
			{`POST mlflow/registered-models/create {"name":"m","tags":[{"key":"a","value":"b"}],"description":"d"}`,
				`{"entity":"registered_model","action":"created","timestamp":"T","data":{"name":"m","tags":{"a":"b"},"description":"d"}}`},
			{`POST mlflow/registered-models/create {"name":"n"}`,
				`{"entity":"registered_model","action":"created","timestamp":"T","data":{"name":"n","tags":{},"description":""}}`},
			{`POST mlflow/model-versions/create {"name":"m","source":"s3://bucket/model"}`,
				`{"entity":"model_version","action":"created","timestamp":"T","data":{"name":"m","version":"1","source":"s3://bucket/model","run_id":null,"tags":{},"description":null}}`},
			{`POST mlflow/model-versions/set-tag {"name":"m","version":"1","key":"k","value":"v"}`,
				`{"entity":"model_version_tag","action":"set","timestamp":"T","data":{"name":"m","version":"1","key":"k","value":"v"}}`},
			{`DELETE mlflow/model-versions/delete-tag {"name":"m","version":"1","key":"k"}`,
				`{"entity":"model_version_tag","action":"deleted","timestamp":"T","data":{"name":"m","version":"1","key":"k"}}`},
			{`POST mlflow/registered-models/set-tag {"name":"m","key":"k","value":"v"}`, ""},
			{`POST mlflow/registered-models/alias {"name":"m","alias":"ch","version":"1"}`,
				`{"entity":"model_version_alias","action":"created","timestamp":"T","data":{"name":"m","alias":"ch","version":"1"}}`},
			{`DELETE mlflow/registered-models/alias {"name":"m","alias":"ch"}`,
				`{"entity":"model_version_alias","action":"deleted","timestamp":"T","data":{"name":"m","alias":"ch"}}`},
			{`POST mlflow/registered-models/create {"name":"p","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"},{"key":"a","value":"b"}]}`,
				`{"entity":"prompt","action":"created","timestamp":"T","data":{"name":"p","tags":{"a":"b"},"description":""}}`},
			{`POST mlflow/model-versions/create {"name":"p","source":"prompt","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"},{"key":"mlflow.prompt.text","value":"Hi {{x}}"}]}`,
				`{"entity":"prompt_version","action":"created","timestamp":"T","data":{"name":"p","version":"1","template":"Hi {{x}}","tags":{},"description":null}}`},
			{`POST mlflow/registered-models/set-tag {"name":"p","key":"k","value":"v"}`,
				`{"entity":"prompt_tag","action":"set","timestamp":"T","data":{"name":"p","key":"k","value":"v"}}`},
			{`DELETE mlflow/registered-models/delete-tag {"name":"p","key":"k"}`,
				`{"entity":"prompt_tag","action":"deleted","timestamp":"T","data":{"name":"p","key":"k"}}`},
			{`POST mlflow/registered-models/alias {"name":"p","alias":"ch","version":"1"}`,
				`{"entity":"prompt_alias","action":"created","timestamp":"T","data":{"name":"p","alias":"ch","version":"1"}}`},
		} {
			method, path, body := w.request(step.request)
			if res, answer := w.do(method, path, body); res.StatusCode != http.StatusOK {
				w.Fatalf("%s: %s", step.request, answer)
			}
			if step.want == "" {
				continue
			}
			select {
			case body := <-got:
				if plain := regexp.MustCompile(`"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"`).ReplaceAllString(body, `"timestamp":"T"`); plain != step.want {
					w.Errorf("%s\n got %s\nwant %s", step.request, plain, step.want)
				}
			case <-time.After(30 * time.Second):
				w.Fatalf("%s: nothing was sent", step.request)
			}
		}
	})
}

// TestWebhooksCanBeTested sends MLflow's examples.
func TestWebhooksCanBeTested(t *testing.T) {
	each(t, func(w *world) {
		var body string
		receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				w.Error(err)
			}
			body = string(b)
			if req.URL.Path == "/bad" {
				rw.WriteHeader(http.StatusTeapot)
			}
			_, _ = io.WriteString(rw, "seen")
		}))
		defer receiver.Close()
		made := func(path string) string {
			_, answer := w.do("POST", "/api/2.0/mlflow/webhooks", fmt.Sprintf(`{"name":"ci","url":%q,"events":%s}`, receiver.URL+path, allEvents()))
			var read struct {
				Webhook struct {
					ID string `json:"webhook_id"`
				}
			}
			if err := json.Unmarshal([]byte(answer), &read); err != nil || read.Webhook.ID == "" {
				w.Fatal(answer)
			}
			return read.Webhook.ID
		}
		w.names["good"], w.names["bad"] = made("/"), made("/bad")
		w.talk(`
			POST mlflow/webhooks/<good>/test {"event":{"entity":"MODEL_VERSION_TAG","action":"SET"}}
			200 {"result":{"success":true,"response_status":200,"response_body":"seen"}}
			POST mlflow/webhooks/<bad>/test
			200 {"result":{"success":false,"response_status":418,"response_body":"seen"}}
			POST mlflow/webhooks/nope/test {}
			404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Webhook with ID nope not found.","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}
		`)
		if !strings.Contains(body, `"data":{"name":"example_model"`) {
			w.Errorf("sent %s", body)
		}
	})
}
