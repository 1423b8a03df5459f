package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// DeploymentPath names a deployment in a path.
type DeploymentPath struct {
	Name string `path:"name"`
}

type rolloutOutput struct{ Body *rollout.Rollout }

type rolloutsOutput struct {
	Body struct {
		Items []*rollout.Rollout `json:"items"`
	}
}

type releaseInput struct {
	DeploymentPath
	Body struct {
		Version int    `json:"version" minimum:"1"`
		Reason  string `json:"reason" minLength:"1"`
		Force   bool   `json:"force,omitempty" doc:"release a version that its gate refused; audited with the reason"`
	}
}

type reasonInput struct {
	DeploymentPath
	Body struct {
		Reason string `json:"reason" minLength:"1"`
	}
}

type rollbackInput struct {
	DeploymentPath
	Body struct {
		Version int    `json:"version,omitempty" doc:"0 is the champion before this one"`
		Reason  string `json:"reason" minLength:"1"`
	}
}

type deploymentRoute struct{ Body *serve.Deployment }

// RegisterRollouts adds the routes that move traffic.
func RegisterRollouts(r *route.Router, s *rollout.Service, serving *serve.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments/{name}/rollouts", Summary: "List a deployment's rollouts, newest first"},
		route.Access{Action: "rollout.list", Resource: "deployment/{name}", Audit: route.Read},
		func(ctx context.Context, in *DeploymentPath) (*rolloutsOutput, error) {
			out := &rolloutsOutput{}
			var err error
			out.Body.Items, err = s.List(ctx, in.Name)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments/{name}/rollout", Summary: "Show the rollout under way, or the last one"},
		route.Access{Action: "rollout.read", Resource: "deployment/{name}", Audit: route.Read},
		func(ctx context.Context, in *DeploymentPath) (*rolloutOutput, error) {
			all, err := s.List(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			if len(all) == 0 {
				return nil, fault.New(fault.NotFound, "%s has had no rollout", in.Name)
			}
			return &rolloutOutput{Body: all[0]}, nil
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/rollout", Summary: "Release a version as the project's file says"},
		route.Access{Action: "rollout.start", Resource: "deployment/{name}", Audit: route.Write},
		func(ctx context.Context, in *releaseInput) (*rolloutOutput, error) {
			d, err := serving.Get(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			req := rollout.Request{Project: d.Project, Model: d.Model, Version: in.Body.Version, Cause: in.Body.Reason}
			if in.Body.Force {
				req.Force = in.Body.Reason
			}
			ro, err := s.Release(ctx, req)
			if err == nil && ro == nil {
				err = fault.New(fault.Conflict, "v%d answers everything already", in.Body.Version)
			}
			return &rolloutOutput{Body: ro}, err
		})
	operate := func(verb, summary string, do func(ctx context.Context, deployment, reason string) (*rollout.Rollout, error)) {
		route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/rollout/" + verb, Summary: summary},
			route.Access{Action: "rollout." + verb, Resource: "deployment/{name}", Audit: route.Write},
			func(ctx context.Context, in *reasonInput) (*rolloutOutput, error) {
				ro, err := do(ctx, in.Name, in.Body.Reason)
				return &rolloutOutput{Body: ro}, err
			})
	}
	operate("promote", "Make the canary champion now", s.Promote)
	operate("abort", "Send the canary back now", s.Abort)
	operate("pause", "Hold the canary's share", s.Pause)
	operate("resume", "Let a paused rollout go on", s.Resume)
	registerRouting(r, s, serving)
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/rollback", Summary: "Give all traffic to an earlier champion at once"},
		route.Access{Action: "rollout.rollback", Resource: "deployment/{name}", Audit: route.Write},
		func(ctx context.Context, in *rollbackInput) (*deploymentRoute, error) {
			if err := s.Rollback(ctx, in.Name, in.Body.Version, in.Body.Reason); err != nil {
				return nil, err
			}
			d, err := serving.Get(ctx, in.Name)
			return &deploymentRoute{Body: d}, err
		})
}
