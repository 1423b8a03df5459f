package route_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

var (
	readThing  = route.Access{Action: "thing.read", Resource: "thing/{name}", Audit: route.Read}
	writeThing = route.Access{Action: "thing.write", Resource: "thing/{name}", Audit: route.Write, MaxBody: 64}
)

type input struct {
	Name string `path:"name" maxLength:"20"`
	Body struct {
		Size  int      `json:"size" minimum:"1"`
		Names []string `json:"names,omitempty"`
	}
}

type output struct {
	Body struct {
		Name  string `json:"name"`
		Actor string `json:"actor"`
	}
}

// serve is a router with one route of every kind.
func serve(t *testing.T, cfg route.Config) (*route.Router, *httptest.Server) {
	t.Helper()
	r := route.New(cfg)
	route.Register(r, huma.Operation{Method: "POST", Path: "/things/{name}"}, writeThing,
		func(ctx context.Context, in *input) (*output, error) {
			out := &output{}
			out.Body.Name, out.Body.Actor = in.Name, govern.Actor(ctx)
			switch in.Name {
			case "missing":
				return nil, fmt.Errorf("look: %w", fault.New(fault.NotFound, "there is no thing %q", in.Name).
					WithHint("list them").At(fault.Position{File: "trimtab.yaml", Line: 3, Column: 7}).With("near", "thing"))
			case "broken":
				return nil, errors.New("secret: the disk said no")
			case "panic":
				panic("boom")
			}
			return out, nil
		})
	r.Handle("GET", "/plain/{name}", readThing, func(w http.ResponseWriter, req *http.Request) {
		switch name := req.PathValue("name"); name {
		case "panic":
			panic("boom")
		case "late":
			_, _ = w.Write(make([]byte, 1<<16))
			panic("boom")
		case "big":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, "%q", strings.Repeat("x", 5000))
		case "gate":
			r.Error(w, req, fault.New(fault.GateRefused, "auc >= 0.9 does not hold").With("auc", 0.7))
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, "%q", name)
		}
	})
	r.Handle("POST", "/infer/{name}", route.Access{Action: "thing.infer", Resource: "thing/{name}", Audit: route.Infer, MaxBody: 64},
		func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				r.Error(w, req, err)
				return
			}
			_, _ = w.Write(body)
		})
	r.Handle("GET", "/health", route.Access{Action: "server.health", Resource: "server", Audit: route.Public},
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	r.HandleStream("/stream", route.Access{Action: "thing.watch", Resource: "thing", Audit: route.Read},
		func(ctx context.Context, req *http.Request, s *route.Stream) error {
			if req.URL.Query().Get("bad") != "" {
				return fault.New(fault.Invalid, "bad")
			}
			if err := s.Send("thing", "7", map[string]int{"n": 1}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server
}

func do(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestEveryErrorIsAProblem(t *testing.T) {
	var logged bytes.Buffer
	_, server := serve(t, route.Config{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code, detail       string
	}{
		"fault":           {"POST", "/api/v1/things/missing", `{"size": 1}`, 404, "not_found", `there is no thing "missing"`},
		"not a fault":     {"POST", "/api/v1/things/broken", `{"size": 1}`, 500, "internal", "the server failed"},
		"panic":           {"POST", "/api/v1/things/panic", `{"size": 1}`, 500, "internal", "the server failed"},
		"panic, plain":    {"GET", "/plain/panic", "", 500, "internal", "the server failed"},
		"schema":          {"POST", "/api/v1/things/a", `{"size": 0, "sise": 1}`, 400, "invalid", "body.size"},
		"not JSON":        {"POST", "/api/v1/things/a", `{"size"`, 400, "invalid", "unexpected end"},
		"no body":         {"POST", "/api/v1/things/a", "", 400, "invalid", "body"},
		"path parameter":  {"POST", "/api/v1/things/aaaaaaaaaaaaaaaaaaaaaaaaa", `{"size": 1}`, 400, "invalid", "path.name"},
		"large body":      {"POST", "/api/v1/things/a", `{"size": 1, "names": ["` + strings.Repeat("x", 80) + `"]}`, 413, "too_large", "more than 64"},
		"large, infer":    {"POST", "/infer/a", strings.Repeat("x", 65), 413, "too_large", "more than 64"},
		"gate":            {"GET", "/plain/gate", "", 422, "gate_refused", "auc >= 0.9"},
		"nothing there":   {"GET", "/api/v1/nothing", "", 404, "not_found", "/api/v1/nothing"},
		"wrong method":    {"DELETE", "/api/v1/things/a", "", 405, "method_not_allowed", "DELETE"},
		"stream, at once": {"GET", "/stream?bad=1", "", 400, "invalid", "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := do(t, test.method, server.URL+test.path, test.body, "X-Request-Id", "req-1")
			var p route.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("%v in %q", err, body)
			}
			if res.StatusCode != test.status || p.Status != test.status || string(p.Code) != test.code ||
				!strings.Contains(p.Detail, test.detail) || p.Title == "" || p.RequestID != "req-1" ||
				res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s %s", res.StatusCode, res.Header.Get("Content-Type"), body)
			}
			if strings.Contains(body, "secret") || strings.Contains(body, "boom") {
				t.Errorf("the answer tells what is for the log: %s", body)
			}
		})
	}
	for _, want := range []string{"the disk said no", "boom", "request_id=req-1"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log does not tell %q", want)
		}
	}
	_, body := do(t, "POST", server.URL+"/api/v1/things/missing", `{"size": 1}`)
	for _, want := range []string{`"hint":"list them"`, `"line":3`, `"near":"thing"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	if res, _ := do(t, "DELETE", server.URL+"/api/v1/things/a", ""); res.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", res.Header.Get("Allow"))
	}
	if _, body := do(t, "POST", server.URL+"/api/v1/things/a", `{"size": 1}`, "X-Trimtab-Actor", "alice"); !strings.Contains(body, `"user:alice"`) {
		t.Errorf("actor: %s", body)
	}
}

func TestAnAnswerCutByAPanicIsNotTakenForWhole(t *testing.T) {
	_, server := serve(t, route.Config{})
	res, err := http.Get(server.URL + "/plain/late")
	if err != nil {
		return
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the client read a whole answer")
	}
}

func TestLoopbackGuard(t *testing.T) {
	_, server := serve(t, route.Config{Hosts: []string{"box.example"}})
	for name, test := range map[string]struct {
		method, path string
		header       []string
		status       int
	}{
		"program":               {"GET", "/plain/a", nil, 200},
		"localhost":             {"GET", "/plain/a", []string{"Host", "localhost:7070"}, 200},
		"another loopback":      {"GET", "/plain/a", []string{"Host", "127.8.9.1"}, 200},
		"IPv6":                  {"GET", "/plain/a", []string{"Host", "[::1]:7070"}, 200},
		"configured":            {"GET", "/plain/a", []string{"Host", "BOX.example:7070"}, 200},
		"rebinding":             {"GET", "/plain/a", []string{"Host", "evil.example:7070"}, 403},
		"looks like localhost":  {"GET", "/plain/a", []string{"Host", "localhost.evil.example"}, 403},
		"rebinding, public too": {"GET", "/health", []string{"Host", "evil.example"}, 403},
		"rebinding, infer":      {"POST", "/infer/a", []string{"Host", "evil.example"}, 403},
		"own page":              {"POST", "/infer/a", []string{"Origin", server.URL}, 200},
		"foreign page":          {"POST", "/infer/a", []string{"Origin", "https://evil.example"}, 403},
		"foreign page, null":    {"POST", "/infer/a", []string{"Origin", "null"}, 403},
		"foreign page, fetch":   {"POST", "/api/v1/things/a", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a link from elsewhere": {"GET", "/plain/a", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			body := ""
			if test.method == "POST" {
				body = `{"size": 1}`
			}
			if res, body := do(t, test.method, server.URL+test.path, body, test.header...); res.StatusCode != test.status {
				t.Errorf("%d %s, want %d", res.StatusCode, body, test.status)
			}
		})
	}
}

func TestTokenGuard(t *testing.T) {
	_, server := serve(t, route.Config{Token: "s3cret"})
	basic := func(user, password string) string {
		req := &http.Request{Header: http.Header{}}
		req.SetBasicAuth(user, password)
		return req.Header.Get("Authorization")
	}
	for name, test := range map[string]struct {
		path   string
		header []string
		status int
	}{
		"none":           {"/plain/a", nil, 401},
		"bearer":         {"/plain/a", []string{"Authorization", "Bearer s3cret"}, 200},
		"lower case":     {"/plain/a", []string{"Authorization", "bearer s3cret"}, 200},
		"wrong":          {"/plain/a", []string{"Authorization", "Bearer s3cre"}, 401},
		"empty":          {"/plain/a", []string{"Authorization", "Bearer "}, 401},
		"basic":          {"/plain/a", []string{"Authorization", basic("alice", "s3cret")}, 200},
		"basic, wrong":   {"/plain/a", []string{"Authorization", basic("s3cret", "alice")}, 401},
		"any host":       {"/plain/a", []string{"Authorization", "Bearer s3cret", "Host", "ml.example"}, 200},
		"public":         {"/health", nil, 200},
		"description":    {"/api/v1/openapi.json", nil, 401},
		"stream":         {"/stream", nil, 401},
		"nothing there":  {"/nothing", nil, 404},
		"unknown scheme": {"/plain/a", []string{"Authorization", "Digest s3cret"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := do(t, "GET", server.URL+test.path, "", test.header...)
			if res.StatusCode != test.status {
				t.Errorf("%d %s, want %d", res.StatusCode, body, test.status)
			}
			if test.status == 401 && len(res.Header["Www-Authenticate"]) != 2 {
				t.Errorf("WWW-Authenticate: %v", res.Header["Www-Authenticate"])
			}
		})
	}
}

func TestHeadersAndCompression(t *testing.T) {
	_, server := serve(t, route.Config{})
	res, body := do(t, "GET", server.URL+"/plain/big", "", "Accept-Encoding", "gzip")
	if res.Header.Get("Content-Encoding") != "gzip" || len(body) > 200 {
		t.Fatalf("%v, %d bytes", res.Header, len(body))
	}
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || len(plain) != 5002 {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "Vary": "Accept-Encoding",
	} {
		if got := res.Header.Get(header); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if res.Header.Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
	for _, path := range []string{"/plain/small", "/health"} {
		if res, body := do(t, "GET", server.URL+path, "", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" || body == "" {
			t.Errorf("%s: %v %q", path, res.Header, body)
		}
	}
	if res, body := do(t, "HEAD", server.URL+"/plain/big", "", "Accept-Encoding", "gzip"); res.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
}

func TestStreamSendsHeartsAndEndsOnDrain(t *testing.T) {
	r, server := serve(t, route.Config{})
	res, err := http.Get(server.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	var got []string
	for len(got) < 3 && lines.Scan() {
		got = append(got, lines.Text())
	}
	if want := "id: 7|event: thing|data: {\"n\":1}"; strings.Join(got, "|") != want || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v %v", got, res.Header)
	}
	r.Drain()
	r.Drain()
	ended := make(chan struct{})
	go func() {
		for lines.Scan() {
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on after the drain")
	}
}

func TestMetricsAndAudit(t *testing.T) {
	var logged bytes.Buffer
	registry := prometheus.NewRegistry()
	_, server := serve(t, route.Config{Metrics: registry, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	do(t, "POST", server.URL+"/api/v1/things/a", `{"size": 1}`, "X-Trimtab-Actor", "alice")
	do(t, "POST", server.URL+"/api/v1/things/missing", `{"size": 1}`)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "trimtab_http_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[1].GetValue() == "/api/v1/things/{name}" {
				counts[m.GetLabel()[2].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if counts["2xx"] != 1 || counts["4xx"] != 1 {
		t.Errorf("counts %v", counts)
	}
	if want := "msg=audit actor=user:alice action=thing.write resource=thing/a status=200"; !strings.Contains(logged.String(), want) {
		t.Errorf("%q is not in the log:\n%s", want, logged.String())
	}
}

func TestOpenAPIAndTable(t *testing.T) {
	r, server := serve(t, route.Config{Version: "1.2.3"})
	_, body := do(t, "GET", server.URL+"/api/v1/openapi.json", "")
	var spec struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(body), &spec); err != nil {
		t.Fatal(err)
	}
	op := spec.Paths["/api/v1/things/{name}"]["post"]
	if spec.OpenAPI != "3.1.0" || spec.Info.Version != "1.2.3" || op["x-action"] != "thing.write" || op["x-audit"] != "write" {
		t.Errorf("%s %s %v", spec.OpenAPI, spec.Info.Version, op)
	}
	if !strings.Contains(body, `"Problem"`) || strings.Contains(body, "$schema") {
		t.Error("the description has no Problem or links to schemas")
	}
	if _, body := do(t, "GET", server.URL+"/api/v1/openapi.yaml", ""); !strings.HasPrefix(body, "components:") && !strings.Contains(body, "openapi: 3.1.0") {
		t.Errorf("%.100s", body)
	}
	var lines []string
	for _, line := range r.Table() {
		lines = append(lines, line.Method+" "+line.Pattern+" "+line.Access.Action)
	}
	want := "POST /api/v1/things/{name} thing.write"
	if !strings.Contains(strings.Join(lines, "\n"), want) || len(lines) != 7 {
		t.Errorf("%s is not in\n%s", want, strings.Join(lines, "\n"))
	}
}

func TestPlainRoutesCanBeDescribed(t *testing.T) {
	r := route.New(route.Config{})
	r.Handle("POST", route.Prefix+"/things/{name}/files/{path...}", route.Access{Action: "thing.put", Resource: "thing/{name}", Audit: route.Write}, http.NotFound)
	r.Describe("POST", route.Prefix+"/things/{name}/files/{path...}", "Put a file", &route.Body{Media: "text/csv"}, route.Body{Value: route.FieldError{}})
	b, err := r.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"/api/v1/things/{name}/files/{path}"`, `"text/csv"`, `"x-action":"thing.put"`, `"#/components/schemas/FieldError"`, `"name":"path"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a route that is not there was described")
		}
	}()
	r.Describe("GET", "/nowhere", "", nil, route.Body{})
}

func TestIncompleteRoutesDoNotBoot(t *testing.T) {
	ok := route.Access{Action: "thing.read", Resource: "thing/{name}", Audit: route.Read}
	with := func(change func(*route.Access)) route.Access { a := ok; change(&a); return a }
	for name, boot := range map[string]func(*route.Router){
		"no access": func(r *route.Router) { r.Handle("GET", "/x/{name}", route.Access{}, nil) },
		"no action": func(r *route.Router) {
			r.Handle("GET", "/x/{name}", with(func(a *route.Access) { a.Action = "" }), nil)
		},
		"action not dotted": func(r *route.Router) {
			r.Handle("GET", "/x/{name}", with(func(a *route.Access) { a.Action = "read" }), nil)
		},
		"no resource": func(r *route.Router) {
			r.Handle("GET", "/x/{name}", with(func(a *route.Access) { a.Resource = "" }), nil)
		},
		"no class":      func(r *route.Router) { r.Handle("GET", "/x/{name}", with(func(a *route.Access) { a.Audit = 0 }), nil) },
		"unknown class": func(r *route.Router) { r.Handle("GET", "/x/{name}", with(func(a *route.Access) { a.Audit = 9 }), nil) },
		"unknown name":  func(r *route.Router) { r.Handle("GET", "/x/{other}", ok, nil) },
		"public write": func(r *route.Router) {
			r.Handle("POST", "/x/{name}", with(func(a *route.Access) { a.Audit = route.Public }), nil)
		},
		"GET that writes": func(r *route.Router) {
			r.Handle("GET", "/x/{name}", with(func(a *route.Access) { a.Audit = route.Write }), nil)
		},
		"twice": func(r *route.Router) {
			r.Handle("GET", "/x/{name}", ok, http.NotFound)
			r.Handle("GET", "/x/{name}", ok, http.NotFound)
		},
		"native without": func(r *route.Router) {
			route.Register(r, huma.Operation{Method: "POST", Path: "/x/{name}"}, route.Access{},
				func(context.Context, *input) (*output, error) { return nil, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it boots")
				}
			}()
			boot(route.New(route.Config{}))
		})
	}
}

func TestStatusOfEveryCode(t *testing.T) {
	for code, want := range map[fault.Code]int{
		fault.Invalid: 400, fault.NotFound: 404, fault.Conflict: 409, fault.Denied: 403, fault.Unauthenticated: 401,
		fault.GateRefused: 422, fault.NotSupported: 501, fault.FormatNotServed: 501, fault.TooLarge: 413,
		fault.TooMany: 429, fault.Unavailable: 503, fault.Corrupt: 500, fault.Canceled: 499, fault.Internal: 500,
	} {
		if got := route.Status(fault.New(code, "x")); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
	if route.Status(context.Canceled) != 499 || route.Status(context.DeadlineExceeded) != 503 {
		t.Error("the ends of a context are mapped wrongly")
	}
}

func BenchmarkInfer(b *testing.B) {
	r := route.New(route.Config{})
	r.Handle("POST", "/infer/{name}", route.Access{Action: "thing.infer", Resource: "thing/{name}", Audit: route.Infer},
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	bare := http.NewServeMux()
	bare.HandleFunc("POST /infer/{name}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for name, handler := range map[string]http.Handler{"bare": bare, "router": r} {
		b.Run(name, func(b *testing.B) {
			req := httptest.NewRequest("POST", "http://127.0.0.1/infer/a", http.NoBody)
			req.ContentLength = 0
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(w, req)
			}
		})
	}
}
