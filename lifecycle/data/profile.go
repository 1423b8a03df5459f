package data

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Profile describes the rows of a version, column by column, without a single row in it.
type Profile struct {
	Rows    int64           `json:"rows"`
	Columns []ColumnProfile `json:"columns"`
}

// ColumnProfile describes one column. Times are microseconds UTC. Numbers say how exact they are: Distinct is approximate (HyperLogLog, about
// 2 %) when DistinctExact is false, and quantiles come from SampleRows rows when that is set, from all of them when it is 0.
type ColumnProfile struct {
	Name          string     `json:"name"`
	Kind          table.Kind `json:"kind"`
	Unit          string     `json:"unit,omitempty"`
	Zone          string     `json:"zone,omitempty"`
	Personal      string     `json:"personal,omitempty"`
	Count         int64      `json:"count"` // rows with a value
	Nulls         int64      `json:"nulls"`
	Distinct      int64      `json:"distinct"`
	DistinctExact bool       `json:"distinct_exact"`
	Mean          *float64   `json:"mean,omitempty"`
	SD            *float64   `json:"sd,omitempty"`       // population
	Skewness      *float64   `json:"skewness,omitempty"` // population, third standardised moment
	Quantiles     []Quantile `json:"quantiles,omitempty"`
	SampleRows    int64      `json:"sample_rows,omitempty"`
	Histogram     *Histogram `json:"histogram,omitempty"`
	Top           []TopValue `json:"top,omitempty"` // most frequent first; none for personal columns
}

// Quantile is the smallest value that at least a share P of the values do not exceed.
type Quantile struct {
	P     float64 `json:"p"`
	Value float64 `json:"value"`
}

// Histogram counts values between edges: Counts[i] is how many are at or above Edges[i] and below Edges[i+1], the last including its upper edge.
// Values beyond the edges, which a long tail would otherwise stretch, are in Below and Above.
type Histogram struct {
	Edges  []float64 `json:"edges"`
	Counts []int64   `json:"counts"`
	Below  int64     `json:"below"`
	Above  int64     `json:"above"`
}

// TopValue is a frequent value, as text.
type TopValue struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

var quantileShares = []float64{0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

const (
	histogramBins = 40
	topValues     = 20
	// fewValues is how many distinct values are counted one by one, which makes everything about the column exact.
	fewValues = 200_000
	// sampleRows is how many rows at most tell the quantiles of a column with more values than that.
	sampleRows = 200_000
	// looked is how many rows tell whether a column has few values; a column is worth counting when at most half of them differ.
	looked = 20_000
)

// profile describes the version's rows and stores the description.
func (s *Service) profile(ctx context.Context, d *duck.Session, v *Version) error {
	relation, err := s.Relation(ctx, v, "")
	if err != nil {
		return err
	}
	p, err := describeRows(ctx, d, relation, v.Schema, v.Rows)
	if err != nil {
		return fmt.Errorf("profile %s: %w", v.Dataset, err)
	}
	document, err := json.Marshal(p)
	if err != nil {
		return err
	}
	v.ProfileBlob, _, err = s.blobs.Put(ctx, bytes.NewReader(document))
	return err
}

// Profile is the description of a version's rows that was made when it was ingested.
func (s *Service) Profile(ctx context.Context, v *Version) (*Profile, error) {
	if v.ProfileBlob == "" {
		return nil, fault.New(fault.NotFound, "%s version %d has no profile", v.Dataset, v.Number)
	}
	b, err := blob.ReadAll(ctx, s.blobs, v.ProfileBlob)
	if err != nil {
		return nil, err
	}
	p := &Profile{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("read the profile of %s: %w", v.Dataset, err)
	}
	return p, nil
}

// Column finds a column of the profile; nil when it has none of that name.
func (p *Profile) Column(name string) *ColumnProfile {
	for i := range p.Columns {
		if p.Columns[i].Name == name {
			return &p.Columns[i]
		}
	}
	return nil
}

func describeRows(ctx context.Context, d *duck.Session, relation string, fields []Field, rows int64) (*Profile, error) {
	p := &Profile{Rows: rows, Columns: make([]ColumnProfile, len(fields))}
	if len(fields) == 0 {
		return p, nil
	}
	few, err := fewDistinct(ctx, d, relation, fields)
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		c := ColumnProfile{Name: f.Name, Kind: f.Kind, Unit: f.Unit, Zone: f.Zone, Personal: f.Personal}
		counted := rows <= fewValues || few[i]
		if counted {
			counted, err = c.countValues(ctx, d, relation, rows)
		}
		if err == nil && !counted {
			err = c.summarise(ctx, d, relation, rows)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		if c.Personal != "" {
			c.Top = nil
		}
		p.Columns[i] = c
	}
	return p, nil
}

// fewDistinct looks at some rows to decide, column by column, whether its values can be counted one by one. It looks at some columns at a time,
// because each takes memory.
func fewDistinct(ctx context.Context, d *duck.Session, relation string, fields []Field) ([]bool, error) {
	few := make([]bool, 0, len(fields))
	for columns := range slices.Chunk(fields, 16) {
		list := make([]string, len(columns))
		names := make([]string, len(columns))
		for i, f := range columns {
			names[i] = duck.Quote(f.Name)
			list[i] = fmt.Sprintf("count(DISTINCT %s) AS d%d", names[i], i)
		}
		row, err := d.Scalar(ctx, fmt.Sprintf("SELECT count(*) AS n, %s FROM (SELECT %s FROM %s LIMIT %d)", strings.Join(list, ", "), strings.Join(names, ", "), relation, looked))
		if err != nil {
			return nil, err
		}
		for i := range columns {
			few = append(few, row[fmt.Sprintf("d%d", i)].F <= row["n"].F/2)
		}
	}
	return few, nil
}

// cell is the expression that the profile reads a column by: booleans and times as numbers, infinite values left out.
func (c *ColumnProfile) cell() string {
	name := duck.Quote(c.Name)
	switch c.Kind {
	case table.Boolean:
		return name + "::INTEGER"
	case table.Double:
		return "CASE WHEN isfinite(" + name + ") THEN " + name + " END"
	}
	return name
}

// countValues counts each distinct value; it gives up, and tells so, when there are too many.
func (c *ColumnProfile) countValues(ctx context.Context, d *duck.Session, relation string, rows int64) (bool, error) {
	t, err := d.Table(ctx, fmt.Sprintf("SELECT %s AS v, count(*) AS n FROM %s GROUP BY v LIMIT %d", c.cell(), relation, fewValues+2))
	if err != nil {
		return false, err
	}
	if t.Rows > fewValues+1 {
		return false, nil
	}
	values, counts := t.Columns[0], t.Columns[1].Floats
	order := make([]int, 0, t.Rows)
	for i := range t.Rows {
		if values.IsNull(i) {
			c.Nulls = int64(counts[i])
			continue
		}
		order = append(order, i)
	}
	c.Count, c.Distinct, c.DistinctExact = rows-c.Nulls, int64(len(order)), true
	if c.Kind != table.String {
		slices.SortFunc(order, func(a, b int) int { return compare(values.Floats[a], values.Floats[b]) })
		sorted, weights := make([]float64, len(order)), make([]float64, len(order))
		for i, row := range order {
			sorted[i], weights[i] = values.Floats[row], counts[row]
		}
		c.moments(sorted, weights)
		c.spread(sorted, weights)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if counts[a] != counts[b] {
			return compare(counts[b], counts[a])
		}
		if c.Kind == table.String {
			return strings.Compare(values.Strings[a], values.Strings[b])
		}
		return compare(values.Floats[a], values.Floats[b])
	})
	for _, row := range order[:min(len(order), topValues)] {
		if counts[row] == 1 && c.Count > 1 {
			break // a value that is there once is a row, not a pattern
		}
		c.Top = append(c.Top, TopValue{Value: c.show(values.Value(row)), Count: int64(counts[row])})
	}
	return true, nil
}

