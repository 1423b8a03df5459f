package project

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// decoder fills Go values from nodes by their json names, collecting mistakes, and remembers the node of every path
// ("model.inputs[2]") for the checks that come after.
type decoder struct {
	faults *faults
	nodes  map[string]*node
}

// fromNode is implemented by types that the file writes in a form of their own.
type fromNode interface {
	fromNode(d *decoder, n *node, path string)
}

// unbuilt is the keys of the design that are not built yet, by the path without list indexes and names of maps, with
// what does its work meanwhile. They are refused, never ignored.
var unbuilt = map[string]string{
	"tune":               "set the learner's parameters by hand",
	"model.tune":         "set the learner's parameters by hand",
	"model.train.tune":   "set the learner's parameters by hand",
	"model.train.image":  "use run and env",
	"model.explain":      "",
	"model.ensemble":     "",
	"env":                "",
	"sources":            "use files under data",
	"pipeline":           "",
	"steps":              "",
	"schedule":           "retrain has cron",
	"secrets":            "",
	"governance":         "",
	"approvals":          "",
	"explain":            "",
	"data.*.source":      "use files",
	"data.*.sql":         "use files",
	"data.*.query":       "use files",
	"data.*.stream":      "use files",
	"data.*.url":         "use files",
	"data.*.every":       "",
	"features.*.sql":     "use from and select",
	"features.*.online":  "send the joined columns with the request",
	"features.*.ttl":     "use max_age",
	"evaluate.explain":   "",
	"deploy.replicas":    "",
	"deploy.resources":   "",
	"deploy.targets":     "",
	"deploy.approval":    "",
	"monitor.fairness":   "",
	"monitor.skew":       "",
	"monitor.explain":    "",
	"retrain.tune":       "",
	"retrain.approval":   "",
	"problem.priorities": "use priority",
}

var fromNodeType = reflect.TypeFor[fromNode]()

