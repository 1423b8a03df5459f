package monitor

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// States of an alert.
const (
	Firing   = "firing"
	Resolved = "resolved"
)

// Levels of an alert.
const (
	Alarm  = "alarm"  // something broke, or the model is wrong: look now
	Notice = "notice" // the world is no longer that of training: it lasts, and retraining is the answer
)

// Subjects of alerts that are not about one column.
const (
	inputs      = "inputs"
	predictions = "prediction"
	truth       = "performance"
)

// Alert is something that people should know. While it fires there is one per deployment, kind and subject: windows that show the same
// add to its count. It is resolved by the first conclusive window without it.
type Alert struct {
	ID         string             `json:"id"`
	Project    string             `json:"project"`
	Deployment string             `json:"deployment"`
	Kind       string             `json:"kind" enum:"quality,drift,performance"`
	Baseline   string             `json:"baseline,omitempty" enum:"reference,recent" doc:"of drift: recent is sudden, against the windows before; reference is slow, against training"`
	Level      string             `json:"level" enum:"alarm,notice" doc:"notice: drift from training, which lasts; all else is an alarm"`
	Subject    string             `json:"subject" doc:"the column or feature view, or volume, inputs, prediction, performance"`
	State      string             `json:"state" enum:"firing,resolved"`
	OpenedAt   time.Time          `json:"opened_at" doc:"by the project's clock, as all times of an alert"`
	ResolvedAt *time.Time         `json:"resolved_at,omitempty"`
	LastSeen   time.Time          `json:"last_seen" doc:"end of the last window that showed it"`
	Count      int                `json:"count" doc:"windows that showed it"`
	Columns    []string           `json:"columns,omitempty"`
	Message    string             `json:"message"`
	Cause      string             `json:"cause" doc:"metric, values, bar and window"`
	Values     map[string]float64 `json:"values,omitempty"`
	Version    int                `json:"version"`
	Verdict    string             `json:"verdict" doc:"id of the verdict that its message is of"`
	Link       string             `json:"link" doc:"path of the page that shows it"`
}

// alert brings the alerts of a verdict's kind up to date, in the transaction that stores it. Only the latest window counts: a revision
// of an older one rewrites history, not what is so now.
func (s *Service) alert(ctx context.Context, tx *catalog.Tx, p *Plan, v *Verdict) error {
	var latest int64
	row := tx.QueryRowContext(ctx, `SELECT max(window_from) FROM monitor_verdicts WHERE workspace_id = $1 AND deployment = $2 AND kind = $3`, catalog.Workspace, v.Deployment, v.Kind)
	if err := row.Scan(&latest); err != nil {
		return fmt.Errorf("read the latest window: %w", err)
	}
	if v.Kind == Performance {
		message := fmt.Sprintf("Performance from %s to %s: %s", v.From.Format("2 Jan"), v.To.Add(-time.Microsecond).Format("2 Jan"), v.Summary)
		if v.Revision > 1 {
			message = "Judged again with later truth. " + message
		}
		if err := s.event(ctx, tx, v, "monitor.judged", levelOf(v), message, map[string]any{"verdict": v.ID, "state": v.State, "n": v.N}); err != nil {
			return err
		}
	}
	if latest != v.From.UnixMicro() {
		return nil
	}
	firing, err := queryAlerts(ctx, tx, alertColumns+`AND deployment = $2 AND kind = $3 AND state = 'firing' ORDER BY subject`, catalog.Workspace, v.Deployment, alertKind(v))
	if err != nil {
		return err
	}
	firing = slices.DeleteFunc(firing, func(a Alert) bool { return (a.Baseline == Recent) != (v.Baseline == Recent) })
	open := map[string]Alert{}
	for _, a := range firing {
		open[a.Subject] = a
	}
	seen := subjects(p, v)
	for _, subject := range slices.Sorted(maps.Keys(seen)) {
		a := seen[subject]
		if old, ok := open[subject]; ok {
			a.ID, a.OpenedAt, a.Count = old.ID, old.OpenedAt, old.Count
			if old.LastSeen.Before(a.LastSeen) {
				a.Count++
			}
			if gravity(&a) < gravity(&old) { // what it was about at its worst
				a.Message, a.Cause, a.Values, a.Columns, a.Verdict = old.Message, old.Cause, old.Values, old.Columns, old.Verdict
			}
			if err := updateAlert(ctx, tx, &a); err != nil {
				return err
			}
			continue
		}
		a.ID = id.New()
		if err := insertAlert(ctx, tx, &a); err != nil {
			return err
		}
		level := govern.Bad
		if a.Kind == Drift {
			level = govern.Attention
		}
		if a.Level == Notice {
			level = govern.Info
		}
		if err := s.announce(ctx, tx, p, v, &a, "alert.fired", level); err != nil {
			return err
		}
	}
	if v.State == Inconclusive {
		return nil
	}
	for _, a := range firing {
		if _, still := seen[a.Subject]; still || lingers(v, &a) {
			continue
		}
		at := v.MadeAt
		a.State, a.ResolvedAt = Resolved, &at
		if err := updateAlert(ctx, tx, &a); err != nil {
			return err
		}
		if err := s.announce(ctx, tx, p, v, &a, "alert.resolved", govern.Good); err != nil {
			return err
		}
	}
	return nil
}

