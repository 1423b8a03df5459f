package native

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Deployment is a deployment with what it has answered.
type Deployment struct {
	serve.Deployment
	Stats    DeploymentStats         `json:"stats"`
	Versions map[string]VersionStats `json:"versions" doc:"by resident version"`
	Load     *serve.Load             `json:"load,omitempty" doc:"what it has let in and sent away since the server started; not in lists"`
	Shadow   *serve.ShadowStats      `json:"shadow,omitempty" doc:"how the shadow differs from the champion, when there is one; not in lists"`
}

// DeploymentStats counts what a deployment answered and what is known of the truth.
type DeploymentStats struct {
	feedback.Counts
	Failed      int64     `json:"failed" doc:"rows that no version could answer or log, since the server started"`
	Lost        int64     `json:"lost" doc:"answered predictions that are not in the log; only the log level best_effort loses any"`
	DayRequests int64     `json:"day_requests" doc:"predictions for the last 24 hours of the project's clock"`
	P50MS       float64   `json:"p50_ms" doc:"of the champion, over the last five minutes of wall time"`
	P99MS       float64   `json:"p99_ms"`
	Since       time.Time `json:"since"`
}

// VersionStats is what one resident version answered.
type VersionStats struct {
	Rollout serve.Stats `json:"rollout" doc:"since the rollout that runs now began, or since the version was loaded"`
	Recent  serve.Stats `json:"recent" doc:"over the last five minutes of wall time"`
}

type deploymentsInput struct {
	Project string `query:"project" doc:"only of this project"`
}

type deploymentsOutput struct {
	Body struct {
		Items []Deployment `json:"items"`
	}
}

type deploymentOutput struct{ Body Deployment }

// OutcomeInput is a piece of ground truth as it is sent.
type OutcomeInput struct {
	PredictionID string          `json:"prediction_id,omitempty" doc:"of the answer; or key, with at or without"`
	Key          string          `json:"key,omitempty"`
	At           *time.Time      `json:"at,omitempty" doc:"the time of the prediction, with key; left out: every prediction of the key for a time up to known_at"`
	KnownAt      *time.Time      `json:"known_at,omitempty" doc:"when the truth was known; left out: now by the project's clock"`
	Source       string          `json:"source,omitempty" doc:"who says so"`
	Label        json.RawMessage `json:"label,omitempty" doc:"the label itself: a number, true or false, the name of a class, or null = known to have none"`
	Values       map[string]any  `json:"values,omitempty" doc:"the columns that the label's expression reads; null = no value"`
}

type outcomesInput struct {
	DeploymentPath
	Body struct {
		Outcomes []OutcomeInput `json:"outcomes" minItems:"1" maxItems:"10000"`
	}
}

type outcomesOutput struct {
	Body struct {
		Items     []feedback.Answer `json:"items" doc:"one per outcome, in order"`
		Accepted  int               `json:"accepted"`
		Pending   int               `json:"pending"`
		Duplicate int               `json:"duplicate"`
		Revised   int               `json:"revised"`
		Rejected  int               `json:"rejected"`
	}
}

