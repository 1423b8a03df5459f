package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/filter"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

type completeInput struct {
	Body struct {
		Noun        string   `json:"noun" enum:"runs,experiments,registered_models,model_versions,logged_models"`
		Text        string   `json:"text"`
		Cursor      int      `json:"cursor" minimum:"0" doc:"in UTF-16 units, as browsers count"`
		Experiments []string `json:"experiments,omitempty" doc:"whose params, metrics and tags are offered"`
	}
}

type completeOutput struct {
	Body struct {
		Items []filter.Suggestion `json:"items"`
		Error string              `json:"error,omitempty" doc:"what is wrong with the text as it stands"`
	}
}

// RegisterFilters adds the completion of filters.
func RegisterFilters(r *route.Router, s *track.Service) {
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/filters/complete", Summary: "What may come next in a filter that is being typed"},
		route.Access{Action: "filter.complete", Resource: "run", Audit: route.Read},
		func(ctx context.Context, in *completeInput) (*completeOutput, error) {
			known := filter.Known{}
			if len(in.Body.Experiments) > 0 {
				keys, err := s.Keys(ctx, in.Body.Experiments)
				if err != nil {
					return nil, err
				}
				known = filter.Known{Params: keys.Params, Metrics: keys.Metrics, Tags: keys.Tags}
			}
			out := &completeOutput{}
			out.Body.Items = filter.Complete(filter.Noun(in.Body.Noun), in.Body.Text, in.Body.Cursor, known)
			if _, err := filter.Parse(filter.Noun(in.Body.Noun), in.Body.Text); err != nil {
				out.Body.Error = err.Error()
			}
			return out, nil
		})
}
