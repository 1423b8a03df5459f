package mlflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/api/mlflow"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// world is the door in front of real services.
type world struct {
	*testing.T
	url    string
	router *route.Router
	runs   *track.Service
	hooks  *govern.Webhooks
	names  map[string]string // ids that a conversation has met, by the name they have in it
}

func newWorld(t *testing.T, db *catalog.DB, limits mlflow.Limits) *world {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	blobs, err := blob.NewFile(filepath.Join(dir, "blobs"), blob.Disk{})
	must(err)
	points, err := series.Open(t.Context(), series.Options{Dir: filepath.Join(dir, "series")})
	must(err)
	events := govern.New(db)
	runs, err := track.New(t.Context(), track.Config{DB: db, Blobs: blobs, Series: points, Events: events, Uploads: filepath.Join(dir, "uploads")})
	must(err)
	models := registry.New(registry.Config{DB: db, Blobs: blobs, Events: events, Runs: runs, Artifacts: runs.Artifacts})
	hooks, err := govern.OpenWebhooks(t.Context(), govern.WebhookConfig{DB: db, Events: events, Key: make([]byte, 32), Allow: []string{"127.0.0.1"}, Dialect: mlflow.Dialect(models)})
	must(err)
	w := &world{T: t, router: route.New(route.Config{}), runs: runs, hooks: hooks, names: map[string]string{}}
	mlflow.Register(w.router, mlflow.Services{Track: runs, Registry: models, Webhooks: hooks, Limits: limits})
	server := httptest.NewServer(w.router)
	w.url = server.URL
	t.Cleanup(func() {
		server.Close()
		if err := runs.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := points.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

var schemas = []fs.FS{govern.Schema, track.Schema, registry.Schema}

// each runs a test on both catalogs.
func each(t *testing.T, f func(w *world)) {
	catalogtest.Each(t, schemas, func(t *testing.T, db *catalog.DB) { f(newWorld(t, db, mlflow.Limits{})) })
}

// on runs a test on SQLite only: it is about the door.
func on(t *testing.T, limits mlflow.Limits) *world {
	return newWorld(t, catalogtest.Open(t, filepath.Join(t.TempDir(), "catalog.db"), schemas...), limits)
}

func (w *world) do(method, path, body string, header ...string) (*http.Response, string) {
	w.Helper()
	return w.send(method, path, strings.NewReader(body), header...)
}

func (w *world) send(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, body)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return res, string(got)
}

var (
	stamp   = regexp.MustCompile(`("(?:creation_time|last_update_time|creation_timestamp|last_updated_timestamp|creation_timestamp_ms|last_updated_timestamp_ms)":)\d{13}`)
	request = regexp.MustCompile(`,"(?:request_id|hint)":"(?:[^"\\]|\\.)*"`)
	token   = regexp.MustCompile(`("next_page_token":)"[^"]+"`)
)

// talk plays a conversation: lines of "METHOD path body", each followed by "status answer". An id that comes for the first time in an
// answer as <name> is remembered and put in where requests name it. Times are 0 in answers.
func (w *world) talk(script string) {
	w.Helper()
	var method, path, body string
	for i, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line[0] >= 'A' && line[0] <= 'Z' {
			method, path, body = w.request(line)
			continue
		}
		res, got := w.do(method, path, body)
		want := line
		answer := fmt.Sprintf("%d %s", res.StatusCode, w.plain(got))
		w.learn(want, answer)
		for name, id := range w.names {
			want = strings.ReplaceAll(want, "<"+name+">", id)
		}
		if diff := cmp.Diff(want, answer); diff != "" {
			w.Errorf("line %d: %s %s %s\n got %s\nwant %s", i, method, path, body, answer, want)
		}
	}
}

func (w *world) request(line string) (method, path, body string) {
	for name, id := range w.names {
		line = strings.ReplaceAll(line, "<"+name+">", id)
	}
	method, line, _ = strings.Cut(line, " ")
	path, body, _ = strings.Cut(line, " ")
	if strings.HasPrefix(path, "mlflow") {
		path = "/api/2.0/" + path
	}
	return method, path, body
}

// plain is an answer without what differs from run to run.
func (w *world) plain(body string) string {
	body = stamp.ReplaceAllString(body, "${1}0")
	body = request.ReplaceAllString(body, "")
	body = token.ReplaceAllString(body, `$1"T"`)
	return body
}

// learn takes the ids that an answer has where the expectation says <name>.
func (w *world) learn(want, got string) {
	for _, m := range regexp.MustCompile(`<(\w+)>`).FindAllStringSubmatch(want, -1) {
		if w.names[m[1]] != "" {
			continue
		}
		before, _, _ := strings.Cut(want, m[0])
		for name, id := range w.names {
			before = strings.ReplaceAll(before, "<"+name+">", id)
		}
		if strings.HasPrefix(got, before) {
			id := regexp.MustCompile(`^[\w-]+`).FindString(got[len(before):])
			w.names[m[1]] = id
		}
	}
}

// TestErrorsBeforeAHandler: what the router says below the door's paths is in the door's form.
func TestErrorsBeforeAHandler(t *testing.T) {
	w := on(t, mlflow.Limits{})
	for _, test := range []struct {
		method, path, host string
		status             int
		code               string
	}{
		{"GET", "/api/2.0/mlflow/nope", "", 404, "ENDPOINT_NOT_FOUND"},
		{"POST", "/api/3.0/mlflow/traces", "", 404, "ENDPOINT_NOT_FOUND"},
		{"POST", "/ajax-api/2.0/mlflow/gateway", "", 404, "ENDPOINT_NOT_FOUND"},
		{"GET", "/api/3.0/mlflow/workspaces", "", 404, "ENDPOINT_NOT_FOUND"},
		{"POST", "/api/2.0/mlflow/runs/get", "", 405, "ENDPOINT_NOT_FOUND"},
		{"DELETE", "/api/2.0/mlflow/runs/create", "", 405, "ENDPOINT_NOT_FOUND"},
		{"GET", "/api/2.0/mlflow/runs/get", "evil.example", 403, "PERMISSION_DENIED"},
		{"GET", "/api/2.0/mlflow-artifacts/artifacts/../../../etc/passwd", "", 400, "INVALID_PARAMETER_VALUE"},
		{"PUT", "/api/2.0/mlflow-artifacts/artifacts/a/%2e%2e/b", "", 400, "INVALID_PARAMETER_VALUE"},
	} {
		req := httptest.NewRequest(test.method, test.path, nil)
		req.Host = "localhost"
		if test.host != "" {
			req.Host = test.host
		}
		rec := httptest.NewRecorder()
		w.router.ServeHTTP(rec, req)
		var body struct {
			ErrorCode string `json:"error_code"`
			Message   string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code != test.status || body.ErrorCode != test.code || body.Message == "" {
			t.Errorf("%s %s: %d %s (%v)", test.method, test.path, rec.Code, rec.Body, err)
		}
		if got := rec.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s: content type %q", test.method, test.path, got)
		}
	}
}

func TestContentType(t *testing.T) {
	w := on(t, mlflow.Limits{})
	for kind, status := range map[string]int{"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON;x=y": 200, "text/plain": 400, "": 400, "application/x-www-form-urlencoded": 400} {
		res, body := w.do("POST", "/api/2.0/mlflow/experiments/create", fmt.Sprintf(`{"name":%q}`, "of "+kind), "Content-Type", kind)
		if res.StatusCode != status {
			t.Errorf("%q: %d %s", kind, res.StatusCode, body)
		}
	}
}