// summarise describes a column with too many values to count: moments, bounds and histogram from all rows, quantiles from a sample.
func (c *ColumnProfile) summarise(ctx context.Context, d *duck.Session, relation string, rows int64) error {
	cell := c.cell()
	if c.Kind == table.String {
		row, err := d.Scalar(ctx, fmt.Sprintf("SELECT count(v) AS n, approx_count_distinct(v) AS d FROM (SELECT %s AS v FROM %s)", cell, relation))
		if err != nil {
			return err
		}
		c.Count, c.Nulls, c.Distinct = int64(row["n"].F), rows-int64(row["n"].F), min(int64(row["d"].F), int64(row["n"].F))
		return nil
	}
	if c.Kind == table.Datetime {
		cell = "epoch_us(" + cell + ")"
	}
	row, err := d.Scalar(ctx, fmt.Sprintf("SELECT count(v) AS n, approx_count_distinct(v) AS d, min(v)::DOUBLE AS low, max(v)::DOUBLE AS high FROM (SELECT %s AS v FROM %s)", cell, relation))
	if err != nil {
		return err
	}
	c.Count, c.Nulls, c.Distinct = int64(row["n"].F), rows-int64(row["n"].F), min(int64(row["d"].F), int64(row["n"].F))
	if c.Count == 0 {
		return nil
	}
	low, high := row["low"].F, row["high"].F
	// Centred sums, so that times, whose squares do not fit, keep their digits.
	sums, err := d.Scalar(ctx, fmt.Sprintf("SELECT fsum(x) AS a, fsum(x*x) AS b, fsum(x*x*x) AS c FROM (SELECT (%s)::DOUBLE - %s AS x FROM %s)", cell, duck.Number(low/2+high/2), relation))
	if err != nil {
		return err
	}
	n := float64(c.Count)
	c.setMoments(low/2+high/2, sums["a"].F/n, sums["b"].F/n, sums["c"].F/n)
	// Every step-th row by a hash of its value and number, so that neither order nor period of the rows matters.
	step := max(1, (c.Count+sampleRows-1)/sampleRows)
	sample, err := d.Table(ctx, fmt.Sprintf("SELECT v, count(*) AS n FROM (SELECT (%s)::DOUBLE AS v, row_number() OVER () AS i FROM %s) WHERE v IS NOT NULL AND hash(i) %% %d = 0 GROUP BY v ORDER BY v", cell, relation, step))
	if err != nil {
		return err
	}
	values, weights := sample.Columns[0].Floats, sample.Columns[1].Floats
	for _, w := range weights {
		c.SampleRows += int64(w)
	}
	if len(values) == 0 {
		return nil
	}
	c.Quantiles = quantiles(values, weights)
	c.Quantiles[0].Value, c.Quantiles[len(c.Quantiles)-1].Value = low, high
	h := c.edges()
	bins, err := d.Table(ctx, fmt.Sprintf("SELECT CASE WHEN v < %[1]s THEN -1 WHEN v > %[2]s THEN %[3]d ELSE least(floor((v - %[1]s) / %[4]s), %[3]d - 1) END::INTEGER AS b, count(*) AS n FROM (SELECT (%[5]s)::DOUBLE AS v FROM %[6]s) WHERE v IS NOT NULL GROUP BY b",
		duck.Number(h.Edges[0]), duck.Number(h.Edges[len(h.Counts)]), len(h.Counts), duck.Number(h.Edges[1]-h.Edges[0]), cell, relation))
	if err != nil {
		return err
	}
	for i := range bins.Rows {
		h.add(int(bins.Columns[0].Floats[i]), int64(bins.Columns[1].Floats[i]))
	}
	c.Histogram = h
	return nil
}

