package native

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/retrain"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// ModelPath names a model in a path; it is exported because huma reads only exported embedded fields.
type ModelPath struct {
	Model string `path:"model" maxLength:"200"`
}

// VersionPath names a version in a path.
type VersionPath struct {
	ModelPath
	Version int `path:"version" minimum:"1"`
}

type modelsOutput struct {
	Body struct {
		Items []*registry.Model `json:"items"`
	}
}

type modelOutput struct{ Body *registry.Model }

type versionsOutput struct {
	Body struct {
		Items []*registry.Version `json:"items"`
	}
}

// VersionDetail is a version with how it did.
type VersionDetail struct {
	*registry.Version
	Evaluation *registry.Evaluation `json:"evaluation"`
	Rollouts   []*rollout.Rollout   `json:"rollouts"`
}

type versionOutput struct{ Body VersionDetail }

type findModelsInput struct {
	Filter  string   `query:"filter" doc:"MLflow's grammar" example:"tags.team = 'pricing'"`
	OrderBy []string `query:"order_by" example:"last_updated_timestamp DESC"`
}

type newModelInput struct {
	Body struct {
		Name        string            `json:"name" minLength:"1" maxLength:"256"`
		Description string            `json:"description,omitempty"`
		Tags        map[string]string `json:"tags,omitempty"`
	}
}

type changeModelInput struct {
	ModelPath
	Body struct {
		Name        *string            `json:"name,omitempty" doc:"a new name"`
		Description *string            `json:"description,omitempty"`
		Tags        map[string]*string `json:"tags,omitempty" doc:"tags to set; null takes one away"`
	}
}

type registerInput struct {
	ModelPath
	Body struct {
		Source      string            `json:"source" minLength:"1" example:"runs:/0a1b2c3d4e5f60718293a4b5c6d7e8f9/model"`
		RunID       string            `json:"run_id,omitempty" doc:"the run that holds the source"`
		ModelID     string            `json:"model_id,omitempty" doc:"the logged model that is the source"`
		Description string            `json:"description,omitempty"`
		Tags        map[string]string `json:"tags,omitempty"`
	}
}

type changeVersionInput struct {
	VersionPath
	Body struct {
		Description *string            `json:"description,omitempty"`
		Stage       *string            `json:"stage,omitempty" enum:"None,Staging,Production,Archived"`
		Tags        map[string]*string `json:"tags,omitempty" doc:"tags to set; null takes one away"`
	}
}

type deployInput struct {
	VersionPath
	Body struct {
		Reason string `json:"reason" minLength:"1"`
		Force  bool   `json:"force,omitempty" doc:"release a version that its gate refused; audited with the reason"`
	}
}

type historyOutput struct {
	Body struct {
		Items []registry.Move `json:"items"`
	}
}

type trainInput struct {
	ModelPath
	Body struct {
		Cause         string `json:"cause,omitempty" doc:"why; shown with the version"`
		PermuteLabels bool   `json:"permute_labels,omitempty" doc:"train on shuffled labels, to see gate and canary notice"`
		Force         *struct {
			Reason string `json:"reason" minLength:"1"`
		} `json:"force,omitempty" doc:"release past a refusing gate; audited"`
	}
}

type triggerOutput struct{ Body *retrain.Trigger }

type aliasInput struct {
	ModelPath
	Alias string `path:"alias" maxLength:"100" pattern:"^[a-z][a-z0-9_-]*$"`
	Body  struct {
		Version int    `json:"version" minimum:"0" doc:"0 takes the alias away"`
		Reason  string `json:"reason" minLength:"1"`
	}
}

