package explain

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Explained is the contributions of the cells of a table: what summaries are made of. The columns of Values are those
// that contributions were folded to; a column whose values must not be shown may hold nulls alone.
type Explained struct {
	Values        *table.Table
	Outputs       int
	Expected      []float64 // per output
	Unit          string    // of both
	Contributions []float64 // rows x outputs x columns
}

// Summary is what the explanations of many rows say together, in margin space. Everything follows from the rows and the
// seed alone.
type Summary struct {
	Rows     int       `json:"rows"`             // that were explained
	Of       int       `json:"of"`               // rows that they were drawn from
	Outputs  []string  `json:"outputs"`          // what the margins are of: the positive class, the classes, or the label
	Expected []float64 `json:"expected"`         // per output: the margin when nothing is known
	Unit     string    `json:"unit"`             // of all contributions: log_odds, score, log, probability or value
	Columns  []Column  `json:"columns"`          // most influential first
	Sample   *Sample   `json:"sample,omitempty"` // for a beeswarm
}

// Column is the influence of one column.
type Column struct {
	Name string `json:"name"`
	// Mean is the mean size of its contribution to each output, Share that of all outputs over the sum of all columns.
	Mean  []float64 `json:"mean"`
	Share float64   `json:"share"`
	// Groups are its rows by value, for the dependence of contributions on values.
	Groups []Group `json:"groups"`
}

// Group is the rows whose value lies in [From, To], or is Value, or is missing. Of the contributions to each output it
// has the mean and the 10th and 90th percentile.
type Group struct {
	From    *float64  `json:"from,omitempty"`
	To      *float64  `json:"to,omitempty"`
	Value   *string   `json:"value,omitempty"`
	Other   bool      `json:"other,omitempty"` // the texts that are not shown apart
	Missing bool      `json:"missing,omitempty"`
	Rows    int       `json:"rows"`
	Mean    []float64 `json:"mean"`
	Low     []float64 `json:"low"`
	High    []float64 `json:"high"`
}

// Sample is some of the explained rows, evenly over them. Its columns are in the order of the summary's.
type Sample struct {
	Rows []int `json:"rows"` // of the table that was explained
	// Values are columns x rows: a number, a text, or null.
	Values [][]any `json:"values"`
	// Contributions are outputs x columns x rows, in single precision.
	Contributions [][][]float32 `json:"contributions"`
}

const (
	sampleCells = 20_000 // contributions in a sample, at most, unless 50 rows have more
	sampleRows  = 400
	fewestRows  = 50
	groups      = 20 // of a column, besides that of the missing
)

// Summarise computes the summary of explained rows, drawn from of. names are the outputs'. It fails with fault.Invalid
// when the shapes do not go together.
func Summarise(e *Explained, of int, names []string) (*Summary, error) {
	n, p, k := e.Values.Rows, len(e.Values.Columns), e.Outputs
	if n == 0 || p == 0 || len(e.Contributions) != n*k*p || len(names) != k || len(e.Expected) != k {
		return nil, fault.New(fault.Invalid, "%d contributions are not those of %d rows, %d outputs and %d columns", len(e.Contributions), n, k, p)
	}
	s := &Summary{Rows: n, Of: max(of, n), Outputs: names, Expected: e.Expected, Unit: e.Unit}
	var total float64
	order := make([]int, p)
	for j, c := range e.Values.Columns {
		order[j] = j
		col := Column{Name: c.Name, Mean: make([]float64, k)}
		for i := range n {
			for o := range k {
				col.Mean[o] += math.Abs(e.at(i, o, j))
			}
		}
		for o := range col.Mean {
			col.Mean[o] /= float64(n)
			col.Share += col.Mean[o]
		}
		total += col.Share
		col.Groups = e.groups(j)
		s.Columns = append(s.Columns, col)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.Columns[b].Share, s.Columns[a].Share) })
	sorted := make([]Column, p)
	for i, j := range order {
		sorted[i] = s.Columns[j]
		if total > 0 {
			sorted[i].Share /= total
		}
	}
	s.Columns, s.Sample = sorted, e.sample(order)
	return s, nil
}

func (e *Explained) at(row, output, column int) float64 {
	p := len(e.Values.Columns)
	return e.Contributions[(row*e.Outputs+output)*p+column]
}

