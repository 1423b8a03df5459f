// Package inference is the data plane: the doors through which rows are asked about. The row form lives beside the native API, the Open
// Inference Protocol (version 2, REST) under /v2 with the deployment's name as the model name.
//
// It owns the codecs, written by hand because JSON is most of what a one-row prediction costs. It must never hold a rule: rows are
// validated, routed, answered and logged by serve.
package inference

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// maxBody bounds a request.
const maxBody = 8 << 20

// Options are what the doors say about the program.
type Options struct {
	Version string       // of the program
	Log     *slog.Logger // nil = slog.Default()
}

var jsonType = []string{"application/json"}

// Register adds the doors.
func Register(r *route.Router, s *serve.Service, opt Options) {
	r.Handle(http.MethodPost, route.Prefix+"/deployments/{name}/predict",
		route.Access{Action: "deployment.predict", Resource: "deployment/{name}", Audit: route.Infer, MaxBody: maxBody},
		func(w http.ResponseWriter, req *http.Request) {
			if err := predict(w, req, s); err != nil {
				r.Error(w, req, err)
			}
		})
	registerOIP(r, s, opt)
}

// predict answers the row form.
func predict(w http.ResponseWriter, req *http.Request, s *serve.Service) error {
	x := exchanges.Get().(*exchange)
	defer x.release()
	if err := x.read(req); err != nil {
		return err
	}
	version, err := x.parseRows()
	if err != nil {
		return err
	}
	preds, err := s.Predict(req.Context(), req.PathValue("name"), version, &x.batch)
	if err != nil {
		return err
	}
	x.writeRows(preds)
	x.send(w)
	return nil
}

// read takes the body in. The router has bounded it.
func (x *exchange) read(req *http.Request) error {
	b := x.body[:0]
	if n := req.ContentLength; n > int64(cap(b)) && n <= maxBody {
		b = make([]byte, 0, n+1)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := req.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil && len(b) <= maxBody {
			continue
		}
		x.body = b
		var limit *http.MaxBytesError
		switch {
		case len(b) > maxBody, errors.As(err, &limit):
			return fault.New(fault.TooLarge, "the request has more than %d bytes", maxBody).WithHint("send the rows in several requests")
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fault.Wrap(err, fault.Invalid, "the request ended early")
		}
	}
}

// send writes the answer.
func (x *exchange) send(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = jsonType
	if len(x.answer) > 2048 { // below, net/http knows the length by itself
		h.Set("Content-Length", strconv.Itoa(len(x.answer)))
	}
	_, _ = w.Write(x.answer) // a caller that left is not there to be told
}