type logInput struct {
	DeploymentPath
	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

// LogRow is a logged prediction.
type LogRow struct {
	ID              string         `json:"id"`
	Request         string         `json:"request,omitempty"`
	Key             string         `json:"key"`
	At              time.Time      `json:"at"`
	Received        time.Time      `json:"received" doc:"by the server's clock"`
	Version         int            `json:"version"`
	Arm             string         `json:"arm"`
	Scores          []float64      `json:"scores"`
	ChampionVersion int            `json:"champion_version,omitempty"`
	ChampionScores  []float64      `json:"champion_scores,omitempty" doc:"what the champion would have answered, where a canary did"`
	Label           string         `json:"label,omitempty" doc:"the decision"`
	Outcome         *float64       `json:"outcome" doc:"the truth: 0 or 1, the index of a class, or the value; null while it is not known"`
	NoOutcome       bool           `json:"no_outcome,omitempty" doc:"known to have no label"`
	OutcomeKnownAt  *time.Time     `json:"outcome_known_at,omitempty"`
	LatencyUS       uint32         `json:"latency_us"`
	Inputs          map[string]any `json:"inputs"`
}

type logOutput struct {
	Body struct {
		Items []LogRow `json:"items"`
	}
}

// deployments is what the routes stand on.
type deployments struct {
	serving *serve.Service
	truth   *feedback.Service
	seen    func(project string, at time.Time)
	now     func(project string) time.Time
}

// RegisterDeployments adds the routes of deployments, their log and their outcomes. seen is told the greatest known_at of a batch of
// outcomes, now is a project's clock, temp is a folder for exports on their way.
func RegisterDeployments(r *route.Router, serving *serve.Service, truth *feedback.Service, seen func(project string, at time.Time), now func(project string) time.Time, temp string) {
	d := &deployments{serving: serving, truth: truth, seen: seen, now: now}
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments", Summary: "List deployments"},
		route.Access{Action: "deployment.list", Resource: "deployment", Audit: route.Read}, d.list)
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments/{name}", Summary: "Show a deployment: its route, its versions, what it answered"},
		route.Access{Action: "deployment.read", Resource: "deployment/{name}", Audit: route.Read}, d.show)
	route.Register(r, huma.Operation{Method: http.MethodPost, Path: "/deployments/{name}/outcomes", Summary: "Tell what turned out to be true",
		Description: "Each outcome is answered by itself: accepted, pending (its prediction has not turned up), duplicate, revised or rejected. The same batch may be sent again."},
		route.Access{Action: "outcome.add", Resource: "deployment/{name}", Audit: route.Write}, d.outcomes)
	route.Register(r, huma.Operation{Method: http.MethodGet, Path: "/deployments/{name}/log", Summary: "List the predictions that arrived last, newest first"},
		route.Access{Action: "prediction.list", Resource: "deployment/{name}", Audit: route.Read}, d.log)
	r.Handle(http.MethodGet, route.Prefix+"/deployments/{name}/log.parquet", route.Access{Action: "prediction.export", Resource: "deployment/{name}", Audit: route.Read},
		func(w http.ResponseWriter, req *http.Request) {
			if err := d.export(w, req, temp); err != nil {
				r.Error(w, req, err)
			}
		})
}

func (d *deployments) view(ctx context.Context, s serve.Deployment) (Deployment, error) {
	out := Deployment{Deployment: s, Versions: map[string]VersionStats{}}
	out.Stats = DeploymentStats{Counts: d.truth.Counts(s.Name), Since: s.CreatedAt}
	out.Stats.Lost = out.Stats.Dropped
	for _, v := range s.Resident {
		vs := VersionStats{Rollout: d.serving.Stats(s.Name, v), Recent: d.serving.Window(s.Name, v)}
		out.Versions[strconv.Itoa(v)] = vs
		if v == s.Route.Champion {
			out.Stats.P50MS, out.Stats.P99MS = vs.Recent.P50MS, vs.Recent.P99MS
		}
	}
	out.Stats.Failed = d.serving.Failed(s.Name)
	now := d.now(s.Project)
	var err error
	out.Stats.DayRequests, _, err = d.truth.Coverage(ctx, s.Name, now.Add(-24*time.Hour), now.Add(time.Microsecond))
	return out, err
}

func (d *deployments) list(ctx context.Context, in *deploymentsInput) (*deploymentsOutput, error) {
	all, err := d.serving.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &deploymentsOutput{}
	out.Body.Items = []Deployment{}
	for _, s := range all {
		if in.Project != "" && s.Project != in.Project {
			continue
		}
		v, err := d.view(ctx, s)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, v)
	}
	return out, nil
}

