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
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/models", Summary: "List models"},
		route.Access{Action: "model.list", Resource: "model", Audit: route.Read},
		func(ctx context.Context, _ *struct{}) (*modelsOutput, error) {
			out := &modelsOutput{}
			var err error
			out.Body.Items, err = s.Models(ctx)
			return out, err
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
			if out.Body.Evaluation, err = s.Evaluation(ctx, in.Model, in.Version); err != nil {
				return nil, err
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
			if in.Alias == registry.Champion {
				return nil, fault.New(fault.Invalid, "champion follows the traffic and is not set by hand").
					WithHint("release the version: POST /api/v1/deployments/NAME/rollout, or roll back: .../rollback")
			}
			m, err := s.Model(ctx, in.Model)
			if err != nil {
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
