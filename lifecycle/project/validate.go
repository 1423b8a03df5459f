package project

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones load on machines that have none installed

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// ParseFile reads and checks a trimtab.yaml; name is what positions call the file. JSON is YAML and is read as well.
//
// All mistakes are collected: the error is one fault at the first of them, with Details["errors"] a []Mistake of up to 20, each
// with its place, what is wrong and what to do. A key that is not known is a mistake; one that the design has and this version
// does not is fault.NotSupported.
//
// Defaults are filled in: clock wall; time zones UTC; mostly 0.5 in checks; split by time when the model's dataset has a time, else
// random, with test 20%; threshold 0.5; the deployment's name (the model's), strategy canary, steps 5% for 400 requests, 25% for
// 2000, 100%, and log required; times 1 of 1 for quality, 2 of 3 for drift and performance. Sections that are left out stay nil.
func ParseFile(name string, src []byte) (*File, error) {
	all := &faults{}
	root, ferr := readYAML(name, src, all)
	if ferr != nil {
		all.add(ferr)
		return nil, all.err()
	}
	d := &decoder{faults: all, nodes: map[string]*node{}}
	f := &File{}
	if root.kind != mapNode {
		all.add(fault.New(fault.Invalid, "the file must be a mapping of keys, and this is %s", root.describe()).At(root.pos).
			WithHint("start with project: NAME"))
		return nil, all.err()
	}
	d.decode(root, reflect.ValueOf(f).Elem(), "")
	f.fillDefaults()
	c := &checker{decoder: d, file: f}
	c.check()
	if err := all.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// checker finds what is wrong with a file whose values have the right types.
type checker struct {
	*decoder
	file *File
}

// at is the place of a path, or of the nearest thing around it that the file has.
func (c *checker) at(path string) fault.Position {
	for {
		if n, ok := c.nodes[path]; ok {
			return n.pos
		}
		i := strings.LastIndexAny(path, ".[@")
		if i < 0 {
			return c.nodes[""].pos
		}
		path = path[:i]
	}
}

// faulty adds a mistake at a path.
func (c *checker) faulty(path, format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, format, args...).At(c.at(path))
	c.faults.add(f)
	return f
}

// inText adds a mistake inside the text at a path: err's column, when it has one, counts in that text.
func (c *checker) inText(path string, err error) {
	f := fault.New(fault.Invalid, "%s: %s", path, err.Error()).At(c.at(path))
	var inner *fault.Error
	if errors.As(err, &inner) {
		message := inner.Message
		if inner.Cause != nil {
			message += ": " + inner.Cause.Error()
		}
		f = fault.New(inner.Code, "%s: %s", path, message).At(c.at(path))
		f.Hint = inner.Hint
		if n, ok := c.nodes[path]; ok && inner.Position.Line <= 1 {
			f.Position = n.within(inner.Position.Column)
		}
	}
	c.faults.add(f)
}

var (
	projectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	tableName   = regexp.MustCompile(`^[a-z]([a-z0-9_-]{0,61}[a-z0-9])?$`)
)

// ValidName reports whether text may name a project, a model or a deployment: lower-case letters, digits and inner
// hyphens, at most 63.
func ValidName(text string) bool { return projectName.MatchString(text) }

// name checks a name and proposes the nearest one that is allowed.
func (c *checker) name(path, text string, form *regexp.Regexp) {
	if text == "" || form.MatchString(text) {
		if _, there := c.nodes[path]; there && text == "" && !c.faultAt(path) {
			c.faulty(path, "%s is empty", path)
		}
		return
	}
	f := c.faulty(path, "%q is not a name", text)
	allowed := "lower-case letters, digits and hyphens, at most 63"
	proposal := strings.ReplaceAll(slugOr(text, "name"), "_", "-")
	if form == tableName {
		allowed = "lower-case letters, digits, hyphens and underscores, at most 63, and start with a letter"
		proposal = slugOr(text, "name")
	}
	if len(proposal) > 63 {
		f.WithHint("use %s", allowed)
		return
	}
	f.WithHint("use %s, e.g. %s", allowed, proposal)
}

// faultAt reports whether a mistake is recorded at the path already.
func (c *checker) faultAt(path string) bool {
	at := c.at(path)
	return slices.ContainsFunc(c.faults.list, func(f *fault.Error) bool { return f.Position == at })
}

// faultOn reports whether a mistake is recorded at the node.
func (c *checker) faultOn(n *node) bool {
	return slices.ContainsFunc(c.faults.list, func(f *fault.Error) bool { return f.Position == n.pos })
}

