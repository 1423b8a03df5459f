package native

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

type runsInput struct {
	Project string `path:"project"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type runsOutput struct {
	Body struct {
		Items         []*track.Run `json:"items"`
		NextPageToken string       `json:"next_page_token,omitempty"`
	}
}

// RunPath names a run in a path.
type RunPath struct {
	ID string `path:"id" maxLength:"256"`
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

// RunSearch says which runs are meant.
type RunSearch struct {
	Experiments []string `json:"experiments" minItems:"1" maxItems:"1000"`
	Filter      string   `json:"filter,omitempty" doc:"MLflow's grammar" example:"metrics.auc > 0.8 AND params.depth = '6'"`
	OrderBy     []string `json:"order_by,omitempty" example:"metrics.auc DESC"`
	View        string   `json:"view,omitempty" enum:"active,deleted,all"`
}

func (q RunSearch) search() track.RunSearch {
	return track.RunSearch{Experiments: q.Experiments, Search: track.Search{Filter: q.Filter, OrderBy: q.OrderBy, View: track.View(q.View)}}
}

type searchRunsInput struct {
	Body struct {
		RunSearch
		Limit     int    `json:"limit,omitempty" minimum:"0" maximum:"10000"`
		PageToken string `json:"page_token,omitempty"`
	}
}

type newRunInput struct {
	Body struct {
		Experiment string            `json:"experiment,omitempty" doc:"its id; left out: 0"`
		Named      string            `json:"experiment_name,omitempty" doc:"instead of the id; made when there is none of that name"`
		Name       string            `json:"name,omitempty"`
		User       string            `json:"user,omitempty"`
		StartedAt  *time.Time        `json:"started_at,omitempty"`
		Tags       map[string]string `json:"tags,omitempty"`
	}
}

type changeRunInput struct {
	RunPath
	Body struct {
		Name       *string            `json:"name,omitempty"`
		State      *string            `json:"state,omitempty" enum:"running,scheduled,finished,failed,killed"`
		FinishedAt *time.Time         `json:"finished_at,omitempty"`
		Tags       map[string]*string `json:"tags,omitempty" doc:"tags to set; null takes one away"`
	}
}

type manyRunsInput struct {
	Body struct {
		IDs  []string `json:"ids" minItems:"1" maxItems:"10000"`
		Hard bool     `json:"hard,omitempty" doc:"for good, with points and artifacts"`
	}
}

type tagRunsInput struct {
	Body struct {
		IDs  []string           `json:"ids" minItems:"1" maxItems:"10000"`
		Tags map[string]*string `json:"tags" doc:"tags to set; null takes one away"`
	}
}

type doneOutput struct {
	Body struct {
		Done int `json:"done"`
	}
}

// RegisterRuns adds the routes of runs; what is large or not JSON is in RegisterCurves and RegisterArtifacts.
func RegisterRuns(r *route.Router, s *track.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/projects/{project}/runs", Summary: "List a project's runs, newest first"},
		route.Access{Action: "run.list", Resource: "project/{project}", Audit: route.Read},
		func(ctx context.Context, in *runsInput) (*runsOutput, error) {
			out := &runsOutput{}
			var err error
			out.Body.Items, err = s.List(ctx, in.Project, in.Limit)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/runs", Summary: "Start a run", DefaultStatus: http.StatusCreated},
		route.Access{Action: "run.create", Resource: "run", Audit: route.Write},
		func(ctx context.Context, in *newRunInput) (*runOutput, error) {
			n := track.NewRun{ExperimentID: in.Body.Experiment, Name: in.Body.Name, User: in.Body.User, StartedAt: in.Body.StartedAt}
			if in.Body.Named != "" {
				e, err := s.ExperimentByName(ctx, in.Body.Named)
				if fault.Is(err, fault.NotFound) {
					e, err = s.CreateExperiment(ctx, track.NewExperiment{Name: in.Body.Named})
				}
				if err != nil {
					return nil, err
				}
				n.ExperimentID = e.ID
			}
			for key, value := range in.Body.Tags {
				n.Tags = append(n.Tags, track.Tag{Key: key, Value: value})
			}
			run, err := s.CreateRun(ctx, n)
			return &runOutput{Body: run}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/runs/search", Summary: "Find runs"},
		route.Access{Action: "run.search", Resource: "run", Audit: route.Read},
		func(ctx context.Context, in *searchRunsInput) (*runsOutput, error) {
			q := in.Body.search()
			q.MaxResults, q.PageToken = in.Body.Limit, in.Body.PageToken
			out := &runsOutput{}
			var err error
			out.Body.Items, out.Body.NextPageToken, err = s.SearchRuns(ctx, q)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/runs/{id}", Summary: "Show a run"},
		route.Access{Action: "run.read", Resource: "run/{id}", Audit: route.Read},
		func(ctx context.Context, in *RunPath) (*runOutput, error) {
			run, err := s.Get(ctx, in.ID)
			return &runOutput{Body: run}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPatch, Path: "/runs/{id}", Summary: "Rename or end a run, set and take away tags"},
		route.Access{Action: "run.update", Resource: "run/{id}", Audit: route.Write},
		func(ctx context.Context, in *changeRunInput) (*runOutput, error) {
			if in.Body.Name != nil || in.Body.State != nil || in.Body.FinishedAt != nil {
				if _, err := s.UpdateRun(ctx, in.ID, track.RunChange{Name: in.Body.Name, State: in.Body.State, FinishedAt: in.Body.FinishedAt}); err != nil {
					return nil, err
				}
			}
			if err := tagRun(ctx, s, in.ID, in.Body.Tags); err != nil {
				return nil, err
			}
			run, err := s.Get(ctx, in.ID)
			return &runOutput{Body: run}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/runs/delete", Summary: "Delete runs; they can be restored unless it is for good"},
		route.Access{Action: "run.delete", Resource: "run", Audit: route.Write},
		func(ctx context.Context, in *manyRunsInput) (*doneOutput, error) {
			out := &doneOutput{}
			if in.Body.Hard {
				if err := s.HardDeleteRun(ctx, in.Body.IDs...); err != nil {
					return nil, err
				}
				out.Body.Done = len(in.Body.IDs)
				return out, nil
			}
			return out, each(in.Body.IDs, &out.Body.Done, func(id string) error { return s.DeleteRun(ctx, id) })
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/runs/restore", Summary: "Bring back deleted runs"},
		route.Access{Action: "run.restore", Resource: "run", Audit: route.Write},
		func(ctx context.Context, in *manyRunsInput) (*doneOutput, error) {
			out := &doneOutput{}
			return out, each(in.Body.IDs, &out.Body.Done, func(id string) error { return s.RestoreRun(ctx, id) })
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/runs/tag", Summary: "Set and take away tags of many runs"},
		route.Access{Action: "run.tag", Resource: "run", Audit: route.Write},
		func(ctx context.Context, in *tagRunsInput) (*doneOutput, error) {
			out := &doneOutput{}
			return out, each(in.Body.IDs, &out.Body.Done, func(id string) error { return tagRun(ctx, s, id, in.Body.Tags) })
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

// each does something for every id and counts; the first error ends it, what was done stays done.
func each(ids []string, done *int, f func(id string) error) error {
	for _, id := range ids {
		if err := f(id); err != nil {
			return err
		}
		*done++
	}
	return nil
}

func tagRun(ctx context.Context, s *track.Service, id string, tags map[string]*string) error {
	for key, value := range tags {
		var err error
		if value == nil {
			err = s.DeleteTag(ctx, id, key)
		} else {
			err = s.SetTag(ctx, id, track.Tag{Key: key, Value: *value})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