// decode fills v, which is addressable, from n.
func (d *decoder) decode(n *node, v reflect.Value, path string) {
	d.nodes[path] = n
	if v.Addr().Type().Implements(fromNodeType) {
		v.Addr().Interface().(fromNode).fromNode(d, n, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if n.kind == nullNode {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Slice:
		if n.kind != listNode {
			d.wrong(n, path, "a list").WithHint("write it like [a, b], or one entry a line with - before it")
			return
		}
		out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
		for i, item := range n.items {
			d.decode(item, out.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
		v.Set(out)
	case reflect.Interface:
		if x := n.plain(); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.String:
		switch n.kind {
		case listNode, mapNode, nullNode:
			f := d.wrong(n, path, "text")
			if n.kind == mapNode && len(n.keys) == 1 {
				f.WithHint("put quotes around text that has a colon in it")
			}
			return
		}
		v.SetString(n.text)
	case reflect.Bool:
		if b, ok := n.value.(bool); ok {
			v.SetBool(b)
			return
		}
		f := d.wrong(n, path, "true or false")
		if s := strings.ToLower(n.text); s == "yes" || s == "on" {
			f.WithHint("write true")
		} else if s == "no" || s == "off" {
			f.WithHint("write false")
		}
	case reflect.Int, reflect.Int64:
		switch x := n.value.(type) {
		case int64:
			v.SetInt(x)
			return
		case uint64:
			if x <= math.MaxInt64 {
				v.SetInt(int64(x))
				return
			}
		}
		d.wrong(n, path, "a whole number")
	case reflect.Float64:
		if x, ok := n.number(); ok {
			v.SetFloat(x)
			return
		}
		f := d.wrong(n, path, "a number")
		if share, err := ParseShare(n.text); err == nil && strings.HasSuffix(n.text, "%") {
			f.WithHint("write %g", share)
		}
	default:
		d.faults.add(fault.New(fault.Internal, "no way to read %s into %s", path, v.Type()))
	}
}

// number is a finite number in the node.
func (n *node) number() (float64, bool) {
	switch x := n.value.(type) {
	case int64:
		return float64(x), true
	case uint64:
		return float64(x), true
	case float64:
		return x, !math.IsNaN(x) && !math.IsInf(x, 0)
	}
	return 0, false
}

// wrong records that the node is not what the path wants.
func (d *decoder) wrong(n *node, path, want string) *fault.Error {
	f := fault.New(fault.Invalid, "%s must be %s, and this is %s", path, want, n.describe()).At(n.pos)
	d.faults.add(f)
	return f
}

func (d *decoder) decodeMap(n *node, v reflect.Value, path string) {
	if n.kind == nullNode {
		return
	}
	if n.kind != mapNode {
		d.wrong(n, path, "a mapping").WithHint("write it like {name: value}, or one name a line")
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.keys))
	for i, k := range n.keys {
		item := reflect.New(v.Type().Elem()).Elem()
		at := path + "." + k.text
		d.nodes[at+"@key"] = k
		d.decode(n.items[i], item, at)
		out.SetMapIndex(reflect.ValueOf(k.text), item)
	}
	v.Set(out)
}

// field is one key of a struct.
type field struct {
	name     string
	index    int
	required bool
	enum     []string
	def      string
}

// fieldsOf lists the keys of a struct type in the order of its declaration.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		one := field{name: name, index: i, required: f.Tag.Get("required") == "true", def: f.Tag.Get("default")}
		if e := f.Tag.Get("enum"); e != "" {
			one.enum = strings.Split(e, ",")
		}
		out = append(out, one)
	}
	return out
}

func (d *decoder) decodeStruct(n *node, v reflect.Value, path string) {
	if n.kind == nullNode {
		n = &node{kind: mapNode, pos: n.pos, inset: -1}
	}
	if n.kind != mapNode {
		d.wrong(n, path, "a mapping").WithHint("its keys are %s", strings.Join(fieldNames(fieldsOf(v.Type())), ", "))
		return
	}
	fields := fieldsOf(v.Type())
	for i, k := range n.keys {
		at := join(path, k.text)
		d.nodes[at+"@key"] = k
		index := slices.IndexFunc(fields, func(f field) bool { return f.name == k.text })
		if index < 0 {
			d.unknownKey(k, path, fieldNames(fields))
			continue
		}
		f := fields[index]
		before := len(d.faults.list)
		d.decode(n.items[i], v.Field(f.index), at)
		if len(d.faults.list) == before {
			d.checkEnum(f, v.Field(f.index), n.items[i], at)
		}
	}
	for _, f := range fields {
		if f.required && n.get(f.name) == nil && !d.hasFaultIn(n) {
			d.faults.add(fault.New(fault.Invalid, "%s is missing", join(path, f.name)).At(n.pos).
				WithHint("%s", hintOf(requiredHints, general(join(path, f.name)))))
		}
	}
}

// requiredHints shows what a missing key looks like.
var requiredHints = map[string]string{
	"project":                  "add a line such as project: flight-delays",
	"data":                     "add data: {rows: {files: rows.csv}}",
	"data.*.files":             "add files: rows.csv",
	"model.name":               "add name: flight-delays",
	"model.from":               "name the dataset to learn from, e.g. from: flights",
	"model.label":              `say what is predicted, e.g. label: {late: "arr_delay >= 15"}`,
	"model.inputs":             "list the columns to learn from, e.g. inputs: [carrier, distance]",
	"model.train":              "add train: {learner: gbdt}",
	"model.train.learner":      "add preset: fast, or learner: gbdt; or run: python train.py",
	"deploy.steps.to":          "add the share, e.g. to: 5%",
	"monitor.performance.when": `add when: "abs(calibration_gap) > 0.05"`,
	"retrain.when":             "add when: [performance]",
}

func hintOf(hints map[string]string, path string) string { return hints[path] }

// hasFaultIn reports whether an unknown key of this very mapping was reported: a slip in a required key is one mistake, not two.
func (d *decoder) hasFaultIn(n *node) bool {
	for _, f := range d.faults.list {
		for _, k := range n.keys {
			if f.Position == k.pos && f.Position.Line > 0 && strings.HasPrefix(f.Message, "unknown key") {
				return true
			}
		}
	}
	return false
}

func fieldNames(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// general is the path without list indexes and with * for the names that the file chooses.
func general(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '[' {
			for i < len(path) && path[i] != ']' {
				i++
			}
			continue
		}
		b.WriteByte(path[i])
	}
	parts := strings.Split(b.String(), ".")
	if len(parts) > 2 && (parts[0] == "data" || parts[0] == "features") {
		parts = append([]string{parts[0], "*"}, parts[len(parts)-1])
	}
	return strings.Join(parts, ".")
}

func (d *decoder) unknownKey(k *node, path string, known []string) {
	if instead, ok := unbuilt[general(join(path, k.text))]; ok {
		d.faults.add(notBuilt(join(path, k.text), instead, k.pos))
		return
	}
	where := "at the top of the file"
	if path != "" {
		where = "in " + path
	}
	d.faults.add(fault.New(fault.Invalid, "unknown key %q %s", k.text, where).At(k.pos).WithHint("%s", meant(k.text, known)))
}

func notBuilt(what, instead string, at fault.Position) *fault.Error {
	hint := "remove it"
	if instead != "" {
		hint += "; meanwhile " + instead
	}
	return fault.New(fault.NotSupported, "%s is not supported yet", what).At(at).WithHint("%s", hint)
}

// later is the values of the design that are not built yet, by general path.
var later = map[string][]string{
	"model.split.by":      {"group", "stratified", "kfold", "folds"},
	"deploy.strategy":     {"bandit", "multi_armed_bandit"},
	"model.train.learner": {"forest", "random_forest", "neural", "mlp", "online", "elastic_net", "svm", "knn", "naive_bayes", "kmeans", "lightgbm", "xgboost", "catboost", "sklearn", "pytorch", "tensorflow"},
	"data.*.format":       {"avro", "orc", "xlsx", "json", "arrow", "delta", "iceberg"},
}

// checkEnum refuses a value that is none of the field's; maps and lists are checked value by value.
func (d *decoder) checkEnum(f field, v reflect.Value, n *node, path string) {
	if len(f.enum) == 0 {
		return
	}
	check := func(text string, n *node, path string) {
		if slices.Contains(f.enum, text) {
			return
		}
		kind, _, _ := strings.Cut(text, ":")
		if slices.Contains(later[general(path)], kind) {
			d.faults.add(notBuilt(fmt.Sprintf("%s: %s", path, text), "", n.pos).WithHint("use %s", strings.Join(f.enum, " or ")))
			return
		}
		d.faults.add(fault.New(fault.Invalid, "%s cannot be %s", path, n.describe()).At(n.pos).WithHint("%s", meantValue(text, f.enum)))
	}
	switch v.Kind() {
	case reflect.String:
		check(v.String(), n, path)
	case reflect.Map:
		for i, k := range n.keys {
			check(n.items[i].text, n.items[i], path+"."+k.text)
		}
	}
}

// synonyms are words that people write for a value of the file.
var synonyms = map[string]string{
	"float": "double", "float64": "double", "number": "double", "numeric": "double", "decimal": "double", "real": "double",
	"int": "long", "integer": "long", "int64": "long", "bigint": "long",
	"bool": "boolean", "text": "string", "str": "string", "varchar": "string", "category": "string", "categorical": "string",
	"timestamp": "datetime", "date": "datetime", "time": "datetime",
	"pseudonymize": "pseudonymise", "hash": "pseudonymise", "mask": "pseudonymise", "remove": "drop", "delete": "drop",
	"gradient_boosting": "gbdt", "boosting": "gbdt", "gbm": "gbdt", "ridge": "linear", "regression": "linear", "ols": "linear",
	"logistic_regression": "logistic", "roc_auc": "auc", "rocauc": "auc", "logloss": "log_loss", "cross_entropy": "log_loss", "mse": "rmse",
	"ece": "calibration_error", "ap": "average_precision", "pr_auc": "average_precision", "r_squared": "r2", "acc": "accuracy",
	"ndjson": "jsonl", "all_at_once": "immediate", "mirror": "shadow", "blue-green": "blue_green", "a/b": "ab", "ab_test": "ab", "real_time": "wall", "simulated": "replay",
}

func meantValue(word string, allowed []string) string {
	if s, ok := synonyms[strings.ToLower(word)]; ok && slices.Contains(allowed, s) {
		return "write " + s
	}
	return meant(word, allowed)
}

func (v *Duration) fromNode(d *decoder, n *node, path string) {
	if n.kind == nullNode || n.kind == listNode || n.kind == mapNode {
		d.wrong(n, path, "a duration").WithHint("write it like 24h or 7d")
		return
	}
	parsed, err := ParseDuration(n.text)
	if err != nil {
		f := d.wrong(n, path, "a duration").WithHint("%s", fault.HintOf(err))
		if n.kind == intNode {
			f.WithHint("add a unit: %ss, %sm, %sh or %sd", n.text, n.text, n.text, n.text)
		}
		return
	}
	*v = parsed
}

func (s *Strings) fromNode(d *decoder, n *node, path string) {
	switch n.kind {
	case listNode:
		for i, item := range n.items {
			var one string
			d.decode(item, reflect.ValueOf(&one).Elem(), fmt.Sprintf("%s[%d]", path, i))
			*s = append(*s, one)
		}
	case mapNode, nullNode:
		d.wrong(n, path, "text or a list of texts")
	default:
		*s = Strings{n.text}
		d.nodes[path+"[0]"] = n
	}
}

func (t *TimeColumn) fromNode(d *decoder, n *node, path string) {
	if n.kind == textNode {
		t.Column = n.text
		d.nodes[path+".column"] = n
		return
	}
	if n.kind != mapNode {
		d.wrong(n, path, "a column").WithHint("write time: COLUMN, or time: {column: COLUMN, zone: Europe/Berlin}")
		return
	}
	d.decodeStruct(n, reflect.ValueOf(t).Elem(), path)
}

func (l *Label) fromNode(d *decoder, n *node, path string) {
	if n.kind == textNode {
		d.faults.add(fault.New(fault.Invalid, "the label needs a name and an expression").At(n.pos).
			WithHint("write label: {%s: %s} to predict the column as it is", slugOr(n.text, "target"), n.text))
		return
	}
	if n.kind != mapNode {
		d.wrong(n, path, "one name with its expression").WithHint(`write label: {late: "arr_delay >= 15"}`)
		return
	}
	for i, k := range n.keys {
		item := n.items[i]
		d.nodes[path+"."+k.text] = item
		if k.text == "known_after" {
			l.KnownAfter.fromNode(d, item, path+".known_after")
			continue
		}
		if close, ok := nearest(k.text, []string{"known_after"}); ok {
			d.faults.add(fault.New(fault.Invalid, "unknown key %q in %s", k.text, path).At(k.pos).WithHint("did you mean %s?", close))
			continue
		}
		if l.Name != "" {
			d.faults.add(fault.New(fault.Invalid, "a label has one name, and this has two: %s and %s", l.Name, k.text).At(k.pos).
				WithHint("keep the one that the model predicts"))
			continue
		}
		l.Name = k.text
		d.nodes[path+"@name"] = k
		d.decode(item, reflect.ValueOf(&l.Expr).Elem(), path+"."+k.text)
	}
	if l.Name == "" && !d.hasFaultIn(n) {
		d.faults.add(fault.New(fault.Invalid, "the label has no expression").At(n.pos).WithHint(`write label: {late: "arr_delay >= 15"}`))
	}
}

// oneOf reads a word of Train's field of the given number, which lists the words that it may be.
func (d *decoder) oneOf(to *string, n *node, path string, field int) {
	before := len(d.faults.list)
	d.decode(n, reflect.ValueOf(to).Elem(), path)
	if len(d.faults.list) == before {
		d.checkEnum(fieldsOf(reflect.TypeFor[Train]())[field], reflect.ValueOf(*to), n, path)
	}
}

func (t *Train) fromNode(d *decoder, n *node, path string) {
	if n.kind == textNode {
		d.faults.add(fault.New(fault.Invalid, "train must be a mapping").At(n.pos).WithHint("write train: {learner: %s}", n.text))
		return
	}
	if n.kind != mapNode {
		d.wrong(n, path, "a mapping").WithHint("write train: {learner: gbdt}")
		return
	}
	refused := false
	for i, k := range n.keys {
		at := path + "." + k.text
		d.nodes[at+"@key"], d.nodes[at] = k, n.items[i]
		switch k.text {
		case "learner":
			d.oneOf(&t.Learner, n.items[i], at, 0)
			continue
		case "calibrate":
			d.oneOf(&t.Calibrate, n.items[i], at, 2)
			continue
		case "preset":
			d.decode(n.items[i], reflect.ValueOf(&t.Preset).Elem(), at)
			switch {
			case t.Preset != "" && !slices.Contains(learn.Presets(), t.Preset):
				refused = true
				d.faults.add(fault.New(fault.Invalid, "%s cannot be %s", at, n.items[i].describe()).At(n.items[i].pos).WithHint("%s", meantValue(t.Preset, learn.Presets())))
			case n.get("learner") != nil:
				d.faults.add(fault.New(fault.Invalid, "%s names a learner and a preset", path).At(k.pos).WithHint("keep one of learner and preset"))
			default:
				t.Learner = t.Preset
			}
			continue
		case "run":
			d.decode(n.items[i], reflect.ValueOf(&t.Run).Elem(), at)
			continue
		case "env":
			d.decode(n.items[i], reflect.ValueOf(&t.Env).Elem(), at)
			continue
		}
		if instead, ok := unbuilt[at]; ok {
			refused = true
			d.faults.add(notBuilt(at, instead, k.pos))
			continue
		}
		if t.Params == nil {
			t.Params = map[string]any{}
		}
		switch v := n.items[i].plain().(type) {
		case nil:
			d.faults.add(fault.New(fault.Invalid, "%s has no value", at).At(k.pos).WithHint("remove the line to take the learner's default"))
		default:
			t.Params[k.text] = v
		}
	}
	if n.get("learner") == nil && n.get("preset") == nil && n.get("run") == nil && !refused {
		d.faults.add(fault.New(fault.Invalid, "%s.learner is missing", path).At(n.pos).WithHint("%s", requiredHints["model.train.learner"]))
	}
}

// fromNode of a retrain policy accepts the entries that YAML reads as mappings, new_labels: 5000 and cron: "0 3 * * 1".
func (r *Retrain) fromNode(d *decoder, n *node, path string) {
	if n.kind == mapNode {
		if when := n.get("when"); when != nil && (when.kind == textNode || when.kind == mapNode) {
			// one cause without brackets reads as a list of one
			list := &node{kind: listNode, pos: when.pos, items: []*node{when}, inset: -1}
			clone := &node{kind: mapNode, pos: n.pos, inset: -1}
			for i, k := range n.keys {
				if k.text == "when" {
					clone.put(k, list)
					continue
				}
				clone.put(k, n.items[i])
			}
			n = clone
		}
		if when := n.get("when"); when != nil && when.kind == listNode {
			for i, item := range when.items {
				if item.kind == mapNode && len(item.keys) == 1 {
					text := item.keys[0].text + ": " + item.items[0].text
					when.items[i] = &node{kind: textNode, value: text, text: text, pos: item.pos, inset: -1}
				}
			}
		}
	}
	type plain Retrain
	d.decodeStruct(n, reflect.ValueOf((*plain)(r)).Elem(), path)
}

// slugOr is text as a name, or other when nothing of it is left.
func slugOr(text, other string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9' && b.Len() > 0:
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	if s := strings.Trim(b.String(), "_"); s != "" {
		return s
	}
	return other
}
