package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// WebhookPath names a webhook in a path.
type WebhookPath struct {
	ID string `path:"id" maxLength:"64"`
}

// DeliveryPath names a delivery in a path.
type DeliveryPath struct {
	WebhookPath
	Delivery string `path:"delivery" maxLength:"64"`
}

type webhooksOutput struct {
	Body struct {
		Items []govern.Webhook `json:"items"`
	}
}

type webhookOutput struct{ Body *govern.Webhook }

type newWebhookInput struct {
	Body struct {
		Name        string   `json:"name" minLength:"1" maxLength:"63" example:"ci"`
		Description string   `json:"description,omitempty"`
		URL         string   `json:"url" minLength:"1" maxLength:"2048" doc:"https; others need the server's --webhook-allow" example:"https://ci.example.com/hooks/trimtab"`
		Events      []string `json:"events" minItems:"1" maxItems:"100" doc:"kinds of events, prefixes that end in a dot, or *; also MLflow's names, like model_version.created"`
		Secret      string   `json:"secret,omitempty" maxLength:"1000" doc:"signs deliveries; it is stored encrypted and never shown"`
		Status      string   `json:"status,omitempty" enum:"active,disabled" default:"active"`
	}
}

type changeWebhookInput struct {
	WebhookPath
	Body struct {
		Name        *string  `json:"name,omitempty" minLength:"1" maxLength:"63"`
		Description *string  `json:"description,omitempty"`
		URL         *string  `json:"url,omitempty" maxLength:"2048"`
		Events      []string `json:"events,omitempty" maxItems:"100"`
		Secret      *string  `json:"secret,omitempty" maxLength:"1000" doc:"empty takes it away"`
		Status      *string  `json:"status,omitempty" enum:"active,disabled"`
	}
}

type testWebhookInput struct {
	WebhookPath
	Body *struct {
		Event string `json:"event,omitempty" doc:"the kind of the example; left out: the first that the webhook wants"`
	} `required:"false"`
}

type testWebhookOutput struct{ Body *govern.TestWebhook }

type deliveriesInput struct {
	WebhookPath
	State  string `query:"state" enum:"waiting,delivered,failed"`
	Before int64  `query:"before" minimum:"0" doc:"only those with a lower number: the last one of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Bodies bool   `query:"bodies" doc:"with what is sent"`
}

type deliveriesOutput struct {
	Body struct {
		Items []govern.Delivery `json:"items"`
	}
}

type deliveryOutput struct{ Body *govern.Delivery }

// RegisterWebhooks adds who is told of events, and the log of what they were told.
func RegisterWebhooks(r *route.Router, s *govern.Webhooks) {
	const one = "webhook/{id}"
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/webhooks", Summary: "List webhooks"}, route.Access{Action: "webhook.list", Resource: "webhook", Audit: route.Read},
		func(ctx context.Context, _ *struct{}) (*webhooksOutput, error) {
			out := &webhooksOutput{}
			var err error
			out.Body.Items, err = s.List(ctx)
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/webhooks", Summary: "Have an address told of events", DefaultStatus: http.StatusCreated},
		route.Access{Action: "webhook.create", Resource: "webhook", Audit: route.Write},
		func(ctx context.Context, in *newWebhookInput) (*webhookOutput, error) {
			b := &in.Body
			h, err := s.Create(ctx, govern.NewWebhook{Name: b.Name, Description: b.Description, URL: b.URL, Events: b.Events, Secret: b.Secret, Disabled: b.Status == govern.WebhookDisabled})
			return &webhookOutput{Body: h}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/webhooks/{id}", Summary: "Show a webhook"}, route.Access{Action: "webhook.read", Resource: one, Audit: route.Read},
		func(ctx context.Context, in *WebhookPath) (*webhookOutput, error) {
			h, err := s.Get(ctx, in.ID)
			return &webhookOutput{Body: h}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPatch, Path: "/webhooks/{id}", Summary: "Change a webhook, disable it, or have it go on with what it has missed"},
		route.Access{Action: "webhook.update", Resource: one, Audit: route.Write},
		func(ctx context.Context, in *changeWebhookInput) (*webhookOutput, error) {
			b := &in.Body
			h, err := s.Update(ctx, in.ID, govern.WebhookChange{Name: b.Name, Description: b.Description, URL: b.URL, Events: b.Events, Secret: b.Secret, Status: b.Status})
			return &webhookOutput{Body: h}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodDelete, Path: "/webhooks/{id}", Summary: "Remove a webhook with its deliveries", DefaultStatus: http.StatusNoContent},
		route.Access{Action: "webhook.delete", Resource: one, Audit: route.Write},
		func(ctx context.Context, in *WebhookPath) (*struct{}, error) { return nil, s.Delete(ctx, in.ID) })
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/webhooks/{id}/test", Summary: "Call a webhook once with an example of an event"},
		route.Access{Action: "webhook.test", Resource: one, Audit: route.Write},
		func(ctx context.Context, in *testWebhookInput) (*testWebhookOutput, error) {
			event := ""
			if in.Body != nil {
				event = in.Body.Event
			}
			result, err := s.Test(ctx, in.ID, event)
			return &testWebhookOutput{Body: result}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/webhooks/{id}/deliveries", Summary: "What a webhook was told and what it answered, the newest first"},
		route.Access{Action: "webhook.read", Resource: one, Audit: route.Read},
		func(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
			out := &deliveriesOutput{}
			var err error
			out.Body.Items, err = s.Deliveries(ctx, in.ID, govern.DeliveryFilter{State: in.State, Before: in.Before, Limit: in.Limit, Bodies: in.Bodies})
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/webhooks/{id}/deliveries/{delivery}", Summary: "Show a delivery with what is sent"},
		route.Access{Action: "webhook.read", Resource: one, Audit: route.Read},
		func(ctx context.Context, in *DeliveryPath) (*deliveryOutput, error) {
			d, err := s.Delivery(ctx, in.ID, in.Delivery)
			return &deliveryOutput{Body: d}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/webhooks/{id}/deliveries/{delivery}/replay", Summary: "Deliver once more, with the same id", DefaultStatus: http.StatusAccepted},
		route.Access{Action: "webhook.replay", Resource: one, Audit: route.Write},
		func(ctx context.Context, in *DeliveryPath) (*deliveryOutput, error) {
			d, err := s.Replay(ctx, in.ID, in.Delivery)
			return &deliveryOutput{Body: d}, err
		})
}
