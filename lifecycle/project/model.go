package project

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/infra/exec"
)

// prepareSteps are the steps that engine/recipe knows, in the order to show them.
var prepareSteps = []string{"impute", "one_hot", "ordinal", "category", "target_encode", "scale", "clip", "log", "pca", "truncated_svd", "date_parts", "dedupe"}

// laterOps are preparation steps of the design that are not built yet.
var laterOps = []string{"pca", "hash", "bin", "bins", "polynomial", "interactions", "select", "power", "quantile_transform",
	"embed", "tokenize", "tfidf", "resample", "smote", "outliers", "sql", "python"}

func (c *checker) model(m *Model) {
	c.name("model.name", m.Name, projectName)
	from, known := c.datasetRef("model.from", m.From)
	labelColumns := c.label(m.Label)
	inputs := c.inputs(m, labelColumns)
	if m.Split.By == "time" && known && from.Time == nil {
		c.faulty("model.split.by", "a split by time needs a time, and the dataset %q has none", m.From).
			WithHint("add time: COLUMN to data.%s, or split by random", m.From)
	}
	if share, err := ParseShare(m.Split.Test); err != nil {
		c.inText("model.split.test", err)
	} else if share <= 0 || share > 0.9 {
		c.faulty("model.split.test", "a test share of %s leaves nothing to judge by or to learn from", m.Split.Test).WithHint("write a share between 1%% and 90%%, e.g. 20%%")
	}
	c.train(m)
	for i, entry := range m.Prepare {
		path := fmt.Sprintf("model.prepare[%d]", i)
		if n := c.nodes[path]; n == nil || n.kind != mapNode {
			continue // the mistake in the type is told already
		}
		c.prepare(path, entry, inputs)
	}
}

// prepare asks the recipe about one step, and whether its columns are inputs (nil inputs: not known).
func (c *checker) prepare(path string, entry map[string]any, inputs []string) {
	if names := slices.Sorted(maps.Keys(entry)); len(names) > 1 {
		c.faulty(path, "a step has one key, and this has %d", len(names)).
			WithHint("make each a step of its own: [{%s: ...}, {%s: ...}]", names[0], names[1])
		return
	}
	for op := range entry {
		if slices.Contains(laterOps, op) {
			c.faults.add(notBuilt("the step "+op, "", c.at(path)).WithHint("remove it"))
			return
		}
	}
	steps, err := recipe.ParseSteps([]map[string]any{entry})
	if err != nil {
		c.inText(path, err)
		return
	}
	for _, step := range steps {
		for _, column := range step.Columns {
			if inputs != nil && step.Op != "dedupe" && !slices.Contains(inputs, column) {
				c.faulty(path, "%s is about %q, which is no input of the model", step.Op, column).WithHint("%s", meant(column, inputs))
			}
		}
	}
}

// train asks the learner itself about each parameter, and about all of them together when each is good alone.
func (c *checker) train(m *Model) {
	t := m.Train
	if _, there := c.nodes["model.train.run"]; there {
		c.program(m)
		return
	}
	if _, there := c.nodes["model.train.env"]; there {
		c.faulty("model.train.env@key", "env belongs to a program, and the learner is %s", t.Learner).WithHint("remove env, or write run: python train.py instead of learner")
	}
	if !slices.Contains(learn.Names(), t.Learner) && !slices.Contains(learn.Presets(), t.Learner) {
		return // told by the list of learners
	}
	if c.faultAt("model.train.calibrate") {
		return
	}
	good := true
	for _, name := range slices.Sorted(maps.Keys(t.Params)) {
		if _, err := t.with(map[string]any{name: t.Params[name]}); err != nil {
			good = false
			c.inText("model.train."+name, err)
		}
	}
	if good {
		if _, err := t.Configured(); err != nil {
			c.inText("model.train", err)
		}
	}
}

// program checks training by a program of the user's: it prepares and fits by itself, once.
func (c *checker) program(m *Model) {
	t := m.Train
	if _, there := c.nodes["model.train.learner"]; there {
		c.faulty("model.train.run@key", "model.train names a learner and a program").WithHint("keep one of learner and run")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Params)) {
		c.faulty("model.train."+name+"@key", "%s is no key of a training by a program", name).WithHint("give it to the program: run: %s --%s %v", t.Run, name, t.Params[name])
	}
	if t.Calibrate != "" {
		c.faulty("model.train.calibrate@key", "calibrate belongs to a learner: a program calibrates its model itself").WithHint("remove calibrate")
	}
	if t.Run == "" {
		if !c.faultAt("model.train.run") {
			c.faulty("model.train.run", "model.train.run names no program").WithHint("write run: python train.py")
		}
	} else if _, err := exec.Split(t.Run); err != nil {
		c.inText("model.train.run", err)
	}
	if len(m.Prepare) > 0 {
		c.faulty("model.prepare@key", "prepare belongs to a learner: a program prepares its rows itself").WithHint("remove prepare, or do it in the program")
	}
	if m.Split.Refit {
		c.faulty("model.split.refit", "refit belongs to a learner: a program is run once, on the training rows").WithHint("remove refit")
	}
}

