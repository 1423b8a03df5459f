package oip

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Extensions are those of Triton that are served, under its names for them.
var Extensions = []string{"binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters", "schedule_policy", "statistics"}

func (o *door) server(*http.Request) (any, error) {
	return struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{"trimtab", o.opt.Version, Extensions}, nil
}

func (o *door) ready(req *http.Request) (any, error) {
	v, err := version(req)
	if err != nil {
		return nil, err
	}
	name := modelOf(req)
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

// described is what the answers about a model are made of.
func (o *door) described(req *http.Request) (d *serve.Deployment, sig *registry.Signature, served int, err error) {
	v, err := version(req)
	if err != nil {
		return nil, nil, 0, err
	}
	if sig, served, err = o.serving.Signature(req.Context(), modelOf(req), v); err != nil {
		if fault.Is(err, fault.Unavailable) {
			err = fault.Wrap(err, fault.Invalid, "%s is not ready", modelOf(req))
		}
		return nil, nil, 0, err
	}
	d, err = o.serving.Get(req.Context(), modelOf(req))
	return d, sig, served, err
}

type tensorInfo struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

func (o *door) metadata(req *http.Request) (any, error) {
	d, sig, served, err := o.described(req)
	if err != nil {
		return nil, err
	}
	out := struct {
		Name     string       `json:"name"`
		Versions []string     `json:"versions"`
		Platform string       `json:"platform"`
		Inputs   []tensorInfo `json:"inputs"`
		Outputs  []tensorInfo `json:"outputs"`
	}{Name: d.Name, Versions: []string{}, Platform: o.platform(d.Name, served), Inputs: []tensorInfo{}, Outputs: []tensorInfo{}}
	for _, r := range d.Resident {
		out.Versions = append(out.Versions, strconv.Itoa(r))
	}
	for _, f := range codec.InputFields(sig) {
		t := tensorInfo{Name: f.Name, Shape: shapeOf(&f), Datatype: f.Type.String()}
		if in, _ := sig.Input(f.Name); in != nil && in.Kind == table.Datetime && sig.Task != registry.TaskTensors {
			t.Parameters = map[string]any{"content_type": kindDatetime}
		}
		out.Inputs = append(out.Inputs, t)
	}
	for _, f := range modelOutputs(sig) {
		out.Outputs = append(out.Outputs, tensorInfo{Name: f.Name, Shape: shapeOf(&f), Datatype: f.Type.String()})
	}
	return out, nil
}

// modelOutputs are the outputs that a model is said to have: of a version that answers tensors its own alone, although prediction_id,
// version and arm may be asked for.
func modelOutputs(sig *registry.Signature) []predictor.Field {
	if sig.Task == registry.TaskTensors {
		return sig.TensorOutputs
	}
	return codec.OutputFields(sig)
}

func shapeOf(f *predictor.Field) []int {
	if f.Shape == nil {
		return []int{-1}
	}
	return f.Shape
}

// platform names what answers, in the way of the protocol.
func (o *door) platform(name string, version int) string {
	p := o.serving.Package(name, version)
	if p == nil {
		return "trimtab"
	}
	switch p.Engine {
	case "", "native":
		return "trimtab"
	case "onnx":
		return "onnx_onnxv1"
	case "onnxruntime":
		return "onnxruntime_onnx"
	}
	return p.Engine
}

// configured is a model's configuration in the words of Triton.
type configured struct {
	Name          string             `json:"name"`
	Platform      string             `json:"platform"`
	Backend       string             `json:"backend"`
	VersionPolicy map[string]any     `json:"version_policy"`
	MaxBatchSize  int                `json:"max_batch_size"`
	Input         []configuredTensor `json:"input"`
	Output        []configuredTensor `json:"output"`
}

type configuredTensor struct {
	Name     string `json:"name"`
	DataType string `json:"data_type"`
	Dims     []int  `json:"dims"`
	Optional bool   `json:"optional,omitempty"`
}

func (o *door) config(req *http.Request) (any, error) {
	d, sig, served, err := o.described(req)
	if err != nil {
		return nil, err
	}
	platform := o.platform(d.Name, served)
	backend, _, _ := strings.Cut(platform, "_")
	out := configured{Name: d.Name, Platform: platform, Backend: backend, VersionPolicy: map[string]any{"specific": map[string]any{"versions": d.Resident}},
		Input: []configuredTensor{}, Output: []configuredTensor{}}
	inputs, outputs := codec.InputFields(sig), modelOutputs(sig)
	// Rows are a batch when they come first everywhere.
	batched := true
	for _, f := range slices.Concat(inputs, outputs) {
		batched = batched && len(f.Shape) > 0 && f.Shape[0] == -1
	}
	if batched {
		out.MaxBatchSize = serve.MaxRows
	}
	for _, f := range inputs {
		dims := dimsOf(&f, batched)
		if sig.Task != registry.TaskTensors {
			dims = []int{1} // [N, 1] and [N] are the same column
		}
		out.Input = append(out.Input, configuredTensor{Name: f.Name, DataType: configType(f.Type), Dims: dims, Optional: f.Optional})
	}
	for _, f := range outputs {
		out.Output = append(out.Output, configuredTensor{Name: f.Name, DataType: configType(f.Type), Dims: dimsOf(&f, batched)})
	}
	return out, nil
}

func dimsOf(f *predictor.Field, batched bool) []int {
	shape := shapeOf(f)
	if batched {
		return shape[1:]
	}
	return shape
}

func configType(t tensor.Type) string {
	if t == tensor.String {
		return "TYPE_STRING"
	}
	return "TYPE_" + t.String()
}

// statistics are those of one version in the words of Triton.
type statistics struct {
	Name           string                    `json:"name"`
	Version        string                    `json:"version"`
	LastInference  int64                     `json:"last_inference"`
	InferenceCount int64                     `json:"inference_count"`
	ExecutionCount int64                     `json:"execution_count"`
	InferenceStats map[string]serve.Duration `json:"inference_stats"`
	ResponseStats  map[string]any            `json:"response_stats"`
	BatchStats     []batchStatistics         `json:"batch_stats"`
}

type batchStatistics struct {
	BatchSize    int64          `json:"batch_size"`
	ComputeInfer serve.Duration `json:"compute_infer"`
}

// stats tells of one version, of all loaded versions of a model, or of all models.
func (o *door) stats(req *http.Request) (any, error) {
	v, err := version(req)
	if err != nil {
		return nil, err
	}
	var all []serve.Deployment
	if name := modelOf(req); name != "" {
		d, err := o.serving.Get(req.Context(), name)
		if err != nil {
			return nil, err
		}
		all = append(all, *d)
	} else if all, err = o.serving.List(req.Context()); err != nil {
		return nil, err
	}
	out := struct {
		ModelStats []statistics `json:"model_stats"`
	}{[]statistics{}}
	for _, d := range all {
		versions := d.Resident
		if v != 0 {
			versions = []int{v}
		}
		for _, r := range versions {
			s, err := o.serving.Statistics(d.Name, r)
			if err != nil {
				if v != 0 {
					return nil, err
				}
				continue // it was put away meanwhile
			}
			out.ModelStats = append(out.ModelStats, statisticsOf(&s))
		}
	}
	return out, nil
}

func statisticsOf(s *serve.Statistics) statistics {
	out := statistics{Name: s.Name, Version: strconv.Itoa(s.Version), LastInference: s.LastInference, InferenceCount: s.InferenceCount, ExecutionCount: s.ExecutionCount,
		InferenceStats: map[string]serve.Duration{"success": s.Success, "fail": s.Fail, "queue": s.Queue, "compute_input": s.ComputeInput, "compute_infer": s.ComputeInfer,
			"compute_output": s.ComputeOutput, "cache_hit": s.CacheHit, "cache_miss": s.CacheMiss},
		ResponseStats: map[string]any{}, BatchStats: []batchStatistics{}}
	for size, d := range s.Batches {
		out.BatchStats = append(out.BatchStats, batchStatistics{BatchSize: size, ComputeInfer: d})
	}
	slices.SortFunc(out.BatchStats, func(a, b batchStatistics) int { return int(a.BatchSize - b.BatchSize) })
	return out
}

// maxOrder bounds the body of a request that manages.
const maxOrder = 1 << 20

// order reads the JSON object of a request that manages; an empty body is an empty object.
func order(req *http.Request, into any) error {
	b, err := io.ReadAll(io.LimitReader(req.Body, maxOrder))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the request ended early")
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fault.Wrap(err, fault.Invalid, "the body is no valid request")
	}
	return nil
}

