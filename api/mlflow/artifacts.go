package mlflow

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

const (
	proxy       = "/mlflow-artifacts/artifacts"
	uriScheme   = "mlflow-artifacts:"
	maxUploaded = 10 << 20 // of a file that a web app uploads
)

func (d *door) registerArtifacts() {
	d.add(endpoint{method: http.MethodGet, path: "/mlflow/artifacts/list", action: "artifact.list", resource: "run", form: artifactList, do: d.listRunArtifacts})
	d.add(endpoint{method: http.MethodGet, path: proxy, action: "artifact.list", resource: "artifact", form: proxyList, do: d.listProxied})
	file := func(action string, class route.Class) route.Access {
		return route.Access{Action: "artifact." + action, Resource: "artifact/{path}", Audit: class, MaxBody: -1, Plain: true}
	}
	for _, root := range roots {
		d.r.Handle(http.MethodGet, root+proxy+"/{path...}", file("read", route.Read), d.plain(func(w http.ResponseWriter, req *http.Request) error {
			return d.sendArtifact(w, req, req.PathValue("path"))
		}))
		d.r.Handle(http.MethodPut, root+proxy+"/{path...}", file("write", route.Write), d.receiving(d.putArtifact))
	}
	d.add(endpoint{method: http.MethodDelete, path: proxy + "/{path...}", action: "artifact.delete", resource: "artifact/{path}", form: nothing, do: func(c *call) error {
		return d.track.DeleteArtifacts(c.ctx, c.path("path"))
	}})
	read := route.Access{Action: "artifact.read", Resource: "artifact", Audit: route.Read, Plain: true}
	d.r.Handle(http.MethodGet, runFile, read, d.plain(d.getRunArtifact))
	d.r.Handle(http.MethodGet, versionFile, read, d.plain(d.getVersionArtifact))
	d.r.Handle(http.MethodPost, ajax[0]+"/mlflow/upload-artifact",
		route.Access{Action: "artifact.write", Resource: "artifact", Audit: route.Write, MaxBody: -1, Plain: true}, d.receiving(d.uploadArtifact))
	d.add(endpoint{method: http.MethodPost, path: "/mlflow/artifacts/presigned-upload-url", action: "artifact.write", resource: "artifact", form: presignedPut, do: d.presignedUpload})
	d.add(endpoint{method: http.MethodPost, path: "/mlflow/artifacts/presigned-download-url", action: "artifact.read", resource: "artifact", class: route.Read, form: presignedGet, do: d.presignedDownload})
	d.add(endpoint{method: http.MethodGet, path: "/mlflow-artifacts/presigned/{path...}", action: "artifact.read", resource: "artifact/{path}", form: nothing, do: func(*call) error {
		return fault.New(fault.NotSupported, "Multipart download is not supported for the current artifact repository")
	}})
}

// plain answers errors of a handler that writes its own answer.
func (d *door) plain(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if err := h(w, req); err != nil {
			d.r.Error(w, req, err)
		}
	}
}

// receiving is plain for what receives a file: only so many do at once.
func (d *door) receiving(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return d.plain(func(w http.ResponseWriter, req *http.Request) error {
		leave, err := d.uploads.enter(req.Context(), 1)
		if err != nil {
			return err
		}
		defer leave()
		return h(w, req)
	})
}

// below is the path in our store of a URI, or false when it is somewhere else.
func below(uri string) (string, bool) {
	rest, ours := strings.CutPrefix(uri, uriScheme)
	return strings.Trim(rest, "/"), ours
}

// under joins a path that a client named to the root of a run, a model or a version.
func under(uri, file string) (string, error) {
	root, ours := below(uri)
	if !ours {
		return "", fault.New(fault.NotSupported, "the files of %s are not in this server's store", uri).WithHint("read them where they are")
	}
	file, err := track.CleanPath(file)
	if err != nil {
		return "", err
	}
	if file == "" {
		return root, nil
	}
	return root + "/" + file, nil
}

func (d *door) listRunArtifacts(c *call) error {
	run, err := d.track.Get(c.ctx, c.in.text("run_id"))
	if err != nil {
		return err
	}
	return d.listBelow(c, run.ArtifactURI, c.in.text("path"))
}

