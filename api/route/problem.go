package route

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Problem is an error answer: RFC 9457 problem details with what a program and a person need to go on.
type Problem struct {
	Title     string          `json:"title" doc:"the class of the problem in words" example:"Not Found"`
	Status    int             `json:"status" doc:"the HTTP status" example:"404"`
	Detail    string          `json:"detail" doc:"what failed and why" example:"there is no dataset \"flights\""`
	Code      fault.Code      `json:"code" doc:"the class of the problem for programs" example:"not_found"`
	Hint      string          `json:"hint,omitempty" doc:"what to do next"`
	Position  *fault.Position `json:"position,omitempty" doc:"the place in a file"`
	Details   map[string]any  `json:"details,omitempty" doc:"values a program may want"`
	Errors    []FieldError    `json:"errors,omitempty" doc:"every field that was refused"`
	RequestID string          `json:"request_id,omitempty" doc:"find the request in the server's log by this"`

	Unmatched bool  `json:"-"` // no route has the path and the method
	cause     error // for the log only
}

// FieldError is one refused field of a request.
type FieldError struct {
	Location string `json:"location" example:"body.items[3].name"`
	Message  string `json:"message"`
	Value    any    `json:"value,omitempty"`
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problem details.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Unwrap gives what the problem was made from.
func (p *Problem) Unwrap() error { return p.cause }

// statusCanceled is what nginx answers when the client went away; nobody reads it but the log.
const statusCanceled = 499

// statuses is the one mapping from fault codes to HTTP.
var statuses = map[fault.Code]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Denied:          http.StatusForbidden,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.GateRefused:     http.StatusUnprocessableEntity,
	fault.NotSupported:    http.StatusNotImplemented,
	fault.FormatNotServed: http.StatusNotImplemented,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.TooMany:         http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Corrupt:         http.StatusInternalServerError,
	fault.Canceled:        statusCanceled,
	fault.Internal:        http.StatusInternalServerError,
}

// Status is the HTTP status of an error: that of its fault code.
func Status(err error) int { return problemOf(err).Status }

// problemOf maps an error to its answer. What is not a fault is hidden: its text is for the log.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var f *fault.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &f) && f.Code != fault.Internal:
		p = &Problem{Code: f.Code, Detail: f.Error(), Hint: fault.HintOf(err), Details: f.Details, cause: err}
		if f.Position != (fault.Position{}) {
			position := f.Position
			p.Position = &position
		}
	case errors.As(err, &tooLarge):
		p = &Problem{Code: fault.TooLarge, Detail: "the request body is too large",
			Details: map[string]any{"limit_bytes": tooLarge.Limit}, cause: err}
	case errors.Is(err, context.Canceled):
		p = &Problem{Code: fault.Canceled, Detail: "the request was canceled", cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		p = &Problem{Code: fault.Unavailable, Detail: "the request took too long", cause: err}
	default:
		p = &Problem{Code: fault.Internal, Detail: "the server failed", cause: err,
			Hint: "look for the request id in the server's log"}
	}
	p.Status = statuses[p.Code]
	if p.Status == 0 {
		p.Status = http.StatusInternalServerError
	}
	return p
}

// problem maps the error of a native handler and logs it when the server is to blame.
func (r *Router) problem(ctx context.Context, err error) *Problem {
	p := *problemOf(err)
	p.RequestID = RequestID(ctx)
	p.Title = title(p.Status)
	r.blame(&p)
	return &p
}

func (r *Router) blame(p *Problem) {
	if p.Status == http.StatusServiceUnavailable {
		// Said of every request while something is away or full: one line a second tells it, with how many there were.
		now := time.Now().Unix()
		many := r.away.Add(1)
		if last := r.awayAt.Load(); last != now && r.awayAt.CompareAndSwap(last, now) {
			r.away.Add(-many)
			r.log.Warn("requests are not answered now", "requests", many, "request_id", p.RequestID, "code", string(p.Code), "error", p.cause)
		}
		return
	}
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusNotImplemented {
		r.log.Error("request failed", "request_id", p.RequestID, "code", string(p.Code), "error", p.cause)
	}
}

func title(status int) string {
	if status == statusCanceled {
		return "Canceled"
	}
	return http.StatusText(status)
}

// retryAfter is the seconds after which a caller should try again: what the fault says, and at least one.
func retryAfter(details map[string]any) int64 {
	ms, _ := details["retry_after_ms"].(int64)
	return min(max((ms+999)/1000, 1), 3600)
}

// write sends p as the answer of a plain handler.
func (r *Router) write(w http.ResponseWriter, req *http.Request, p *Problem) {
	answer := *p
	answer.Title = title(p.Status)
	answer.RequestID = RequestID(req.Context())
	if answer.RequestID == "" {
		answer.RequestID = newRequestID(req)
		w.Header().Set(requestIDHeader, answer.RequestID)
	}
	r.blame(&answer)
	w.Header().Del("Content-Length")
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.FormatInt(retryAfter(p.Details), 10))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header()["Www-Authenticate"] = []string{`Bearer realm="trimtab"`, `Basic realm="trimtab", charset="UTF-8"`}
	}
	if dialect := r.dialect(req.URL.Path); dialect != nil {
		dialect(w, req, &answer)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil { // a detail that JSON cannot say, such as NaN: the rest matters more
		answer.Details, answer.Errors = nil, nil
		body, _ = json.Marshal(answer)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if req.Method != http.MethodHead {
		// A client that went away is not an error of the server.
		_, _ = w.Write(append(body, '\n'))
	}
}

// Error answers a plain handler's request with the problem of err.
func (r *Router) Error(w http.ResponseWriter, req *http.Request, err error) {
	r.write(w, req, problemOf(err))
}

// useProblems makes huma speak of its own errors (a body that is not JSON, a field that the schema refuses) in the
// same form. huma keeps this in package variables; it is set once for the program.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return humaProblem("", status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return humaProblem(RequestID(ctx.Context()), status, msg, errs)
	}
})

func humaProblem(requestID string, status int, msg string, errs []error) *Problem {
	p := &Problem{Status: status, Detail: msg, RequestID: requestID}
	switch {
	case status == http.StatusRequestEntityTooLarge:
		p.Code = fault.TooLarge
	case status == http.StatusUnsupportedMediaType || status == http.StatusNotAcceptable:
		p.Code, p.Hint = fault.Invalid, "send and accept application/json"
	case status >= 400 && status < 500:
		p.Code, p.Status = fault.Invalid, statuses[fault.Invalid]
	default:
		p.Code, p.Status = fault.Internal, http.StatusInternalServerError
	}
	p.Title = title(p.Status)
	var said []string
	for _, err := range errs {
		var field huma.ErrorDetailer
		switch {
		case err == nil:
		case errors.As(err, &field):
			d := field.ErrorDetail()
			p.Errors = append(p.Errors, FieldError{Location: d.Location, Message: d.Message, Value: d.Value})
			said = append(said, strings.TrimPrefix(d.Location+": "+d.Message, ": "))
		case p.Code != fault.Internal:
			p.Errors = append(p.Errors, FieldError{Message: err.Error()})
			said = append(said, err.Error())
		}
	}
	if len(said) > 0 {
		p.Detail += ": " + strings.Join(said, "; ")
	}
	return p
}