func (e *Explained) sample(order []int) *Sample {
	n, k := e.Values.Rows, e.Outputs
	size := min(n, max(fewestRows, min(sampleRows, sampleCells/(k*len(order)))))
	s := &Sample{Rows: make([]int, size), Contributions: make([][][]float32, k)}
	for i := range s.Rows {
		s.Rows[i] = i * n / size
	}
	for _, j := range order {
		c, values := e.Values.Columns[j], make([]any, size)
		for i, row := range s.Rows {
			switch v := c.Value(row); {
			case v.Null || math.IsInf(v.F, 0):
			case c.Kind == table.String:
				values[i] = v.S
			default:
				values[i] = v.F
			}
		}
		s.Values = append(s.Values, values)
		for o := range k {
			got := make([]float32, size)
			for i, row := range s.Rows {
				got[i] = float32(e.at(row, o, j))
			}
			s.Contributions[o] = append(s.Contributions[o], got)
		}
	}
	return s
}

// groups cuts the rows by the values of column j: numbers into groups of about as many rows each, equal values
// together, texts by the most frequent ones. Missing values come last.
func (e *Explained) groups(j int) []Group {
	c := e.Values.Columns[j]
	var known, missing []int
	for i := range e.Values.Rows {
		if v := c.Value(i); v.Null || c.Kind != table.String && math.IsNaN(v.F) || c.Kind == table.String && v.S == "" {
			missing = append(missing, i)
		} else {
			known = append(known, i)
		}
	}
	out := []Group{}
	if c.Kind == table.String {
		out = e.texts(j, known)
	} else {
		slices.SortStableFunc(known, func(a, b int) int { return cmp.Compare(c.Floats[a], c.Floats[b]) })
		for lo := 0; lo < len(known); {
			hi := min(len(known), max(lo+1, (len(out)+1)*len(known)/groups))
			for hi < len(known) && c.Floats[known[hi]] == c.Floats[known[hi-1]] {
				hi++
			}
			from, to := c.Floats[known[lo]], c.Floats[known[hi-1]]
			g := e.group(j, known[lo:hi])
			g.From, g.To = bounded(from), bounded(to)
			out = append(out, g)
			lo = hi
		}
	}
	if len(missing) > 0 {
		g := e.group(j, missing)
		g.Missing = true
		out = append(out, g)
	}
	return out
}

// bounded keeps infinities, which JSON cannot hold, at the greatest number.
func bounded(v float64) *float64 {
	v = max(-math.MaxFloat64, min(v, math.MaxFloat64))
	return &v
}

func (e *Explained) texts(j int, known []int) []Group {
	c := e.Values.Columns[j]
	rows := map[string][]int{}
	for _, i := range known {
		rows[c.Strings[i]] = append(rows[c.Strings[i]], i)
	}
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(rows[b]), len(rows[a])), cmp.Compare(a, b))
	})
	shown := len(names)
	if shown > groups {
		shown = groups - 1
	}
	out := []Group{}
	for _, name := range names[:shown] {
		g := e.group(j, rows[name])
		g.Value = &name
		out = append(out, g)
	}
	var rest []int
	for _, name := range names[shown:] {
		rest = append(rest, rows[name]...)
	}
	if len(rest) > 0 {
		slices.Sort(rest)
		g := e.group(j, rest)
		g.Other = true
		out = append(out, g)
	}
	return out
}

// group measures the contributions of column j in some rows.
func (e *Explained) group(j int, rows []int) Group {
	g := Group{Rows: len(rows)}
	values := make([]float64, len(rows))
	for o := range e.Outputs {
		var sum float64
		for i, row := range rows {
			values[i] = e.at(row, o, j)
			sum += values[i]
		}
		slices.Sort(values)
		last := float64(len(values) - 1)
		g.Mean = append(g.Mean, sum/float64(len(rows)))
		g.Low = append(g.Low, values[int(0.1*last)])
		g.High = append(g.High, values[int(math.Ceil(0.9*last))])
	}
	return g
}

// Draw is size of n rows in ascending order, all of them when there are no more. The same n, size and seed draw the
// same rows.
func Draw(n, size int, seed uint64) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	if size >= n {
		return rows
	}
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	for i := range size { // the beginning of a Fisher-Yates shuffle
		j := i + r.IntN(n-i)
		rows[i], rows[j] = rows[j], rows[i]
	}
	rows = rows[:size]
	slices.Sort(rows)
	return rows
}