// label checks the label's expression and gives the columns it reads.
func (c *checker) label(l Label) []string {
	if l.Name != "" && !columnName.MatchString(l.Name) {
		c.faulty("model.label@name", "%q is not a name for a label", l.Name).WithHint("use letters, digits and underscores, e.g. %s", slugOr(l.Name, "target"))
	}
	if l.Expr == "" {
		if n := c.nodes["model.label."+l.Name]; l.Name != "" && n != nil && !c.faultAt("model.label."+l.Name) {
			c.faulty("model.label."+l.Name, "the label has no expression").WithHint(`write label: {%s: "arr_delay >= 15"}`, l.Name)
		}
		return nil
	}
	e, err := recipe.ParseExpr(l.Expr)
	if err != nil {
		c.inText("model.label."+l.Name, err)
		return nil
	}
	if len(e.Columns()) == 0 {
		c.faulty("model.label."+l.Name, "the label reads no column, so it is the same for every row")
	}
	return e.Columns()
}

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// inputs checks the inputs and gives every name that prepare may use: columns, slugs of expressions, and the columns of
// feature views. It is nil when an input is not understood.
func (c *checker) inputs(m *Model, labelColumns []string) []string {
	if n := c.nodes["model.inputs"]; n != nil && n.kind == listNode && len(m.Inputs) == 0 {
		c.faulty("model.inputs", "model.inputs names no input").WithHint("%s", requiredHints["model.inputs"])
	}
	c.unique("model.inputs", "input", m.Inputs)
	names := map[string]string{}
	understood := true
	add := func(path, name, from string) {
		if other, there := names[name]; there && other != from {
			c.faulty(path, "two inputs are called %q: %s and %s", name, other, from).WithHint("leave one of them out")
		}
		names[name] = from
	}
	for i, in := range m.Inputs {
		path := fmt.Sprintf("model.inputs[%d]", i)
		if in == "" {
			understood = false
			continue
		}
		if view, ok := c.file.Features[in]; ok {
			for _, s := range view.Select {
				add(path, s, "the view "+in)
			}
			continue
		}
		e, err := recipe.ParseExpr(in)
		if err != nil {
			understood = false
			c.inText(path, err)
			continue
		}
		if _, bare := e.IsColumn(); bare && len(c.file.Features) > 0 {
			views := slices.Sorted(maps.Keys(c.file.Features))
			if close, ok := nearest(in, views); ok && len(in) > 5 && editDistance(in, close) <= 2 {
				c.faulty(path, "%q is neither a column that is known here nor a feature view", in).WithHint("did you mean %s?", close)
				understood = false
				continue
			}
		}
		if len(e.Columns()) == 0 {
			c.faulty(path, "the input %s reads no column, so it is the same for every row", in)
		}
		for _, column := range e.Columns() {
			if slices.Contains(labelColumns, column) {
				c.faulty(path, "the input %s reads %q, which the label is made of", in, column).
					WithHint("leave it out: it is not known yet when a prediction is asked for")
				break
			}
		}
		add(path, e.Slug(), "the input "+in)
	}
	for name, view := range c.file.Features {
		if _, there := c.nodes["features."+name]; there && understood && len(m.Inputs) > 0 && !slices.Contains(m.Inputs, name) {
			c.faulty("features."+name+"@key", "the feature view %s is not among the model's inputs", name).WithHint("add %s to model.inputs, or remove the view", name)
		}
		if slices.ContainsFunc(view.Select, func(s string) bool { return slices.Contains(labelColumns, s) }) && view.From == m.From {
			c.faulty("features."+name+".select", "the view %s selects what the label is made of", name)
		}
	}
	if !understood {
		return nil
	}
	return slices.Sorted(maps.Keys(names))
}

