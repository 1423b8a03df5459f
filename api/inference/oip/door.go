// Package oip is the Open Inference Protocol.
package oip

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// The Open Inference Protocol, version 2, REST: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
// A model is a deployment, its versions are those that the deployment has loaded. Each input of the signature is a tensor of shape
// [N] or [N, 1]. Data may be flat or nested; null is a missing value.
//
// Beside the standard, parameters of the request carry "key" and "at" for all rows (key for one), and the tensors trimtab_key and
// trimtab_at carry them per row. Outputs named in outputs are answered; without any, the model's own and prediction_id and version.
// With "explain": true among the parameters come also what each feature contributed, in margin space.

// Tensors that are not inputs of a model.
const (
	tensorKey = "trimtab_key"
	tensorAt  = "trimtab_at"
)

// Names of outputs. Those of the model are the same as in its ONNX file.
const (
	outProbabilities = "probabilities" // FP64 [N, K]; binary has two columns
	outLabel         = "label"         // BYTES [N]
	outVariable      = "variable"      // FP64 [N, 1]; regression
	outID            = "prediction_id" // BYTES [N]: the name under which the outcome may arrive
	outVersion       = "version"       // INT64 [N]: the version that answered the row
	outArm           = "arm"           // BYTES [N]: champion or canary

	// Of a request that asks to explain; K is the margins of a row, F the features that the recipe reads.
	outExpected      = "expected_value"        // FP64 [N, K]: margins when nothing is known of the row
	outContributions = "contributions"         // FP64 [N, K, F]
	outFeatures      = "contribution_features" // BYTES [F]: names
)

type oip struct {
	serving *serve.Service
	log     *slog.Logger
	opt     codec.Options
}

// Register adds the door.
func Register(r *route.Router, s *serve.Service, opt codec.Options) {
	o := &oip{serving: s, log: opt.Logger(), opt: opt}
	read := func(action, resource string) route.Access {
		return route.Access{Action: action, Resource: resource, Audit: route.Read}
	}
	open := route.Access{Action: "server.health", Resource: "server", Audit: route.Public}
	r.Handle(http.MethodGet, "/v2", read("server.describe", "server"), o.handle(o.server))
	r.Handle(http.MethodGet, "/v2/health/live", open, o.handle(func(*http.Request) (any, error) { return map[string]bool{"live": true}, nil }))
	r.Handle(http.MethodGet, "/v2/health/ready", open, o.handle(func(*http.Request) (any, error) { return map[string]bool{"ready": true}, nil }))
	for _, version := range []string{"", "/versions/{version}"} {
		model := "/v2/models/{model}" + version
		r.Handle(http.MethodGet, model, read("deployment.read", "deployment/{model}"), o.handle(o.metadata))
		r.Handle(http.MethodGet, model+"/ready", read("deployment.read", "deployment/{model}"), o.handle(o.ready))
		r.Handle(http.MethodPost, model+"/infer", route.Access{Action: "deployment.predict", Resource: "deployment/{model}", Audit: route.Infer, MaxBody: opt.Limit()},
			func(w http.ResponseWriter, req *http.Request) {
				if err := o.infer(w, req); err != nil {
					o.refuse(w, req, err)
				}
			})
	}
}

// handle answers what is not hot.
func (o *oip) handle(h func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		v, err := h(req)
		if err != nil {
			o.refuse(w, req, err)
			return
		}
		b, err := json.Marshal(v)
		if err != nil {
			o.refuse(w, req, err)
			return
		}
		w.Header()["Content-Type"] = codec.JSON
		_, _ = w.Write(append(b, '\n')) // a caller that left is not there to be told
	}
}

// refuse answers in the protocol's dialect: {"error": "..."}.
func (o *oip) refuse(w http.ResponseWriter, req *http.Request, err error) {
	status := route.Status(err)
	text := err.Error()
	if fault.CodeOf(err) == fault.Internal {
		o.log.Error("request failed", "path", req.URL.Path, "error", err)
		text = "the server failed"
	}
	if hint := fault.HintOf(err); hint != "" {
		text += "; " + hint
	}
	b := append([]byte(nil), `{"error":`...)
	b = append(codec.AppendText(b, text), "}\n"...)
	w.Header()["Content-Type"] = codec.JSON
	w.WriteHeader(status)
	_, _ = w.Write(b) // a caller that left is not there to be told
}

func (o *oip) server(*http.Request) (any, error) {
	return struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{"trimtab", o.opt.Version, []string{}}, nil
}

// version reads the version of the path; 0 when it has none.
func version(req *http.Request) (int, error) {
	text := req.PathValue("version")
	if text == "" {
		return 0, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return 0, fault.New(fault.NotFound, "%s has no version %q", codec.Clip(req.PathValue("model")), codec.Clip(text)).WithHint("versions are 1, 2, 3, …")
	}
	return v, nil
}

