// Package route is the one registrar of every HTTP route: it refuses to register a route that does not say what it
// does to what, and gives every route the same guard, limits, errors, measurements and headers.
//
// It owns the mapping of faults to HTTP answers, the check of callers, and the OpenAPI description. It must never
// know a noun of the platform: doors (api/native, api/mlflow, api/inference, the web app) register what they serve.
package route

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Prefix is where the native API lives.
const Prefix = "/api/v1"

// Class says how a route is guarded and what is kept of a call.
type Class int

// The classes. The zero class is none of them, so that forgetting it is noticed at boot.
const (
	Read   Class = iota + 1 // guarded; counted
	Write                   // guarded; counted; one audit line in the log with actor, action, resource and status
	Infer                   // guarded; counted; the data plane: no compression, no context values, no audit line
	Public                  // open to everyone who can reach the port; must tell nothing about the data
)

// String is the name of the class as it stands in the OpenAPI description.
func (c Class) String() string {
	return [...]string{"", "read", "write", "infer", "public"}[c]
}

// DefaultMaxBody bounds a request body where a route does not say otherwise.
const DefaultMaxBody = 8 << 20

// Access is what a route must say about itself.
type Access struct {
	Action   string // noun.verb, for example "dataset.read"
	Resource string // what it acts on; parameters of the path in braces, for example "dataset/{name}"
	Audit    Class  //
	MaxBody  int64  // bound of the request body in bytes; 0 = DefaultMaxBody, negative = no bound (uploads that are streamed)
	Plain    bool   // answers are never compressed: files, or a client beside the server

	call bool // of a Call: its POST is how gRPC reads
}

// Route is one line of the route table.
type Route struct {
	Method  string
	Pattern string
	Access  Access
}

// Config configures a Router. The zero value serves a loopback address without a token.
type Config struct {
	Version string       // shown in the OpenAPI description
	Token   string       // when not empty, every guarded route needs it as a Bearer token or as the password of Basic
	Hosts   []string     // further Host names that a loopback server answers to; "*" = any (only with Token)
	Log     *slog.Logger // nil = discard
	Metrics *prometheus.Registry
	Tracer  trace.Tracer // makes a span of every request of the data plane; nil = none
}

// Router dispatches requests to registered routes. Register everything before the first request; serving is then
// safe for concurrent use.
type Router struct {
	cfg      Config
	log      *slog.Logger
	mux      *http.ServeMux
	api      huma.API
	guard    *guard
	metrics  *metrics
	routes   []Route
	pending  *Access // of the huma operation that is being registered
	dialects []dialect
	unclean  http.HandlerFunc
	spec     func() ([]byte, error)
	specYAML func() ([]byte, error)

	away   atomic.Int64 // answers of 503 since the last line about them
	awayAt atomic.Int64 // its second

	drain     chan struct{}
	drainOnce sync.Once
}

// New makes an empty router with the OpenAPI description at Prefix/openapi.json and .yaml.
func New(cfg Config) *Router {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	useProblems()
	r := &Router{cfg: cfg, log: cfg.Log, mux: http.NewServeMux(), guard: newGuard(cfg), metrics: newMetrics(cfg.Metrics),
		drain: make(chan struct{})}
	r.api = humago.New((*registrar)(r), describe(cfg.Version))
	r.spec = sync.OnceValues(r.api.OpenAPI().MarshalJSON)
	r.specYAML = sync.OnceValues(r.api.OpenAPI().YAML)
	spec := Access{Action: "api.describe", Resource: "api", Audit: Read}
	r.Handle(http.MethodGet, Prefix+"/openapi.json", spec, serveSpec(r.spec, "application/openapi+json"))
	r.Handle(http.MethodGet, Prefix+"/openapi.yaml", spec, serveSpec(r.specYAML, "application/openapi+yaml"))
	miss := Access{Action: "api.miss", Resource: "api", Audit: Public, MaxBody: DefaultMaxBody}
	r.mux.HandleFunc("/", r.wrap("unmatched", miss, r.miss))
	r.unclean = r.wrap("unclean", miss, func(w http.ResponseWriter, req *http.Request) {
		r.Error(w, req, fault.New(fault.Invalid, "Invalid path").WithHint("a path has no empty parts and does not go up"))
	})
	return r
}

// ServeHTTP dispatches one request. Where clients do not follow redirects, a path that http.ServeMux would clean is refused.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if path := req.URL.Path; r.dialect(path) != nil && !clean(path) {
		r.unclean(w, req)
		return
	}
	r.mux.ServeHTTP(w, req)
}

func clean(path string) bool {
	return !strings.Contains(path, "//") && !strings.Contains(path, "/./") && !strings.Contains(path, "/../") &&
		!strings.HasSuffix(path, "/.") && !strings.HasSuffix(path, "/..")
}

// ErrorWriter answers a request with a problem in the form that the clients of one door read. The status is still to be written.
type ErrorWriter func(w http.ResponseWriter, req *http.Request, p *Problem)

type dialect struct {
	prefix string
	write  ErrorWriter
}

// Errors has write answer every problem below the prefixes: those of handlers, and those that come before a handler (a caller that is
// not admitted, a body that is too large, a path or a method that is not there). A segment * stands for any. Call it before the first
// request.
func (r *Router) Errors(write ErrorWriter, prefixes ...string) {
	for _, prefix := range prefixes {
		r.dialects = append(r.dialects, dialect{prefix, write})
	}
}

