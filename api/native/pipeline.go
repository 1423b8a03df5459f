package native

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/pipeline"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

type applyInput struct {
	Project string `path:"project"`
	Body    struct {
		File  string     `json:"file" minLength:"1" doc:"the text of trimtab.yaml"`
		Name  string     `json:"name,omitempty" doc:"the file's name, for messages; default trimtab.yaml"`
		Dir   string     `json:"dir" minLength:"1" doc:"the folder on the server that its paths start from"`
		Cause string     `json:"cause,omitempty"`
		At    *time.Time `json:"at,omitempty" doc:"moves a replay clock first"`
		Force *struct {
			Reason string `json:"reason" minLength:"1"`
		} `json:"force,omitempty" doc:"release past a refusing gate; audited"`
	}
}

type jobOutput struct{ Body queue.Job }

type planOutput struct{ Body *pipeline.Plan }

// RegisterPipeline adds plan and apply.
func RegisterPipeline(r *route.Router, s *pipeline.Service) {
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/projects/{project}/plan", Summary: "What applying a file would change"},
		route.Access{Action: "project.plan", Resource: "project/{project}", Audit: route.Read},
		func(ctx context.Context, in *applyInput) (*planOutput, error) {
			req, err := in.request()
			if err != nil {
				return nil, err
			}
			p, err := s.Plan(ctx, req)
			return &planOutput{Body: p}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/projects/{project}/apply", Summary: "Make a file true, as a job", DefaultStatus: http.StatusAccepted},
		route.Access{Action: "project.apply", Resource: "project/{project}", Audit: route.Write},
		func(ctx context.Context, in *applyInput) (*jobOutput, error) {
			req, err := in.request()
			if err != nil {
				return nil, err
			}
			job, err := s.Apply(ctx, req)
			return &jobOutput{Body: job}, err
		})
}

// request checks that the file is of the project that the path names.
func (in *applyInput) request() (pipeline.ApplyRequest, error) {
	req := pipeline.ApplyRequest{Name: in.Body.Name, Source: []byte(in.Body.File), Dir: in.Body.Dir, Cause: in.Body.Cause}
	if req.Name == "" {
		req.Name = "trimtab.yaml"
	}
	if in.Body.At != nil {
		req.At = *in.Body.At
	}
	if in.Body.Force != nil {
		req.Force = in.Body.Force.Reason
	}
	f, err := project.ParseFile(req.Name, req.Source)
	if err != nil {
		return req, err
	}
	if f.Project != in.Project {
		return req, fault.New(fault.Invalid, "the file is of project %q, and the path says %q", f.Project, in.Project)
	}
	return req, nil
}