// listBelow answers with a folder of a run or a model; the paths are relative to its root.
func (d *door) listBelow(c *call, uri, folder string) error {
	at, err := under(uri, folder)
	if err != nil {
		return err
	}
	files, err := d.track.ListArtifacts(c.ctx, at)
	if err != nil {
		return err
	}
	c.text("root_uri", uri)
	c.files(files, strings.TrimSuffix(folder, "/"))
	return nil
}

func (d *door) listProxied(c *call) error {
	files, err := d.track.ListArtifacts(c.ctx, c.in.text("path"))
	if err != nil {
		return err
	}
	c.files(files, "")
	return nil
}

// sendArtifact streams a file, or the range of it that is asked for. It never opens in a browser as a page of this server.
func (d *door) sendArtifact(w http.ResponseWriter, req *http.Request, at string) error {
	file, err := d.track.OpenArtifact(req.Context(), at)
	if err != nil {
		return err
	}
	defer file.Close()
	name := path.Base(file.Path)
	h := w.Header()
	h.Set("Content-Type", kindOf(name))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set("Etag", `"`+file.Blob+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, req, "", file.ModifiedAt, file.File)
	return nil
}

// kindOf guesses a type by the end of a name. What a browser would run as a page is plain text.
func kindOf(name string) string {
	kind := mime.TypeByExtension(path.Ext(name))
	base, _, _ := strings.Cut(kind, ";")
	switch base {
	case "":
		if ext := path.Ext(name); ext == "" || ext == ".yaml" || ext == ".yml" || ext == ".log" {
			return "text/plain"
		}
		return "application/octet-stream"
	case "text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/javascript", "application/javascript":
		return "text/plain; charset=utf-8"
	}
	return kind
}

// expected is what the headers say about a body.
func expected(req *http.Request) (track.Expect, error) {
	want := track.Expect{Size: req.ContentLength}
	bad := func(name string) error {
		return fault.New(fault.Invalid, "the header %s is no checksum", name).WithHint("Content-MD5 and Digest are in base64, X-Checksum-* in hexadecimal")
	}
	fromBase64 := func(text string, size int) (string, bool) {
		raw, err := base64.StdEncoding.DecodeString(text)
		return hex.EncodeToString(raw), err == nil && len(raw) == size
	}
	var ok bool
	if given := req.Header.Get("Content-MD5"); given != "" {
		if want.MD5, ok = fromBase64(given, 16); !ok {
			return want, bad("Content-MD5")
		}
	}
	for _, header := range []string{"Digest", "Content-Digest"} { // RFC 3230; RFC 9530 writes the value between colons
		for part := range strings.SplitSeq(strings.Join(req.Header.Values(header), ","), ",") {
			algorithm, sum, _ := strings.Cut(strings.TrimSpace(part), "=")
			sum = strings.Trim(sum, ":")
			switch strings.ToLower(algorithm) {
			case "sha-256":
				want.SHA256, ok = fromBase64(sum, 32)
			case "md5":
				want.MD5, ok = fromBase64(sum, 16)
			default:
				continue // one we do not know is not one that is wrong
			}
			if !ok {
				return want, bad(header)
			}
		}
	}
	for _, sum := range []struct {
		header string
		size   int
		to     *string
	}{{"X-Checksum-Md5", 16, &want.MD5}, {"X-Checksum-Sha256", 32, &want.SHA256}, {"X-Checksum-Blake3", 32, &want.BLAKE3}} {
		given := req.Header.Get(sum.header)
		if given == "" {
			continue
		}
		if raw, err := hex.DecodeString(given); err != nil || len(raw) != sum.size {
			return want, bad(sum.header)
		}
		*sum.to = strings.ToLower(given)
	}
	return want, nil
}

func (d *door) putArtifact(w http.ResponseWriter, req *http.Request) error {
	want, err := expected(req)
	if err != nil {
		return err
	}
	file, err := d.track.PutArtifact(req.Context(), req.PathValue("path"), req.Body, want)
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	w.Header().Set("Etag", `"`+file.Blob+`"`)
	_, _ = w.Write(empty) // a client that left is not there to be told
	return nil
}

