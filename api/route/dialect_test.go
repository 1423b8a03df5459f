package route_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestADoorSpeaksOfErrorsInItsOwnForm: below its prefix every problem is written by the door, whoever found it.
func TestADoorSpeaksOfErrorsInItsOwnForm(t *testing.T) {
	r := route.New(route.Config{Token: "secret", Hosts: []string{"good.example"}})
	r.Errors(func(w http.ResponseWriter, _ *http.Request, p *route.Problem) {
		if p.Status == http.StatusUnauthorized {
			w.Header().Set("Www-Authenticate", `Basic realm="old"`)
		}
		w.WriteHeader(p.Status)
		fmt.Fprintf(w, "%s %v %s", p.Code, p.Unmatched, p.Detail)
	}, "/old/", "/alone")
	access := route.Access{Action: "old.write", Resource: "old", Audit: route.Write, MaxBody: 8, Plain: true}
	r.Handle(http.MethodPost, "/old/{path...}", access, func(w http.ResponseWriter, req *http.Request) {
		switch req.PathValue("path") {
		case "busy":
			r.Error(w, req, fault.New(fault.TooMany, "too many"))
		case "broken":
			panic("boom")
		case "long":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(make([]byte, 4096))
		}
	})
	for _, test := range []struct {
		method, path, host, body string
		token                    string
		status                   int
		want                     string
		header, value            string
	}{
		{"POST", "/old/x", "good.example", "", "", 401, "unauthenticated false this server asks for its token", "Www-Authenticate", `Basic realm="old"`},
		{"POST", "/old/x", "evil.example", "", "secret", 403, `denied false this server does not answer to the host "evil.example"`, "", ""},
		{"POST", "/old/x", "good.example", "123456789", "secret", 413, "too_large false the request body has 9 bytes, more than 8", "", ""},
		{"POST", "/old/busy", "good.example", "", "secret", 429, "too_many_requests false too many", "Retry-After", "1"},
		{"POST", "/old/broken", "good.example", "", "secret", 500, "internal false the server failed", "", ""},
		{"GET", "/old/x", "good.example", "", "secret", 405, "method_not_allowed true GET is not possible on /old/x", "Allow", "POST"},
		{"GET", "/alone", "good.example", "", "secret", 404, "not_found true there is nothing at /alone", "", ""},
		{"POST", "/old/a/../b", "good.example", "", "secret", 400, "invalid false Invalid path", "", ""},
		{"POST", "/old/a/%2e%2e/b", "good.example", "", "secret", 400, "invalid false Invalid path", "", ""},
		{"POST", "/old/a//b", "good.example", "", "secret", 400, "invalid false Invalid path", "", ""},
		{"POST", "/old/a/..", "good.example", "", "secret", 400, "invalid false Invalid path", "", ""},
		{"GET", "/other", "good.example", "", "secret", 404, `"code":"not_found"`, "Content-Type", "application/problem+json"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			req := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
			req.Host = test.host
			if test.token != "" {
				req.Header.Set("Authorization", "Bearer "+test.token)
			}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.want)
			}
			if test.header != "" && w.Header().Get(test.header) != test.value {
				t.Errorf("%s: %q", test.header, w.Header().Get(test.header))
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("the answer has no request id")
			}
		})
	}
	req := httptest.NewRequest(http.MethodPost, "/old/long", nil)
	req.Host = "good.example"
	req.Header.Set("Authorization", "Bearer secret")
	req.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Header().Get("Content-Encoding") != "" {
		t.Error("a plain route was compressed")
	}
}