// RegisterModels adds the routes of models and their versions.
func RegisterModels(r *route.Router, db *catalog.DB, s *registry.Service, projects *project.Service, trainer *retrain.Service, rollouts *rollout.Service) {
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models", Summary: "List models, or find some"},
		route.Access{Action: "model.list", Resource: "model", Audit: route.Read},
		func(ctx context.Context, in *findModelsInput) (*modelsOutput, error) {
			out := &modelsOutput{}
			var err error
			if in.Filter == "" && len(in.OrderBy) == 0 {
				out.Body.Items, err = s.Models(ctx)
			} else {
				out.Body.Items, _, err = s.SearchModels(ctx, track.Search{Filter: in.Filter, OrderBy: in.OrderBy, MaxResults: 1000})
			}
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models", Summary: "Register a name for a line of versions", DefaultStatus: http.StatusCreated},
		route.Access{Action: "model.create", Resource: "model", Audit: route.Write},
		func(ctx context.Context, in *newModelInput) (*modelOutput, error) {
			m, err := s.CreateModel(ctx, registry.NewModel{Name: in.Body.Name, Description: in.Body.Description, Tags: tagList(in.Body.Tags)})
			return &modelOutput{Body: m}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPatch, Path: "/models/{model}", Summary: "Rename or describe a model, set and take away tags"},
		route.Access{Action: "model.update", Resource: "model/{model}", Audit: route.Write},
		func(ctx context.Context, in *changeModelInput) (*modelOutput, error) {
			name := in.Model
			if in.Body.Description != nil {
				if _, err := s.DescribeModel(ctx, name, *in.Body.Description); err != nil {
					return nil, err
				}
			}
			for key, value := range in.Body.Tags {
				var err error
				if value == nil {
					err = s.DeleteModelTag(ctx, name, key)
				} else {
					err = s.SetModelTag(ctx, name, track.Tag{Key: key, Value: *value})
				}
				if err != nil {
					return nil, err
				}
			}
			if in.Body.Name != nil && *in.Body.Name != name {
				if _, err := s.RenameModel(ctx, name, *in.Body.Name); err != nil {
					return nil, err
				}
				name = *in.Body.Name
			}
			m, err := s.Model(ctx, name)
			return &modelOutput{Body: m}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodDelete, Path: "/models/{model}", Summary: "Delete a model with its versions", DefaultStatus: http.StatusNoContent},
		route.Access{Action: "model.delete", Resource: "model/{model}", Audit: route.Write},
		func(ctx context.Context, in *ModelPath) (*struct{}, error) { return nil, s.DeleteModel(ctx, in.Model) })
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models/{model}/versions/register", Summary: "Register what a run or a logged model holds as the next version", DefaultStatus: http.StatusCreated},
		route.Access{Action: "version.register", Resource: "model/{model}", Audit: route.Write},
		func(ctx context.Context, in *registerInput) (*versionOutput, error) {
			v, err := s.CreateVersion(ctx, registry.NewVersion{Model: in.Model, Source: in.Body.Source, RunID: in.Body.RunID, ModelID: in.Body.ModelID,
				Description: in.Body.Description, Tags: tagList(in.Body.Tags)})
			return &versionOutput{Body: VersionDetail{Version: v}}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPatch, Path: "/models/{model}/versions/{version}", Summary: "Describe or stage a version, set and take away tags"},
		route.Access{Action: "version.update", Resource: "model/{model}/{version}", Audit: route.Write},
		func(ctx context.Context, in *changeVersionInput) (*versionOutput, error) {
			if in.Body.Description != nil {
				if _, err := s.DescribeVersion(ctx, in.Model, in.Version, *in.Body.Description); err != nil {
					return nil, err
				}
			}
			if in.Body.Stage != nil {
				if _, err := s.TransitionStage(ctx, in.Model, in.Version, *in.Body.Stage, false); err != nil {
					return nil, err
				}
			}
			for key, value := range in.Body.Tags {
				var err error
				if value == nil {
					err = s.DeleteVersionTag(ctx, in.Model, in.Version, key)
				} else {
					err = s.SetVersionTag(ctx, in.Model, in.Version, track.Tag{Key: key, Value: *value})
				}
				if err != nil {
					return nil, err
				}
			}
			v, err := s.Get(ctx, in.Model, in.Version)
			return &versionOutput{Body: VersionDetail{Version: v}}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models/{model}/versions/{version}/deploy", Summary: "Bring a version to traffic; a model of no project gets a deployment of its name"},
		route.Access{Action: "version.deploy", Resource: "model/{model}/{version}", Audit: route.Write},
		func(ctx context.Context, in *deployInput) (*rolloutOutput, error) {
			v, err := s.Get(ctx, in.Model, in.Version)
			if err != nil {
				return nil, err
			}
			req := rollout.Request{Project: v.Project, Model: in.Model, Version: in.Version, Cause: in.Body.Reason}
			if in.Body.Force {
				req.Force = in.Body.Reason
			}
			ro, err := rollouts.Release(ctx, req)
			if err == nil && ro == nil {
				err = fault.New(fault.Conflict, "v%d answers everything already", in.Version)
			}
			return &rolloutOutput{Body: ro}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodDelete, Path: "/models/{model}/versions/{version}", Summary: "Delete a version; its number is never used again", DefaultStatus: http.StatusNoContent},
		route.Access{Action: "version.delete", Resource: "model/{model}/{version}", Audit: route.Write},
		func(ctx context.Context, in *VersionPath) (*struct{}, error) {
			return nil, s.DeleteVersion(ctx, in.Model, in.Version)
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models/{model}", Summary: "Show a model"},
		route.Access{Action: "model.read", Resource: "model/{model}", Audit: route.Read},
		func(ctx context.Context, in *ModelPath) (*modelOutput, error) {
			m, err := s.Model(ctx, in.Model)
			return &modelOutput{Body: m}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models/{model}/versions", Summary: "List a model's versions, newest first"},
		route.Access{Action: "version.list", Resource: "model/{model}", Audit: route.Read},
		func(ctx context.Context, in *ModelPath) (*versionsOutput, error) {
			out := &versionsOutput{}
			var err error
			out.Body.Items, err = s.Versions(ctx, in.Model)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models/{model}/versions/{version}", Summary: "Show a version: metrics, curves, slices, gate, signature, lineage"},
		route.Access{Action: "version.read", Resource: "model/{model}/{version}", Audit: route.Read},
		func(ctx context.Context, in *VersionPath) (*versionOutput, error) {
			v, err := s.Get(ctx, in.Model, in.Version)
			if err != nil {
				return nil, err
			}
			out := &versionOutput{Body: VersionDetail{Version: v}}
			if v.Format == registry.FormatTrimtab { // what others registered was not judged here
				if out.Body.Evaluation, err = s.Evaluation(ctx, in.Model, in.Version); err != nil {
					return nil, err
				}
			}
			out.Body.Rollouts, err = rollouts.OfVersion(ctx, in.Model, in.Version)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models/{model}/history", Summary: "Who moved which alias when, and why"},
		route.Access{Action: "model.history", Resource: "model/{model}", Audit: route.Read},
		func(ctx context.Context, in *ModelPath) (*historyOutput, error) {
			out := &historyOutput{}
			var err error
			out.Body.Items, err = s.History(ctx, in.Model)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models/{model}/versions", Summary: "Train a new version as a job", DefaultStatus: http.StatusAccepted},
		route.Access{Action: "version.train", Resource: "model/{model}", Audit: route.Write},
		func(ctx context.Context, in *trainInput) (*triggerOutput, error) {
			p, err := projectOf(ctx, projects, s, in.Model)
			if err != nil {
				return nil, err
			}
			req := retrain.Request{Project: p, Cause: in.Body.Cause, PermuteLabels: in.Body.PermuteLabels}
			if in.Body.Force != nil {
				req.Force = in.Body.Force.Reason
			}
			t, err := trainer.Train(ctx, req)
			return &triggerOutput{Body: t}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/models/{model}/aliases/{alias}", Summary: "Point an alias at a version"},
		route.Access{Action: "alias.move", Resource: "model/{model}", Audit: route.Write},
		func(ctx context.Context, in *aliasInput) (*modelOutput, error) {
			m, err := s.Model(ctx, in.Model)
			if err != nil {
				return nil, err
			}
			if err := s.Movable(ctx, in.Model, in.Alias); err != nil {
				return nil, err
			}
			now := projects.Clock(m.Project).Now()
			if err := db.Write(ctx, func(tx *catalog.Tx) error {
				return s.SetAlias(ctx, tx, m.Project, in.Model, in.Alias, in.Body.Version, now, in.Body.Reason)
			}); err != nil {
				return nil, err
			}
			m, err = s.Model(ctx, in.Model)
			return &modelOutput{Body: m}, err
		})
	r.Handle(http.MethodGet, route.Prefix+"/models/{model}/versions/{version}/files/{path...}",
		route.Access{Action: "version.download", Resource: "model/{model}/{version}", Audit: route.Read},
		func(w http.ResponseWriter, req *http.Request) {
			version, err := strconv.Atoi(req.PathValue("version"))
			if err != nil {
				r.Error(w, req, fault.New(fault.Invalid, "version %q is not a number", req.PathValue("version")))
				return
			}
			body, file, err := s.OpenFile(req.Context(), req.PathValue("model"), version, req.PathValue("path"))
			if err != nil {
				r.Error(w, req, err)
				return
			}
			defer body.Close()
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.FormatInt(file.Size, 10))
			w.Header().Set("ETag", `"`+file.Blob+`"`)
			_, _ = io.Copy(w, body) // the reader left; nobody is there to be told
		})
}

func tagList(tags map[string]string) []track.Tag {
	out := make([]track.Tag, 0, len(tags))
	for key, value := range tags {
		out = append(out, track.Tag{Key: key, Value: value})
	}
	return out
}

// projectOf finds the project of a model: by the model, or, while it has no version yet, by the file that names it.
func projectOf(ctx context.Context, projects *project.Service, s *registry.Service, model string) (string, error) {
	m, err := s.Model(ctx, model)
	if err == nil {
		return m.Project, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return "", err
	}
	all, lerr := projects.List(ctx)
	if lerr != nil {
		return "", lerr
	}
	for _, p := range all {
		if p.File.Model != nil && p.File.Model.Name == model {
			return p.Name, nil
		}
	}
	return "", err
}