// alertKind is the kind of the alerts that a verdict fires: both baselines of drift fire drift.
func alertKind(v *Verdict) string {
	if v.Kind == Sudden {
		return Drift
	}
	return v.Kind
}

// key tells apart what may fire at the same time: a column's sudden drift and the slow drift of all.
func (a *Alert) key() string {
	if a.Baseline == Recent {
		return Recent + ":" + a.Subject
	}
	return a.Subject
}

// gravity orders what a quality alert is about, and the windows of one of sudden drift; other kinds are always about the same.
func gravity(a *Alert) float64 {
	if a.Baseline == Recent {
		return a.Values[a.Subject]
	}
	worst := 0.0
	for kind, g := range map[string]float64{"missing": 1, "unseen": 2, "out_of_range": 3, "break": 4} {
		if _, ok := a.Values[kind]; ok && a.Kind == Quality {
			worst = math.Max(worst, g)
		}
	}
	return worst
}

// announce records what happened to an alert and queues it for the webhooks.
func (s *Service) announce(ctx context.Context, tx *catalog.Tx, p *Plan, v *Verdict, a *Alert, kind, level string) error {
	message := a.Message
	if kind == "alert.resolved" {
		message = "Resolved: " + message
	}
	if err := s.event(ctx, tx, v, kind, level, message, map[string]any{"alert": a.ID, "subject": a.Subject, "cause": a.Cause, "link": a.Link, "columns": a.Columns}); err != nil {
		return err
	}
	return s.post(ctx, tx, p, kind, a)
}

func (s *Service) event(ctx context.Context, tx *catalog.Tx, v *Verdict, kind, level, message string, data map[string]any) error {
	return s.Events.Append(ctx, tx, govern.Event{
		At: v.MadeAt, Project: v.Project, Kind: kind, Subject: "monitor/" + v.Deployment + "/" + v.Kind, Actor: "monitor", Level: level, Message: message, Data: data,
	})
}

func levelOf(v *Verdict) string {
	switch v.State {
	case OK:
		return govern.Good
	case Off:
		return govern.Bad
	case Attention:
		return govern.Attention
	}
	return govern.Info
}

// lingers says that an alert's subject is over its bar in this window though not often enough to fire, or that one of its columns had
// too few values to say: that is no recovery.
func lingers(v *Verdict, a *Alert) bool {
	for _, name := range a.Columns {
		if c := v.column(name); c != nil && c.State == Inconclusive {
			return true
		}
	}
	subject := a.Subject
	switch v.Kind {
	case Quality:
		for i := range v.Columns {
			if c := &v.Columns[i]; len(c.Findings) > 0 && (c.Name == subject || qualitySubject(v, c) == subject) {
				return true
			}
		}
		return false
	case Sudden:
		c := v.column(subject)
		return c != nil && c.Over
	case Drift:
		for i := range v.Columns {
			if c := &v.Columns[i]; c.Over && subjectOf(c) == subject {
				return true
			}
		}
		return false
	}
	return v.Over
}

