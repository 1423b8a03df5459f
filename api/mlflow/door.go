// Package mlflow is the door for MLflow's clients: the REST API of its tracking server, its model registry and its artifact proxy,
// as mlflow 3.17.2 and its predecessors speak it.
//
// It owns the forms of requests, the bytes of answers and MLflow's error codes; the words of refusals that concern one field are here,
// those that concern meaning are with the nouns. It must hold no rule and keep nothing: what is asked is done by track and registry.
// Traces, prompts' evaluation and the gateway are not part of it; their paths answer 404 ENDPOINT_NOT_FOUND.
package mlflow

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Version is the MLflow server whose behaviour is followed. Clients compare it with the versions that brought a feature.
const Version = "3.17.2"

// Services are what the door opens to.
type Services struct {
	Track    *track.Service
	Registry *registry.Service
	Webhooks *govern.Webhooks // nil = none
	Limits   Limits
}

// Limits bound what is in flight at once; zero fields take the defaults.
type Limits struct {
	WriteBytes int64         // bodies of requests being handled, 256 MiB
	Reads      int64         // searches and other reads being answered, 64
	Uploads    int64         // artifacts being received, 128
	Queue      int           // requests that wait, of each kind, 1,024
	Patience   time.Duration // how long one waits before it is refused, 20 s
}

// Bounds of bodies in bytes.
const (
	maxBody   = 16 << 20
	maxInputs = 64 << 20 // datasets come with their schema and profile
	unknown   = 1 << 20  // what a body without a length weighs
)

// Paths where the API is served, for clients and for web apps, and those that stand alone. The last of the paths is where newer
// endpoints live.
var (
	roots  = []string{"/api/2.0", "/ajax-api/2.0"}
	roots3 = []string{"/api/3.0", "/ajax-api/3.0"}
	ajax   = []string{"/ajax-api/2.0"}
)

const (
	runFile     = "/get-artifact"
	versionFile = "/model-versions/get-artifact"
)

type door struct {
	r        *route.Router
	track    *track.Service
	registry *registry.Service
	writes   *gate
	reads    *gate
	uploads  *gate
}

// Register adds the door. Errors below its prefixes take MLflow's form from then on, for routes of others too.
func Register(r *route.Router, s Services) {
	l := s.Limits
	l.WriteBytes, l.Reads, l.Uploads = or(l.WriteBytes, 256<<20), or(l.Reads, 64), or(l.Uploads, 128)
	l.Queue, l.Patience = or(l.Queue, 1024), or(l.Patience, 20*time.Second)
	d := &door{r: r, track: s.Track, registry: s.Registry, writes: newGate(l.WriteBytes, l.Queue, l.Patience),
		reads: newGate(l.Reads, l.Queue, l.Patience), uploads: newGate(l.Uploads, l.Queue, l.Patience)}
	r.Errors(writeError, "/api/2.0/", "/api/3.0/", "/ajax-api/", runFile, versionFile)
	d.registerServer()
	d.registerExperiments()
	d.registerRuns()
	d.registerMetrics()
	d.registerArtifacts()
	d.registerUploads()
	d.registerLoggedModels()
	d.registerModels()
	d.registerVersions()
	if s.Webhooks != nil {
		d.registerWebhooks(s.Webhooks)
	}
}

func or[T int | int64 | time.Duration](value, fallback T) T {
	if value <= 0 {
		return fallback
	}
	return value
}

// call is one request on its way: what it says and the answer that is written.
type call struct {
	*out
	ctx  context.Context
	req  *http.Request
	in   *record
	path func(name string) string
}

// endpoint is one operation with the form of its request.
type endpoint struct {
	method   string
	path     string
	action   string
	resource string
	form     *message
	do       func(c *call) error
	roots    []string    // nil = roots
	class    route.Class // 0 = Read for GET, Write for others
	maxBody  int64
}

// add registers an endpoint under each of its roots.
func (d *door) add(e endpoint) {
	if e.roots == nil {
		e.roots = roots
	}
	if e.class == 0 {
		e.class = route.Write
		if e.method == http.MethodGet {
			e.class = route.Read
		}
	}
	if e.maxBody == 0 {
		e.maxBody = maxBody
	}
	gate := d.writes
	if e.class == route.Read {
		gate = d.reads
	}
	handler := func(w http.ResponseWriter, req *http.Request) {
		weight := int64(1)
		if gate == d.writes {
			if weight = req.ContentLength; weight < 0 {
				weight = unknown
			}
		}
		leave, err := gate.enter(req.Context(), weight)
		if err != nil {
			d.r.Error(w, req, err)
			return
		}
		defer leave()
		if err := serve(w, req, &e); err != nil {
			d.r.Error(w, req, err)
		}
	}
	for _, root := range e.roots {
		d.r.Handle(e.method, root+e.path, route.Access{Action: e.action, Resource: e.resource, Audit: e.class, MaxBody: e.maxBody, Plain: true}, handler)
	}
}

var outs = sync.Pool{New: func() any { return &out{b: make([]byte, 0, 4096)} }}

// serve decodes a request, has it done and sends the answer.
func serve(w http.ResponseWriter, req *http.Request, e *endpoint) error {
	in, err := decodeRequest(req, e.form)
	if err != nil {
		return err
	}
	o := outs.Get().(*out)
	defer func() {
		if cap(o.b) <= 4*flushAt {
			*o = out{b: o.b[:0]}
			outs.Put(o)
		}
	}()
	o.w = w
	o.open('{')
	if err := e.do(&call{out: o, ctx: req.Context(), req: req, in: in, path: req.PathValue}); err != nil {
		if o.sent {
			panic(http.ErrAbortHandler) // half an answer is out: cut the connection, so that it is not taken for a whole one
		}
		return err
	}
	o.close('}')
	w.Header()["Content-Type"] = jsonType
	if !o.sent && len(o.b) > 2048 { // below, net/http knows the length by itself
		w.Header().Set("Content-Length", strconv.Itoa(len(o.b)))
	}
	_, _ = w.Write(o.b) // a client that left is not there to be told
	return nil
}

func decodeRequest(req *http.Request, m *message) (*record, error) {
	if req.Method == http.MethodGet && req.URL.RawQuery != "" {
		return decodeQuery(m, req.URL.Query())
	}
	if err := contentType(req); err != nil {
		return nil, err
	}
	body, err := readBody(req, nil)
	if err != nil {
		return nil, err
	}
	return decode(m, body)
}

// contentType refuses bodies that do not say they are JSON: browsers send others from any page.
func contentType(req *http.Request) error {
	if req.Method != http.MethodPost && req.Method != http.MethodPut {
		return nil
	}
	given := req.Header.Get("Content-Type")
	switch given {
	case "application/json":
		return nil
	case "":
		return fault.New(fault.Invalid, "Bad Request. Content-Type header is missing.")
	}
	if kind, _, err := mime.ParseMediaType(given); err != nil || !strings.EqualFold(kind, "application/json") {
		return fault.New(fault.Invalid, "Bad Request. Content-Type must be one of ['application/json'].")
	}
	return nil
}

// readBody takes the body in, onto b. The router has bounded it.
func readBody(req *http.Request, b []byte) ([]byte, error) {
	if n := req.ContentLength; n > int64(cap(b)) {
		b = make([]byte, 0, n+1) // and room to see the end
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := req.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		var limit *http.MaxBytesError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return b, nil
		case errors.As(err, &limit):
			return b, err
		case errors.Is(req.Context().Err(), context.Canceled):
			return b, req.Context().Err()
		default:
			return b, fault.Wrap(err, fault.Invalid, "the request ended early")
		}
	}
}
