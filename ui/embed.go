// Package ui holds the web app and serves it from memory, so that one binary is the whole platform.
//
// It owns the bytes of the built app (ui/dist, made by `npm run build`) and how they are cached. It must never know what the
// pages show: they read the native API like any other client. A binary that was built without the app says so on its page.
package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// dist holds at least .gitkeep, so that the program compiles before the app was built.
//
//go:embed all:dist
var dist embed.FS

// Prefix is where the app lives.
const Prefix = "/ui/"

// Policy is the content security policy that the app needs and the one it is served with: its own files and its own API only.
// Styles may be inline because Mantine writes its variables into a style element.
const Policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// file is one file of the app, ready to send.
type file struct {
	body       []byte
	compressed []byte // gzip; nil when the build made none
	kind       string
	etag       string
	immutable  bool // its name holds its hash
}

// Handler serves the app under Prefix. Files whose name holds their hash are cached for good; index.html, which answers every
// address of the app that is not a file, is asked for anew each time. It is safe for concurrent use.
func Handler() http.Handler { return newHandler(dist) }

// Built reports whether the app is in this binary.
func Built() bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}

func newHandler(tree fs.FS) http.Handler {
	files, err := load(tree)
	if err != nil {
		panic("ui: the embedded files can't be read: " + err.Error()) // they are part of the program
	}
	index, built := files["index.html"]
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the app is only read", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		name := strings.TrimPrefix(path.Clean("/"+strings.TrimPrefix(req.URL.Path, strings.TrimSuffix(Prefix, "/"))), "/")
		f, found := files[name]
		switch {
		case found:
		case !built:
			unbuilt(w)
			return
		case strings.HasPrefix(name, "assets/"):
			// An asset of another build: answering with the page would hide that.
			http.Error(w, "there is no such file in this build; load the page again", http.StatusNotFound)
			return
		default:
			f = index
		}
		f.send(w, req)
	})
}

// load reads the tree once. A .gz beside a file is its compressed form.
func load(tree fs.FS) (map[string]*file, error) {
	files := map[string]*file{}
	compressed := map[string][]byte{}
	err := fs.WalkDir(tree, "dist", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, "dist/")
		if original, ok := strings.CutSuffix(name, ".gz"); ok {
			compressed[original] = body
			return nil
		}
		if strings.HasPrefix(name, ".") || name == "manifest.json" {
			return nil
		}
		sum := sha256.Sum256(body)
		files[name] = &file{body: body, kind: kindOf(name), etag: `"` + hex.EncodeToString(sum[:12]) + `"`, immutable: strings.HasPrefix(name, "assets/")}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the app: %w", err)
	}
	for name, body := range compressed {
		if f := files[name]; f != nil && len(body) < len(f.body) {
			f.compressed = body
		}
	}
	return files, nil
}

// kindOf does not ask the machine's table alone, which differs between machines.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

func (f *file) send(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	body, etag := f.body, f.etag
	if f.compressed != nil && takesGzip(req.Header.Get("Accept-Encoding")) {
		body, etag = f.compressed, strings.TrimSuffix(f.etag, `"`)+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	for _, known := range strings.Split(req.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == etag {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if req.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the reader left; nobody is there to be told
}

// takesGzip reads an Accept-Encoding header: gzip named, and not with q=0.
func takesGzip(header string) bool {
	for _, part := range strings.Split(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") || strings.TrimSpace(name) == "*" {
			q, _ := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return err != nil || value > 0
		}
	}
	return false
}

const unbuiltPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Trimtab</title>
<style>:root{color-scheme:light dark}body{font:15px/24px system-ui,sans-serif;max-width:64ch;margin:48px auto;padding:0 24px}code{font-family:ui-monospace,monospace}</style>
<h1>The web app is not in this binary</h1>
<p>The program was built without it. From the repository: <code>make build</code>, or <code>npm ci &amp;&amp; npm run build</code> in <code>ui/</code> and then <code>go build</code>.</p>
<p>Everything the app shows is also on the command line (<code>trimtab --help</code>) and in the API (<a href="/api/v1/openapi.json">/api/v1</a>).</p>
</html>
`

func unbuilt(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(unbuiltPage))
}
