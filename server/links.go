package server

import (
	"context"
	"time"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// links answers the questions that services ask of services before or after them in the house.
type links struct {
	projects *project.Service
	models   *registry.Service
	serving  *serve.Service
	watch    *monitor.Service
}

// Observe hands predictions to monitor, which is made after serve.
func (l *links) Observe(deployment string, recs []serve.Prediction) {
	l.watch.Observe(deployment, recs)
}

// deploymentOf names the deployment that answers with a model, "" when none does.
func (l *links) deploymentOf(ctx context.Context, model string) (string, error) {
	all, err := l.serving.List(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if d.Model == model {
			return d.Name, nil
		}
	}
	return "", nil
}

// ModelNames lists the registered models.
func (l *links) ModelNames(ctx context.Context) ([]string, error) {
	all, err := l.models.Models(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Name
	}
	return names, nil
}

// Servable is the champion of a model, else the newest of its versions that an engine serves and that was not refused.
func (l *links) Servable(ctx context.Context, model string) (version int, owner string, err error) {
	m, err := l.models.Model(ctx, model)
	if err != nil {
		return 0, "", err
	}
	if v := m.Aliases[registry.Champion]; v != 0 {
		return v, m.Project, nil
	}
	all, err := l.models.Versions(ctx, model)
	if err != nil {
		return 0, "", err
	}
	var why error
	for _, v := range all {
		if v.Version <= version || v.State == registry.Refused {
			continue
		}
		if v.Certificate.Refuses() {
			why = v.Certificate.Refusal(model, v.Version)
		} else if why = v.Served(); why == nil {
			version = v.Version
		}
	}
	if version == 0 {
		if why != nil {
			return 0, "", why
		}
		return 0, "", fault.New(fault.NotFound, "the model %s has no version that may be served", model)
	}
	return version, m.Project, nil
}

// now is the clock of a deployment's project.
func (l *links) now(deployment string) time.Time {
	d, err := l.serving.Get(context.Background(), deployment)
	if err != nil {
		return time.Now().UTC()
	}
	return l.projects.Clock(d.Project).Now()
}

// Plans is what the files say is watched: one plan per project that has a model, a deployment and a monitor section.
func (l *links) Plans(ctx context.Context, name string) ([]monitor.Plan, error) {
	all, err := l.projects.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []monitor.Plan
	for _, p := range all {
		f := p.File
		if name != "" && p.Name != name || f.Model == nil || f.Deploy == nil || f.Monitor == nil {
			continue
		}
		out = append(out, monitor.Plan{Project: p.Name, Deployment: p.Deployment(), Model: f.Model.Name, Monitor: *f.Monitor,
			KnownAfter: f.Model.Label.KnownAfter.D(), Threshold: f.Evaluate.Threshold, Replay: f.Clock == "replay"})
	}
	return out, nil
}

// Reference is what training saw.
func (l *links) Reference(ctx context.Context, model string, version int) (*profile.Reference, *registry.Signature, error) {
	v, err := l.models.Ready(ctx, model, version)
	if err != nil {
		return nil, nil, err
	}
	if v.Format != registry.FormatTrimtab { // what others trained came without a reference
		return &profile.Reference{}, &v.Signature, nil
	}
	pkg, err := l.models.LoadPackage(ctx, model, version)
	if err != nil {
		return nil, nil, err
	}
	return pkg.Reference, &pkg.Signature, nil
}

// Importance is the share of each input in the model's gain.
func (l *links) Importance(ctx context.Context, model string, version int) (map[string]float64, error) {
	v, err := l.models.Get(ctx, model, version)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, i := range v.Importance {
		out[i.Input] += i.Share
	}
	return out, nil
}