func (c *checker) evaluate(e Evaluate) {
	c.unique("evaluate.metrics", "metric", e.Metrics)
	for i, m := range e.Metrics {
		if m != "" && (!slices.Contains(Metrics, m) || m == "n") {
			c.faulty(fmt.Sprintf("evaluate.metrics[%d]", i), "there is no metric %q", m).WithHint("%s", meantValue(m, Metrics))
		}
	}
	if _, there := c.nodes["evaluate.threshold"]; there && (e.Threshold <= 0 || e.Threshold >= 1) {
		c.faulty("evaluate.threshold", "the threshold is a probability between 0 and 1, not %g", e.Threshold)
	}
	c.unique("evaluate.slices", "column", e.Slices)
	for i, s := range e.Slices {
		if s == "" {
			continue
		}
		path := fmt.Sprintf("evaluate.slices[%d]", i)
		e, err := recipe.ParseExpr(s)
		if err != nil {
			continue // the name of a column need not be an expression
		}
		if _, bare := e.IsColumn(); !bare {
			c.faults.add(notBuilt("slicing by the expression "+s, "slice by a column", c.at(path)))
		}
	}
	c.crossValidation(e.CV)
	if f := e.Fairness; f != nil {
		c.unique("evaluate.fairness.groups", "column", f.Groups)
		if _, there := c.nodes["evaluate.fairness.groups"]; there && len(f.Groups) == 0 {
			c.faulty("evaluate.fairness.groups", "evaluate.fairness names no groups").WithHint("write groups: [sex]")
		}
		if f.MinSize < 1 {
			c.faulty("evaluate.fairness.min_size", "a group of %d rows cannot be", f.MinSize).WithHint("write a number of rows, e.g. 50")
		}
	}
	c.unique("evaluate.gates", "gate", e.Gates)
	for i, g := range e.Gates {
		c.condition(fmt.Sprintf("evaluate.gates[%d]", i), g, Metrics, true)
	}
}

// crossValidation asks the splitter whether it can do what is asked.
func (c *checker) crossValidation(cv string) {
	if cv == "" {
		return
	}
	spec, err := folds.Parse(cv)
	if err != nil {
		c.inText("evaluate.cv", err)
		return
	}
	if spec.Kind == folds.CombinatorialPurge || spec.Kind == folds.LeavePOut || spec.Kind == folds.LeaveOneOut {
		c.faulty("evaluate.cv", "%s fits the model too many times", spec.Kind).WithHint("use kfold, stratified, group, time_series or purged")
	}
	if c.file.Model != nil && c.file.Model.Train.Run != "" {
		c.faulty("evaluate.cv", "cv belongs to a learner: a program is run once, on the training rows").WithHint("remove cv, or cross-validate in the program")
	}
}

func (c *checker) deploy(d *Deploy) {
	if _, there := c.nodes["deploy.name"]; there {
		c.name("deploy.name", d.Name, projectName)
	}
	c.condition("deploy.abort_when", d.AbortWhen, RolloutConditions, false)
	c.limits(d.Limits)
	c.strategy(d)
	if !d.canary() {
		return
	}
	if n, there := c.nodes["deploy.steps"]; there && n.kind == listNode && len(d.Steps) == 0 {
		c.faulty("deploy.steps", "deploy.steps has no step").WithHint("write steps: [{to: 5%%, requests: 400}, {to: 100%%}]")
	}
	last := 0.0
	for i, s := range d.Steps {
		path := fmt.Sprintf("deploy.steps[%d]", i)
		if s.Requests < 0 {
			c.faulty(path+".requests", "a number of requests cannot be negative")
		}
		if s.To == "" {
			return // told as missing
		}
		share, err := ParseShare(s.To)
		if err != nil {
			c.inText(path+".to", err)
			return
		}
		switch {
		case share <= 0:
			c.faulty(path+".to", "a step to %s takes no traffic", s.To).WithHint("start with a small share such as 5%%")
			return
		case share <= last:
			c.faulty(path+".to", "the steps must increase, and %s comes after %s", s.To, d.Steps[i-1].To)
			return
		case share < 1 && s.Requests == 0 && s.Hold == 0 && !c.hasFaultIn(c.nodes[path]) && !c.faultAt(path+".hold") && !c.faultAt(path+".requests"):
			c.faulty(path, "the step to %s says nothing that must pass before the next", s.To).WithHint("add requests: 400 or hold: 1h")
		case share < 1 && i == len(d.Steps)-1:
			c.faulty(path+".to", "the last step goes to %s, so the rest of the traffic never moves", s.To).WithHint("add {to: 100%%}")
		}
		last = share
	}
}
