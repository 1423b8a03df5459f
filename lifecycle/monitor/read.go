package monitor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// maxBars is how many bars of a histogram are drawn beside missing, unseen and other.
const maxBars = 40

// State is what is known of a deployment now.
type State struct {
	Project    string        `json:"project"`
	Deployment string        `json:"deployment"`
	Model      string        `json:"model"`
	State      string        `json:"state" enum:"ok,attention,off,inconclusive" doc:"the worst of the latest verdicts"`
	Summary    string        `json:"summary" doc:"of that verdict"`
	Windows    []WindowState `json:"windows"`
	Alerts     []Alert       `json:"alerts" doc:"that fire"`
}

// WindowState is one kind of judgement: its latest verdict, and the window that is open.
type WindowState struct {
	Kind     string     `json:"kind" enum:"quality,sudden,drift,performance"`
	Width    string     `json:"width" example:"7d"`
	Times    string     `json:"times" doc:"k of n windows make an alert"`
	When     string     `json:"when,omitempty" doc:"the condition of performance"`
	Verdict  *Verdict   `json:"verdict,omitempty" doc:"without its columns"`
	OpenFrom *time.Time `json:"open_from,omitempty" doc:"start of the window that is not judged yet"`
	OpenTo   *time.Time `json:"open_to,omitempty"`
	Rows     int64      `json:"rows" doc:"rows of the open window so far"`
	Known    int64      `json:"known" doc:"of those, rows whose truth is known"`
}

// plan finds what is watched of a deployment.
func (s *Service) plan(ctx context.Context, deployment string) (*Plan, error) {
	plans, err := s.Plans.Plans(ctx, "")
	if err != nil {
		return nil, err
	}
	for i := range plans {
		if plans[i].Deployment == deployment {
			return &plans[i], nil
		}
	}
	return nil, fault.New(fault.NotFound, "deployment %q is not monitored", deployment).WithHint("add a monitor section to its project's file and apply it")
}

// States is the state of every monitored deployment of a project, or of all when project is "", by name.
func (s *Service) States(ctx context.Context, project string) ([]State, error) {
	plans, err := s.Plans.Plans(ctx, project)
	if err != nil {
		return nil, err
	}
	out := []State{}
	for i := range plans {
		st, err := s.state(ctx, &plans[i])
		if err != nil {
			return nil, err
		}
		out = append(out, *st)
	}
	slices.SortFunc(out, func(a, b State) int {
		if a.Deployment < b.Deployment {
			return -1
		}
		return 1
	})
	return out, nil
}

// State is the latest state of a deployment.
func (s *Service) State(ctx context.Context, deployment string) (*State, error) {
	p, err := s.plan(ctx, deployment)
	if err != nil {
		return nil, err
	}
	return s.state(ctx, p)
}

var severity = map[string]int{OK: 1, Inconclusive: 2, Attention: 3, Off: 4}

func (s *Service) state(ctx context.Context, p *Plan) (*State, error) {
	st := &State{Project: p.Project, Deployment: p.Deployment, Model: p.Model, State: Inconclusive, Summary: "No window is judged yet", Windows: []WindowState{}}
	progress, err := s.storedProgress(ctx, p.Deployment)
	if err != nil {
		return nil, err
	}
	worst := 0
	for _, kind := range kinds {
		width := widthOf(p, kind)
		if width == 0 {
			continue
		}
		w := WindowState{Kind: kind}
		switch kind {
		case Quality:
			w.Width, w.Times = p.Monitor.Quality.Window.String(), times(p.Monitor.Quality.KofN())
		case Sudden:
			w.Width, w.Times = project.Duration(suddenWidth(p)).String(), times(suddenTimes(p))
		case Drift:
			w.Width, w.Times = p.Monitor.Drift.Window.String(), times(p.Monitor.Drift.KofN())
		default:
			w.Width, w.Times, w.When = p.Monitor.Performance.Window.String(), times(p.Monitor.Performance.KofN()), p.Monitor.Performance.When
		}
		last, err := s.Verdicts(ctx, p.Deployment, kind, 1)
		if err != nil {
			return nil, err
		}
		if len(last) == 1 {
			v := last[0]
			v.Columns = nil
			w.Verdict = &v
			is := v.State
			if v.Baseline == Reference && is == Off {
				is = Attention // it lasts for months and hides nothing that is news
			}
			if severity[is] >= worst {
				worst = severity[is]
				st.State, st.Summary = is, v.Summary
			}
		}
		if start, ok := progress[kind]; ok {
			from, to := instant(start), instant(start+width)
			w.OpenFrom, w.OpenTo = &from, &to
			if w.Rows, w.Known, err = s.Log.Coverage(ctx, p.Deployment, from, to); err != nil {
				return nil, fmt.Errorf("coverage of %s: %w", p.Deployment, err)
			}
		}
		st.Windows = append(st.Windows, w)
	}
	st.Alerts, err = s.Alerts(ctx, AlertFilter{Deployment: p.Deployment, State: Firing})
	return st, err
}

func times(k, n int) string { return fmt.Sprintf("%d of %d", k, n) }

