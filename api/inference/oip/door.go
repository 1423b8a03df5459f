// Package oip is the Open Inference Protocol, version 2, over REST (github.com/kserve/open-inference-protocol,
// specification/protocol/inference_rest.md), with those extensions of Triton and MLServer that have a meaning here: binary tensors,
// classification, statistics, configuration, the model repository, content types.
//
// A model is a deployment, its versions are those that the deployment has loaded. A version that answers rows takes each input of its
// signature as a tensor [N] or [N, 1], or all features together as one tensor [N, F]; a version that answers tensors takes them as they
// come. Data may be flat or nested; null, and NaN among numbers, is a missing value.
//
// Beside the standard, parameters of the request carry "key" and "at" for all rows (key for one), and the tensors trimtab_key and
// trimtab_at carry them per row. Outputs named in outputs are answered; without any, the model's own and, of a version that answers
// rows, prediction_id and version. With "explain": true among the parameters come also what each feature contributed, in margin space.
//
// It owns the codec and the words of the protocol. It must never hold a rule: rows are validated, routed, answered and logged by serve.
package oip

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Tensors that are not inputs of a model.
const (
	tensorKey = "trimtab_key" // BYTES [N]
	tensorAt  = "trimtab_at"  // BYTES or INT64 [N]
)

// Base is where the protocol of one deployment lives beside the root.
const Base = "/d/{deployment}/oip"

type door struct {
	router  *route.Router
	serving *serve.Service
	opt     codec.Options
}

// Register adds the door, at the root and under each deployment.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	o := &door{router: r, serving: s, opt: opt}
	r.Errors(WriteProblem, "/v2")
	for _, base := range []string{"", Base} {
		o.register(base)
	}
}

func (o *door) register(base string) {
	r := o.router
	one := "deployment/{model}"
	if base != "" {
		one = "deployment/{deployment}"
	}
	server := route.Access{Action: "server.describe", Resource: "server", Audit: route.Read}
	health := route.Access{Action: "server.health", Resource: "server", Audit: route.Public}
	list := route.Access{Action: "deployment.list", Resource: "deployment", Audit: route.Read}
	read := route.Access{Action: "deployment.read", Resource: one, Audit: route.Read}
	load := route.Access{Action: "deployment.load", Resource: one, Audit: route.Write}
	infer := route.Access{Action: "deployment.predict", Resource: one, Audit: route.Infer, MaxBody: o.opt.Limit()}
	get := func(path string, a route.Access, h func(*http.Request) (any, error)) {
		r.Handle(http.MethodGet, base+path, a, o.handle(h))
	}
	post := func(path string, a route.Access, h func(*http.Request) (any, error)) {
		r.Handle(http.MethodPost, base+path, a, o.handle(h))
	}
	get("/v2", server, o.server)
	get("/v2/health/live", health, func(*http.Request) (any, error) { return map[string]bool{"live": true}, nil })
	get("/v2/health/ready", health, func(*http.Request) (any, error) { return map[string]bool{"ready": true}, nil })
	for _, version := range []string{"", "/versions/{version}"} {
		model := "/v2/models/{model}" + version
		get(model, read, o.metadata)
		get(model+"/ready", read, o.ready)
		get(model+"/config", read, o.config)
		get(model+"/stats", read, o.stats)
		get(model+"/trace/setting", read, o.traces)
		post(model+"/trace/setting", read, o.refuseSettings)
		for _, verb := range []string{"generate", "generate_stream"} {
			post(model+"/"+verb, read, o.generate)
		}
		r.Handle(http.MethodPost, base+model+"/infer", infer, o.answer(o.infer))
		r.Handle(http.MethodPost, base+model+"/infer_stream", infer, o.answer(o.stream))
	}
	get("/v2/models/stats", list, o.stats)
	post("/v2/repository/index", list, o.index)
	post("/v2/repository/models/{model}/load", load, o.load)
	post("/v2/repository/models/{model}/unload", load, o.unload)
	get("/v2/logging", server, o.logging)
	post("/v2/logging", server, o.refuseSettings)
	get("/v2/trace/setting", server, o.traces)
	post("/v2/trace/setting", server, o.refuseSettings)
	for _, kind := range []string{"/v2/systemsharedmemory", "/v2/cudasharedmemory"} {
		get(kind+"/status", server, func(*http.Request) (any, error) { return []string{}, nil }) // there are no regions
		get(kind+"/region/{region}/status", server, o.memory)
		post(kind+"/region/{region}/register", server, o.memory)
		post(kind+"/region/{region}/unregister", server, o.memory)
		post(kind+"/unregister", server, o.memory)
	}
}

