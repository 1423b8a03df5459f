package native

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

type importRunInput struct {
	Body struct {
		ID           string            `json:"id" minLength:"1" maxLength:"256"`
		ExperimentID string            `json:"experiment_id" maxLength:"32"`
		Name         string            `json:"name,omitempty"`
		User         string            `json:"user,omitempty"`
		StartedAt    *time.Time        `json:"started_at,omitempty"`
		Tags         map[string]string `json:"tags,omitempty"`
	}
}

type importRunOutput struct{ Body *track.Run }

type importModelInput struct {
	Body struct {
		ID           string            `json:"id" minLength:"1" maxLength:"256"`
		ExperimentID string            `json:"experiment_id" maxLength:"32"`
		Name         string            `json:"name,omitempty"`
		ModelType    string            `json:"model_type,omitempty"`
		SourceRunID  string            `json:"source_run_id,omitempty"`
		CreatedAt    *time.Time        `json:"created_at,omitempty"`
		Tags         map[string]string `json:"tags,omitempty"`
		Params       map[string]string `json:"params,omitempty"`
	}
}

type importModelOutput struct{ Body *track.LoggedModel }

type importExperimentInput struct {
	Body struct {
		ID        string     `json:"id" minLength:"1" maxLength:"32"`
		CreatedAt time.Time  `json:"created_at"`
		UpdatedAt *time.Time `json:"updated_at,omitempty" doc:"left out: created_at"`
	}
}

type importRegisteredInput struct {
	Body struct {
		Name      string        `json:"name" minLength:"1" maxLength:"256"`
		CreatedAt *time.Time    `json:"created_at,omitempty" doc:"left out: that of the model stays"`
		UpdatedAt *time.Time    `json:"updated_at,omitempty" doc:"left out: created_at"`
		Versions  []PastVersion `json:"versions,omitempty" maxItems:"1000"`
	}
}

// PastVersion is what was known of a version where it was imported from.
type PastVersion struct {
	Version   int        `json:"version" minimum:"1"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	User      string     `json:"user,omitempty" maxLength:"256" doc:"who made it there"`
}

func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// RegisterImport adds what an import needs beside MLflow's API, which gives every run and logged model an id of its own, and everything the
// time of the request: here they keep those that they have.
func RegisterImport(r *route.Router, s *track.Service, models *registry.Service) {
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/import/experiments", Summary: "Give an imported experiment the times that it had"},
		route.Access{Action: "experiment.import", Resource: "experiment", Audit: route.Write},
		func(ctx context.Context, in *importExperimentInput) (*experimentOutput, error) {
			e, err := s.SetExperimentPast(ctx, in.Body.ID, in.Body.CreatedAt, timeOf(in.Body.UpdatedAt))
			return &experimentOutput{Body: e}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/import/models", Summary: "Give an imported model and its versions the times and users that they had"},
		route.Access{Action: "model.import", Resource: "model", Audit: route.Write},
		func(ctx context.Context, in *importRegisteredInput) (*modelOutput, error) {
			past := registry.Past{CreatedAt: timeOf(in.Body.CreatedAt), UpdatedAt: timeOf(in.Body.UpdatedAt)}
			for _, v := range in.Body.Versions {
				past.Versions = append(past.Versions, registry.PastVersion{Version: v.Version, CreatedAt: timeOf(v.CreatedAt), UpdatedAt: timeOf(v.UpdatedAt), User: v.User})
			}
			m, err := models.SetPast(ctx, in.Body.Name, past)
			return &modelOutput{Body: m}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/import/runs", Summary: "Make a run with a given id", DefaultStatus: http.StatusCreated},
		route.Access{Action: "run.import", Resource: "run", Audit: route.Write},
		func(ctx context.Context, in *importRunInput) (*importRunOutput, error) {
			run, err := s.CreateRun(ctx, track.NewRun{ID: in.Body.ID, ExperimentID: in.Body.ExperimentID, Name: in.Body.Name, User: in.Body.User,
				StartedAt: in.Body.StartedAt, Tags: tagList(in.Body.Tags)})
			return &importRunOutput{Body: run}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/import/logged-models", Summary: "Make a logged model with a given id", DefaultStatus: http.StatusCreated},
		route.Access{Action: "logged-model.import", Resource: "logged-model", Audit: route.Write},
		func(ctx context.Context, in *importModelInput) (*importModelOutput, error) {
			n := track.NewLoggedModel{ID: in.Body.ID, ExperimentID: in.Body.ExperimentID, Name: in.Body.Name, ModelType: in.Body.ModelType,
				SourceRunID: in.Body.SourceRunID, CreatedAt: in.Body.CreatedAt, Tags: tagList(in.Body.Tags)}
			for _, t := range tagList(in.Body.Params) {
				n.Params = append(n.Params, track.Param(t))
			}
			m, err := s.CreateLoggedModel(ctx, n)
			return &importModelOutput{Body: m}, err
		})
}
