package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// oneHotMost is how many texts a column may have to become one feature each; beyond it is encoded by the label's mean.
const oneHotMost = 10

// mostTypes is how many columns are pinned one by one; a wider file would only be types.
const mostTypes = 500

const day = 24 * 60 * 60 * 1e6 // microseconds

var plainText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.()/' -]*$`)

// yamlText is text as a YAML scalar, inside brackets too.
func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "~":
		return "'" + s + "'"
	}
	if plainText.MatchString(s) && !strings.HasSuffix(s, " ") {
		return s
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }) {
		return yamlQuoted(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// yamlQuoted is text in double quotes, with escapes that YAML and JSON share.
func yamlQuoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSpace(b.String())
}

// flow writes entries in brackets, folded at 110 columns under an indentation.
func flow(open, closing string, entries []string, indent, used int) string {
	var b strings.Builder
	b.WriteString(open)
	column := used + 1
	for i, e := range entries {
		if i > 0 {
			b.WriteString(",")
			if column+len(e)+2 > 110 {
				b.WriteString("\n" + strings.Repeat(" ", indent))
				column = indent
			} else {
				b.WriteString(" ")
			}
			column += 2
		}
		b.WriteString(e)
		column += len(e)
	}
	b.WriteString(closing)
	return b.String()
}

func (d *draft) write(project string) []byte {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	dataset := slugOr(fileStem(d.look.Path), "rows")
	dataset = strings.TrimRight(dataset[:min(len(dataset), 63)], "_")

	say("# Drafted by trimtab init from %s: %d rows, %d columns. Everything here is a proposal: read it, change it.", oneLine(d.look.Path), d.look.Rows, len(d.columns))
	say("# trimtab plan shows what applying it would do; trimtab apply does it. docs/trimtab-yaml.md explains every key.")
	say("project: %s\n", yamlText(project))
	say("problem:")
	say("  goal: Predict %s.  # say what the prediction is for, and who is responsible (owner:)\n", yamlInner(d.label.Name))

	d.writeData(say, dataset)
	d.writeModel(say, project, dataset)
	d.writeLife(say)
	return []byte(b.String())
}

// oneLine is text for a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// yamlInner is text inside an unquoted sentence.
func yamlInner(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`:#'"{}[],&*!|>%@`+"`", r) {
			return ' '
		}
		return r
	}, oneLine(s))
	return strings.Join(strings.Fields(s), " ")
}

func (d *draft) writeData(say func(string, ...any), dataset string) {
	say("data:")
	say("  %s:", yamlText(dataset))
	say("    files: %s", yamlText(d.look.Path))
	if d.key != nil {
		say("    key: [%s]  # no two rows share it; outcomes may name a row by it", yamlText(d.key.Name))
	} else {
		say("    # key: [COLUMN]  # no column is unique; name the columns that together tell rows apart, if there are any")
	}
	if d.time != nil {
		say("    time: {column: %s, zone: UTC}  # when the row happened; zone: where its hours are meant", yamlText(d.time.Name))
	} else {
		say("    # time: COLUMN  # none was found; with one, the newest rows judge the model")
	}
	if d.look.Format != "parquet" && len(d.columns) <= mostTypes {
		var types []string
		for _, c := range d.columns {
			types = append(types, fmt.Sprintf("%s: %s", yamlText(c.Name), c.Kind))
		}
		say("    types:  # as the file looks; pinned, so that a later file cannot change them")
		say("      %s", flow("{", "}", types, 7, 6))
	}
	var hidden []string
	for _, c := range d.columns {
		if personal(c) {
			how := "drop"
			if c == d.key || c == d.label || c == d.time {
				how = "pseudonymise"
			}
			if c == d.label {
				continue
			}
			hidden = append(hidden, yamlText(c.Name)+": "+how)
		}
	}
	if hidden != nil {
		say("    personal: %s  # pseudonymise keeps it joinable", flow("{", "}", hidden, 15, 14))
	}
	say("    contract:  # rows that break it are set aside with the reason, never dropped silently")
	say("      - {rows: {at_least: %d}}", max(1, d.look.Rows/2))
	written := 0
	for _, c := range d.columns {
		if c.exclude != "" || c.Kind != table.Long && c.Kind != table.Double || c.Max <= c.Min || written == 12 {
			continue
		}
		lo, hi := widen(c.Min, c.Max)
		say("      - {column: %s, between: [%s, %s]}  # seen: %s to %s", yamlText(c.Name), plainNumber(lo), plainNumber(hi), plainNumber(c.Min), plainNumber(c.Max))
		written++
	}
	say("")
}

// widen gives bounds with room: as far again as the numbers reach, to two digits, and not below zero when nothing was.
func widen(lo, hi float64) (float64, float64) {
	span := hi - lo
	outLo, outHi := roundOut(lo-span, -1), roundOut(hi+span, 1)
	if lo >= 0 {
		outLo = 0
	}
	return outLo, outHi
}

