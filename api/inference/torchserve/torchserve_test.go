package torchserve_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	. "github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/inference/torchserve"
)

// form is a multipart body of parts "name=content", and its content type.
func form(parts ...string) (string, string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		name, content, _ := strings.Cut(p, "=")
		f, _ := w.CreateFormFile(name, "file")
		_, _ = f.Write([]byte(content))
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// TestPredictions asks as docs/inference_api.md of pytorch/serve does: curl -T (PUT, no content type), curl -d, curl -F data=@FILE once and
// twice, a version in the path, and KServe's envelope.
func TestPredictions(t *testing.T) {
	h := Door(t, torchserve.Register)
	one, oneType := form(`data={"temp":7.5,"dest":"LAX"}`)
	two, twoType := form(`data={"temp":7.5,"dest":"LAX"}`, `data={"temp":2.5,"dest":"BOS"}`)
	fields, fieldsType := form("temp=7.5", "dest=LAX")
	files, filesType := form("data=kitten", "data=dog\xff")
	for _, tc := range []struct{ name, method, path, content, body, want string }{
		{"curl -T", "PUT", "/predictions/binary", "", `{"temp":7.5,"dest":"LAX"}`, `{"true":0.75,"false":0.25}`},
		{"curl -d", "POST", "/predictions/binary", "application/x-www-form-urlencoded", `{"temp":2.5,"dest":"LAX"}`, `{"false":0.75,"true":0.25}`},
		{"curl -F", "POST", "/predictions/binary", oneType, one, `{"true":0.75,"false":0.25}`},
		{"curl -F -F", "POST", "/predictions/binary", twoType, two, `[{"true":0.75,"false":0.25},{"false":0.75,"true":0.25}]`},
		{"a field per value", "POST", "/predictions/binary", fieldsType, fields, `{"true":0.75,"false":0.25}`},
		{"rows", "POST", "/predictions/value/1", "application/json", `[{"temp":5,"dest":"LAX"},{"temp":6,"dest":"LAX"}]`, `[0.5,0.6000000000000001]`},
		{"a version as archives have it", "POST", "/predictions/two/2.0", "application/json", `[[10,"LAX"]]`, `[3]`},
		{"one row as a list", "POST", "/predictions/value", "application/json", `[5,"LAX"]`, `0.5`},
		{"rows of one value", "POST", "/predictions/half_plus_two", "", `[1.0,2.0]`, `[2.5,3]`},
		{"one value", "POST", "/predictions/half_plus_two", "", `1.0`, `2.5`},
		{"an envelope", "POST", "/predictions/half_plus_two", "application/json", `{"instances":[{"x":1},{"x":2}]}`, `{"predictions":[2.5,3]}`},
		{"an envelope around one row", "POST", "/predictions/half_plus_two", "application/json", `{"data":[1,2]}`, `[2.5,3]`},
		{"CSV", "POST", "/predictions/value", "text/csv", "dest,temp\nLAX,5\n", `[0.5]`},
		{"classes by probability", "POST", "/predictions/classes", "", `{"temp":6,"dest":"LAX"}`, `{"a":0.6000000000000001,"b":0.30000000000000004,"c":0.20000000000000004}`},
		{"a file", "PUT", "/predictions/length", "", "kitten \xff\x00", `9`},
		{"files", "POST", "/predictions/length", filesType, files, `[6,4]`},
		{"bytes in base64", "POST", "/predictions/length", "application/json", `{"instances":[{"b64":"AAEC"}]}`, `{"predictions":[3]}`},
		{"a tensor", "POST", "/predictions/mean", "application/json", `[1,2,3]`, `2`},
		{"tensors", "POST", "/predictions/mean", "application/json", `[[1,2,3],[4,5,6]]`, `[2,5]`},
		{"outputs by name", "POST", "/predictions/simple", "", `{"INPUT0":` + Rows("2", 16) + `,"INPUT1":` + Rows("1", 16) + `}`, `{"OUTPUT0":` + Rows("3", 16) + `,"OUTPUT1":` + Rows("1", 16) + `}`},
		{"below a deployment", "POST", "/d/half_plus_two/torchserve/predictions/any", "", `[1.0,2.0]`, `[2.5,3]`},
	} {
		var headers []string
		if tc.content != "" {
			headers = append(headers, "Content-Type: "+tc.content)
		}
		status, body := Call(h, tc.method, tc.path, tc.body, headers...)
		if status != 200 || body != tc.want+"\n" {
			t.Errorf("%s: %d %s, want %s", tc.name, status, body, tc.want)
		}
	}
	status, body := Call(h, "POST", "/explanations/trees", `{"temp":7,"dest":"LAX"}`)
	if status != 200 || !strings.HasPrefix(body, `{"unit":"log_odds"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := Call(h, "GET", "/d/binary/torchserve/ping", ""); status != 200 || body != "{\"status\":\"Healthy\"}\n" {
		t.Errorf("%d %s", status, body)
	}
}

func TestFaultsNameWhatIsWrong(t *testing.T) {
	h := Door(t, torchserve.Register)
	empty, emptyType := form()
	bad, badType := form("data=not json")
	odd, oddType := form("temp=x", "dest=LAX")
	for _, tc := range []struct {
		method, path, content, body string
		status                      int
		kind, want                  string
	}{
		{"POST", "/predictions/nobody", "", `{}`, 404, "ModelNotFoundException", "no deployment"},
		{"POST", "/predictions/value/9", "", `{}`, 404, "ModelNotFoundException", "no version 9"},
		{"POST", "/predictions/value/x", "", `{}`, 404, "ModelNotFoundException", "no version"},
		{"POST", "/predictions/value", "", ``, 400, "BadRequestException", "no JSON"},
		{"POST", "/predictions/value", "", `kitten`, 400, "BadRequestException", "no JSON"},
		{"POST", "/predictions/value", "", `{}`, 400, "BadRequestException", ""},
		{"POST", "/predictions/value", "", `[]`, 400, "BadRequestException", ""},
		{"POST", "/predictions/value", "application/json", `{"temp":"x","dest":"LAX"}`, 400, "BadRequestException", `row 0, column "temp": expected a number, got the text "x"`},
		{"POST", "/predictions/value", "application/json", `[1,2,3]`, 400, "BadRequestException", "a row has 3 values"},
		{"POST", "/predictions/value", emptyType, empty, 400, "BadRequestException", ""},
		{"POST", "/predictions/value", "multipart/form-data", "x", 400, "BadRequestException", "no boundary"},
		{"POST", "/predictions/value", "multipart/form-data; boundary=x", "--x\r\n", 400, "BadRequestException", "form"},
		{"POST", "/predictions/value", badType, bad, 400, "BadRequestException", "expected a value"},
		{"POST", "/predictions/value", oddType, odd, 400, "BadRequestException", `row 0, column "temp"`},
		{"POST", "/predictions/empty", "", `{}`, 503, "ServiceUnavailableException", "no version yet"},
		{"GET", "/predictions/value", "", ``, 405, "MethodNotAllowedException", ""},
		{"GET", "/models/nobody", "", ``, 404, "ModelNotFoundException", "no deployment"},
		{"GET", "/models/value/9", "", ``, 404, "ModelVersionNotFoundException", "Model version: 9 does not exist"},
		{"GET", "/models/a/b/c", "", ``, 404, "ResourceNotFoundException", ""},
		{"GET", "/models?limit=x", "", ``, 400, "BadRequestException", "limit"},
		{"POST", "/models", "", ``, 400, "BadRequestException", "url is required"},
		{"POST", "/models?url=https://torchserve.pytorch.org/mar_files/squeezenet1_1.mar", "", ``, 400, "BadRequestException", "no registered model"},
		{"POST", "/models?url=squeezenet1_1.mar", "", ``, 400, "BadRequestException", "no registered model"},
		{"POST", "/models?url=file:///etc/passwd", "", ``, 400, "BadRequestException", "no registered model"},
		{"POST", "/models?url=models:/value/x", "", ``, 400, "BadRequestException", "no registered model"},
		{"POST", "/models?url=models:/value/1", "", ``, 409, "ConflictStatusException", "already registered"},
		{"POST", "/models?url=models:/value&model_name=other", "", ``, 400, "BadRequestException", "under its own name"},
		{"POST", "/models?url=models:/nobody", "", ``, 404, "ModelNotFoundException", "nobody"},
		{"PUT", "/models/value?min_worker=x", "", ``, 400, "BadRequestException", "min_worker"},
		{"PUT", "/models/value/7/set-default", "", ``, 404, "ModelVersionNotFoundException", "version"},
		{"DELETE", "/models/two/1", "", ``, 403, "ForbiddenException", "Cannot remove default version"},
		{"DELETE", "/models/two/2", "", ``, 409, "ConflictStatusException", "stays loaded"},
	} {
		var headers []string
		if tc.content != "" {
			headers = append(headers, "Content-Type: "+tc.content)
		}
		status, body := Call(h, tc.method, tc.path, tc.body, headers...)
		var refused struct {
			Code    int
			Type    string
			Message string
		}
		if err := json.Unmarshal([]byte(body), &refused); err != nil || status != tc.status || refused.Code != status || refused.Type != tc.kind || !strings.Contains(refused.Message, tc.want) {
			t.Errorf("%s %s %.70s: %d %.300s, want %d %s %s", tc.method, tc.path, tc.body, status, body, tc.status, tc.kind, tc.want)
		}
	}
}

func TestManagement(t *testing.T) {
	h := Door(t, torchserve.Register)
	step := func(method, path string, status int, want string) {
		t.Helper()
		got, body := Call(h, method, path, "")
		if got != status || !strings.Contains(body, want) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got, body, status, want)
		}
	}
	step("GET", "/models?limit=2&next_page_token=1", 200, `"nextPageToken": "3"`)
	step("GET", "/models", 200, `"modelUrl": "models:/half_plus_two/1"`)
	step("GET", "/models/two", 200, `"modelVersion": "1"`)
	step("GET", "/models/two/2.0", 200, `"modelVersion": "2"`)
	_, body := Call(h, "GET", "/models/two/all", "")
	var all []struct {
		ModelName, ModelVersion, ModelURL string
		MinWorkers                        int
		Workers                           []struct{ Status string }
		JobQueueStatus                    struct{ RemainingCapacity, PendingRequests int }
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != 2 || all[1].ModelName != "two" || all[1].MinWorkers != 1 || len(all[1].Workers) != 1 || all[1].Workers[0].Status != "READY" || all[1].JobQueueStatus.RemainingCapacity != 100 {
		t.Errorf("%v %s", err, body)
	}
	step("PUT", "/models/two?min_worker=3&synchronous=true", 200, `"status": "Workers scaled to 1 for model: two"`)
	step("PUT", "/models/two/2?min_worker=3", 200, `Workers scaled to 1 for model: two, version: 2`)
	step("PUT", "/models/two/2/set-default", 200, `"status": "Default version successfully updated for model \"two\" to \"2\""`)
	if _, body := Call(h, "POST", "/predictions/two", `[[10,"LAX"]]`); body != "[3]\n" {
		t.Error(body)
	}
	step("DELETE", "/models/two", 200, `"status": "Model \"two\" unregistered"`)
	step("POST", "/predictions/two", http.StatusServiceUnavailable, `ServiceUnavailableException`)
	step("POST", "/models?url=models:/two&initial_workers=1&synchronous=true", 200, `Model \"two\" Version: 2 registered with 1 initial workers`)
	if _, body := Call(h, "POST", "/predictions/two", `[[10,"LAX"]]`); body != "[3]\n" {
		t.Error(body)
	}
	step("DELETE", "/models/value/1.0", 200, `unregistered`)
}

func FuzzPredictions(f *testing.F) {
	h := Door(f, torchserve.Register)
	one, oneType := form(`data={"temp":7.5,"dest":"LAX"}`)
	fields, fieldsType := form("temp=7.5", "dest=LAX")
	for _, seed := range [][2]string{{oneType, one}, {fieldsType, fields}, {"", `{"instances":[{"x":1}]}`}, {"", `{"data":[1,2]}`}, {"application/json", `[1,"LAX"]`}, {"", "kitten"}, {"text/csv", "temp,dest\n1,LAX\n"}} {
		for _, model := range []string{"binary", "mean", "length", "half_plus_two"} {
			f.Add(model, seed[0], seed[1])
		}
	}
	f.Fuzz(func(t *testing.T, model, content, body string) {
		for _, c := range model {
			if (c < 'a' || c > 'z') && c != '_' {
				return
			}
		}
		if status, answer := Call(h, "POST", "/predictions/a"+model, body, "Content-Type: "+content); status >= 500 && status != 503 {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := Call(h, "POST", "/predictions/"+model+"/1", body, "Content-Type: "+content); status >= 500 && status != 503 {
			t.Errorf("%d %s", status, answer)
		}
	})
}