// moments sets mean, standard deviation and skewness from sorted values and their counts.
func (c *ColumnProfile) moments(values, weights []float64) {
	if len(values) == 0 {
		return
	}
	centre := values[len(values)/2]
	var n, a, b, d float64
	for i, v := range values {
		x := v - centre
		n += weights[i]
		a += weights[i] * x
		b += weights[i] * x * x
		d += weights[i] * x * x * x
	}
	c.setMoments(centre, a/n, b/n, d/n)
}

// setMoments takes the raw moments about centre.
func (c *ColumnProfile) setMoments(centre, m1, m2, m3 float64) {
	mean, variance := centre+m1, math.Max(0, m2-m1*m1)
	sd := math.Sqrt(variance)
	c.Mean, c.SD = finite(mean), finite(sd)
	if sd > 0 {
		c.Skewness = finite((m3 - 3*m1*m2 + 2*m1*m1*m1) / (sd * variance))
	}
}

func finite(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// spread sets quantiles and histogram from sorted values and their counts.
func (c *ColumnProfile) spread(values, weights []float64) {
	if len(values) == 0 {
		return
	}
	c.Quantiles = quantiles(values, weights)
	h := c.edges()
	low, width := h.Edges[0], h.Edges[1]-h.Edges[0]
	for i, v := range values {
		switch {
		case v < low:
			h.add(-1, int64(weights[i]))
		case v > h.Edges[len(h.Counts)]:
			h.add(len(h.Counts), int64(weights[i]))
		default:
			h.add(min(int((v-low)/width), len(h.Counts)-1), int64(weights[i]))
		}
	}
	c.Histogram = h
}

func quantiles(values, weights []float64) []Quantile {
	var total float64
	for _, w := range weights {
		total += w
	}
	out := make([]Quantile, len(quantileShares))
	i, below := 0, weights[0]
	for k, p := range quantileShares {
		for below < p*total && i < len(values)-1 {
			i++
			below += weights[i]
		}
		out[k] = Quantile{P: p, Value: values[i]}
	}
	return out
}

// edges chooses the bins from the quantiles: whole range, or from the 1st to the 99th percentile when a tail is longer than that range;
// whole numbers get bins of whole width.
func (c *ColumnProfile) edges() *Histogram {
	q := c.Quantiles
	low, high := q[0].Value, q[len(q)-1].Value
	if p1, p99 := q[1].Value, q[len(q)-2].Value; p99 > p1 && high-low > 3*(p99-p1) {
		low, high = p1, p99
	}
	bins, width := histogramBins, (high-low)/histogramBins
	switch {
	case high == low:
		bins, width = 1, 1
	case c.Kind == table.Long || c.Kind == table.Boolean:
		width = math.Ceil((high - low + 1) / histogramBins)
		bins = int(math.Ceil((high - low + 1) / width))
	}
	h := &Histogram{Edges: make([]float64, bins+1), Counts: make([]int64, bins)}
	for i := range h.Edges {
		h.Edges[i] = low + float64(i)*width
	}
	return h
}

func (h *Histogram) add(bin int, n int64) {
	switch {
	case bin < 0:
		h.Below += n
	case bin >= len(h.Counts):
		h.Above += n
	default:
		h.Counts[bin] += n
	}
}

// show writes a value as text, short enough for a report.
func (c *ColumnProfile) show(v table.Value) string {
	switch c.Kind {
	case table.String:
		if len(v.S) > 64 {
			return strings.ToValidUTF8(v.S[:61], "") + "..."
		}
		return v.S
	case table.Boolean:
		return fmt.Sprint(v.F != 0)
	case table.Datetime:
		return showTime(v.F)
	}
	return number(v.F)
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
