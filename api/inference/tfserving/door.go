// Package tfserving speaks the REST API of TensorFlow Serving, and what KServe's first protocol adds to it, under /v1/models.
//
// It owns that dialect: its paths with versions and labels, rows as instances and columns as inputs, and its errors. It must never hold a
// rule: rows are validated, routed, answered and logged by serve.
//
// Sources: tensorflow/serving, tensorflow_serving/g3doc/api_rest.md; kserve/kserve, the v1 protocol.
package tfserving

import (
	"context"
	"net/http"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

type door struct {
	router  *route.Router
	serving *serve.Service
	opt     codec.Options
}

// Register adds the door: at the root, where the model of the path names the deployment, and below /d/{deployment}, where the model of
// the path may have any name.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	d := &door{router: r, serving: s, opt: opt}
	r.Errors(refuse, "/v1/", "/d/*/v1/")
	for _, base := range []string{"", "/d/{deployment}"} {
		resource := "deployment/{model}"
		if base != "" {
			resource = "deployment/{deployment}"
		}
		read := route.Access{Action: "deployment.read", Resource: resource, Audit: route.Read}
		infer := route.Access{Action: "deployment.predict", Resource: resource, Audit: route.Infer, MaxBody: opt.Limit()}
		r.Handle(http.MethodGet, base+"/v1/models", route.Access{Action: "deployment.read", Resource: "deployment", Audit: route.Read}, d.handle(d.list))
		for _, of := range []string{"", "/versions/{version}", "/labels/{label}"} {
			model := base + "/v1/models/{model}" + of
			r.Handle(http.MethodGet, model, read, d.handle(d.status))
			r.Handle(http.MethodGet, model+"/metadata", read, d.handle(d.metadata))
			r.Handle(http.MethodPost, model, infer, d.handle(d.ask))
		}
	}
}

func (d *door) handle(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if err := h(w, req); err != nil {
			d.router.Error(w, req, err)
		}
	}
}

// refuse answers {"error": "…"}.
func refuse(w http.ResponseWriter, req *http.Request, p *route.Problem) {
	text := p.Detail
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	b := append(codec.AppendText([]byte(`{"error":`), strings.ToValidUTF8(text, "\uFFFD")), "}\n"...)
	w.Header()["Content-Type"] = codec.JSON
	w.WriteHeader(p.Status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(b) // a caller that left is not there to be told
	}
}

// target is what a path means.
type target struct {
	deployment string
	model      string // as the caller calls it
	verb       string // predict, classify, regress, explain; "" = none
	choice     serve.Choice
}

// target reads the path. The verb stands behind a colon at its end.
func (d *door) target(req *http.Request) (target, error) {
	t := target{model: req.PathValue("model")}
	version, label := req.PathValue("version"), req.PathValue("label")
	last := &t.model
	if version != "" {
		last = &version
	} else if label != "" {
		last = &label
	}
	if req.Method == http.MethodPost {
		if at := strings.LastIndexByte(*last, ':'); at >= 0 {
			*last, t.verb = (*last)[:at], (*last)[at+1:]
		}
	}
	if t.deployment = req.PathValue("deployment"); t.deployment == "" {
		t.deployment = t.model
	}
	var err error
	t.choice.Label = label
	t.choice.Version, err = frame.Version(t.deployment, version)
	return t, err
}

// ask answers the requests that carry rows.
func (d *door) ask(w http.ResponseWriter, req *http.Request) error {
	t, err := d.target(req)
	if err != nil {
		return err
	}
	var parse func(*codec.Exchange, *registry.Signature) (*request, error)
	switch t.verb {
	case "predict", "explain":
		parse = parsePredict
	case "classify", "regress":
		parse = parseExamples
	default:
		return fault.New(fault.Invalid, "the path ends with no method that is served: %q", codec.Clip(t.verb)).WithHint("methods are :predict, :classify, :regress and :explain")
	}
	sig, _, err := frame.Signature(req.Context(), d.serving, t.deployment, t.choice)
	if err != nil {
		return err
	}
	x := codec.Get()
	defer x.Release()
	if err := x.Read(req, d.opt.Limit()); err != nil {
		return err
	}
	q, err := parse(x, sig)
	if err != nil {
		return err
	}
	if err := q.suits(t.verb, sig); err != nil {
		return err
	}
	x.Batch.Explain = t.verb == "explain"
	x.Batch.Header = req.Header.Get
	x.Batch.Request = req.Header.Get("X-Request-Id")
	return d.answer(req.Context(), w, req, x, &t, q)
}

func (d *door) answer(ctx context.Context, w http.ResponseWriter, req *http.Request, x *codec.Exchange, t *target, q *request) error {
	a, err := d.serving.Infer(ctx, t.deployment, t.choice, &x.Batch)
	if err != nil {
		return err
	}
	if x.Answer, err = q.write(x.Answer[:0], t.verb, a); err != nil {
		return err
	}
	frame.Tell(w, a)
	x.Send(w, req)
	return nil
}
