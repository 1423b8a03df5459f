package feedback

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// layout is the columns of the log as a table: those of every prediction, one per input, one per score.
type layout struct {
	inputs []column
	scores []string // names without prefix: "score", or "score_CLASS" each
	truth  bool     // with what is known of the truth
}

// column is an input and the column it has in files.
type column struct {
	input string
	name  string
	kind  table.Kind
}

// Columns that every log table has. Inputs of the same name get the prefix "input_".
var fixedColumns = []struct {
	name string
	kind table.Kind
}{
	{"prediction_id", table.String}, {"key", table.String}, {"at", table.Datetime}, {"version", table.Long}, {"arm", table.String},
	{"champion_version", table.Long}, {"decision", table.String},
	{"label", table.Double}, {"label_none", table.Boolean}, {"label_known_at", table.Datetime}, {"label_revisions", table.Long},
	{"latency_us", table.Long}, {"received", table.Datetime}, {"request", table.String}, {"row", table.Long}, {"bucket", table.Long},
	{"missing", table.String}, {"unseen", table.String}, {"out_of_range", table.String},
}

var truthColumns = map[string]bool{"label": true, "label_none": true, "label_known_at": true, "label_revisions": true}

// newLayout is the columns that hold predictions of all the signatures. An input that has two kinds gets the wider one.
func newLayout(sigs []*registry.Signature, truth bool) layout {
	l := layout{truth: truth}
	taken := map[string]bool{} // in lower case: DuckDB does not tell cases apart
	for _, c := range fixedColumns {
		taken[c.name] = true
	}
	seen := map[string]bool{}
	for _, sig := range sigs {
		for _, s := range scoreNames(sig) {
			if !seen[s] {
				seen[s] = true
				taken[strings.ToLower(s)], taken["champion_"+strings.ToLower(s)] = true, true
				l.scores = append(l.scores, s)
			}
		}
	}
	place := map[string]int{}
	for _, sig := range sigs {
		for _, in := range sig.Inputs {
			if i, ok := place[in.Name]; ok {
				l.inputs[i].kind = wider(l.inputs[i].kind, in.Kind)
				continue
			}
			name := in.Name
			for taken[strings.ToLower(name)] {
				name = "input_" + name
			}
			taken[strings.ToLower(name)] = true
			place[in.Name] = len(l.inputs)
			l.inputs = append(l.inputs, column{input: in.Name, name: name, kind: in.Kind})
		}
	}
	return l
}

func wider(a, b table.Kind) table.Kind {
	switch {
	case a == b:
		return a
	case a == table.String || b == table.String || a == table.Datetime || b == table.Datetime:
		return table.String
	default:
		return table.Double
	}
}

// scoreNames names the outputs of a model.
func scoreNames(sig *registry.Signature) []string {
	if sig.Task == registry.TaskTensors {
		names := make([]string, serve.LoggedNumbers(sig))
		for i := range names {
			names[i] = "score_" + strconv.Itoa(i)
		}
		return names
	}
	if sig.Task != taskMulticlass {
		return []string{"score"}
	}
	names := make([]string, len(sig.Classes))
	seen := map[string]bool{}
	for i, c := range sig.Classes {
		names[i] = "score_" + c
		seen[strings.ToLower(c)] = true
	}
	if len(seen) < len(names) { // classes that differ in case alone
		for i := range names {
			names[i] = "score_" + strconv.Itoa(i)
		}
	}
	return names
}

