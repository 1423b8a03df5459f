package grpcdoor

import (
	"context"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// tensorInfo describes an input or an output.
type tensorInfo struct {
	name     string
	kind     tensor.Type
	shape    []int64 // -1 = free
	optional bool
}

// kindTypes is the datatype in which an input of a kind is described; requests may send others that are safe to change to it.
var kindTypes = map[table.Kind]tensor.Type{table.Double: tensor.FP64, table.Long: tensor.Int64, table.Boolean: tensor.Bool, table.Datetime: tensor.String, table.String: tensor.String}

func describeInputs(sig *registry.Signature) []tensorInfo {
	var out []tensorInfo
	if sig.Task == registry.TaskTensors {
		for _, f := range sig.TensorInputs {
			out = append(out, tensorInfo{f.Name, f.Type, sizes(f.Shape), f.Optional})
		}
		return out
	}
	for _, in := range sig.Inputs {
		out = append(out, tensorInfo{in.Name, kindTypes[in.Kind], []int64{-1}, in.Nullable})
	}
	return out
}

func describeOutputs(sig *registry.Signature) []tensorInfo {
	var out []tensorInfo
	switch sig.Task {
	case registry.TaskTensors:
		for _, f := range sig.TensorOutputs {
			out = append(out, tensorInfo{name: f.Name, kind: f.Type, shape: sizes(f.Shape)})
		}
		return out
	case taskRegression:
		out = append(out, tensorInfo{name: outVariable, kind: tensor.FP64, shape: []int64{-1, 1}})
	default:
		out = append(out, tensorInfo{name: outProbabilities, kind: tensor.FP64, shape: []int64{-1, int64(classesOf(sig))}}, tensorInfo{name: outLabel, kind: tensor.String, shape: []int64{-1}})
	}
	return append(out, tensorInfo{name: outID, kind: tensor.String, shape: []int64{-1}}, tensorInfo{name: outVersion, kind: tensor.Int64, shape: []int64{-1}},
		tensorInfo{name: outArm, kind: tensor.String, shape: []int64{-1}})
}

func sizes(shape []int) []int64 {
	out := make([]int64, len(shape))
	for i, d := range shape {
		out[i] = int64(d)
	}
	return out
}

// ServerLive tells that the process answers.
func (in *inference) ServerLive(context.Context, *inferencepb.ServerLiveRequest) (*inferencepb.ServerLiveResponse, error) {
	return &inferencepb.ServerLiveResponse{Live: true}, nil
}

// ServerReady tells that deployments are restored: before, the port does not answer gRPC.
func (in *inference) ServerReady(context.Context, *inferencepb.ServerReadyRequest) (*inferencepb.ServerReadyResponse, error) {
	return &inferencepb.ServerReadyResponse{Ready: true}, nil
}

// ModelReady tells whether a model answers. One that is not there is not ready.
func (in *inference) ModelReady(ctx context.Context, q *inferencepb.ModelReadyRequest) (*inferencepb.ModelReadyResponse, error) {
	_, _, _, err := in.door.find(ctx, q.Name, q.Version)
	switch fault.CodeOf(err) {
	case "":
		return &inferencepb.ModelReadyResponse{Ready: true}, nil
	case fault.NotFound, fault.Unavailable:
		return &inferencepb.ModelReadyResponse{}, nil
	}
	return nil, err
}

// extensions of the protocol that are served, by Triton's names.
var extensions = []string{"model_repository", "model_configuration", "statistics", "parameters"}

// ServerMetadata names the program.
func (in *inference) ServerMetadata(context.Context, *inferencepb.ServerMetadataRequest) (*inferencepb.ServerMetadataResponse, error) {
	return &inferencepb.ServerMetadataResponse{Name: "trimtab", Version: in.door.opt.Version, Extensions: extensions}, nil
}

// find looks a model up: its deployment, the signature of the version and which one that is; version "" is the champion's.
func (d *Door) find(ctx context.Context, name, version string) (*serve.Deployment, *registry.Signature, int, error) {
	c, err := choice(name, version, "")
	if err != nil {
		return nil, nil, 0, err
	}
	deployment, err := d.serving.Get(ctx, name)
	if err != nil {
		return nil, nil, 0, err
	}
	if deployment.State == serve.StateUnloaded {
		return nil, nil, 0, fault.New(fault.Unavailable, "%s is unloaded", deployment.Name).WithHint("RepositoryModelLoad loads it again")
	}
	sig, v, err := d.serving.Signature(ctx, name, c.Version)
	return deployment, sig, v, err
}

// ModelMetadata tells what a model takes and gives.
func (in *inference) ModelMetadata(ctx context.Context, q *inferencepb.ModelMetadataRequest) (*inferencepb.ModelMetadataResponse, error) {
	deployment, sig, v, err := in.door.find(ctx, q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	out := &inferencepb.ModelMetadataResponse{Name: deployment.Name, Platform: "trimtab", Versions: versions(deployment, q.Version, v),
		Inputs: metadataOf(describeInputs(sig)), Outputs: metadataOf(describeOutputs(sig))}
	return out, nil
}

// versions are those that are loaded, or the one that is asked for.
func versions(d *serve.Deployment, asked string, v int) []string {
	if asked != "" {
		return []string{strconv.Itoa(v)}
	}
	var out []string
	for _, r := range d.Resident {
		out = append(out, strconv.Itoa(r))
	}
	return out
}

func metadataOf(infos []tensorInfo) []*inferencepb.ModelMetadataResponse_TensorMetadata {
	var out []*inferencepb.ModelMetadataResponse_TensorMetadata
	for _, f := range infos {
		out = append(out, &inferencepb.ModelMetadataResponse_TensorMetadata{Name: f.name, Datatype: f.kind.String(), Shape: f.shape})
	}
	return out
}

// configTypes is Triton's enumeration by datatype.
var configTypes = map[tensor.Type]inferencepb.DataType{tensor.Bool: inferencepb.DataType_TYPE_BOOL, tensor.Uint8: inferencepb.DataType_TYPE_UINT8, tensor.Uint16: inferencepb.DataType_TYPE_UINT16,
	tensor.Uint32: inferencepb.DataType_TYPE_UINT32, tensor.Uint64: inferencepb.DataType_TYPE_UINT64, tensor.Int8: inferencepb.DataType_TYPE_INT8, tensor.Int16: inferencepb.DataType_TYPE_INT16,
	tensor.Int32: inferencepb.DataType_TYPE_INT32, tensor.Int64: inferencepb.DataType_TYPE_INT64, tensor.FP16: inferencepb.DataType_TYPE_FP16, tensor.BF16: inferencepb.DataType_TYPE_BF16,
	tensor.FP32: inferencepb.DataType_TYPE_FP32, tensor.FP64: inferencepb.DataType_TYPE_FP64, tensor.String: inferencepb.DataType_TYPE_STRING}

// ModelConfig tells the part of Triton's configuration that a deployment has. Sizes leave out the rows where those are free, as Triton
// has it for models with a batch.
func (in *inference) ModelConfig(ctx context.Context, q *inferencepb.ModelConfigRequest) (*inferencepb.ModelConfigResponse, error) {
	deployment, sig, v, err := in.door.find(ctx, q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	inputs, outputs := describeInputs(sig), describeOutputs(sig)
	batched := true
	for _, f := range append(append([]tensorInfo(nil), inputs...), outputs...) {
		batched = batched && len(f.shape) > 0 && f.shape[0] == -1
	}
	c := &inferencepb.ModelConfig{Name: deployment.Name, Platform: "trimtab", Backend: "trimtab", ModelTransactionPolicy: &inferencepb.ModelTransactionPolicy{},
		VersionPolicy: &inferencepb.ModelVersionPolicy{PolicyChoice: &inferencepb.ModelVersionPolicy_Specific_{Specific: &inferencepb.ModelVersionPolicy_Specific{Versions: []int64{int64(v)}}}}}
	dims := func(f tensorInfo) []int64 {
		if !batched {
			return f.shape
		}
		if len(f.shape) == 1 {
			return []int64{1}
		}
		return f.shape[1:]
	}
	if batched {
		c.MaxBatchSize = serve.MaxRows
	}
	for _, f := range inputs {
		c.Input = append(c.Input, &inferencepb.ModelInput{Name: f.name, DataType: configTypes[f.kind], Dims: dims(f), Optional: f.optional})
	}
	for _, f := range outputs {
		c.Output = append(c.Output, &inferencepb.ModelOutput{Name: f.name, DataType: configTypes[f.kind], Dims: dims(f)})
	}
	return &inferencepb.ModelConfigResponse{Config: c}, nil
}
