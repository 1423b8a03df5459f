package route

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// RequestID is the id of the request that ctx belongs to; "" outside of a request and on the data plane, where an id
// is made only when something goes wrong.
func RequestID(ctx context.Context) string {
	requestID, _ := ctx.Value(requestIDKey{}).(string)
	return requestID
}

// newRequestID takes the caller's id when it has the form of one, else makes one.
func newRequestID(req *http.Request) string {
	given := req.Header.Get(requestIDHeader)
	if len(given) == 0 || len(given) > 64 {
		return id.New()
	}
	for i := range len(given) {
		c := given[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return id.New()
		}
	}
	return given
}

// Header values are shared by all answers: a slice per header and request would show in the profile.
var (
	nosniff = []string{"nosniff"}
	policy  = []string{"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
		"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"}
	deny       = []string{"DENY"}
	noReferrer = []string{"no-referrer"}
	sameOrigin = []string{"same-origin"}
)

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

var recorders = sync.Pool{New: func() any { return new(recorder) }}

// WriteHeader remembers and passes on.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes on; the first one means 200.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what is buffered.
func (w *recorder) Flush() {
	// What cannot be flushed is sent with the rest.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// wrap gives a handler everything that all routes share. The data plane (Infer) skips what costs allocations:
// context values, compression and the audit line.
func (r *Router) wrap(pattern string, a Access, h http.HandlerFunc) http.HandlerFunc {
	series := r.metrics.route(pattern, a)
	return func(w http.ResponseWriter, req *http.Request) {
		start := time.Now()
		series.begin()
		rec := recorders.Get().(*recorder)
		rec.ResponseWriter, rec.status = w, 0
		header := w.Header()
		header["X-Content-Type-Options"] = nosniff
		var requestID, who string
		if a.Audit != Infer {
			header["Content-Security-Policy"] = policy
			header["X-Frame-Options"] = deny
			header["Referrer-Policy"] = noReferrer
			header["Cross-Origin-Opener-Policy"] = sameOrigin
			header["Cross-Origin-Resource-Policy"] = sameOrigin
			requestID, who = newRequestID(req), actor(req)
			header[requestIDHeader] = []string{requestID}
			ctx := context.WithValue(req.Context(), requestIDKey{}, requestID)
			req = req.WithContext(govern.WithActor(ctx, who))
		}
		var span trace.Span
		if a.Audit == Infer && r.cfg.Tracer != nil {
			var ctx context.Context
			ctx, span = r.Trace(req.Context(), propagation.HeaderCarrier(req.Header), req.Method+" "+pattern)
			req = req.WithContext(ctx)
		}
		defer func() {
			if cause := recover(); cause != nil {
				r.recovered(rec, req, cause, series, start)
				return
			}
			status := rec.status
			if status == 0 {
				status = http.StatusOK
			}
			series.end(status, time.Since(start))
			if span != nil {
				Traced(req.Context(), span, status)
			}
			if a.Audit == Write {
				r.log.Info("audit", "actor", who, "action", a.Action, "resource", resource(a.Resource, req),
					"status", status, "request_id", requestID, "ms", time.Since(start).Milliseconds())
			}
			rec.ResponseWriter = nil
			recorders.Put(rec)
		}()
		if err := r.guard.admit(req, a.Audit); err != nil {
			r.Error(rec, req, err)
			return
		}
		if a.MaxBody >= 0 {
			if req.ContentLength > a.MaxBody {
				r.Error(rec, req, fault.New(fault.TooLarge, "the request body has %d bytes, more than %d", req.ContentLength, a.MaxBody).
					With("limit_bytes", a.MaxBody))
				return
			}
			if req.ContentLength < 0 {
				req.Body = http.MaxBytesReader(rec, req.Body, a.MaxBody)
			}
		}
		if a.Audit == Infer || a.Plain || req.Method == http.MethodHead || !strings.Contains(req.Header.Get("Accept-Encoding"), "gzip") {
			h(rec, req)
			return
		}
		z := &compressor{ResponseWriter: rec}
		h(z, req)
		z.close() // not deferred: after a panic what is held must not go out
	}
}

// recovered answers a panic of a handler with 500 and logs it; http.ErrAbortHandler passes, it is meant.
func (r *Router) recovered(rec *recorder, req *http.Request, cause any, series *series, start time.Time) {
	if cause == http.ErrAbortHandler {
		series.end(statusCanceled, time.Since(start))
		panic(cause)
	}
	requestID := RequestID(req.Context())
	if requestID == "" {
		requestID = newRequestID(req)
		req = req.WithContext(context.WithValue(req.Context(), requestIDKey{}, requestID))
	}
	r.log.Error("panic", "request_id", requestID, "method", req.Method, "path", req.URL.Path,
		"cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	series.end(http.StatusInternalServerError, time.Since(start))
	if rec.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out: cut the connection, so that it is not taken for a whole one
	}
	r.Error(rec, req, fmt.Errorf("panic: %v", cause))
}

// resource fills the parameters of a resource from the path.
func resource(template string, req *http.Request) string {
	if !strings.Contains(template, "{") {
		return template
	}
	return parameter.ReplaceAllStringFunc(template, func(name string) string {
		return req.PathValue(strings.Trim(name, "{}"))
	})
}
