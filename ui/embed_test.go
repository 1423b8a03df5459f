package ui

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tree(t *testing.T) fstest.MapFS {
	script := strings.Repeat("export const a = 1;\n", 200)
	return fstest.MapFS{
		"dist/.gitkeep":                {Data: nil},
		"dist/manifest.json":           {Data: []byte(`{}`)},
		"dist/index.html":              {Data: []byte("<title>Trimtab</title>")},
		"dist/assets/main-abc.js":      {Data: []byte(script)},
		"dist/assets/main-abc.js.gz":   {Data: zipped(t, script)},
		"dist/assets/small-def.css":    {Data: []byte("a{}")},
		"dist/assets/small-def.css.gz": {Data: zipped(t, "a{}")}, // larger than the file: not used
	}
}

func TestHandler(t *testing.T) {
	h := newHandler(tree(t))
	for _, c := range []struct {
		name, method, path, accept string
		status                     int
		kind, cache, encoding      string
		body                       string
	}{
		{"the page", "GET", "/ui/", "", 200, "text/html; charset=utf-8", "no-cache", "", "Trimtab"},
		{"a deep link", "GET", "/ui/deployments/flight-delays/rollout", "gzip", 200, "text/html; charset=utf-8", "no-cache", "", "Trimtab"},
		{"without the slash", "GET", "/ui", "", 200, "text/html; charset=utf-8", "no-cache", "", "Trimtab"},
		{"a hashed file", "GET", "/ui/assets/main-abc.js", "", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "", "export"},
		{"compressed", "GET", "/ui/assets/main-abc.js", "br, gzip;q=0.8", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "gzip", ""},
		{"gzip refused", "GET", "/ui/assets/main-abc.js", "gzip;q=0", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "", "export"},
		{"compression that does not pay", "GET", "/ui/assets/small-def.css", "gzip", 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable", "", "a{}"},
		{"an asset of another build", "GET", "/ui/assets/old-000.js", "", 404, "text/plain; charset=utf-8", "", "", "load the page again"},
		{"the build's own notes", "GET", "/ui/manifest.json", "", 200, "text/html; charset=utf-8", "no-cache", "", "Trimtab"},
		{"no way out", "GET", "/ui/../../etc/passwd", "", 200, "text/html; charset=utf-8", "no-cache", "", "Trimtab"},
		{"writing", "POST", "/ui/", "", 405, "text/plain; charset=utf-8", "", "", "only read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequest(c.method, "http://localhost/", nil)
			req.URL.Path = c.path
			req.Header.Set("Accept-Encoding", c.accept)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			got := rec.Header()
			if rec.Code != c.status || got.Get("Content-Type") != c.kind || got.Get("Cache-Control") != c.cache || got.Get("Content-Encoding") != c.encoding {
				t.Fatalf("got %d %q %q %q", rec.Code, got.Get("Content-Type"), got.Get("Cache-Control"), got.Get("Content-Encoding"))
			}
			if !strings.Contains(rec.Body.String(), c.body) {
				t.Fatalf("body %q", rec.Body.String())
			}
			if rec.Code == 200 && got.Get("Content-Security-Policy") != Policy {
				t.Fatal("no content security policy")
			}
		})
	}
}

func TestHandlerRevalidates(t *testing.T) {
	h := newHandler(tree(t))
	ask := func(etag string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", "http://localhost/ui/assets/main-abc.js", nil)
		req.Header.Set("Accept-Encoding", "gzip")
		req.Header.Set("If-None-Match", etag)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
	first := ask("")
	if again := ask(first.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Fatalf("got %d with %d bytes", again.Code, again.Body.Len())
	}
	if other := ask(`"another"`); other.Code != http.StatusOK {
		t.Fatalf("got %d", other.Code)
	}
}

func TestUnbuiltSaysHowToBuild(t *testing.T) {
	rec := httptest.NewRecorder()
	newHandler(fstest.MapFS{"dist/.gitkeep": {}}).ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost/ui/", nil))
	if rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "npm run build") {
		t.Fatalf("got %d %q", rec.Code, rec.Body.String())
	}
}