func subjectOf(c *ColumnDrift) string {
	if c.Name == predictions {
		return predictions
	}
	return inputs
}

// qualitySubject is the column; or its view, when another column of it is missing exactly as often and nothing else is wrong: one
// feed that went silent is one alert.
func qualitySubject(v *Verdict, c *ColumnDrift) string {
	only := func(o *ColumnDrift) bool { return len(o.Findings) == 1 && o.Findings[0].Kind == "missing" }
	if c.View == "" || !only(c) {
		return c.Name
	}
	for i := range v.Columns {
		if o := &v.Columns[i]; o.Name != c.Name && o.View == c.View && only(o) && o.Missing == c.Missing {
			return c.View
		}
	}
	return c.Name
}

// subjects is the alerts that a verdict fires, by subject.
func subjects(p *Plan, v *Verdict) map[string]Alert {
	out := map[string]Alert{}
	if v.State != Off {
		return out
	}
	window := fmt.Sprintf("window %s to %s", v.From.Format("2006-01-02 15:04"), v.To.Format("2006-01-02 15:04"))
	fire := func(subject, page string) Alert {
		return Alert{
			Project: v.Project, Deployment: v.Deployment, Kind: alertKind(v), Baseline: v.Baseline, Level: Alarm, Subject: subject, State: Firing, OpenedAt: v.MadeAt, LastSeen: v.To, Count: 1,
			Version: v.Version, Verdict: v.ID, Link: fmt.Sprintf("/ui/monitors/%s/%s", v.Deployment, page), Values: map[string]float64{},
		}
	}
	switch v.Kind {
	case Quality:
		for i := range v.Columns {
			c := &v.Columns[i]
			if len(c.Findings) == 0 {
				continue
			}
			subject := qualitySubject(v, c)
			if a, ok := out[subject]; ok { // another column of a view that is missing as a whole
				a.Columns = append(a.Columns, c.Name)
				a.Message = fmt.Sprintf("%s: %s (%s)", subject, c.Findings[0].Text, list(a.Columns))
				out[subject] = a
				continue
			}
			a := fire(subject, "quality")
			if c.Name != Volume {
				a.Columns = []string{c.Name}
			}
			a.Message = c.findings()
			var parts []string
			for _, f := range c.Findings {
				parts = append(parts, fmt.Sprintf("%s %.4g over %.4g", f.Kind, f.Value, f.Limit))
				a.Values[f.Kind] = f.Value
			}
			a.Cause = strings.Join(parts, ", ") + "; " + window
			out[subject] = a
		}
	case Sudden:
		for i := range v.Columns {
			c := &v.Columns[i]
			if c.State != "drift" {
				continue
			}
			a := fire(c.Name, "drift")
			a.Columns = []string{c.Name}
			a.Message = "Sudden drift of " + c.shifted()
			a.Cause = fmt.Sprintf("%s shift %.4g over %.4g (q %.2g, n effective %.0f, usual shift %.3g of %s); %s",
				c.Name, c.Shift.Value, c.Bar, c.Q, c.NEff, c.Shift.Usual, plural(c.Shift.Known, "window", "windows"), window)
			a.Values[c.Name] = c.Shift.Value
			out[c.Name] = a
		}
	case Drift:
		for _, subject := range []string{inputs, predictions} {
			a := fire(subject, "drift")
			a.Level = Notice
			var parts []string
			for i := range v.Columns {
				c := &v.Columns[i]
				if c.State != "drift" || subjectOf(c) != subject {
					continue
				}
				a.Columns = append(a.Columns, c.Name)
				parts = append(parts, fmt.Sprintf("%s PSI %.2f over %.2f (q %.2g, n effective %.0f)", c.Name, c.PSI, c.Bar, c.Q, c.NEff))
				a.Values[c.Name] = c.PSI
			}
			if len(parts) == 0 {
				continue
			}
			a.Message = "Slow drift away from training in " + list(a.Columns)
			a.Cause = strings.Join(parts, ", ") + "; " + window
			out[subject] = a
		}
	case Performance:
		a := fire(truth, "performance")
		a.Message = v.Summary
		var parts []string
		for _, name := range []string{"calibration_gap", "auc", "log_loss", "mae", "rmse", "accuracy"} {
			if m, ok := v.Metrics[name]; ok {
				parts = append(parts, name+" "+between(m))
				a.Values[name] = m.Value
			}
		}
		a.Cause = fmt.Sprintf("%s: %s; n %s, %s", p.Monitor.Performance.When, strings.Join(parts, ", "), count(v.N), window)
		out[truth] = a
	}
	return out
}