// timeText is a time as text: RFC 3339 in UTC, with as many digits as it needs.
func timeText(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

// builder fills a table of a layout.
type builder struct {
	layout
	t       *table.Table
	columns map[string]*table.Column
}

func newBuilder(l layout) *builder {
	b := &builder{layout: l, t: &table.Table{}, columns: map[string]*table.Column{}}
	add := func(name string, kind table.Kind) {
		c := &table.Column{Name: name, Kind: kind}
		b.columns[name] = c
		b.t.Columns = append(b.t.Columns, c)
	}
	for _, c := range fixedColumns[:5] {
		add(c.name, c.kind)
	}
	for _, in := range l.inputs {
		add(in.name, in.kind)
	}
	for _, s := range l.scores {
		add(s, table.Double)
	}
	for _, s := range l.scores {
		add("champion_"+s, table.Double)
	}
	for _, c := range fixedColumns[5:] {
		if l.truth || !truthColumns[c.name] {
			add(c.name, c.kind)
		}
	}
	return b
}

// add appends a row.
func (b *builder) add(p *serve.Prediction, k *pick) {
	text := func(name, v string) { b.columns[name].Append(table.Text(v)) }
	number := func(name string, v float64) { b.columns[name].Append(table.Number(v)) }
	text("prediction_id", p.ID)
	text("key", p.Key)
	number("at", float64(p.At))
	number("version", float64(p.Version))
	text("arm", p.Arm.String())
	for _, c := range b.inputs {
		in, i := p.Signature.Input(c.input)
		if in == nil || i >= len(p.Inputs) {
			b.columns[c.name].Append(table.Null)
			continue
		}
		v := p.Inputs[i]
		if c.kind == table.String && in.Kind != table.String && !v.Null {
			v = table.Text(textOf(v, in.Kind))
		}
		b.columns[c.name].Append(v)
	}
	mine := scoreNames(p.Signature)
	for _, s := range b.scores {
		score, champion := table.Null, table.Null
		for i, name := range mine {
			if name == s && i < len(p.Scores) {
				score = table.Number(p.Scores[i])
			}
			if name == s && i < len(p.Champion) {
				champion = table.Number(p.Champion[i])
			}
		}
		b.columns[s].Append(score)
		b.columns["champion_"+s].Append(champion)
	}
	if p.ChampionVersion > 0 {
		number("champion_version", float64(p.ChampionVersion))
	} else {
		b.columns["champion_version"].Append(table.Null)
	}
	text("decision", p.Label)
	if b.truth {
		number("label", k.truth.label)
		if k.truth.state == unknown {
			b.columns["label_none"].Append(table.Null)
			b.columns["label_known_at"].Append(table.Null)
		} else {
			none := 0.0
			if k.truth.state == withoutLabel {
				none = 1
			}
			number("label_none", none)
			number("label_known_at", float64(k.truth.known))
		}
		number("label_revisions", float64(k.revised))
	}
	number("latency_us", float64(p.LatencyUS))
	number("received", float64(p.Received))
	text("request", p.Request)
	number("row", float64(p.Row))
	number("bucket", float64(p.Bucket))
	for _, f := range []struct {
		name string
		bits uint64
	}{{"missing", p.Missing}, {"unseen", p.Unseen}, {"out_of_range", p.OutOfRange}} {
		text(f.name, flagText(f.bits, p.Signature))
	}
	b.t.Rows++
}

// flagText is the names of flagged inputs. Bits are places in the signature; files name them, because signatures change.
func flagText(bits uint64, sig *registry.Signature) string {
	var b []byte
	for i := 0; bits != 0 && i < len(sig.Inputs) && i < 64; i++ {
		if bits&(1<<i) != 0 {
			if b != nil {
				b = append(b, ',')
			}
			b = append(b, sig.Inputs[i].Name...)
		}
	}
	return string(b)
}

// textOf is a cell in a column that holds texts because versions disagree on its kind.
func textOf(v table.Value, kind table.Kind) string {
	switch kind {
	case table.Boolean:
		return strconv.FormatBool(v.F != 0)
	case table.Datetime:
		return timeText(int64(v.F))
	default:
		return strconv.FormatFloat(v.F, 'g', -1, 64)
	}
}

// decode is the inverse of add for a table of one signature: row i as a prediction.
func decode(t *table.Table, cols map[string]*table.Column, l layout, sig *registry.Signature, i int) (p serve.Prediction, err error) {
	text := func(name string) string {
		if c := cols[name]; c != nil && c.Kind == table.String {
			return c.Strings[i]
		}
		err = fmt.Errorf("the part has no text column %q", name)
		return ""
	}
	number := func(name string) float64 {
		if c := cols[name]; c != nil && c.Kind != table.String {
			if c.IsNull(i) {
				return 0
			}
			return c.Floats[i]
		}
		err = fmt.Errorf("the part has no number column %q", name)
		return 0
	}
	p.ID, p.Key, p.At = text("prediction_id"), text("key"), int64(number("at"))
	p.Version, p.ChampionVersion = int(number("version")), int(number("champion_version"))
	p.Arm = serve.ParseArm(text("arm"))
	p.Inputs = make([]table.Value, len(l.inputs))
	for k, c := range l.inputs {
		col := cols[c.name]
		if col == nil {
			return p, fmt.Errorf("the part has no column %q", c.name)
		}
		p.Inputs[k] = col.Value(i)
	}
	for _, s := range l.scores {
		p.Scores = append(p.Scores, cellOrNaN(cols[s], i))
		if p.ChampionVersion > 0 {
			p.Champion = append(p.Champion, cellOrNaN(cols["champion_"+s], i))
		}
	}
	p.Label, p.Request = text("decision"), text("request")
	p.LatencyUS, p.Received, p.Row, p.Bucket = uint32(number("latency_us")), int64(number("received")), int(number("row")), uint16(number("bucket"))
	p.Missing, p.Unseen, p.OutOfRange = flagBits(text("missing"), sig), flagBits(text("unseen"), sig), flagBits(text("out_of_range"), sig)
	return p, err
}

func cellOrNaN(c *table.Column, i int) float64 {
	if c == nil || c.IsNull(i) {
		return math.NaN()
	}
	return c.Floats[i]
}

// flagBits is the inverse of flagText.
func flagBits(names string, sig *registry.Signature) (bits uint64) {
	for i := 0; names != "" && i < len(sig.Inputs) && i < 64; i++ {
		name := sig.Inputs[i].Name
		if len(names) >= len(name) && names[:len(name)] == name && (len(names) == len(name) || names[len(name)] == ',') {
			bits |= 1 << i
			if names = names[len(name):]; names != "" {
				names = names[1:]
			}
		}
	}
	return bits
}