// DriftView is the latest drift window, ranked, with what to draw.
type DriftView struct {
	Verdict Verdict     `json:"verdict" doc:"without its columns; its baseline is the reference"`
	Columns []DriftLine `json:"columns"`
	Recent  *Verdict    `json:"recent,omitempty" doc:"the latest verdict on sudden drift, with its columns; its baseline is the windows before it"`
}

// DriftLine is a column with its history and its histogram, reference beside current.
type DriftLine struct {
	ColumnDrift
	History   []PSIPoint   `json:"history" doc:"oldest first"`
	Histogram profile.Bars `json:"histogram"`
}

// PSIPoint is the drift of a column in one window.
type PSIPoint struct {
	From    time.Time `json:"from"`
	PSI     float64   `json:"psi"`
	Bar     float64   `json:"bar"`
	Over    bool      `json:"over"`
	Version int       `json:"version"`
}

// Drift is the latest drift window of a deployment; fault.NotFound before the first was judged.
func (s *Service) Drift(ctx context.Context, deployment string) (*DriftView, error) {
	p, err := s.plan(ctx, deployment)
	if err != nil {
		return nil, err
	}
	past, err := s.Verdicts(ctx, deployment, Drift, 60)
	if err != nil {
		return nil, err
	}
	if len(past) == 0 {
		return nil, fault.New(fault.NotFound, "no drift window of %s is judged yet", deployment).WithHint("windows close by the project's clock: see monitors show %s", deployment)
	}
	view := &DriftView{Verdict: past[0], Columns: []DriftLine{}}
	view.Verdict.Columns = nil
	sudden, err := s.Verdicts(ctx, deployment, Sudden, 1)
	if err != nil {
		return nil, err
	}
	if len(sudden) > 0 {
		view.Recent = &sudden[0]
	}
	version, doc, err := s.window(ctx, deployment, Drift, past[0].From)
	if fault.Is(err, fault.NotFound) {
		return view, nil // the window had no rows
	}
	if err != nil {
		return nil, err
	}
	l, err := s.layout(ctx, p.Model, version)
	if err != nil {
		return nil, err
	}
	prof, err := l.ref.Parse(doc)
	if err != nil {
		return nil, err
	}
	for _, col := range past[0].Columns {
		line := DriftLine{ColumnDrift: col, History: []PSIPoint{}}
		if c, n := prof.Column(col.Name); c != nil {
			line.Histogram = c.Histogram(n, maxBars)
		}
		for _, v := range slices.Backward(past) {
			if o := v.column(col.Name); o != nil {
				line.History = append(line.History, PSIPoint{From: v.From, PSI: o.PSI, Bar: o.Bar, Over: o.Over, Version: v.Version})
			}
		}
		view.Columns = append(view.Columns, line)
	}
	return view, nil
}

// PerformanceView is the judged windows of a deployment, oldest first, and those that wait for truth.
type PerformanceView struct {
	When    string    `json:"when" doc:"the condition that is bad"`
	Windows []Verdict `json:"windows"`
	// Open is what is known so far of windows that are not judged yet; their truth is incomplete, and early truth can be one-sided.
	Open []Verdict `json:"open"`
}

// Performance is the last windows of a deployment, limit at most 1,000, 0 for 100.
func (s *Service) Performance(ctx context.Context, deployment string, limit int) (*PerformanceView, error) {
	p, err := s.plan(ctx, deployment)
	if err != nil {
		return nil, err
	}
	view := &PerformanceView{Windows: []Verdict{}, Open: []Verdict{}}
	if p.Monitor.Performance == nil {
		return view, nil
	}
	view.When = p.Monitor.Performance.When
	if view.Windows, err = s.Verdicts(ctx, deployment, Performance, limit); err != nil {
		return nil, err
	}
	slices.Reverse(view.Windows)
	progress, err := s.storedProgress(ctx, deployment)
	if err != nil {
		return nil, err
	}
	start, ok := progress[Performance]
	if !ok {
		return view, nil
	}
	// Truth arrives within known_after: at most that many windows and the current one can hold rows that are not judged.
	width := widthOf(p, Performance)
	for range min(8, micros(p.KnownAfter)/width+2) {
		v := Verdict{
			Project: p.Project, Deployment: deployment, Kind: Performance, From: instant(start), To: instant(start + width), State: Inconclusive,
			Summary: "Not judged yet",
		}
		if v.Rows, v.Known, err = s.Log.Coverage(ctx, deployment, v.From, v.To); err != nil {
			return nil, fmt.Errorf("coverage of %s: %w", deployment, err)
		}
		start += width
		if v.Rows == 0 {
			continue
		}
		v.Coverage = float64(v.Known) / float64(v.Rows)
		rows, err := s.Log.Rows(ctx, deployment, v.From, v.To, true)
		if err != nil {
			return nil, fmt.Errorf("read the log of %s: %w", deployment, err)
		}
		if m := newSample(rows); len(m.rows) > 0 {
			v.N, v.Version = int64(len(m.rows)), m.version
			v.Metrics = m.metrics(p, m.live)
			if err := s.baseline(ctx, p, &v, m); err != nil {
				return nil, err
			}
		}
		view.Open = append(view.Open, v)
	}
	return view, nil
}
