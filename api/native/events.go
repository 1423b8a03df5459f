package native

import (
	"cmp"
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
	// Resumable: a reader that reconnects sends Last-Event-ID (or ?after=) and gets what it missed first. The watch only
	// wakes; what is sent is read from the table, so that a slow reader misses nothing.
	r.HandleStream(route.Prefix+"/events/stream", access, func(ctx context.Context, req *http.Request, stream *route.Stream) error {
		project := req.URL.Query().Get("project")
		wake, stop := s.Watch(project)
		defer stop()
		last := cmp.Or(req.Header.Get("Last-Event-ID"), req.URL.Query().Get("after"))
		if last == "" {
			newest, err := s.List(ctx, govern.Filter{Limit: 1})
			if err != nil {
				return err
			}
			last = beforeAll
			if len(newest) > 0 {
				last = newest[0].ID
			}
		}
		for {
			events, err := s.List(ctx, govern.Filter{Project: project, After: last, Limit: govern.MaxLimit})
			if err != nil {
				return err
			}
			if err := stream.Open(); err != nil {
				return err
			}
			for _, e := range events {
				if err := stream.Send("event", e.ID, e); err != nil {
					return err
				}
				last = e.ID
			}
			if len(events) == govern.MaxLimit {
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-wake:
			}
			for more := true; more; { // one look at the table for all that came meanwhile
				select {
				case <-wake:
				default:
					more = false
				}
			}
		}
	})
}

// beforeAll comes before every event id.
const beforeAll = "00000000000000000000000000000000"