func (c *checker) check() {
	f := c.file
	c.name("project", f.Project, projectName)
	if p := f.Problem; p != nil {
		c.condition("problem.success", p.Success, Metrics, false)
		if q := p.Priority; q != nil {
			for _, one := range []struct {
				key string
				v   int
			}{{"impact", q.Impact}, {"confidence", q.Confidence}, {"effort", q.Effort}} {
				if _, there := c.nodes["problem.priority."+one.key]; there && (one.v < 1 || one.v > 5) {
					c.faulty("problem.priority."+one.key, "problem.priority.%s is %d; it goes from 1 to 5", one.key, one.v)
				}
			}
		}
	}
	if n, there := c.nodes["data"]; there && len(f.Data) == 0 && (n.kind == mapNode || n.kind == nullNode) {
		c.faulty("data", "data has no dataset").WithHint("%s", requiredHints["data"])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Data)) {
		c.dataset("data."+name, name, f.Data[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Features)) {
		c.view("features."+name, name, f.Features[name])
	}
	if f.Model != nil {
		c.model(f.Model)
	} else {
		for _, path := range []string{"evaluate", "deploy", "monitor", "retrain", "features"} {
			if n := c.nodes[path]; n != nil && len(n.items) > 0 && c.nodes["model"] == nil {
				c.faulty(path+"@key", "%s needs a model", path).WithHint("add model:, or remove %s", path)
			}
		}
	}
	c.evaluate(f.Evaluate)
	if f.Deploy != nil {
		c.deploy(f.Deploy)
	}
	if f.Monitor != nil {
		c.monitor(f.Monitor)
	}
	if f.Retrain != nil {
		c.retrain(f.Retrain)
	}
}

// condition compiles a condition that may be empty; gates alone may name the champion.
func (c *checker) condition(path, text string, vars []string, gate bool) {
	if text == "" {
		if n, there := c.nodes[path]; there && n.kind == textNode {
			c.faulty(path, "%s is empty", path)
		}
		return
	}
	cond, err := CompileCondition(text, vars)
	if err != nil {
		c.inText(path, err)
		return
	}
	if cond.NeedsChampion() && !gate {
		c.faulty(path, "%s names the champion, and there is none to compare with here", path).
			WithHint("only evaluate.gates compare with the champion")
	}
}

// unique finds entries that are empty or there twice.
func (c *checker) unique(path, what string, list []string) {
	seen := map[string]bool{}
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if v == "" {
			if !c.faultAt(at) {
				c.faulty(at, "%s has an empty %s", path, what)
			}
		} else if seen[v] {
			c.faulty(at, "%s names the %s %q twice", path, what, v).WithHint("remove one of them")
		}
		seen[v] = true
	}
}

// datasetRef checks that text names a dataset.
func (c *checker) datasetRef(path, text string) (Dataset, bool) {
	d, ok := c.file.Data[text]
	if !ok && text != "" {
		c.faulty(path, "%s: there is no dataset %q", path, text).WithHint("%s", meant(text, slices.Sorted(maps.Keys(c.file.Data))))
	}
	return d, ok
}

var schemes = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)

func (c *checker) dataset(path, name string, d Dataset) {
	if !tableName.MatchString(name) {
		c.name(path+"@key", name, tableName)
	}
	if n, there := c.nodes[path+".files"]; there && len(d.Files) == 0 && n.kind == listNode {
		c.faulty(path+".files", "%s.files names no file", path)
	}
	for i, file := range d.Files {
		at := fmt.Sprintf("%s.files[%d]", path, i)
		switch {
		case strings.TrimSpace(file) == "":
			if !c.faultAt(at) {
				c.faulty(at, "%s.files has an empty name", path).WithHint("name a path or a glob beside this file, e.g. data/*.csv")
			}
		case schemes.MatchString(file):
			c.faults.add(notBuilt("reading "+file, "download it and name the local file", c.at(at)))
		}
	}
	c.unique(path+".key", "column", d.Key)
	if d.Time != nil {
		if d.Time.Column == "" && !c.faultAt(path+".time") {
			c.faulty(path+".time", "%s.time names no column", path)
		}
		if _, err := d.Time.Location(); err != nil {
			c.inText(path+".time.zone", err)
		}
	}
	for i, check := range d.Contract {
		c.contract(fmt.Sprintf("%s.contract[%d]", path, i), check, d)
	}
	if slices.Contains(d.Key, "") {
		return
	}
	for column, how := range d.Personal {
		if how == "drop" && (slices.Contains(d.Key, column) || d.Time != nil && d.Time.Column == column) {
			c.faulty(path+".personal."+column, "%s is dropped as personal and needed as key or time", column).
				WithHint("write %s: pseudonymise, which still joins", column)
		}
	}
}

