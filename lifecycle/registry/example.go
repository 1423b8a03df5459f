package registry

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bounds of an input example.
const (
	maxExample     = 16 << 20 // bytes
	maxExampleRows = 1000
)

// exampleRows is rows that somebody gave with a model: what it takes, in their words.
type exampleRows struct {
	names []string
	cells [][]any // rows x names: nil, float64, string or bool
}

// readExample reads an input example: CSV with a header, or JSON as MLflow writes it — {columns, data}, {dataframe_split}, {dataframe_records},
// a list of records, {inputs} or {instances} with lists of numbers, or a list of lists. Rows after the 1,000th are left out. What is none of
// these is fault.Invalid.
func readExample(data []byte, isCSV bool) (*exampleRows, error) {
	if isCSV {
		return readCSV(data)
	}
	var any1 any
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&any1); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the input example is no JSON")
	}
	e := exampleOf(any1)
	if e == nil || len(e.cells) == 0 || len(e.names) == 0 {
		return nil, fault.New(fault.Invalid, "the input example holds no rows").
			WithHint(`write {"columns": […], "data": [[…]]} or [{"name": value, …}], or a CSV with a header`)
	}
	e.cells = e.cells[:min(len(e.cells), maxExampleRows)]
	return e, nil
}

func exampleOf(doc any) *exampleRows {
	switch d := doc.(type) {
	case map[string]any:
		for _, key := range []string{"dataframe_split", "dataframe_records", "inputs", "instances"} {
			if inner, ok := d[key]; ok {
				return exampleOf(inner)
			}
		}
		if rows, ok := d["data"].([]any); ok {
			names, _ := d["columns"].([]any)
			return lists(rows, names)
		}
		return byColumns(d)
	case []any:
		if len(d) == 0 {
			return nil
		}
		if _, ok := d[0].(map[string]any); ok {
			return records(d)
		}
		return lists(d, nil)
	}
	return nil
}

func lists(rows, names []any) *exampleRows {
	e := &exampleRows{}
	for _, n := range names {
		e.names = append(e.names, fmt.Sprint(n))
	}
	for _, r := range rows {
		row, ok := r.([]any)
		if !ok {
			row = []any{r}
		}
		if e.names == nil {
			for i := range row {
				e.names = append(e.names, "x"+strconv.Itoa(i))
			}
		}
		if len(row) != len(e.names) || !plain(row) {
			return nil
		}
		e.cells = append(e.cells, row)
	}
	return e
}

func plain(row []any) bool {
	return !slices.ContainsFunc(row, func(v any) bool {
		switch v.(type) {
		case nil, float64, string, bool:
			return false
		}
		return true
	})
}

func records(rows []any) *exampleRows {
	e := &exampleRows{}
	for _, r := range rows {
		record, ok := r.(map[string]any)
		if !ok {
			return nil
		}
		for name := range record {
			if !slices.Contains(e.names, name) {
				e.names = append(e.names, name)
			}
		}
		if len(e.names) > maxColumns {
			return nil
		}
	}
	slices.Sort(e.names)
	for _, r := range rows {
		row := make([]any, len(e.names))
		for j, name := range e.names {
			row[j] = r.(map[string]any)[name]
		}
		if !plain(row) {
			return nil
		}
		e.cells = append(e.cells, row)
	}
	return e
}

// byColumns reads {name: [values]} with lists of one length.
func byColumns(columns map[string]any) *exampleRows {
	e := &exampleRows{}
	n := -1
	for name, v := range columns {
		values, ok := v.([]any)
		if !ok || n >= 0 && len(values) != n || !plain(values) {
			return nil
		}
		n = len(values)
		e.names = append(e.names, name)
	}
	slices.Sort(e.names)
	for i := range max(n, 0) {
		row := make([]any, len(e.names))
		for j, name := range e.names {
			row[j] = columns[name].([]any)[i]
		}
		e.cells = append(e.cells, row)
	}
	return e
}

func readCSV(data []byte) (*exampleRows, error) {
	r := csv.NewReader(bytes.NewReader(data))
	names, err := r.Read()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the input example is no CSV with a header")
	}
	e := &exampleRows{names: names}
	for len(e.cells) < maxExampleRows {
		texts, err := r.Read()
		if err != nil {
			break
		}
		row := make([]any, len(texts))
		for j, t := range texts {
			if number, err := strconv.ParseFloat(t, 64); err == nil && number == number {
				row[j] = number
			} else if t != "" {
				row[j] = t
			}
		}
		e.cells = append(e.cells, row)
	}
	if len(e.cells) == 0 {
		return nil, fault.New(fault.Invalid, "the input example holds no rows")
	}
	return e, nil
}

