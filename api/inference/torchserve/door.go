// Package torchserve speaks TorchServe's inference and management APIs: /predictions, /explanations and /models.
//
// It owns that dialect: bodies of any type, the forms in which its handlers answer, its words about models and workers, and its errors. It
// must never hold a rule: rows are validated, routed, answered and logged by serve. A model is only loaded by its name in the registry,
// never from an address.
//
// Source: pytorch/serve, docs/inference_api.md and docs/management_api.md.
package torchserve

import (
	"net/http"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

type door struct {
	router  *route.Router
	serving *serve.Service
	opt     codec.Options
}

// Register adds the door: at the root, where the model of the path names the deployment, and below /d/{deployment}/torchserve, where it may
// have any name. Models are managed at the root alone.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	d := &door{router: r, serving: s, opt: opt}
	r.Errors(refuse, "/predictions/", "/explanations/", "/models", "/d/*/torchserve/")
	for _, base := range []string{"", "/d/{deployment}/torchserve"} {
		resource := "deployment/{model}"
		if base != "" {
			resource = "deployment/{deployment}"
		}
		infer := route.Access{Action: "deployment.predict", Resource: resource, Audit: route.Infer, MaxBody: opt.Limit()}
		for _, version := range []string{"", "/{version}"} {
			for _, method := range []string{http.MethodPost, http.MethodPut} { // curl -T puts
				r.Handle(method, base+"/predictions/{model}"+version, infer, d.handle(d.predict))
				r.Handle(method, base+"/explanations/{model}"+version, infer, d.handle(d.explain))
			}
			r.Handle(http.MethodGet, base+"/models/{model}"+version, route.Access{Action: "deployment.read", Resource: resource, Audit: route.Read}, d.handle(d.describe))
		}
		r.Handle(http.MethodGet, base+"/models", route.Access{Action: "deployment.read", Resource: "deployment", Audit: route.Read}, d.handle(d.list))
	}
	r.Handle(http.MethodGet, "/d/{deployment}/torchserve/ping", route.Access{Action: "deployment.read", Resource: "deployment/{deployment}", Audit: route.Read}, d.handle(d.ping))
	write := func(action, resource string) route.Access {
		return route.Access{Action: action, Resource: resource, Audit: route.Write}
	}
	const model = "/models/{model}"
	r.Handle(http.MethodPost, "/models", write("deployment.load", "deployment"), d.handle(d.load))
	for _, version := range []string{"", "/{version}"} {
		r.Handle(http.MethodPut, model+version, write("deployment.scale", "deployment/{model}"), d.handle(d.scale))
		r.Handle(http.MethodDelete, model+version, write("deployment.unload", "deployment/{model}"), d.handle(d.unload))
	}
	r.Handle(http.MethodPut, model+"/{version}/set-default", write("deployment.route", "deployment/{model}"), d.handle(d.setDefault))
}

func (d *door) handle(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if err := h(w, req); err != nil {
			d.router.Error(w, req, err)
		}
	}
}

// types are TorchServe's names of errors.
var types = map[int]string{
	http.StatusBadRequest:            "BadRequestException",
	http.StatusUnauthorized:          "InvalidKeyException",
	http.StatusForbidden:             "ForbiddenException",
	http.StatusNotFound:              "ModelNotFoundException",
	http.StatusMethodNotAllowed:      "MethodNotAllowedException",
	http.StatusConflict:              "ConflictStatusException",
	http.StatusRequestEntityTooLarge: "RequestEntityTooLargeException",
	http.StatusTooManyRequests:       "ServiceUnavailableException",
	http.StatusServiceUnavailable:    "ServiceUnavailableException",
}

// refuse answers {"code", "type", "message"}.
func refuse(w http.ResponseWriter, req *http.Request, p *route.Problem) {
	kind := types[p.Status]
	switch {
	case p.Status == http.StatusNotFound && p.Unmatched:
		kind = "ResourceNotFoundException"
	case p.Status == http.StatusNotFound && p.Details["version"] != nil:
		kind = "ModelVersionNotFoundException"
	case kind == "":
		kind = "InternalServerException"
	}
	text := p.Detail
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	b := appendInt([]byte(`{"code":`), p.Status)
	b = codec.AppendText(append(b, `,"type":`...), kind)
	b = codec.AppendText(append(b, `,"message":`...), strings.ToValidUTF8(text, "\uFFFD"))
	w.Header()["Content-Type"] = codec.JSON
	w.WriteHeader(p.Status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(append(b, "}\n"...)) // a caller that left is not there to be told
	}
}

// ping says whether a deployment answers.
func (d *door) ping(w http.ResponseWriter, req *http.Request) error {
	if _, _, err := d.serving.Signature(req.Context(), req.PathValue("deployment"), 0); err != nil {
		return err
	}
	codec.Send(w, req, codec.JSON, []byte("{\"status\":\"Healthy\"}\n"))
	return nil
}

// deployment is what a path means: the deployment, the name by which the caller calls it, and the version.
func (d *door) deployment(req *http.Request) (name, model string, choice serve.Choice, err error) {
	model = req.PathValue("model")
	if name = req.PathValue("deployment"); name == "" {
		name = model
	}
	choice.Version, err = versionOf(name, req.PathValue("version"))
	return name, model, choice, err
}

// versionOf reads a version: 3, or 3.0 as TorchServe's archives have it.
func versionOf(deployment, text string) (int, error) {
	return frame.Version(deployment, strings.TrimSuffix(text, ".0"))
}

func (d *door) predict(w http.ResponseWriter, req *http.Request) error {
	return d.answer(w, req, false)
}

func (d *door) explain(w http.ResponseWriter, req *http.Request) error { return d.answer(w, req, true) }

func (d *door) answer(w http.ResponseWriter, req *http.Request, explain bool) error {
	name, _, choice, err := d.deployment(req)
	if err != nil {
		return err
	}
	sig, _, err := d.serving.Signature(req.Context(), name, choice.Version)
	if err != nil {
		return err
	}
	x := codec.Get()
	defer x.Release()
	if err := x.Read(req, d.opt.Limit()); err != nil {
		return err
	}
	q, err := parse(x, sig, req.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	x.Batch.Explain = explain
	x.Batch.Header = req.Header.Get
	x.Batch.Request = req.Header.Get("X-Request-Id")
	a, err := d.serving.Infer(req.Context(), name, choice, &x.Batch)
	if err != nil {
		return err
	}
	if x.Answer, err = q.write(x.Answer[:0], a, explain); err != nil {
		return err
	}
	frame.Tell(w, a)
	x.Send(w, req)
	return nil
}
