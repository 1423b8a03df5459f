package native

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
)

type listMonitorsInput struct {
	Project string `query:"project" doc:"only of this project"`
}

type listMonitorsOutput struct {
	Body struct {
		Items []monitor.State `json:"items"`
	}
}

type monitorInput struct {
	Deployment string `path:"deployment"`
}

type monitorOutput struct {
	Body *monitor.State
}

type verdictsInput struct {
	Deployment string `path:"deployment"`
	Kind       string `query:"kind" doc:"quality, sudden, drift or performance; empty for all"`
	Limit      int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Columns    bool   `query:"columns" doc:"with the columns of every verdict; they are long"`
}

type verdictsOutput struct {
	Body struct {
		Items []monitor.Verdict `json:"items"`
	}
}

type driftOutput struct {
	Body *monitor.DriftView
}

type performanceInput struct {
	Deployment string `path:"deployment"`
	Limit      int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"windows, the latest ones"`
}

type performanceOutput struct {
	Body *monitor.PerformanceView
}

type listAlertsInput struct {
	Project    string `query:"project" doc:"only of this project"`
	Deployment string `query:"deployment"`
	Kind       string `query:"kind" doc:"quality, drift or performance"`
	State      string `query:"state" doc:"firing or resolved"`
	Limit      int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type listAlertsOutput struct {
	Body struct {
		Items []monitor.Alert `json:"items"`
	}
}

type alertInput struct {
	ID string `path:"id"`
}

type alertOutput struct {
	Body *monitor.Alert
}

// RegisterMonitors adds what is watched, its verdicts, drift and performance, and the alerts.
func RegisterMonitors(r *route.Router, s *monitor.Service) {
	all := route.Access{Action: "monitor.read", Resource: "monitor", Audit: route.Read}
	one := route.Access{Action: "monitor.read", Resource: "monitor/{deployment}", Audit: route.Read}
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/monitors", Summary: "Monitored deployments with their latest verdicts and firing alerts"}, all,
		func(ctx context.Context, in *listMonitorsInput) (*listMonitorsOutput, error) {
			items, err := s.States(ctx, in.Project)
			out := &listMonitorsOutput{}
			out.Body.Items = items
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/monitors/{deployment}", Summary: "One monitored deployment: latest verdicts, open windows, firing alerts"}, one,
		func(ctx context.Context, in *monitorInput) (*monitorOutput, error) {
			state, err := s.State(ctx, in.Deployment)
			return &monitorOutput{Body: state}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/monitors/{deployment}/verdicts", Summary: "Verdicts of a deployment in their latest revision, the newest window first"}, one,
		func(ctx context.Context, in *verdictsInput) (*verdictsOutput, error) {
			items, err := s.Verdicts(ctx, in.Deployment, in.Kind, in.Limit)
			if !in.Columns {
				for i := range items {
					items[i].Columns = nil
				}
			}
			out := &verdictsOutput{}
			out.Body.Items = items
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/monitors/{deployment}/drift",
		Summary: "The latest drift window: columns ranked, each with history and histogram against the reference; and the latest verdict on sudden drift"}, one,
		func(ctx context.Context, in *monitorInput) (*driftOutput, error) {
			view, err := s.Drift(ctx, in.Deployment)
			return &driftOutput{Body: view}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/monitors/{deployment}/performance",
		Summary: "Performance by window, oldest first: live, and the first champion on the same rows under baseline."}, one,
		func(ctx context.Context, in *performanceInput) (*performanceOutput, error) {
			view, err := s.Performance(ctx, in.Deployment, in.Limit)
			return &performanceOutput{Body: view}, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/alerts", Summary: "Alerts, the newest first"},
		route.Access{Action: "alert.read", Resource: "alert", Audit: route.Read},
		func(ctx context.Context, in *listAlertsInput) (*listAlertsOutput, error) {
			items, err := s.Alerts(ctx, monitor.AlertFilter{Project: in.Project, Deployment: in.Deployment, Kind: in.Kind, State: in.State, Limit: in.Limit})
			out := &listAlertsOutput{}
			out.Body.Items = items
			return out, err
		})
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/alerts/{id}", Summary: "One alert"},
		route.Access{Action: "alert.read", Resource: "alert/{id}", Audit: route.Read},
		func(ctx context.Context, in *alertInput) (*alertOutput, error) {
			alert, err := s.Alert(ctx, in.ID)
			return &alertOutput{Body: alert}, err
		})
}
