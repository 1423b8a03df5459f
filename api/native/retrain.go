package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/retrain"
)

// ProjectPath names a project in a path.
type ProjectPath struct {
	Project string `path:"project"`
}

type retrainOutput struct {
	Body struct {
		Policy *project.Retrain  `json:"policy,omitempty"`
		Items  []retrain.Trigger `json:"items"`
	}
}

type retrainNowInput struct {
	ProjectPath
	Body struct {
		Cause string `json:"cause" minLength:"1"`
	}
}

type idleOutput struct {
	Body struct {
		Idle bool `json:"idle"`
	}
}

// RegisterRetrain adds the routes of the retrain policy, and whether a project's jobs are done.
func RegisterRetrain(r *route.Router, s *retrain.Service, projects *project.Service, jobs *queue.Queue) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/projects/{project}/retrain", Summary: "Show the retrain policy and its triggers, newest first"},
		route.Access{Action: "retrain.read", Resource: "project/{project}", Audit: route.Read},
		func(ctx context.Context, in *ProjectPath) (*retrainOutput, error) {
			p, err := projects.Get(ctx, in.Project)
			if err != nil {
				return nil, err
			}
			out := &retrainOutput{}
			out.Body.Policy = p.File.Retrain
			out.Body.Items, err = s.Triggers(ctx, in.Project)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/projects/{project}/retrain", Summary: "Train again now, as a job", DefaultStatus: http.StatusAccepted},
		route.Access{Action: "retrain.start", Resource: "project/{project}", Audit: route.Write},
		func(ctx context.Context, in *retrainNowInput) (*triggerOutput, error) {
			t, err := s.Train(ctx, retrain.Request{Project: in.Project, Cause: in.Body.Cause})
			return &triggerOutput{Body: t}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/projects/{project}/idle", Summary: "Whether the project has no job waiting or running"},
		route.Access{Action: "project.idle", Resource: "project/{project}", Audit: route.Read},
		func(ctx context.Context, in *ProjectPath) (*idleOutput, error) {
			out := &idleOutput{}
			var err error
			out.Body.Idle, err = jobs.Idle(ctx, in.Project)
			return out, err
		})
}