func (c *checker) contract(path string, k Check, d Dataset) {
	var about []string
	add := func(yes bool, name string) {
		if yes {
			about = append(about, name)
		}
	}
	add(k.Type != "", "type")
	add(k.NotNull, "not_null")
	add(k.Between != nil, "between")
	add(k.Matches != "", "matches")
	add(k.In != nil, "in")
	onColumn := len(about)
	add(k.Unique != nil, "unique")
	add(k.Rows != nil, "rows")
	add(k.Fresh != nil, "fresh")
	n := c.nodes[path]
	if n == nil || n.kind != mapNode || c.hasFaultIn(n) || slices.ContainsFunc(n.items, c.faultOn) {
		return
	}
	switch {
	case len(about) == 0:
		f := c.faulty(path, "this check says nothing")
		if k.Column != "" {
			f.WithHint("add one of type, not_null, between, matches, in")
		} else {
			f.WithHint("write one of {column: C, between: [0, 1]}, {unique: [C]}, {rows: {at_least: N}}, {fresh: {column: C, within: 1d}}")
		}
	case len(about) > onColumn && len(about) > 1:
		c.faulty(path, "this check is about %s at once", strings.Join(about, " and ")).WithHint("make each a check of its own")
	case onColumn > 0 && k.Column == "":
		c.faulty(path, "this check names no column").WithHint("add column: NAME")
	case onColumn == 0 && k.Column != "":
		c.faulty(path+".column", "%s takes no column", about[0]).WithHint("remove column: %s", k.Column)
	}
	if k.Between != nil && !c.faultAt(path+".between") {
		if len(k.Between) != 2 {
			c.faulty(path+".between", "between needs two numbers, and here are %d", len(k.Between)).WithHint("write between: [0, 100]")
		} else if k.Between[0] > k.Between[1] {
			c.faulty(path+".between", "between goes from %g down to %g", k.Between[0], k.Between[1]).WithHint("write the smaller number first")
		}
	}
	if k.Matches != "" {
		if _, err := regexp.Compile(k.Matches); err != nil {
			c.faulty(path+".matches", "matches: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: ")).
				WithHint("patterns are RE2; put single quotes around one with a backslash")
		}
	}
	if k.In != nil && len(k.In) == 0 {
		c.faulty(path+".in", "in allows no value at all")
	}
	if k.Unique != nil {
		if len(k.Unique) == 0 {
			c.faulty(path+".unique", "unique names no column")
		}
		c.unique(path+".unique", "column", k.Unique)
	}
	if r := k.Rows; r != nil {
		switch {
		case r.AtLeast < 0 || r.AtMost < 0:
			c.faulty(path+".rows", "a number of rows cannot be negative")
		case r.AtLeast == 0 && r.AtMost == 0 && !c.hasFaultIn(c.nodes[path+".rows"]):
			c.faulty(path+".rows", "rows has no bound").WithHint("write {rows: {at_least: 1000}}")
		case r.AtMost > 0 && r.AtLeast > r.AtMost:
			c.faulty(path+".rows", "rows must be at least %d and at most %d, which cannot be", r.AtLeast, r.AtMost)
		}
	}
	if f := k.Fresh; f != nil && f.Within <= 0 && c.nodes[path+".fresh.within"] != nil && !c.faultAt(path+".fresh.within") {
		c.faulty(path+".fresh.within", "within must be longer than nothing")
	}
	if k.Mostly < 0 || k.Mostly > 1 || k.Mostly == 0 && c.nodes[path+".mostly"] != nil && !c.faultAt(path+".mostly") {
		c.faulty(path+".mostly", "mostly is a share above 0 and up to 1, not %g", k.Mostly)
	}
}

