package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

type runsInput struct {
	Project string `path:"project"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type runsOutput struct {
	Body struct {
		Items []*track.Run `json:"items"`
	}
}

// RunPath names a run in a path.
type RunPath struct {
	ID string `path:"id"`
}

type runOutput struct{ Body *track.Run }

type curveInput struct {
	RunPath
	Key string `query:"key" doc:"one metric; empty for all"`
}

type curveOutput struct {
	Body struct {
		Items []track.Point `json:"items"`
	}
}

// RegisterRuns adds the routes of runs.
func RegisterRuns(r *route.Router, s *track.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/projects/{project}/runs", Summary: "List a project's runs, newest first"},
		route.Access{Action: "run.list", Resource: "project/{project}", Audit: route.Read},
		func(ctx context.Context, in *runsInput) (*runsOutput, error) {
			out := &runsOutput{}
			var err error
			out.Body.Items, err = s.List(ctx, in.Project, in.Limit)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/runs/{id}", Summary: "Show a run"},
		route.Access{Action: "run.read", Resource: "run/{id}", Audit: route.Read},
		func(ctx context.Context, in *RunPath) (*runOutput, error) {
			run, err := s.Get(ctx, in.ID)
			return &runOutput{Body: run}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/runs/{id}/metrics", Summary: "The points of a run's metrics"},
		route.Access{Action: "run.metrics", Resource: "run/{id}", Audit: route.Read},
		func(ctx context.Context, in *curveInput) (*curveOutput, error) {
			if _, err := s.Get(ctx, in.ID); err != nil {
				return nil, err
			}
			out := &curveOutput{}
			var err error
			out.Body.Items, err = s.Curve(in.ID, in.Key)
			return out, err
		})
}
