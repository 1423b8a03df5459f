package project

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn"
)

// Metrics is the names that gates, success and performance conditions may use, over all tasks; n is the number of rows.
var Metrics = allMetrics()

func allMetrics() []string {
	var out []string
	for _, task := range []learn.Task{learn.Binary, learn.Multiclass, learn.Regression} {
		for _, name := range evaluate.MetricNames(task) {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// RolloutConditions is the names that deploy.abort_when may use: the canary's share of failed requests, its latency in
// milliseconds, the rank correlation and mean difference of its scores with the champion's on the same rows, and the
// number of those.
var RolloutConditions = []string{"error_rate", "p50_ms", "p99_ms", "rank_correlation", "mean_shift", "n"}

// canary tells whether a version goes through the steps of a canary.
func (d *Deploy) canary() bool {
	return d.Strategy == "canary" || d.Strategy == "shadow" && d.Shadow != nil && d.Shadow.Then == "canary"
}

// DefaultShadowRequests is how many rows a shadow is compared on that says nothing of it.
const DefaultShadowRequests = 1000

// GetShare is the part of the requests that the shadow is asked; all for no settings.
func (s *Shadow) GetShare() string {
	if s == nil || s.Share == "" {
		return "100%"
	}
	return s.Share
}

// GetShare is the part of the keys that the new version answers; a half for no settings.
func (a *ABTest) GetShare() string {
	if a == nil || a.Share == "" {
		return "50%"
	}
	return a.Share
}

// DefaultSteps is the stages of a canary that names none.
func DefaultSteps() []Step {
	return []Step{{To: "5%", Requests: 400}, {To: "25%", Requests: 2000}, {To: "100%"}}
}

func (f *File) fillDefaults() {
	fill := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	fill(&f.Clock, "wall")
	for name, d := range f.Data {
		if d.Time != nil {
			fill(&d.Time.Zone, "UTC")
		}
		d.Contract = slices.Clone(d.Contract)
		f.Data[name] = d
	}
	if m := f.Model; m != nil {
		by := "random"
		if d, ok := f.Data[m.From]; ok && d.Time != nil {
			by = "time"
		}
		fill(&m.Split.By, by)
		fill(&m.Split.Test, "20%")
		if m.Train.Run != "" {
			fill(&m.Train.Env, "none")
		}
	}
	if f.Model != nil && f.Evaluate.Threshold == 0 {
		f.Evaluate.Threshold = 0.5
	}
	if fair := f.Evaluate.Fairness; fair != nil && fair.MinSize == 0 {
		fair.MinSize = 50
	}
	if d := f.Deploy; d != nil {
		if f.Model != nil {
			fill(&d.Name, f.Model.Name)
		}
		fill(&d.Strategy, "canary")
		fill(&d.Log, "required")
		if d.Shadow != nil {
			fill(&d.Shadow.Share, d.Shadow.GetShare())
			fill(&d.Shadow.Then, "hold")
			if d.Shadow.Requests == 0 {
				d.Shadow.Requests = DefaultShadowRequests
			}
		}
		if d.AB != nil {
			fill(&d.AB.Share, d.AB.GetShare())
		}
		if d.BlueGreen != nil {
			fill(&d.BlueGreen.Switch, "at_once")
		}
		if d.canary() && d.Steps == nil {
			d.Steps = DefaultSteps()
		}
	}
	if m := f.Monitor; m != nil {
		if m.Quality != nil {
			fill(&m.Quality.Times, "1 of 1")
		}
		if m.Drift != nil {
			fill(&m.Drift.Times, "2 of 3")
		}
		if m.Performance != nil {
			fill(&m.Performance.Times, "2 of 3")
		}
	}
}
