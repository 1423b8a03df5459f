package native

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
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

// RegisterImport adds what an import needs beside MLflow's API, which gives every run and logged model an id of its own: here they keep
// the one that they have.
func RegisterImport(r *route.Router, s *track.Service) {
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
