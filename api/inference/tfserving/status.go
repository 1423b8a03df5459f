package tfserving

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

func (d *door) send(w http.ResponseWriter, req *http.Request, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	codec.Send(w, req, codec.JSON, append(b, '\n'))
	return nil
}

// list is KServe's list of models.
func (d *door) list(w http.ResponseWriter, req *http.Request) error {
	names := []string{}
	if only := req.PathValue("deployment"); only != "" {
		if _, err := d.serving.Get(req.Context(), only); err != nil {
			return err
		}
		names = append(names, only)
	} else {
		all, err := d.serving.List(req.Context())
		if err != nil {
			return err
		}
		for i := range all {
			names = append(names, all[i].Name)
		}
	}
	return d.send(w, req, map[string]any{"models": names})
}

// versionStatus is how a version does.
type versionStatus struct {
	Version string `json:"version"`
	State   string `json:"state"`
	Status  struct {
		Code    string `json:"error_code"`
		Message string `json:"error_message"`
	} `json:"status"`
}

// status answers with what TensorFlow Serving and what KServe say of a model.
func (d *door) status(w http.ResponseWriter, req *http.Request) error {
	t, err := d.target(req)
	if err != nil {
		return err
	}
	at, err := d.serving.Get(req.Context(), t.deployment)
	if err != nil {
		return err
	}
	answer := struct {
		Versions []versionStatus `json:"model_version_status"`
		Name     string          `json:"name"`
		Ready    bool            `json:"ready"`
	}{Versions: []versionStatus{}, Name: t.model, Ready: at.State == serve.StateReady}
	versions := at.Resident
	if t.choice != (serve.Choice{}) {
		_, v, err := frame.Signature(req.Context(), d.serving, t.deployment, t.choice)
		if err != nil {
			return err
		}
		versions = []int{v}
	}
	if len(versions) == 0 && at.Route.Champion != 0 {
		versions = []int{at.Route.Champion}
	}
	for _, v := range versions {
		s := versionStatus{Version: strconv.Itoa(v), State: "AVAILABLE"}
		if s.Status.Code = "OK"; !slices.Contains(at.Resident, v) {
			s.State, s.Status.Code, s.Status.Message = "END", "UNAVAILABLE", at.Problem
		}
		answer.Versions = append(answer.Versions, s)
	}
	return d.send(w, req, answer)
}

// tensorInfo describes an input or output as TensorFlow does.
type tensorInfo struct {
	Type  string `json:"dtype"`
	Shape struct {
		Dims    []dim `json:"dim"`
		Unknown bool  `json:"unknown_rank"`
	} `json:"tensor_shape"`
	Name string `json:"name"`
}

type dim struct {
	Size string `json:"size"`
	Name string `json:"name"`
}

func info(name, dtype string, shape ...int) tensorInfo {
	t := tensorInfo{Type: dtype, Name: name}
	t.Shape.Dims = []dim{}
	for _, n := range shape {
		t.Shape.Dims = append(t.Shape.Dims, dim{Size: strconv.Itoa(n)})
	}
	return t
}

type signatureDef struct {
	Inputs  map[string]tensorInfo `json:"inputs"`
	Outputs map[string]tensorInfo `json:"outputs"`
	Method  string                `json:"method_name"`
}

var dtypes = map[tensor.Type]string{
	tensor.Bool: "DT_BOOL", tensor.Uint8: "DT_UINT8", tensor.Uint16: "DT_UINT16", tensor.Uint32: "DT_UINT32", tensor.Uint64: "DT_UINT64",
	tensor.Int8: "DT_INT8", tensor.Int16: "DT_INT16", tensor.Int32: "DT_INT32", tensor.Int64: "DT_INT64",
	tensor.FP16: "DT_HALF", tensor.BF16: "DT_BFLOAT16", tensor.FP32: "DT_FLOAT", tensor.FP64: "DT_DOUBLE", tensor.String: "DT_STRING",
}

var kinds = map[table.Kind]string{table.Double: "DT_DOUBLE", table.Long: "DT_INT64", table.Boolean: "DT_BOOL", table.Datetime: "DT_STRING", table.String: "DT_STRING"}

// metadata answers with the signatures of a version.
func (d *door) metadata(w http.ResponseWriter, req *http.Request) error {
	t, err := d.target(req)
	if err != nil {
		return err
	}
	sig, v, err := frame.Signature(req.Context(), d.serving, t.deployment, t.choice)
	if err != nil {
		return err
	}
	return d.send(w, req, map[string]any{
		"model_spec": map[string]string{"name": t.model, "signature_name": "", "version": strconv.Itoa(v)},
		"metadata":   map[string]any{"signature_def": map[string]any{"signature_def": signatures(sig)}},
	})
}

func signatures(sig *registry.Signature) map[string]signatureDef {
	inputs := map[string]tensorInfo{}
	if sig.Task == registry.TaskTensors {
		outputs := map[string]tensorInfo{}
		for _, f := range sig.TensorInputs {
			inputs[f.Name] = info(f.Name, dtypes[f.Type], f.Shape...)
		}
		for _, f := range sig.TensorOutputs {
			outputs[f.Name] = info(f.Name, dtypes[f.Type], f.Shape...)
		}
		return map[string]signatureDef{signatureDefault: {inputs, outputs, "tensorflow/serving/predict"}}
	}
	for i := range sig.Inputs {
		in := &sig.Inputs[i]
		inputs[in.Name] = info(in.Name, kinds[in.Kind], -1)
	}
	if sig.Task == string(learn.Regression) {
		value := map[string]tensorInfo{"outputs": info("variable", "DT_DOUBLE", -1)}
		return map[string]signatureDef{
			signatureDefault: {inputs, value, "tensorflow/serving/predict"},
			"regression":     {inputs, value, "tensorflow/serving/regress"},
		}
	}
	label := "DT_STRING"
	if frame.Numbered(sig) {
		label = "DT_INT64"
	}
	scores := info("probabilities", "DT_DOUBLE", -1, len(frame.Classes(sig)))
	return map[string]signatureDef{
		signatureDefault: {inputs, map[string]tensorInfo{"label": info("label", label, -1)}, "tensorflow/serving/predict"},
		signatureScores:  {inputs, map[string]tensorInfo{"probabilities": scores}, "tensorflow/serving/predict"},
		"classification": {inputs, map[string]tensorInfo{"scores": scores, "classes": info("classes", "DT_STRING", -1, len(frame.Classes(sig)))}, "tensorflow/serving/classify"},
	}
}
