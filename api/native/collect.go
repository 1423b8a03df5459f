package native

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

type collectInput struct {
	Body struct {
		DryRun    bool   `json:"dry_run,omitempty" doc:"count what would go, and remove nothing"`
		OlderThan string `json:"older_than,omitempty" doc:"remove everything that was deleted longer ago, whatever the retention of its experiment says" example:"30d"`
		Grace     string `json:"grace,omitempty" doc:"how long bytes stay that nothing holds; left out: a day" example:"24h"`
	}
}

type collectOutput struct{ Body queue.Job }

type retentionOutput struct{ Body track.Retention }

type retentionInput struct{ Body track.Retention }

type experimentRetentionInput struct {
	ExperimentPath
	Body track.Retention
}

// RegisterCollect adds garbage collection and the retention of what was deleted.
func RegisterCollect(r *route.Router, c *track.Collector, s *track.Service) {
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/gc", Summary: "Remove what was deleted long enough ago, and bytes that nothing holds, as a job", DefaultStatus: http.StatusAccepted},
		route.Access{Action: "garbage.collect", Resource: "garbage", Audit: route.Write},
		func(ctx context.Context, in *collectInput) (*collectOutput, error) {
			req := track.CollectRequest{DryRun: in.Body.DryRun}
			var err error
			if req.OlderThan, err = span("older_than", in.Body.OlderThan); err != nil {
				return nil, err
			}
			if req.Grace, err = span("grace", in.Body.Grace); err != nil {
				return nil, err
			}
			job, err := c.Start(ctx, req, "asked for by "+govern.Actor(ctx))
			return &collectOutput{Body: job}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/retention", Summary: "How long experiments keep what was deleted, where they say nothing themselves"},
		route.Access{Action: "retention.read", Resource: "experiment", Audit: route.Read},
		func(ctx context.Context, _ *struct{}) (*retentionOutput, error) {
			kept, err := s.Retention(ctx, "")
			return &retentionOutput{Body: kept}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPut, Path: "/retention", Summary: "Set how long experiments keep what was deleted, where they say nothing themselves"},
		route.Access{Action: "retention.update", Resource: "experiment", Audit: route.Write},
		func(ctx context.Context, in *retentionInput) (*retentionOutput, error) {
			return &retentionOutput{Body: in.Body}, s.SetRetention(ctx, "", in.Body)
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/experiments/{experiment}/retention", Summary: "How long an experiment keeps what was deleted"},
		route.Access{Action: "retention.read", Resource: "experiment/{experiment}", Audit: route.Read},
		func(ctx context.Context, in *ExperimentPath) (*retentionOutput, error) {
			kept, err := s.Retention(ctx, in.Experiment)
			return &retentionOutput{Body: kept}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPut, Path: "/experiments/{experiment}/retention", Summary: "Set how long an experiment keeps what was deleted"},
		route.Access{Action: "retention.update", Resource: "experiment/{experiment}", Audit: route.Write},
		func(ctx context.Context, in *experimentRetentionInput) (*retentionOutput, error) {
			return &retentionOutput{Body: in.Body}, s.SetRetention(ctx, in.Experiment, in.Body)
		})
}

// span reads a length of time such as 24h, or 30d; "" is nil.
func span(field, text string) (*time.Duration, error) {
	if text == "" {
		return nil, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 1e5 {
			d := time.Duration(n * 24 * float64(time.Hour))
			return &d, nil
		}
	} else if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return &d, nil
	}
	return nil, fault.New(fault.Invalid, "%s %q is no length of time", field, text).WithHint("write it like 90m, 24h or 30d")
}