// below tells whether a path begins with a prefix, in which one segment may be *.
func below(path, prefix string) bool {
	head, tail, wild := strings.Cut(prefix, "*")
	if !strings.HasPrefix(path, head) {
		return false
	}
	if !wild {
		return true
	}
	slash := strings.IndexByte(path[len(head):], '/')
	return slash > 0 && strings.HasPrefix(path[len(head)+slash:], tail)
}

func (r *Router) dialect(path string) ErrorWriter {
	for i := range r.dialects {
		if below(path, r.dialects[i].prefix) {
			return r.dialects[i].write
		}
	}
	return nil
}

// Table lists the registered routes in order of pattern and method.
func (r *Router) Table() []Route {
	table := slices.Clone(r.routes)
	slices.SortFunc(table, func(a, b Route) int {
		return strings.Compare(a.Pattern+" "+a.Method, b.Pattern+" "+b.Method)
	})
	return table
}

// OpenAPI is the description of the native API, OpenAPI 3.1 as JSON.
func (r *Router) OpenAPI() ([]byte, error) { return r.spec() }

// Drain ends every stream, so that a server that stops does not wait for readers that never leave.
func (r *Router) Drain() { r.drainOnce.Do(func() { close(r.drain) }) }

// Register adds an operation of the native API. A path without Prefix gets it. The handler's errors are mapped to
// problems here and nowhere else. It panics when the operation or its access is incomplete: such a program must not start.
func Register[I, O any](r *Router, op huma.Operation, a Access, h func(context.Context, *I) (*O, error)) {
	if !strings.HasPrefix(op.Path, Prefix+"/") {
		op.Path = Prefix + op.Path
	}
	complete(&op, &a)
	r.pending = &a
	huma.Register(r.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, r.problem(ctx, err)
		}
		return out, nil
	})
	r.pending = nil
}

// Handle adds a plain handler: the data plane, files, the web app, health. Pattern is a path of http.ServeMux.
// It panics when the access is incomplete.
func (r *Router) Handle(method, pattern string, a Access, h http.HandlerFunc) {
	check(method, pattern, &a)
	r.routes = append(r.routes, Route{Method: method, Pattern: pattern, Access: a})
	r.mux.HandleFunc(method+" "+pattern, r.wrap(pattern, a, h))
}

// registrar is the router as huma's mux: huma hands its handlers here, and they pass the same door as all others.
type registrar Router

// HandleFunc registers the operation that Register has announced.
func (g *registrar) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	r := (*Router)(g)
	if r.pending == nil {
		panic("route: " + pattern + " is registered without access: use route.Register")
	}
	method, path, _ := strings.Cut(pattern, " ")
	r.Handle(method, path, *r.pending, h)
}

// ServeHTTP completes huma's idea of a mux.
func (g *registrar) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	(*Router)(g).ServeHTTP(w, req)
}

var (
	actionForm = regexp.MustCompile(`^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*$`)
	parameter  = regexp.MustCompile(`\{([^{}]*)\}`)
)

// check panics unless the route says everything that is asked of it.
func check(method, pattern string, a *Access) {
	where := fmt.Sprintf("route: %s %s", method, pattern)
	switch {
	case method == "" || method != strings.ToUpper(method):
		panic(where + ": method is missing or not in upper case")
	case !strings.HasPrefix(pattern, "/"):
		panic(where + ": the pattern must start with /")
	case !actionForm.MatchString(a.Action):
		panic(where + fmt.Sprintf(": action %q is not noun.verb", a.Action))
	case a.Resource == "":
		panic(where + ": resource is missing")
	case a.Audit < Read || a.Audit > Public:
		panic(where + ": audit class is missing")
	case a.Audit == Public && method != http.MethodGet && method != http.MethodHead && !a.call:
		panic(where + ": a public route may only be read")
	case a.Audit == Write && method == http.MethodGet:
		panic(where + ": GET must not write: browsers send it from any page")
	}
	known := parameters(pattern)
	for _, name := range parameters(a.Resource) {
		if !slices.Contains(known, name) {
			panic(where + fmt.Sprintf(": resource %q names {%s}, which the path does not have", a.Resource, name))
		}
	}
	if a.MaxBody == 0 {
		a.MaxBody = DefaultMaxBody
	}
}

func parameters(pattern string) []string {
	var names []string
	for _, m := range parameter.FindAllStringSubmatch(pattern, -1) {
		names = append(names, strings.TrimSuffix(m[1], "..."))
	}
	return names
}

// miss answers a request that no route matches: 405 when another method would, else 404.
func (r *Router) miss(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: method, URL: req.URL, Host: req.Host}
		if _, pattern := r.mux.Handler(probe); pattern != "" && pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		r.write(w, req, &Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Unmatched: true,
			Detail: fmt.Sprintf("%s is not possible on %s", req.Method, req.URL.Path),
			Hint:   "use " + strings.Join(allowed, " or ")})
		return
	}
	r.write(w, req, &Problem{Status: http.StatusNotFound, Code: "not_found", Unmatched: true,
		Detail: fmt.Sprintf("there is nothing at %s", req.URL.Path), Hint: "the API is described at " + Prefix + "/openapi.json"})
}