// roundOut rounds to two significant digits away from the middle: down with sign -1, up with 1.
func roundOut(v, sign float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-1)
	return sign * math.Ceil(sign*v/unit) * unit
}

func (d *draft) writeModel(say func(string, ...any), project, dataset string) {
	var inputs, oneHot, target, by, left []string
	for _, c := range d.columns {
		if c.exclude != "" {
			if c != d.label && c != d.key && c != d.time {
				left = append(left, fmt.Sprintf("%s: %s", oneLine(c.Name), c.exclude))
			}
			continue
		}
		inputs = append(inputs, yamlText(c.expr))
		if c.Kind != table.String {
			continue
		}
		name := yamlText(inputName(c.expr))
		if c.Distinct <= oneHotMost {
			oneHot = append(oneHot, name)
			if len(by) < 2 && c.expr == c.Name {
				by = append(by, yamlText(c.Name))
			}
		} else {
			target = append(target, name)
		}
	}
	inputs = append(inputs, d.timeInputs()...)
	say("model:")
	say("  name: %s", yamlText(project))
	say("  from: %s", yamlText(dataset))
	note := "  # add known_after: 30d if the truth comes later than the row"
	say("  label: {%s: %s}%s", yamlText(d.name), yamlQuoted(d.target), note)
	say("  inputs: %s", flow("[", "]", inputs, 11, 10))
	for _, l := range left {
		say("  # left out: %s", l)
	}
	if d.time != nil {
		say("  split: {by: time, test: 20%%}")
	} else {
		say("  split: {by: random, test: 20%%}")
	}
	var steps []string
	if oneHot != nil {
		steps = append(steps, "{one_hot: ["+strings.Join(oneHot, ", ")+"]}")
	}
	if target != nil {
		steps = append(steps, "{target_encode: ["+strings.Join(target, ", ")+"]}")
	}
	if steps != nil {
		say("  prepare:")
		for _, s := range steps {
			say("    - %s", s)
		}
	}
	if d.look.Rows < 5000 {
		say("  train: {learner: gbdt, rounds: 100, leaves: 15, learning_rate: 0.05, min_leaf: 10}\n")
	} else {
		say("  train: {learner: gbdt, rounds: 200, leaves: 31, learning_rate: 0.05}\n")
	}
	d.writeEvaluate(say, by)
}

// inputName is the name of a model input, as steps call it.
func inputName(expr string) string {
	e, err := recipe.ParseExpr(expr)
	if err != nil {
		return expr
	}
	return e.Slug()
}

// timeInputs are what the time of a row can say without leaking the future: the weekday, and the hour when rows have one.
func (d *draft) timeInputs() []string {
	if d.time == nil {
		return nil
	}
	out := []string{yamlText("weekday(" + d.time.expr + ")")}
	if d.look.Sample == nil {
		return out
	}
	if c := columnOf(d.look.Sample, d.time.Name); c != nil && slices.ContainsFunc(c.Floats, func(v float64) bool { return math.Mod(v, day) != 0 }) {
		out = append(out, yamlText("hour("+d.time.expr+")"))
	}
	return out
}

func (d *draft) writeEvaluate(say func(string, ...any), by []string) {
	metrics, gate, against := "[auc, log_loss, calibration_error, f1]", "auc >= 0.5", "auc >= champion.auc - 0.01"
	switch d.task {
	case "multiclass":
		metrics, gate, against = "[accuracy, log_loss, f1_macro]", fmt.Sprintf("accuracy >= %.2f", 1/float64(d.label.Distinct)), "log_loss <= champion.log_loss + 0.01"
	case "regression":
		metrics, gate, against = "[rmse, mae, r2]", "r2 >= 0", "rmse <= champion.rmse * 1.02"
	}
	say("evaluate:")
	say("  metrics: %s", metrics)
	if d.task == "binary" {
		say("  threshold: 0.5  # the probability from which the answer is yes")
	}
	if by != nil {
		say("  slices: [%s]", strings.Join(by, ", "))
	}
	say("  gates:  # a version that fails one is not released")
	say("    - %s  # no better than guessing; raise it to what you need", gate)
	say("    - %s  # on the same rows; skipped while there is no champion\n", against)
}

func (d *draft) writeLife(say func(string, ...any)) {
	when := "abs(calibration_gap) > 0.05 || auc < 0.5"
	switch d.task {
	case "multiclass":
		when = fmt.Sprintf("accuracy < %.2f", 1/float64(d.label.Distinct))
	case "regression":
		when = "r2 < 0"
	}
	say("deploy:")
	say("  strategy: canary  # or immediate; the first version takes all traffic in any case")
	say("  steps: [{to: 10%%, requests: 200}, {to: 100%%}]")
	say("  abort_when: \"error_rate > 0.01\"\n")
	say("monitor:")
	say("  quality: {window: 1d}")
	say("  drift: {window: 7d}")
	say("  performance: {window: 7d, when: %q, times: 2 of 3}\n", when)
	say("retrain: {when: [performance], cooldown: 7d}  # also: drift, \"new_labels: 1000\", \"cron: 0 3 * * 1\"")
}
