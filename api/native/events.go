package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

type listEventsInput struct {
	Project string `query:"project" doc:"only of this project"`
	Kind    string `query:"kind" doc:"exact, or a prefix that ends in a dot" example:"version."`
	Subject string `query:"subject" doc:"exact, or a prefix that ends in a slash" example:"model/flight-delays/"`
	After   string `query:"after" doc:"only events recorded after this one, oldest first; without it the newest come first"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type listEventsOutput struct {
	Body struct {
		Items []govern.Event `json:"items"`
	}
}

// RegisterEvents adds the activity feed and the audit trail: a list and a live stream.
func RegisterEvents(r *route.Router, s *govern.Service) {
	access := route.Access{Action: "event.read", Resource: "event", Audit: route.Read}
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/events", Summary: "What happened, and who did it"}, access,
		func(ctx context.Context, in *listEventsInput) (*listEventsOutput, error) {
			events, err := s.List(ctx, govern.Filter{Project: in.Project, Kind: in.Kind, Subject: in.Subject, After: in.After, Limit: in.Limit})
			out := &listEventsOutput{}
			out.Body.Items = events
			return out, err
		})
	// Resumable: a reader that reconnects sends Last-Event-ID (or ?after=) and gets what it missed first.
	r.HandleStream(route.Prefix+"/events/stream", access, func(ctx context.Context, req *http.Request, stream *route.Stream) error {
		query := req.URL.Query()
		last := req.Header.Get("Last-Event-ID")
		if last == "" {
			last = query.Get("after")
		}
		project := query.Get("project")
		events, stop := s.Watch(project)
		defer stop()
		for last != "" {
			missed, err := s.List(ctx, govern.Filter{Project: project, After: last, Limit: govern.MaxLimit})
			if err != nil {
				return err
			}
			for _, e := range missed {
				if err := stream.Send("event", e.ID, e); err != nil {
					return err
				}
				last = e.ID
			}
			if len(missed) < govern.MaxLimit {
				break
			}
		}
		if err := stream.Open(); err != nil {
			return err
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case e := <-events:
				if e.ID <= last { // sent with what was missed
					continue
				}
				if err := stream.Send("event", e.ID, e); err != nil {
					return err
				}
			}
		}
	})
}
