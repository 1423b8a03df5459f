package native

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// ExperimentPath names an experiment in a path.
type ExperimentPath struct {
	Experiment string `path:"experiment" maxLength:"32" example:"0"`
}

// SearchQuery is what every search by query takes.
type SearchQuery struct {
	Filter    string   `query:"filter" doc:"MLflow's grammar" example:"name ILIKE 'churn%' AND tags.team = 'pricing'"`
	OrderBy   []string `query:"order_by" doc:"most important first" example:"last_update_time DESC"`
	View      string   `query:"view" enum:"active,deleted,all" default:"active"`
	Limit     int      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	PageToken string   `query:"page_token" doc:"next_page_token of the page before"`
}

func (q SearchQuery) search() track.Search {
	return track.Search{Filter: q.Filter, OrderBy: q.OrderBy, View: track.View(q.View), MaxResults: q.Limit, PageToken: q.PageToken}
}

type experimentsOutput struct {
	Body struct {
		Items         []*track.Experiment `json:"items"`
		NextPageToken string              `json:"next_page_token,omitempty"`
	}
}

type experimentOutput struct{ Body *track.Experiment }

type newExperimentInput struct {
	Body struct {
		Name         string            `json:"name" minLength:"1" maxLength:"500"`
		ArtifactRoot string            `json:"artifact_root,omitempty" doc:"where clients put artifacts; left out: the server's own store"`
		Tags         map[string]string `json:"tags,omitempty"`
	}
}

type changeExperimentInput struct {
	ExperimentPath
	Body struct {
		Name *string            `json:"name,omitempty" minLength:"1" maxLength:"500"`
		Tags map[string]*string `json:"tags,omitempty" doc:"tags to set; null takes one away"`
	}
}

type keysInput struct {
	Body struct {
		Experiments []string `json:"experiments" minItems:"1" maxItems:"100"`
	}
}

type keysOutput struct{ Body *track.Keys }

// RegisterExperiments adds the routes of experiments.
func RegisterExperiments(r *route.Router, s *track.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/experiments", Summary: "Find experiments"},
		route.Access{Action: "experiment.list", Resource: "experiment", Audit: route.Read},
		func(ctx context.Context, in *SearchQuery) (*experimentsOutput, error) {
			out := &experimentsOutput{}
			var err error
			out.Body.Items, out.Body.NextPageToken, err = s.SearchExperiments(ctx, in.search())
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/experiments", Summary: "Make an experiment", DefaultStatus: http.StatusCreated},
		route.Access{Action: "experiment.create", Resource: "experiment", Audit: route.Write},
		func(ctx context.Context, in *newExperimentInput) (*experimentOutput, error) {
			n := track.NewExperiment{Name: in.Body.Name, ArtifactRoot: in.Body.ArtifactRoot}
			for key, value := range in.Body.Tags {
				n.Tags = append(n.Tags, track.Tag{Key: key, Value: value})
			}
			e, err := s.CreateExperiment(ctx, n)
			return &experimentOutput{Body: e}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/experiments/{experiment}", Summary: "Show an experiment"},
		route.Access{Action: "experiment.read", Resource: "experiment/{experiment}", Audit: route.Read},
		func(ctx context.Context, in *ExperimentPath) (*experimentOutput, error) {
			e, err := s.Experiment(ctx, in.Experiment)
			return &experimentOutput{Body: e}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPatch, Path: "/experiments/{experiment}", Summary: "Rename an experiment, set and take away tags"},
		route.Access{Action: "experiment.update", Resource: "experiment/{experiment}", Audit: route.Write},
		func(ctx context.Context, in *changeExperimentInput) (*experimentOutput, error) {
			if in.Body.Name != nil {
				if err := s.RenameExperiment(ctx, in.Experiment, *in.Body.Name); err != nil {
					return nil, err
				}
			}
			for key, value := range in.Body.Tags {
				var err error
				if value == nil {
					err = s.DeleteExperimentTag(ctx, in.Experiment, key)
				} else {
					err = s.SetExperimentTag(ctx, in.Experiment, track.Tag{Key: key, Value: *value})
				}
				if err != nil {
					return nil, err
				}
			}
			e, err := s.Experiment(ctx, in.Experiment)
			return &experimentOutput{Body: e}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodDelete, Path: "/experiments/{experiment}", Summary: "Delete an experiment with its runs; it can be restored", DefaultStatus: http.StatusNoContent},
		route.Access{Action: "experiment.delete", Resource: "experiment/{experiment}", Audit: route.Write},
		func(ctx context.Context, in *ExperimentPath) (*struct{}, error) {
			return nil, s.DeleteExperiment(ctx, in.Experiment)
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/experiments/{experiment}/restore", Summary: "Bring back a deleted experiment with its runs"},
		route.Access{Action: "experiment.restore", Resource: "experiment/{experiment}", Audit: route.Write},
		func(ctx context.Context, in *ExperimentPath) (*experimentOutput, error) {
			if err := s.RestoreExperiment(ctx, in.Experiment); err != nil {
				return nil, err
			}
			e, err := s.Experiment(ctx, in.Experiment)
			return &experimentOutput{Body: e}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/runs/keys", Summary: "The names of params, metrics and tags that runs of some experiments use"},
		route.Access{Action: "run.keys", Resource: "run", Audit: route.Read},
		func(ctx context.Context, in *keysInput) (*keysOutput, error) {
			keys, err := s.Keys(ctx, in.Body.Experiments)
			return &keysOutput{Body: keys}, err
		})
	follow := func(pattern string, a route.Access, watch func(req *http.Request) (experiments []string, run string, err error)) {
		r.HandleStream(route.Prefix+pattern, a, func(ctx context.Context, req *http.Request, stream *route.Stream) error {
			experiments, run, err := watch(req)
			if err != nil {
				return err
			}
			changes, stop := s.Watch(experiments...)
			defer stop()
			if err := stream.Open(); err != nil {
				return err
			}
			for {
				select {
				case <-ctx.Done():
					return nil
				case c, open := <-changes:
					if !open {
						return nil
					}
					if run != "" && c.Run != run {
						continue
					}
					if err := stream.Send("change", "", c); err != nil {
						return err
					}
				}
			}
		})
	}
	follow("/experiments/{experiment}/stream", route.Access{Action: "experiment.follow", Resource: "experiment/{experiment}", Audit: route.Read},
		func(req *http.Request) ([]string, string, error) {
			ids := strings.Split(req.PathValue("experiment"), ",") // one stream: browsers open few connections to a server
			for i, id := range ids {
				e, err := s.Experiment(req.Context(), id)
				if err != nil {
					return nil, "", err
				}
				ids[i] = e.ID
			}
			return ids, "", nil
		})
	follow("/runs/{id}/stream", route.Access{Action: "run.follow", Resource: "run/{id}", Audit: route.Read},
		func(req *http.Request) ([]string, string, error) {
			run, err := s.Get(req.Context(), req.PathValue("id"))
			if err != nil {
				return nil, "", err
			}
			return []string{run.ExperimentID}, run.ID, nil
		})
}