func (d *deployments) show(ctx context.Context, in *DeploymentPath) (*deploymentOutput, error) {
	s, err := d.serving.Get(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	v, err := d.view(ctx, *s)
	v.Load = d.serving.Load(in.Name)
	if err == nil && s.Route.Shadow != 0 {
		v.Shadow, err = d.serving.Shadow(in.Name, 0)
	}
	return &deploymentOutput{Body: v}, err
}

func (d *deployments) outcomes(ctx context.Context, in *outcomesInput) (*outcomesOutput, error) {
	s, err := d.serving.Get(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	label := ""
	if sig, _, err := d.serving.Signature(ctx, in.Name, 0); err == nil {
		label = sig.Label
	}
	batch := make([]feedback.Outcome, len(in.Body.Outcomes))
	var latest time.Time
	for i, o := range in.Body.Outcomes {
		b := &batch[i]
		*b = feedback.Outcome{PredictionID: o.PredictionID, Key: o.Key, Source: o.Source, Values: o.Values}
		if o.At != nil {
			b.At = *o.At
		}
		if o.KnownAt != nil {
			b.KnownAt = *o.KnownAt
			if b.KnownAt.After(latest) {
				latest = b.KnownAt
			}
		}
		if err := setLabel(b, o.Label, label); err != nil {
			return nil, fault.New(fault.Invalid, "outcome %d: %s", i, err)
		}
	}
	answers, err := d.truth.Add(ctx, in.Name, batch)
	if err != nil {
		return nil, err
	}
	if !latest.IsZero() {
		d.seen(s.Project, latest)
	}
	out := &outcomesOutput{}
	out.Body.Items = answers
	for _, a := range answers {
		switch a.Status {
		case feedback.Accepted:
			out.Body.Accepted++
		case feedback.Pending:
			out.Body.Pending++
		case feedback.Duplicate:
			out.Body.Duplicate++
		case feedback.Revised:
			out.Body.Revised++
		default:
			out.Body.Rejected++
		}
	}
	return out, nil
}

// setLabel reads a label as it was sent. The name of a class goes into the values under the label's own name.
func setLabel(o *feedback.Outcome, raw json.RawMessage, name string) error {
	if len(raw) == 0 {
		return nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	number := func(f float64) { o.Label = &f }
	switch v := v.(type) {
	case nil:
		o.NoLabel = true
	case float64:
		number(v)
	case bool:
		number(0)
		if v {
			number(1)
		}
	case string:
		if o.Values == nil {
			o.Values = map[string]any{}
		}
		o.Values[name] = v
	default:
		return fmt.Errorf("the label is neither a number, a boolean, a text nor null")
	}
	return nil
}

func (d *deployments) log(ctx context.Context, in *logInput) (*logOutput, error) {
	if _, err := d.serving.Get(ctx, in.Name); err != nil {
		return nil, err
	}
	rows, err := d.truth.Latest(ctx, in.Name, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &logOutput{}
	out.Body.Items = make([]LogRow, len(rows))
	for i := range rows {
		out.Body.Items[i] = logRow(&rows[i])
	}
	return out, nil
}

func logRow(p *feedback.Logged) LogRow {
	row := LogRow{ID: p.ID, Request: p.Request, Key: p.Key, At: time.UnixMicro(p.At).UTC(), Received: time.UnixMicro(p.Received).UTC(), Version: p.Version, Arm: p.Arm.String(),
		Scores: p.Scores, ChampionVersion: p.ChampionVersion, ChampionScores: p.Champion, Label: p.Prediction.Label, NoOutcome: p.NoLabel,
		LatencyUS: p.LatencyUS, Inputs: make(map[string]any, len(p.Inputs))}
	if p.HasLabel {
		label := p.Label
		row.Outcome = &label
	}
	if p.HasLabel || p.NoLabel {
		known := time.UnixMicro(p.LabelKnownAt).UTC()
		row.OutcomeKnownAt = &known
	}
	for i, v := range p.Inputs {
		if i >= len(p.Signature.Inputs) {
			break
		}
		in := &p.Signature.Inputs[i]
		switch {
		case v.Null:
			row.Inputs[in.Name] = nil
		case in.Kind == table.String:
			row.Inputs[in.Name] = v.S
		case in.Kind == table.Boolean:
			row.Inputs[in.Name] = v.F != 0
		case in.Kind == table.Datetime:
			row.Inputs[in.Name] = time.UnixMicro(int64(v.F)).UTC()
		default:
			row.Inputs[in.Name] = v.F
		}
	}
	return row
}

func (d *deployments) export(w http.ResponseWriter, req *http.Request, temp string) error {
	name := req.PathValue("name")
	if _, err := d.serving.Get(req.Context(), name); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(temp, "export-")
	if err != nil {
		return fmt.Errorf("make a folder to export into: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "log.parquet")
	if err := d.truth.Export(req.Context(), name, path); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("answer the exported log: %w", err)
	}
	defer file.Close()
	w.Header().Set("Content-Type", mediaParquet)
	_, _ = io.Copy(w, file) // the reader left; nobody is there to be told
	return nil
}
