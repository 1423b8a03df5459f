package grpcdoor

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// RepositoryIndex lists the versions that are loaded and the models that are not.
func (in *inference) RepositoryIndex(ctx context.Context, q *inferencepb.RepositoryIndexRequest) (*inferencepb.RepositoryIndexResponse, error) {
	all, err := in.door.serving.Repository(ctx)
	if err != nil {
		return nil, err
	}
	out := &inferencepb.RepositoryIndexResponse{}
	for _, m := range all {
		if q.Ready && m.State != serve.RepositoryReady {
			continue
		}
		out.Models = append(out.Models, &inferencepb.RepositoryIndexResponse_ModelIndex{Name: m.Name, Version: m.Version, State: m.State, Reason: m.Reason})
	}
	return out, nil
}

// RepositoryModelLoad has a registered model answer. Files and configurations that come with the call are refused: models are loaded from
// the registry and nowhere else.
func (in *inference) RepositoryModelLoad(ctx context.Context, q *inferencepb.RepositoryModelLoadRequest) (*inferencepb.RepositoryModelLoadResponse, error) {
	if len(q.Parameters) > 0 {
		return nil, fault.New(fault.Invalid, "failed to load %q: the parameter %q is not taken", clip(q.ModelName), clip(slices.Sorted(maps.Keys(q.Parameters))[0])).
			WithHint("a model comes from the registry, with its configuration: trimtab models import")
	}
	if err := in.door.serving.LoadModel(ctx, q.ModelName); err != nil {
		return nil, err
	}
	return &inferencepb.RepositoryModelLoadResponse{}, nil
}

// RepositoryModelUnload has a model answer no more until it is loaded again. unload_dependents is taken and changes nothing: no model
// depends on another one.
func (in *inference) RepositoryModelUnload(ctx context.Context, q *inferencepb.RepositoryModelUnloadRequest) (*inferencepb.RepositoryModelUnloadResponse, error) {
	if err := in.door.serving.UnloadModel(ctx, q.ModelName); err != nil {
		return nil, err
	}
	return &inferencepb.RepositoryModelUnloadResponse{}, nil
}