func (o *door) index(req *http.Request) (any, error) {
	var in struct {
		Ready bool `json:"ready"`
	}
	if err := order(req, &in); err != nil {
		return nil, err
	}
	all, err := o.serving.Repository(req.Context())
	if err != nil {
		return nil, err
	}
	type entry struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
		State   string `json:"state"`
		Reason  string `json:"reason"`
	}
	out := []entry{}
	for _, m := range all {
		if base := req.PathValue("deployment"); base != "" && m.Name != base || in.Ready && m.State != serve.RepositoryReady {
			continue
		}
		out = append(out, entry{Name: m.Name, Version: m.Version, State: m.State, Reason: m.Reason})
	}
	return out, nil
}

func (o *door) load(req *http.Request) (any, error) {
	var in struct {
		Parameters map[string]any `json:"parameters"`
	}
	if err := order(req, &in); err != nil {
		return nil, err
	}
	for name := range in.Parameters {
		return nil, fault.New(fault.Invalid, "failed to load '%s': the parameter %q is not taken: a model's files and configuration come from the registry", codec.Clip(modelOf(req)), codec.Clip(name)).
			WithHint("register a version: trimtab models import")
	}
	name := modelOf(req)
	if err := o.serving.LoadModel(req.Context(), name); err != nil {
		if fault.Is(err, fault.Internal) {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.Invalid, "failed to load '%s'", codec.Clip(name)) // Triton's clients look for these words
	}
	return struct {
		Name string `json:"name"`
		Load bool   `json:"load"`
	}{name, true}, nil
}