// WriteProblem answers in the protocol's dialect: {"error": "..."}.
func WriteProblem(w http.ResponseWriter, req *http.Request, p *route.Problem) {
	text := p.Detail
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	h := w.Header()
	h["Content-Type"] = codec.JSON
	h.Del("Inference-Header-Content-Length")
	if p.Status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Bearer realm="trimtab"`, `Basic realm="trimtab", charset="UTF-8"`}
	}
	w.WriteHeader(p.Status)
	if req.Method != http.MethodHead {
		b := append(codec.AppendText(append(make([]byte, 0, 128), `{"error":`...), text), "}\n"...)
		_, _ = w.Write(b) // a caller that left is not there to be told
	}
}

// handle answers what is not hot.
func (o *door) handle(h func(*http.Request) (any, error)) http.HandlerFunc {
	return o.answer(func(w http.ResponseWriter, req *http.Request) error {
		v, err := h(req)
		if err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		w.Header()["Content-Type"] = codec.JSON
		_, _ = w.Write(append(b, '\n')) // a caller that left is not there to be told
		return nil
	})
}

func (o *door) answer(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if err := h(w, req); err != nil {
			o.router.Error(w, req, err)
		}
	}
}

// modelOf is the deployment that a request is about: that of the base path, whatever its client calls the model, else the model's name.
func modelOf(req *http.Request) string {
	if name := req.PathValue("deployment"); name != "" {
		return name
	}
	return req.PathValue("model")
}

// version reads the version of the path; 0 when it has none.
func version(req *http.Request) (int, error) {
	text := req.PathValue("version")
	if text == "" {
		return 0, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return 0, fault.New(fault.NotFound, "%s has no version %q", codec.Clip(modelOf(req)), codec.Clip(text)).WithHint("versions are 1, 2, 3, …")
	}
	return v, nil
}

// headerLength is the header that says how long the JSON of a body with binary tensors is.
const headerLength = "Inference-Header-Content-Length"

var binaryType = []string{"application/octet-stream"}

// infer answers an infer request.
func (o *door) infer(w http.ResponseWriter, req *http.Request) error {
	x := codec.Get()
	defer x.Release()
	header, err := o.ask(req, x, "")
	if err != nil {
		return err
	}
	if header < 0 {
		x.Send(w, req)
		return nil
	}
	w.Header()[headerLength] = []string{strconv.Itoa(header)}
	codec.Send(w, req, binaryType, x.Answer)
	return nil
}

// stream answers an infer request as an event stream with one event, as MLServer's clients for streams read it.
func (o *door) stream(w http.ResponseWriter, req *http.Request) error {
	x := codec.Get()
	defer x.Release()
	header, err := o.ask(req, x, "data: ")
	if err != nil {
		return err
	}
	if header >= 0 {
		return fault.New(fault.Invalid, "a stream of events carries JSON").WithHint("ask for the outputs without binary_data")
	}
	w.Header()["Content-Type"] = []string{"text/event-stream"}
	_, _ = w.Write(append(x.Answer, '\n')) // a caller that left is not there to be told
	return nil
}

// ask reads a request, has it answered, and writes the answer into the exchange, after a prefix. header is the length of its JSON when
// bytes follow, else -1.
func (o *door) ask(req *http.Request, x *codec.Exchange, prefix string) (header int, err error) {
	v, err := version(req)
	if err != nil {
		return -1, err
	}
	length := -1
	if given := req.Header[headerLength]; len(given) > 0 && given[0] != "" {
		if length, err = strconv.Atoi(given[0]); err != nil || length < 0 {
			return -1, fault.New(fault.Invalid, "the header %s is %q; it is the bytes of the JSON", headerLength, codec.Clip(given[0]))
		}
	}
	if err := x.Read(req, o.opt.Limit()); err != nil {
		return -1, err
	}
	ctx, name := req.Context(), modelOf(req)
	c := calls.Get().(*call)
	defer c.release()
	if c.sig, _, err = o.serving.Signature(ctx, name, v); err != nil {
		return -1, err
	}
	if err := c.parse(x, length); err != nil {
		return -1, err
	}
	if err := codec.CheckOutputs(c.sig, c.wanted, c.explain); err != nil {
		return -1, err
	}
	if err := c.batch(&x.Batch); err != nil {
		return -1, err
	}
	x.Batch.Header, x.Batch.Wanted = req.Header.Get, codec.Wanted(c.sig, c.wanted)
	if c.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		ctx = limited
	}
	a, err := o.serving.Infer(ctx, name, serve.Choice{Version: v}, &x.Batch)
	if err != nil {
		if c.timeout > 0 && req.Context().Err() == nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)) {
			return -1, &route.Problem{Status: http.StatusRequestTimeout, Code: fault.Canceled, Detail: "the request was not answered within its timeout of " + c.timeout.Round(time.Microsecond).String()}
		}
		return -1, err
	}
	x.Answer, header, err = c.answer(append(x.Answer[:0], prefix...), a)
	return header, err
}
