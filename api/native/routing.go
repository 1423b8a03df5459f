package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

type changeInput struct {
	DeploymentPath
	Body struct {
		rollout.Change
		Reason string `json:"reason" minLength:"1"`
	}
}

type swapInput struct {
	DeploymentPath
	Body struct {
		To     int    `json:"to,omitempty" minimum:"1" doc:"version; left out: the standby"`
		Reason string `json:"reason" minLength:"1"`
	}
}

type shadowInput struct {
	DeploymentPath
	Version int `query:"version" doc:"one that was the shadow; left out: the shadow of now"`
}

type shadowOutput struct{ Body *serve.ShadowStats }

// registerRouting adds the routes that change a deployment's route by hand, and show what its shadow says.
func registerRouting(r *route.Router, s *rollout.Service, serving *serve.Service) {
	routed := func(ctx context.Context, name string, err error) (*deploymentRoute, error) {
		if err != nil {
			return nil, err
		}
		d, err := serving.Get(ctx, name)
		return &deploymentRoute{Body: d}, err
	}
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/route", Summary: "Change who answers: champion, standby, shadow, A/B variants, rules, labels",
		Description: "What the change leaves out stays as it is. While a rollout moves traffic only labels, rules and a shadow of one's own may change."},
		route.Access{Action: "rollout.route", Resource: "deployment/{name}", Audit: route.Write},
		func(ctx context.Context, in *changeInput) (*deploymentRoute, error) {
			return routed(ctx, in.Name, s.Change(ctx, in.Name, in.Body.Change, in.Body.Reason))
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/swap", Summary: "Let the champion and the standby change places at once"},
		route.Access{Action: "rollout.swap", Resource: "deployment/{name}", Audit: route.Write},
		func(ctx context.Context, in *swapInput) (*deploymentRoute, error) {
			return routed(ctx, in.Name, s.Swap(ctx, in.Name, in.Body.To, in.Body.Reason))
		})
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/back", Summary: "Undo a swap, a release or a rollout under way at once"},
		route.Access{Action: "rollout.back", Resource: "deployment/{name}", Audit: route.Write},
		func(ctx context.Context, in *reasonInput) (*deploymentRoute, error) {
			return routed(ctx, in.Name, s.Back(ctx, in.Name, in.Body.Reason))
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments/{name}/shadow", Summary: "Show how a shadow differs from the champion on the same rows"},
		route.Access{Action: "deployment.shadow", Resource: "deployment/{name}", Audit: route.Read},
		func(_ context.Context, in *shadowInput) (*shadowOutput, error) {
			st, err := serving.Shadow(in.Name, in.Version)
			return &shadowOutput{Body: st}, err
		})
}