func (o *door) unload(req *http.Request) (any, error) {
	var in struct {
		Parameters map[string]any `json:"parameters"`
	}
	if err := order(req, &in); err != nil {
		return nil, err
	}
	name := modelOf(req)
	if err := o.serving.UnloadModel(req.Context(), name); err != nil {
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Wrap(err, fault.Invalid, "failed to unload '%s'", codec.Clip(name))
		}
		return nil, err
	}
	return struct {
		Name   string `json:"name"`
		Unload bool   `json:"unload"`
	}{name, true}, nil
}

// logging tells how the server logs; the keys are Triton's.
func (o *door) logging(*http.Request) (any, error) {
	return map[string]any{"log_file": "", "log_info": true, "log_warning": true, "log_error": true, "log_verbose_level": 0, "log_format": "default"}, nil
}

// traces tells that Triton's traces are off.
func (o *door) traces(*http.Request) (any, error) {
	return map[string]any{"trace_file": "", "trace_level": []string{"OFF"}, "trace_rate": "0", "trace_count": "0", "log_frequency": "0", "trace_mode": "triton"}, nil
}

func (o *door) refuseSettings(req *http.Request) (any, error) {
	return nil, fault.New(fault.Invalid, "settings of logs and traces are not changed over this protocol").WithHint("they are flags of trimtab server")
}

func (o *door) memory(*http.Request) (any, error) { return nil, noSharedMemory() }

func (o *door) generate(*http.Request) (any, error) {
	return nil, fault.New(fault.Invalid, "no model here generates text: generate and generate_stream are not served").WithHint("ask for an inference: …/infer")
}
