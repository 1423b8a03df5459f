package grpcdoor

import (
	"context"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

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
var extensions = []string{"classification", "model_repository", "model_configuration", "statistics", "parameters"}

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
		Inputs: metadataOf(codec.InputFields(sig)), Outputs: metadataOf(codec.OutputFields(sig))}
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

func metadataOf(all []predictor.Field) []*inferencepb.ModelMetadataResponse_TensorMetadata {
	var out []*inferencepb.ModelMetadataResponse_TensorMetadata
	for _, f := range all {
		out = append(out, &inferencepb.ModelMetadataResponse_TensorMetadata{Name: f.Name, Datatype: f.Type.String(), Shape: sizes(f.Shape)})
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
	inputs, outputs := codec.InputFields(sig), codec.OutputFields(sig)
	batched := true
	for _, f := range slices.Concat(inputs, outputs) {
		batched = batched && len(f.Shape) > 0 && f.Shape[0] == -1
	}
	c := &inferencepb.ModelConfig{Name: deployment.Name, Platform: "trimtab", Backend: "trimtab", ModelTransactionPolicy: &inferencepb.ModelTransactionPolicy{},
		VersionPolicy: &inferencepb.ModelVersionPolicy{PolicyChoice: &inferencepb.ModelVersionPolicy_Specific_{Specific: &inferencepb.ModelVersionPolicy_Specific{Versions: []int64{int64(v)}}}}}
	dims := func(f predictor.Field) []int64 {
		if !batched {
			return sizes(f.Shape)
		}
		if len(f.Shape) == 1 {
			return []int64{1}
		}
		return sizes(f.Shape[1:])
	}
	if batched {
		c.MaxBatchSize = serve.MaxRows
	}
	for _, f := range inputs {
		c.Input = append(c.Input, &inferencepb.ModelInput{Name: f.Name, DataType: configTypes[f.Type], Dims: dims(f), Optional: f.Optional})
	}
	for _, f := range outputs {
		c.Output = append(c.Output, &inferencepb.ModelOutput{Name: f.Name, DataType: configTypes[f.Type], Dims: dims(f)})
	}
	return &inferencepb.ModelConfigResponse{Config: c}, nil
}
