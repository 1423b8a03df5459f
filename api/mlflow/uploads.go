package mlflow

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Where the parts of an upload are sent. Clients get the address and use it as it is, without their own login, so the answer to create
// carries the login back to them in the headers of each part.
const parts = "/mlflow-artifacts/mpu/parts/"

// maxUploadParts is S3's bound.
const maxUploadParts = 10000

func (d *door) registerUploads() {
	const root = "/mlflow-artifacts/mpu/"
	for name, do := range map[string]func(*call) error{"create": d.createUpload, "complete": d.completeUpload, "abort": d.abortUpload} {
		f := map[string]*message{"create": uploadNew, "complete": uploadDone, "abort": uploadEnd}[name]
		// The folder of a file at the very top is empty, and its path then ends before the slash.
		for _, p := range []string{root + name, root + name + "/{path...}"} {
			resource := "artifact"
			if strings.HasSuffix(p, "}") {
				resource = "artifact/{path}"
			}
			d.add(endpoint{method: http.MethodPost, path: p, action: "artifact.write", resource: resource, form: f, do: do})
		}
	}
	access := route.Access{Action: "artifact.write", Resource: "upload/{upload}", Audit: route.Write, MaxBody: -1, Plain: true}
	d.r.Handle(http.MethodPut, roots[0]+parts+"{upload}/{part}", access, d.receiving(d.putPart))
	d.add(endpoint{method: http.MethodGet, path: parts + "{upload}", action: "artifact.read", resource: "upload/{upload}", form: nothing, roots: roots[:1], do: d.getUpload})
}

// target is the file that an upload is for: the folder in the path of the request, and the name of the client's local file.
func target(c *call) string {
	name := c.in.text("path")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 { // a client on Windows names its file with backslashes
		name = name[i+1:]
	}
	return strings.TrimPrefix(strings.TrimSuffix(c.path("path"), "/")+"/"+name, "/")
}

func (d *door) createUpload(c *call) error {
	n := c.in.int("num_parts")
	if !c.in.has("num_parts") {
		n = 1
	}
	if n < 1 || n > maxUploadParts {
		return fault.New(fault.Invalid, "Invalid value %d for parameter 'num_parts' supplied. It must be between 1 and %d", n, maxUploadParts)
	}
	if base := path.Base(c.in.text("path")); base == "." || base == "/" || base == ".." {
		return fault.New(fault.Invalid, "Invalid path")
	}
	up, err := d.track.CreateUpload(c.ctx, target(c))
	if err != nil {
		return err
	}
	c.text("upload_id", up.ID)
	c.list("credentials")
	address := origin(c.req) + roots[0] + parts + up.ID + "/"
	for number := int64(1); number <= n; number++ {
		c.open('{')
		c.text("url", address+strconv.FormatInt(number, 10))
		c.int("part_number", number)
		c.object("headers")
		if login := c.req.Header.Get("Authorization"); login != "" {
			c.text("Authorization", login)
		}
		c.close('}')
		c.close('}')
		c.flush()
	}
	c.close(']')
	return nil
}

// origin is the address under which the client reached this server.
func origin(req *http.Request) string {
	scheme := "http"
	if req.TLS != nil {
		scheme = "https"
	}
	if given := req.Header.Get("X-Forwarded-Proto"); given == "https" {
		scheme = given
	}
	return (&url.URL{Scheme: scheme, Host: cmp.Or(req.Host, "localhost")}).String()
}

func (d *door) putPart(w http.ResponseWriter, req *http.Request) error {
	number, err := strconv.Atoi(req.PathValue("part"))
	if err != nil {
		return fault.New(fault.Invalid, "Part number %.20q is not a number", req.PathValue("part"))
	}
	want, err := expected(req)
	if err != nil {
		return err
	}
	etag, err := d.track.PutPart(req.Context(), req.PathValue("upload"), number, req.Body, want)
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	w.Header()["ETag"] = []string{`"` + etag + `"`}
	_, _ = w.Write(empty) // a client that left is not there to be told
	return nil
}

// getUpload tells a sender that was cut off which parts are here.
func (d *door) getUpload(c *call) error {
	up, err := d.track.GetUpload(c.ctx, c.path("upload"))
	if err != nil {
		return err
	}
	c.text("upload_id", up.ID)
	c.text("path", up.Path)
	c.list("parts")
	for _, p := range up.Parts {
		c.open('{')
		c.int("part_number", int64(p.Number))
		c.int("size", p.Size)
		c.text("etag", fmt.Sprintf("%q", p.ETag))
		c.close('}')
		c.flush()
	}
	c.close(']')
	return nil
}

// of checks that an upload is the one that the request's path says.
func (d *door) of(c *call) (string, error) {
	id := c.in.text("upload_id")
	up, err := d.track.GetUpload(c.ctx, id)
	if err != nil {
		return "", err
	}
	if up.Path != target(c) {
		return "", fault.New(fault.Invalid, "Upload '%s' is for another file", id)
	}
	return id, nil
}

func (d *door) completeUpload(c *call) error {
	id, err := d.of(c)
	if err != nil {
		return err
	}
	var list []track.UploadPart
	for _, p := range c.in.records("parts") {
		n := p.int("part_number")
		if n < 1 || n > maxUploadParts {
			return fault.New(fault.Invalid, "Part number %d is out of range", n)
		}
		list = append(list, track.UploadPart{Number: int(n), ETag: p.text("etag")})
	}
	_, err = d.track.CompleteUpload(c.ctx, id, list)
	return err
}

func (d *door) abortUpload(c *call) error {
	id, err := d.of(c)
	if fault.Is(err, fault.NotFound) {
		return nil // it is gone, which is what was asked
	}
	if err != nil {
		return err
	}
	return d.track.AbortUpload(c.ctx, id)
}
