package native

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// EngineView is a version that a deployment has loaded: what computes it, how that does, and what it answered.
type EngineView struct {
	Version int      `json:"version"`
	Roles   []string `json:"roles" doc:"what the route has it do: champion, canary, contender, standby, shadow, rule, and its labels; none = loaded, and asked by its number alone"`
	Engine  string   `json:"engine" doc:"native, onnx, onnxruntime, python or r"`
	Reason  string   `json:"reason,omitempty" doc:"why this engine"`
	Format  string   `json:"format,omitempty"`
	Kind    string   `json:"kind,omitempty" doc:"how a worker opens the files"`
	State   string   `json:"state" enum:"ready,starting,broken"`
	Memory  int64    `json:"memory_bytes" doc:"of its processes, or of what it holds in the server's"`

	Workers  []predictor.Worker `json:"workers" doc:"its processes; none of an engine in the server's own"`
	Isolated []predictor.Rung   `json:"isolated" doc:"measures that hold its processes in, and why one does not"`
	Restarts int64              `json:"restarts"`
	Queued   int64              `json:"queued" doc:"requests that wait for a process"`
	Log      []string           `json:"log" doc:"the last lines that the model wrote"`
	Since    *time.Time         `json:"since,omitempty"`
	Broken   string             `json:"broken,omitempty" doc:"why it no longer tries"`

	Requests EngineRequests `json:"requests"`
	Course   []serve.Slot   `json:"course" doc:"what it answered in the last five minutes of wall time, by slots of 20 seconds; the last is under way"`
}

// EngineRequests is what a version was asked since the server started, request by request. Times are means, in milliseconds.
type EngineRequests struct {
	Answered  int64      `json:"answered"`
	Failed    int64      `json:"failed"`
	Rows      int64      `json:"rows"`
	Asked     int64      `json:"asked" doc:"times that the engine itself was asked"`
	CacheHits int64      `json:"cache_hits"`
	TotalMS   float64    `json:"total_ms" doc:"of an answered request"`
	QueueMS   float64    `json:"queue_ms"`
	ReadMS    float64    `json:"read_ms" doc:"reading rows by the signature"`
	ScoreMS   float64    `json:"score_ms"`
	WriteMS   float64    `json:"write_ms" doc:"the log and the watchers"`
	Last      *time.Time `json:"last,omitempty"`
}

type enginesOutput struct {
	Body struct {
		Items       []EngineView `json:"items" doc:"by version, the newest first"`
		SlotSeconds float64      `json:"slot_seconds"`
	}
}

// RegisterEngines adds the route that shows what computes a deployment's versions.
func RegisterEngines(r *route.Router, serving *serve.Service, models *registry.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments/{name}/engines", Summary: "Show what computes a deployment's versions: engines, processes, sandbox, log and traffic"},
		route.Access{Action: "deployment.engines", Resource: "deployment/{name}", Audit: route.Read},
		func(ctx context.Context, in *DeploymentPath) (*enginesOutput, error) {
			d, err := serving.Get(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			out := &enginesOutput{}
			out.Body.Items, out.Body.SlotSeconds = []EngineView{}, serve.SlotLength.Seconds()
			for _, v := range slices.Backward(d.Resident) {
				status := serving.Status(in.Name, v)
				if status == nil {
					continue // it left memory a moment ago
				}
				view := engineView(status, d, v)
				if stats, err := serving.Statistics(in.Name, v); err == nil {
					view.Requests = engineRequests(&stats)
				}
				view.Course = serving.Course(in.Name, v)
				if registered, err := models.Get(ctx, d.Model, v); err == nil { // a version that is served may have been removed
					view.Format = registered.Format
					if how := registered.Serving; how != nil {
						view.Reason, view.Kind = how.Reason, how.Kind
					} else if registered.Format == registry.FormatTrimtab {
						view.Reason = "trained here: recipe and model are computed in this process"
					}
				}
				out.Body.Items = append(out.Body.Items, view)
			}
			return out, nil
		})
}

func engineView(s *predictor.Status, d *serve.Deployment, version int) EngineView {
	e := EngineView{Version: version, Roles: roles(&d.Route, version), Engine: s.Engine, State: "ready", Memory: s.Memory, Workers: s.Workers, Isolated: s.Isolated,
		Restarts: s.Restarts, Queued: s.Queued, Log: s.Log, Broken: s.Broken}
	if !s.Since.IsZero() {
		e.Since = &s.Since
	}
	up := func(w predictor.Worker) bool { return w.State == "ready" || w.State == "busy" }
	switch {
	case s.Broken != "":
		e.State = "broken"
	case len(s.Workers) > 0 && !slices.ContainsFunc(s.Workers, up):
		e.State = "starting"
	}
	if e.Workers == nil {
		e.Workers = []predictor.Worker{}
	}
	if e.Isolated == nil {
		e.Isolated = []predictor.Rung{}
	}
	if e.Log == nil {
		e.Log = []string{}
	}
	return e
}

// roles is what a route has a version do.
func roles(r *serve.Route, version int) []string {
	out := []string{}
	add := func(holds bool, role string) {
		if holds && !slices.Contains(out, role) {
			out = append(out, role)
		}
	}
	add(r.Champion == version, "champion")
	add(r.Canary == version, "canary")
	add(r.Champion != version && slices.ContainsFunc(r.Variants, func(v serve.Variant) bool { return v.Version == version }), "contender")
	add(r.Standby == version, "standby")
	add(r.Shadow == version, "shadow")
	add(slices.ContainsFunc(r.Rules, func(rule serve.Rule) bool { return rule.Version == version }), "rule")
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		add(r.Labels[label] == version, label)
	}
	return out
}

func engineRequests(s *serve.Statistics) EngineRequests {
	mean := func(d serve.Duration) float64 {
		if d.Count == 0 {
			return 0
		}
		return float64(d.NS) / float64(d.Count) / 1e6
	}
	out := EngineRequests{Answered: s.Success.Count, Failed: s.Fail.Count, Rows: s.InferenceCount, Asked: s.ExecutionCount, CacheHits: s.CacheHit.Count,
		TotalMS: mean(s.Success), QueueMS: mean(s.Queue), ReadMS: mean(s.ComputeInput), ScoreMS: mean(s.ComputeInfer), WriteMS: mean(s.ComputeOutput)}
	if s.LastInference > 0 {
		last := time.UnixMilli(s.LastInference).UTC()
		out.Last = &last
	}
	return out
}