// ModelStatistics tells what versions did since the server started: of one model, of one version, or of everything that is loaded.
func (in *inference) ModelStatistics(ctx context.Context, q *inferencepb.ModelStatisticsRequest) (*inferencepb.ModelStatisticsResponse, error) {
	d := in.door
	c, err := choice(q.Name, q.Version, "")
	if err != nil {
		return nil, err
	}
	out := &inferencepb.ModelStatisticsResponse{}
	add := func(name string, versions []int) error {
		for _, v := range versions {
			s, err := d.serving.Statistics(name, v)
			if err != nil {
				return err
			}
			out.ModelStats = append(out.ModelStats, statistics(&s))
		}
		return nil
	}
	if c.Version != 0 {
		return out, add(q.Name, []int{c.Version})
	}
	if q.Name != "" {
		deployment, err := d.serving.Get(ctx, q.Name)
		if err != nil {
			return nil, err
		}
		return out, add(q.Name, deployment.Resident)
	}
	all, err := d.serving.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, deployment := range all {
		// A version that is retired meanwhile is left out.
		if err := add(deployment.Name, deployment.Resident); err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	return out, nil
}

func duration(d serve.Duration) *inferencepb.StatisticDuration {
	return &inferencepb.StatisticDuration{Count: uint64(d.Count), Ns: uint64(d.NS)}
}

func statistics(s *serve.Statistics) *inferencepb.ModelStatistics {
	out := &inferencepb.ModelStatistics{Name: s.Name, Version: strconv.Itoa(s.Version), LastInference: uint64(s.LastInference), InferenceCount: uint64(s.InferenceCount),
		ExecutionCount: uint64(s.ExecutionCount), InferenceStats: &inferencepb.InferStatistics{Success: duration(s.Success), Fail: duration(s.Fail), Queue: duration(s.Queue),
			ComputeInput: duration(s.ComputeInput), ComputeInfer: duration(s.ComputeInfer), ComputeOutput: duration(s.ComputeOutput),
			CacheHit: duration(s.CacheHit), CacheMiss: duration(s.CacheMiss)}}
	for _, size := range slices.Sorted(maps.Keys(s.Batches)) {
		out.BatchStats = append(out.BatchStats, &inferencepb.InferBatchStatistics{BatchSize: uint64(size), ComputeInfer: duration(s.Batches[size])})
	}
	return out
}

// noSharedMemory is what every attempt to share memory is told: names of regions are a way into other processes.
func noSharedMemory() error {
	return fault.New(fault.NotSupported, "shared memory is not served: tensors travel in the message").WithHint("send raw_input_contents")
}

// SystemSharedMemoryStatus lists no regions: there are none.
func (in *inference) SystemSharedMemoryStatus(context.Context, *inferencepb.SystemSharedMemoryStatusRequest) (*inferencepb.SystemSharedMemoryStatusResponse, error) {
	return &inferencepb.SystemSharedMemoryStatusResponse{}, nil
}

// SystemSharedMemoryRegister is refused.
func (in *inference) SystemSharedMemoryRegister(context.Context, *inferencepb.SystemSharedMemoryRegisterRequest) (*inferencepb.SystemSharedMemoryRegisterResponse, error) {
	return nil, noSharedMemory()
}

// SystemSharedMemoryUnregister has nothing to do.
func (in *inference) SystemSharedMemoryUnregister(context.Context, *inferencepb.SystemSharedMemoryUnregisterRequest) (*inferencepb.SystemSharedMemoryUnregisterResponse, error) {
	return &inferencepb.SystemSharedMemoryUnregisterResponse{}, nil
}

// CudaSharedMemoryStatus lists no regions: there are none.
func (in *inference) CudaSharedMemoryStatus(context.Context, *inferencepb.CudaSharedMemoryStatusRequest) (*inferencepb.CudaSharedMemoryStatusResponse, error) {
	return &inferencepb.CudaSharedMemoryStatusResponse{}, nil
}

// CudaSharedMemoryRegister is refused.
func (in *inference) CudaSharedMemoryRegister(context.Context, *inferencepb.CudaSharedMemoryRegisterRequest) (*inferencepb.CudaSharedMemoryRegisterResponse, error) {
	return nil, noSharedMemory()
}

// CudaSharedMemoryUnregister has nothing to do.
func (in *inference) CudaSharedMemoryUnregister(context.Context, *inferencepb.CudaSharedMemoryUnregisterRequest) (*inferencepb.CudaSharedMemoryUnregisterResponse, error) {
	return &inferencepb.CudaSharedMemoryUnregisterResponse{}, nil
}

// TraceSetting tells that Triton's traces are off. They cannot be turned on by a caller.
func (in *inference) TraceSetting(_ context.Context, q *inferencepb.TraceSettingRequest) (*inferencepb.TraceSettingResponse, error) {
	if len(q.Settings) > 0 {
		return nil, fault.New(fault.NotSupported, "traces are not set by callers").WithHint("they are set when the server starts")
	}
	return &inferencepb.TraceSettingResponse{Settings: map[string]*inferencepb.TraceSettingResponse_SettingValue{
		"trace_level": {Value: []string{"OFF"}}, "trace_rate": {Value: []string{"0"}}, "trace_count": {Value: []string{"-1"}}}}, nil
}

// LogSettings tells what is logged. It cannot be changed by a caller.
func (in *inference) LogSettings(_ context.Context, q *inferencepb.LogSettingsRequest) (*inferencepb.LogSettingsResponse, error) {
	if len(q.Settings) > 0 {
		return nil, fault.New(fault.NotSupported, "the log is not set by callers").WithHint("it is set when the server starts: --log-level")
	}
	flag := func(v bool) *inferencepb.LogSettingsResponse_SettingValue {
		return &inferencepb.LogSettingsResponse_SettingValue{ParameterChoice: &inferencepb.LogSettingsResponse_SettingValue_BoolParam{BoolParam: v}}
	}
	return &inferencepb.LogSettingsResponse{Settings: map[string]*inferencepb.LogSettingsResponse_SettingValue{"log_error": flag(true), "log_warning": flag(true), "log_info": flag(true)}}, nil
}