func (o *oip) ready(req *http.Request) (any, error) {
	v, err := version(req)
	if err != nil {
		return nil, err
	}
	name := req.PathValue("model")
	if _, _, err := o.serving.Signature(req.Context(), name, v); err != nil {
		if fault.Is(err, fault.Unavailable) {
			return nil, fault.Wrap(err, fault.Invalid, "%s is not ready", name) // the protocol says "not ready" with a 4xx
		}
		return nil, err
	}
	return struct {
		Name  string `json:"name"`
		Ready bool   `json:"ready"`
	}{name, true}, nil
}

type tensorInfo struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

func (o *oip) metadata(req *http.Request) (any, error) {
	v, err := version(req)
	if err != nil {
		return nil, err
	}
	d, err := o.serving.Get(req.Context(), req.PathValue("model"))
	if err != nil {
		return nil, err
	}
	sig, _, err := o.serving.Signature(req.Context(), d.Name, v)
	if err != nil {
		return nil, err
	}
	out := struct {
		Name     string       `json:"name"`
		Versions []string     `json:"versions"`
		Platform string       `json:"platform"`
		Inputs   []tensorInfo `json:"inputs"`
		Outputs  []tensorInfo `json:"outputs"`
	}{Name: d.Name, Versions: []string{}, Platform: "trimtab", Outputs: outputsOf(sig)}
	for _, r := range d.Resident {
		out.Versions = append(out.Versions, strconv.Itoa(r))
	}
	for _, in := range sig.Inputs {
		t := tensorInfo{Name: in.Name, Shape: []int{-1}, Datatype: datatypes[in.Kind]}
		if in.Kind == table.Datetime {
			t.Parameters = map[string]any{"content_type": "datetime"}
		}
		out.Inputs = append(out.Inputs, t)
	}
	return out, nil
}

var datatypes = map[table.Kind]string{table.Double: "FP64", table.Long: "INT64", table.Boolean: "BOOL", table.Datetime: "BYTES", table.String: "BYTES"}

// classesOf is the columns of the probabilities.
func classesOf(sig *registry.Signature) int {
	if sig.Task == string(learn.Binary) {
		return 2
	}
	return len(sig.Classes)
}

func outputsOf(sig *registry.Signature) []tensorInfo {
	var out []tensorInfo
	if sig.Task == string(learn.Regression) {
		out = append(out, tensorInfo{Name: outVariable, Datatype: "FP64", Shape: []int{-1, 1}})
	} else {
		out = append(out, tensorInfo{Name: outProbabilities, Datatype: "FP64", Shape: []int{-1, classesOf(sig)}}, tensorInfo{Name: outLabel, Datatype: "BYTES", Shape: []int{-1}})
	}
	return append(out, tensorInfo{Name: outID, Datatype: "BYTES", Shape: []int{-1}}, tensorInfo{Name: outVersion, Datatype: "INT64", Shape: []int{-1}},
		tensorInfo{Name: outArm, Datatype: "BYTES", Shape: []int{-1}})
}

func (o *oip) infer(w http.ResponseWriter, req *http.Request) error {
	if req.Header.Get("Inference-Header-Content-Length") != "" {
		return fault.New(fault.Invalid, "binary tensors are not served").WithHint("send the data as JSON")
	}
	v, err := version(req)
	if err != nil {
		return err
	}
	x := codec.Get()
	defer x.Release()
	if err := x.Read(req, o.opt.Limit()); err != nil {
		return err
	}
	q, err := parse(x)
	if err != nil {
		return err
	}
	name := req.PathValue("model")
	if len(q.outputs) > 0 {
		// Before anything is answered and logged: an output that is not there refuses the request.
		sig, _, err := o.serving.Signature(req.Context(), name, v)
		if err != nil {
			return err
		}
		if err := checkOutputs(q.outputs, sig); err != nil {
			return err
		}
	}
	preds, err := o.serving.Predict(req.Context(), name, v, &x.Batch)
	if err != nil {
		return err
	}
	if err := write(x, name, q, preds); err != nil {
		return err
	}
	x.Send(w, req)
	return nil
}

func checkOutputs(want []string, sig *registry.Signature) error {
	all := outputsOf(sig)
	for _, name := range want {
		found, names := false, ""
		for _, t := range all {
			found = found || t.Name == name
			if names != "" {
				names += ", "
			}
			names += t.Name
		}
		if !found {
			return fault.New(fault.Invalid, "there is no output %q", codec.Clip(name)).WithHint("outputs are %s", names)
		}
	}
	return nil
}