// argument is the value of an argument that must be there.
func argument(query url.Values, names ...string) (string, error) {
	for _, name := range names {
		if value := query.Get(name); value != "" {
			return value, nil
		}
	}
	return "", missing(names[0])
}

func (d *door) getRunArtifact(w http.ResponseWriter, req *http.Request) error {
	query := req.URL.Query()
	id, err := argument(query, "run_id", "run_uuid")
	if err != nil {
		return err
	}
	file, err := argument(query, "path")
	if err != nil {
		return err
	}
	run, err := d.track.Get(req.Context(), id)
	if err != nil {
		return err
	}
	return d.sendBelow(w, req, run.ArtifactURI, file)
}

func (d *door) sendBelow(w http.ResponseWriter, req *http.Request, uri, file string) error {
	at, err := under(uri, file)
	if err != nil {
		return err
	}
	return d.sendArtifact(w, req, at)
}

func (d *door) uploadArtifact(w http.ResponseWriter, req *http.Request) error {
	query := req.URL.Query()
	id := query.Get("run_uuid")
	file := query.Get("path")
	switch {
	case id == "":
		return fault.New(fault.Invalid, "Request must specify run_uuid.")
	case file == "":
		return fault.New(fault.Invalid, "Request must specify path.")
	case req.ContentLength == 0:
		return fault.New(fault.Invalid, "Request must specify data.")
	case req.ContentLength > maxUploaded:
		return fault.New(fault.Invalid, "Artifact size is too large. Max size is 10MB.")
	}
	run, err := d.track.Get(req.Context(), id)
	if err != nil {
		return err
	}
	at, err := under(run.ArtifactURI, file)
	if err != nil {
		return err
	}
	body := &bounded{r: req.Body, left: maxUploaded}
	if _, err := d.track.PutArtifact(req.Context(), at, body, track.Expect{Size: req.ContentLength}); err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(empty) // a client that left is not there to be told
	return nil
}

// bounded refuses a body of unknown length that turns out to be too long.
type bounded struct {
	r    io.Reader
	left int64
}

// Read passes bytes on.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fault.New(fault.Invalid, "Artifact size is too large. Max size is 10MB.")
	}
	return n, err
}

func (d *door) presignedUpload(c *call) error {
	run, model := c.in.text("run_id"), c.in.text("model_id")
	if (run == "") == (model == "") {
		return fault.New(fault.Invalid, "Exactly one of run_id and model_id must be provided.")
	}
	if _, err := track.CleanPath(c.in.text("path")); err != nil {
		return err
	}
	uri := ""
	if run != "" {
		r, err := d.track.Get(c.ctx, run)
		if err != nil {
			return err
		}
		uri = r.ArtifactURI
	} else {
		m, err := d.track.LoggedModel(c.ctx, model, false)
		if err != nil {
			return err
		}
		uri = m.ArtifactURI
	}
	return notPresigned("upload", "", uri)
}

func (d *door) presignedDownload(c *call) error {
	if _, err := track.CleanPath(c.in.text("path")); err != nil {
		return err
	}
	const week = 604800
	if v := c.in.get("expiration"); v.set && (v.int < 1 || v.int > week) {
		return fault.New(fault.Invalid, "expiration must be between 1 and %d seconds (got %d).", week, v.int)
	}
	run, err := d.track.Get(c.ctx, c.in.text("run_id"))
	if err != nil {
		return err
	}
	return notPresigned("download", "runs with ", run.ArtifactURI)
}

// notPresigned says that files go through this server, which has no store that others could reach, or that they are not here at all.
func notPresigned(what, whose, uri string) error {
	scheme, _, _ := strings.Cut(uri, ":")
	if _, ours := below(uri); ours {
		return fault.New(fault.Invalid, "Presigned %s is not supported for %sproxied artifact storage (artifact URI scheme: %s). "+
			"This endpoint requires a %s.", what, whose, scheme, map[string]string{"upload": "direct cloud storage artifact URI", "download": "run with a direct cloud storage artifact URI"}[what])
	}
	return fault.New(fault.NotSupported, "Presigned %s is not supported for the current artifact repository", what)
}
