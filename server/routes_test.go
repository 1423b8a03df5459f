package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/server"
)

var update = flag.Bool("update", false, "rewrite docs/api.md and docs/openapi.json")

var parameter = regexp.MustCompile(`\{[^{}]*\}`)

// call sends a request to a route with something in place of its parameters.
func call(t *testing.T, url string, r route.Route, change func(*http.Request)) (int, http.Header) {
	t.Helper()
	path := parameter.ReplaceAllString(strings.ReplaceAll(r.Pattern, "{$}", ""), "1")
	var body io.Reader
	if r.Method != http.MethodGet {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(t.Context(), r.Method, url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	change(req)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header
}

// TestEveryRouteIsGuarded knocks at every door of the whole program: without the token, with a wrong one, from a
// rebound name and from a foreign page.
func TestEveryRouteIsGuarded(t *testing.T) {
	open, local := start(t, server.Config{Listen: "0.0.0.0:0"}), start(t, server.Config{})
	table := open.Routes()
	if len(table) < 20 {
		t.Fatalf("only %d routes", len(table))
	}
	for _, r := range table {
		name := r.Method + " " + r.Pattern
		for what, change := range map[string]func(*http.Request){
			"no token":    func(*http.Request) {},
			"wrong token": func(req *http.Request) { req.Header.Set("Authorization", "Bearer wrong") },
			"wrong basic": func(req *http.Request) { req.SetBasicAuth("admin", "admin") },
		} {
			status, header := call(t, open.URL(), r, change)
			if r.Access.Audit != route.Public && (status != http.StatusUnauthorized || header.Get("Www-Authenticate") == "") {
				t.Errorf("%s with %s: %d", name, what, status)
			}
			if r.Access.Audit == route.Public && status == http.StatusUnauthorized {
				t.Errorf("%s is public and asks for a token", name)
			}
		}
		if status, _ := call(t, local.URL(), r, func(req *http.Request) { req.Host = "evil.example" }); status != http.StatusForbidden {
			t.Errorf("%s for a rebound name: %d", name, status)
		}
		if r.Method != http.MethodGet {
			foreign := func(req *http.Request) { req.Header.Set("Origin", "https://evil.example") }
			if status, _ := call(t, local.URL(), r, foreign); status != http.StatusForbidden {
				t.Errorf("%s from a foreign page: %d", name, status)
			}
		}
	}
}

// public is everything that answers without the token; a new line here is a decision.
// The web app holds no data: it asks for it like everyone else.
var public = []string{"GET /d/{deployment}/oip/v2/health/live", "GET /d/{deployment}/oip/v2/health/ready",
	"POST /grpc.health.v1.Health/Check", "POST /grpc.health.v1.Health/Watch", "GET /health",
	"POST /inference.GRPCInferenceService/ServerLive", "POST /inference.GRPCInferenceService/ServerReady",
	"GET /ping", "GET /ready", "GET /ui/{path...}", "GET /v2/health/live", "GET /v2/health/ready", "GET /version", "GET /{$}"}

func TestPublicRoutesAreFew(t *testing.T) {
	var got []string
	for _, r := range start(t, server.Config{}).Routes() {
		if r.Access.Audit == route.Public {
			got = append(got, r.Method+" "+r.Pattern)
		}
	}
	if diff := cmp.Diff(public, got); diff != "" {
		t.Error(diff)
	}
}

// TestEveryNativeRouteIsDescribed: what is under /api/v1 stands in the OpenAPI description.
func TestEveryNativeRouteIsDescribed(t *testing.T) {
	s := start(t, server.Config{})
	_, body := get(t, s.URL()+"/api/v1/openapi.json")
	var spec struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(body), &spec); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Routes() {
		if !strings.HasPrefix(r.Pattern, route.Prefix+"/") || strings.HasPrefix(r.Pattern, route.Prefix+"/openapi.") {
			continue
		}
		if spec.Paths[strings.ReplaceAll(r.Pattern, "...}", "}")][strings.ToLower(r.Method)] == nil {
			t.Errorf("%s %s is not described: use route.Register, or Describe it in api/native/described.go", r.Method, r.Pattern)
		}
	}
}

// TestAPIDocuments keeps docs/api.md (every route) and docs/openapi.json (the native API) in step with the program:
//
//	go test ./server -run APIDocuments -update
func TestAPIDocuments(t *testing.T) {
	s := start(t, server.Config{Version: "0"})
	status, body := get(t, s.URL()+"/api/v1/openapi.json")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	var spec bytes.Buffer
	if err := json.Indent(&spec, []byte(body), "", " "); err != nil {
		t.Fatal(err)
	}
	spec.WriteByte('\n')
	var page strings.Builder
	page.WriteString("# Every route\n\nMade from the route table by `go test ./server -run APIDocuments -update`. " +
		"The native API is described in full by [openapi.json](openapi.json), which a server also gives at `/api/v1/openapi.json`.\n\n" +
		"*read* and *write* routes need the token on any address but loopback; *write* leaves an audit line; *infer* is the data plane; " +
		"*public* needs nothing.\n\n| method | path | action | resource | class |\n|---|---|---|---|---|\n")
	for _, r := range s.Routes() {
		fmt.Fprintf(&page, "| %s | `%s` | %s | `%s` | %s |\n", r.Method, r.Pattern, r.Access.Action, r.Access.Resource, r.Access.Audit)
	}
	for file, want := range map[string]string{"../docs/openapi.json": spec.String(), "../docs/api.md": page.String()} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale: run `go test ./server -run APIDocuments -update` and look at what changed", file)
		}
	}
}