func (c *checker) view(path, name string, v FeatureView) {
	if !tableName.MatchString(name) {
		c.name(path+"@key", name, tableName)
	}
	from, ok := c.datasetRef(path+".from", v.From)
	c.unique(path+".entity", "column", v.Entity)
	c.unique(path+".select", "column", v.Select)
	if n := c.nodes[path+".entity"]; n != nil && n.kind == listNode && len(v.Entity) == 0 {
		c.faulty(path+".entity", "%s.entity names no column", path).WithHint("name the columns that find the row, e.g. entity: [origin]")
	}
	if n := c.nodes[path+".select"]; n != nil && n.kind == listNode && len(v.Select) == 0 {
		c.faulty(path+".select", "%s.select names no column", path)
	}
	for i, s := range v.Select {
		if slices.Contains(v.Entity, s) {
			c.faulty(fmt.Sprintf("%s.select[%d]", path, i), "%q is an entity of the view, which the row has already", s).WithHint("remove it from select")
		}
	}
	if !ok {
		return
	}
	if v.MaxAge > 0 && from.Time == nil {
		c.faulty(path+".max_age", "max_age needs a time, and the dataset %q has none", v.From).WithHint("add time: COLUMN to data.%s", v.From)
	}
	if len(from.Key) == 0 || len(v.Entity) == 0 {
		return
	}
	for i, e := range v.Entity {
		if e != "" && !slices.Contains(from.Key, e) {
			c.faulty(fmt.Sprintf("%s.entity[%d]", path, i), "%q is not in the key of %s", e, v.From).WithHint("%s", meant(e, from.Key))
		}
	}
	for _, k := range from.Key {
		if !slices.Contains(v.Entity, k) && (from.Time == nil || from.Time.Column != k) && len(v.Entity) < len(from.Key) {
			c.faulty(path+".entity", "the entity does not find one row: the key of %s also has %s", v.From, k).WithHint("add %s to entity", k)
			return
		}
	}
}

func (c *checker) monitor(m *Monitor) {
	window := func(path string, w Duration, times string) {
		if w <= 0 && c.nodes[path+".window"] != nil && !c.faultAt(path+".window") {
			c.faulty(path+".window", "the window must be longer than nothing").WithHint("write window: 7d")
		} else if w > 0 && w.D() < time.Minute {
			c.faulty(path+".window", "a window of %s is too short to judge", w).WithHint("write window: 1h or more")
		}
		if times != "" {
			if _, _, err := ParseTimes(times); err != nil {
				c.inText(path+".times", err)
			}
		}
	}
	if m.Quality != nil {
		window("monitor.quality", m.Quality.Window, m.Quality.Times)
	}
	if m.Drift != nil {
		window("monitor.drift", m.Drift.Window, m.Drift.Times)
	}
	if p := m.Performance; p != nil {
		window("monitor.performance", p.Window, p.Times)
		c.condition("monitor.performance.when", p.When, Metrics, false)
	}
	c.unique("monitor.alert", "receiver", m.Alert)
	for i, a := range m.Alert {
		at := fmt.Sprintf("monitor.alert[%d]", i)
		if a != "" && !strings.HasPrefix(a, "http://") && !strings.HasPrefix(a, "https://") && !tableName.MatchString(a) {
			c.faulty(at, "%q is neither a webhook URL nor a name", a).
				WithHint("write https://..., or a name such as ops-webhook whose URL is in TRIMTAB_WEBHOOK_OPS_WEBHOOK")
		}
	}
}

func (c *checker) retrain(r *Retrain) {
	if n := c.nodes["retrain.when"]; n != nil && n.kind == listNode && len(r.When) == 0 {
		c.faulty("retrain.when", "retrain.when names no cause").WithHint("%s", requiredHints["retrain.when"])
	}
	c.unique("retrain.when", "cause", r.When)
	for i, w := range r.When {
		at := fmt.Sprintf("retrain.when[%d]", i)
		cause, err := ParseCause(w)
		if w == "" {
			continue
		}
		if err != nil {
			c.inText(at, err)
			continue
		}
		m := c.file.Monitor
		if n := c.nodes["monitor"]; n != nil && c.hasFaultIn(n) {
			continue
		}
		if cause.Kind == "performance" && (m == nil || m.Performance == nil) {
			c.faulty(at, "retraining on performance needs monitor.performance").WithHint(`add monitor: {performance: {window: 7d, when: "auc < 0.6"}}`)
		}
		if cause.Kind == "drift" && (m == nil || m.Drift == nil) {
			c.faulty(at, "retraining on drift needs monitor.drift").WithHint("add monitor: {drift: {window: 7d}}")
		}
	}
	if r.Budget != "" {
		if _, err := ParseBudget(r.Budget); err != nil {
			c.inText("retrain.budget", err)
		}
	}
}