// rows gives up to n rows as the values of the signature's features; nil when the example lacks one of them, or there is no example.
func (e *exampleRows) rows(sig *Signature, n int) [][]table.Value {
	if e == nil {
		return nil
	}
	places := make([]int, len(sig.Features))
	for k, name := range sig.Features {
		places[k] = slices.Index(e.names, name)
		if in, _ := sig.Input(name); places[k] < 0 && (in == nil || !in.Nullable) {
			if len(e.names) != len(sig.Features) {
				return nil
			}
			for i := range places { // the names are not the model's, and as many
				places[i] = i
			}
			break
		}
	}
	var out [][]table.Value
	for _, cells := range e.cells[:min(n, len(e.cells))] {
		row := make([]table.Value, len(sig.Features))
		for k, at := range places {
			row[k] = table.Null
			if at < 0 {
				continue
			}
			in, _ := sig.Input(sig.Features[k])
			v, ok := valueOf(cells[at], in.Kind)
			if !ok {
				return nil
			}
			row[k] = v
		}
		out = append(out, row)
	}
	return out
}

func valueOf(cell any, kind table.Kind) (table.Value, bool) {
	switch c := cell.(type) {
	case nil:
		return table.Null, true
	case float64:
		if kind == table.String {
			return table.Text(strconv.FormatFloat(c, 'g', -1, 64)), true
		}
		return table.Number(c), true
	case bool:
		v := table.Number(0)
		if c {
			v.F = 1
		}
		return v, kind != table.String
	case string:
		if kind == table.String {
			if c == "" {
				return table.Null, true
			}
			return table.Text(c), true
		}
		if kind == table.Datetime {
			for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
				if t, err := time.Parse(form, c); err == nil {
					return table.Number(float64(t.UnixMicro())), true
				}
			}
		}
	}
	return table.Null, false
}

// rowsFor gives the rows that engines are compared on, and says where they come from: the example's, then rows that combine its values
// anew, numbers moved a little; without an example, rows made up of what the signature says. The same call gives the same rows.
func rowsFor(sig *Signature, e *exampleRows, n int) (rows [][]table.Value, source, note string) {
	r := rand.New(rand.NewPCG(1, uint64(len(sig.Features))))
	given := e.rows(sig, n)
	rows = slices.Clone(given)
	for len(rows) < n {
		row := make([]table.Value, len(sig.Features))
		for k, name := range sig.Features {
			in, _ := sig.Input(name)
			if len(given) > 0 {
				row[k] = moved(r, in, given[r.IntN(len(given))][k])
			} else {
				row[k] = invented(r, in)
			}
		}
		rows = append(rows, row)
	}
	if len(given) > 0 {
		return rows, SourceExample, fmt.Sprintf("%d rows of the input example, %d that combine their values anew", len(given), len(rows)-len(given))
	}
	return rows, SourceGenerated, "no golden rows and no input example: the rows are made up of the signature"
}

// moved is a value of the example, a number changed by up to a tenth half of the time.
func moved(r *rand.Rand, in *Input, v table.Value) table.Value {
	if v.Null || in.Kind != table.Double || r.IntN(2) == 0 {
		return v
	}
	return table.Number(v.F * (0.9 + 0.2*r.Float64()))
}

func invented(r *rand.Rand, in *Input) table.Value {
	switch in.Kind {
	case table.String:
		if len(in.Categories) > 0 {
			return table.Text(in.Categories[r.IntN(len(in.Categories))])
		}
		return table.Text(string(rune('a' + r.IntN(4))))
	case table.Boolean:
		return table.Number(float64(r.IntN(2)))
	case table.Datetime:
		return table.Number(float64(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() + r.Int64N(3*365*86400*1e6)))
	}
	if in.Nullable && r.IntN(20) == 0 {
		return table.Null
	}
	x := 3 * r.NormFloat64()
	if in.Min != nil && in.Max != nil {
		x = *in.Min + (*in.Max-*in.Min)*(1.1*r.Float64()-0.05)
	}
	if in.Kind == table.Long {
		x = math.Round(x)
	}
	return table.Number(x)
}
