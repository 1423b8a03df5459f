package pipeline

import (
	"fmt"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// signature lists what requests must carry. Kinds come from the data's schemas; ranges and categories are filled from the training rows.
func (s *Service) signature(p *project.Project, src *sources) (*registry.Signature, error) {
	m := p.File.Model
	ds := p.File.Data[m.From]
	sig := &registry.Signature{Label: m.Label.Name, Expr: m.Label.Expr, Key: ds.Key}
	if ds.Time != nil {
		sig.Time, sig.Zone = ds.Time.Column, ds.Time.Zone
	}
	base := map[string]data.Field{}
	for _, f := range src.base.Schema {
		base[f.Name] = f
	}
	add := func(name, role string, in registry.Input) {
		if have, _ := sig.Input(name); have != nil {
			if role == registry.RoleFeature {
				have.Role = role
			}
			return
		}
		in.Name, in.Role = name, role
		sig.Inputs = append(sig.Inputs, in)
	}
	fromBase := func(name string) (registry.Input, error) {
		f, ok := base[name]
		if !ok {
			return registry.Input{}, fault.New(fault.Invalid, "dataset %s has no column %q, which the model reads", m.From, name).WithHint("its columns are %s", columnNames(src.base.Schema))
		}
		return registry.Input{Kind: f.Kind, Unit: ds.Units[name], Personal: ds.Personal[name]}, nil
	}
	var context []string
	for _, text := range m.Inputs {
		if view, ok := p.File.Features[text]; ok {
			if err := addView(sig, text, view, p.File.Data[view.From], src.views[text], add); err != nil {
				return nil, err
			}
			context = append(context, view.Entity...)
			continue
		}
		e, err := recipe.ParseExpr(text)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", text, err)
		}
		for _, name := range e.Columns() {
			in, err := fromBase(name)
			if err != nil {
				return nil, err
			}
			add(name, registry.RoleFeature, in)
		}
		if name, bare := e.IsColumn(); bare {
			sig.Features = append(sig.Features, name)
			continue
		}
		kinds := map[string]table.Kind{}
		for _, name := range e.Columns() {
			kinds[name] = base[name].Kind
		}
		kind, err := e.Kind(kinds)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", text, err)
		}
		sig.Derived = append(sig.Derived, registry.Derived{Name: e.Slug(), Expr: text, Kind: kind, From: e.Columns()})
		sig.Features = append(sig.Features, e.Slug())
	}
	if err := expandDates(sig, m.Prepare, func(name string) error {
		in, err := fromBase(name)
		if err == nil {
			add(name, registry.RoleFeature, in)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if len(viewNames(p.File)) > 0 {
		context = append(context, sig.Time)
	}
	for _, name := range context {
		if name == "" {
			continue
		}
		in, err := fromBase(name)
		if err != nil {
			return nil, err
		}
		add(name, registry.RoleContext, in)
	}
	return sig, nil
}

// expandDates turns date_parts steps into derived values: what reads a calendar stays outside of the model's graph. need makes sure
// that a column is an input.
func expandDates(sig *registry.Signature, prepare []map[string]any, need func(column string) error) error {
	steps, err := recipe.ParseSteps(prepare)
	if err != nil {
		return err
	}
	spec, err := recipe.Spec{Inputs: registry.RecipeInputs(sig), Steps: steps}.Expand()
	if err != nil {
		return err
	}
	sig.Features = nil
	for _, in := range spec.Inputs {
		sig.Features = append(sig.Features, in.Name)
		known := slices.ContainsFunc(sig.Derived, func(d registry.Derived) bool { return d.Name == in.Name })
		if in.Expr == in.Name || known {
			continue
		}
		e, err := recipe.ParseExpr(in.Expr)
		if err != nil {
			return err
		}
		for _, column := range e.Columns() {
			if err := need(column); err != nil {
				return err
			}
		}
		sig.Derived = append(sig.Derived, registry.Derived{Name: in.Name, Expr: in.Expr, Kind: in.Kind, From: e.Columns()})
	}
	return nil
}

func addView(sig *registry.Signature, name string, view project.FeatureView, ds project.Dataset, v *data.Version, add func(string, string, registry.Input)) error {
	kinds := map[string]data.Field{}
	for _, f := range v.Schema {
		kinds[f.Name] = f
	}
	for _, column := range view.Select {
		f, ok := kinds[column]
		if !ok {
			return fault.New(fault.Invalid, "feature view %s selects %q, which dataset %s does not have", name, column, view.From).WithHint("its columns are %s", columnNames(v.Schema))
		}
		if have, _ := sig.Input(column); have != nil {
			return fault.New(fault.Invalid, "feature view %s brings %q, and the model has an input of that name already", name, column).WithHint("select it once, or rename a column")
		}
		in := registry.Input{Kind: f.Kind, Unit: ds.Units[column], View: name, Entity: view.Entity, Personal: ds.Personal[column]}
		if ds.Time != nil {
			in.Time = sig.Time
		}
		add(column, registry.RoleFeature, in)
		sig.Features = append(sig.Features, column)
	}
	return nil
}