const alertColumns = `SELECT document FROM monitor_alerts WHERE workspace_id = $1 `

func insertAlert(ctx context.Context, tx *catalog.Tx, a *Alert) error {
	doc, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode an alert: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO monitor_alerts (workspace_id, id, project, deployment, kind, subject, state, opened_at, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, catalog.Workspace, a.ID, a.Project, a.Deployment, a.Kind, a.key(), a.State, a.OpenedAt.UnixMicro(), string(doc))
	if err != nil {
		return fmt.Errorf("store an alert: %w", err)
	}
	return nil
}

func updateAlert(ctx context.Context, tx *catalog.Tx, a *Alert) error {
	doc, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode an alert: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE monitor_alerts SET state = $1, document = $2 WHERE workspace_id = $3 AND id = $4`, a.State, string(doc), catalog.Workspace, a.ID)
	if err != nil {
		return fmt.Errorf("store an alert: %w", err)
	}
	return nil
}

func queryAlerts(ctx context.Context, q catalog.Querier, query string, args ...any) ([]Alert, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	defer rows.Close()
	out := []Alert{}
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("read alerts: %w", err)
		}
		var a Alert
		if err := json.Unmarshal([]byte(doc), &a); err != nil {
			return nil, fmt.Errorf("decode an alert: %w", err)
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// AlertFilter selects alerts. Zero fields do not restrict.
type AlertFilter struct {
	Project, Deployment, Kind, State string
	Limit                            int // 0 = 100, at most 1,000
}

// Alerts lists alerts, the newest first.
func (s *Service) Alerts(ctx context.Context, f AlertFilter) ([]Alert, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fault.New(fault.Invalid, "limit %d is outside 1..%d", f.Limit, MaxLimit)
	}
	query, args := alertColumns, []any{catalog.Workspace}
	for _, part := range []struct{ column, value string }{{"project", f.Project}, {"deployment", f.Deployment}, {"kind", f.Kind}, {"state", f.State}} {
		if part.value != "" {
			args = append(args, part.value)
			query += fmt.Sprintf("AND %s = $%d ", part.column, len(args))
		}
	}
	args = append(args, cmp.Or(f.Limit, 100))
	return queryAlerts(ctx, s.DB.Read(), query+fmt.Sprintf("ORDER BY opened_at DESC, id DESC LIMIT $%d", len(args)), args...)
}

// Alert finds an alert by id.
func (s *Service) Alert(ctx context.Context, alertID string) (*Alert, error) {
	var doc string
	err := s.DB.Read().QueryRowContext(ctx, alertColumns+`AND id = $2`, catalog.Workspace, alertID).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no alert %q", alertID)
	}
	if err != nil {
		return nil, fmt.Errorf("read an alert: %w", err)
	}
	var a Alert
	if err := json.Unmarshal([]byte(doc), &a); err != nil {
		return nil, fmt.Errorf("decode an alert: %w", err)
	}
	return &a, nil
}
