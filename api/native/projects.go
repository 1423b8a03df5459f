package native

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// projectView is a project with its file as JSON: the keys of trimtab.yaml, described by its own schema.
type projectView struct {
	Name       string          `json:"name"`
	Deployment string          `json:"deployment,omitempty"`
	File       json.RawMessage `json:"file" doc:"trimtab.yaml with its defaults, as trimtab schema describes it"`
	Source     string          `json:"source" doc:"the text of the file as applied"`
	Dir        string          `json:"dir"`
	Hash       string          `json:"hash" doc:"of the file with its defaults, BLAKE3"`
	Clock      string          `json:"clock" enum:"wall,replay"`
	Now        *time.Time      `json:"now,omitempty" doc:"by the project's clock; absent in a replay that has not begun"`
	CreatedAt  time.Time       `json:"created_at"`
	AppliedAt  time.Time       `json:"applied_at" doc:"by the machine's clock"`
}

func viewProject(p *project.Project) (projectView, error) {
	file, err := p.File.Canonical()
	if err != nil {
		return projectView{}, err
	}
	v := projectView{Name: p.Name, Deployment: p.Deployment(), File: file, Source: p.Source, Dir: p.Dir, Hash: p.Hash, Clock: p.Clock,
		CreatedAt: p.CreatedAt, AppliedAt: p.AppliedAt}
	if !p.Now.IsZero() {
		v.Now = &p.Now
	}
	return v, nil
}

type listProjectsOutput struct {
	Body struct {
		Items []projectView `json:"items"`
	}
}

type projectOutput struct{ Body projectView }

type clockInput struct {
	ProjectPath
	Body struct {
		At time.Time `json:"at" doc:"the time to move to; an earlier one leaves the clock where it is"`
	}
}

type clockOutput struct {
	Body struct {
		Clock string    `json:"clock" enum:"wall,replay"`
		Now   time.Time `json:"now"`
	}
}

// RegisterProjects adds the list of projects, one project, and its clock. Plan and apply are with RegisterPipeline.
func RegisterProjects(r *route.Router, s *project.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/projects", Summary: "Projects by name"},
		route.Access{Action: "project.read", Resource: "project", Audit: route.Read},
		func(ctx context.Context, _ *struct{}) (*listProjectsOutput, error) {
			projects, err := s.List(ctx)
			if err != nil {
				return nil, err
			}
			out := &listProjectsOutput{}
			out.Body.Items = make([]projectView, len(projects))
			for i, p := range projects {
				if out.Body.Items[i], err = viewProject(p); err != nil {
					return nil, err
				}
			}
			return out, nil
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/projects/{project}", Summary: "One project: its file, its clock, when it was applied"},
		route.Access{Action: "project.read", Resource: "project/{project}", Audit: route.Read},
		func(ctx context.Context, in *ProjectPath) (*projectOutput, error) {
			p, err := s.Get(ctx, in.Project)
			if err != nil {
				return nil, err
			}
			v, err := viewProject(p)
			return &projectOutput{Body: v}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/projects/{project}/clock", Summary: "Move a replay's clock and do its periodic work; answers when that is done"},
		route.Access{Action: "project.advance", Resource: "project/{project}", Audit: route.Write},
		func(ctx context.Context, in *clockInput) (*clockOutput, error) {
			if err := s.Advance(ctx, in.Project, in.Body.At); err != nil {
				return nil, err
			}
			out := &clockOutput{}
			out.Body.Clock, out.Body.Now = "replay", s.Clock(in.Project).Now()
			return out, nil
		})
}
