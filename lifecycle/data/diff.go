package data

import (
	"context"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// Diff is what changed from one version of a dataset to another.
type Diff struct {
	Dataset      string       `json:"dataset"`
	From         int          `json:"from"`
	To           int          `json:"to"`
	RowsFrom     int64        `json:"rows_from"`
	RowsTo       int64        `json:"rows_to"`
	Quarantined  [2]int64     `json:"quarantined"` // before, after
	Added        []Field      `json:"added"`       // columns
	Removed      []Field      `json:"removed"`
	Retyped      []Retyped    `json:"retyped"`
	PartsShared  int          `json:"parts_shared"`
	PartsAdded   []Part       `json:"parts_added"`
	PartsRemoved []Part       `json:"parts_removed"`
	Columns      []ColumnDiff `json:"columns"` // those of both versions whose values changed
}

// Retyped is a column whose kind changed.
type Retyped struct {
	Name string     `json:"name"`
	From table.Kind `json:"from"`
	To   table.Kind `json:"to"`
}

// ColumnDiff is how the values of a column changed, as the two profiles tell. Shares are of all rows, missing ones included.
type ColumnDiff struct {
	Name          string   `json:"name"`
	Unit          string   `json:"unit,omitempty"`
	NullShareFrom float64  `json:"null_share_from"`
	NullShareTo   float64  `json:"null_share_to"`
	DistinctFrom  int64    `json:"distinct_from"`
	DistinctTo    int64    `json:"distinct_to"`
	MeanFrom      *float64 `json:"mean_from,omitempty"`
	MeanTo        *float64 `json:"mean_to,omitempty"`
	MedianFrom    *float64 `json:"median_from,omitempty"`
	MedianTo      *float64 `json:"median_to,omitempty"`
	// Shift is the change of the mean in standard deviations of the first version.
	Shift *float64 `json:"shift,omitempty"`
}

// Diff compares two versions of a dataset by their manifests and profiles; no row is read.
func (s *Service) Diff(ctx context.Context, project, dataset string, from, to int) (*Diff, error) {
	a, err := s.Get(ctx, project, dataset, from)
	if err != nil {
		return nil, err
	}
	b, err := s.Get(ctx, project, dataset, to)
	if err != nil {
		return nil, err
	}
	d := &Diff{Dataset: dataset, From: from, To: to, RowsFrom: a.Rows, RowsTo: b.Rows, Quarantined: [2]int64{a.Quarantined, b.Quarantined},
		Added: []Field{}, Removed: []Field{}, Retyped: []Retyped{}, PartsAdded: []Part{}, PartsRemoved: []Part{}, Columns: []ColumnDiff{}}
	for _, f := range b.Schema {
		switch old := a.Field(f.Name); {
		case old == nil:
			d.Added = append(d.Added, f)
		case old.Kind != f.Kind:
			d.Retyped = append(d.Retyped, Retyped{Name: f.Name, From: old.Kind, To: f.Kind})
		}
	}
	for _, f := range a.Schema {
		if b.Field(f.Name) == nil {
			d.Removed = append(d.Removed, f)
		}
	}
	has := func(parts []Part, blob string) bool {
		return slices.ContainsFunc(parts, func(p Part) bool { return p.Blob == blob })
	}
	for _, p := range b.Parts {
		if has(a.Parts, p.Blob) {
			d.PartsShared++
		} else {
			d.PartsAdded = append(d.PartsAdded, p)
		}
	}
	for _, p := range a.Parts {
		if !has(b.Parts, p.Blob) {
			d.PartsRemoved = append(d.PartsRemoved, p)
		}
	}
	return d, s.diffColumns(ctx, d, a, b)
}

func (s *Service) diffColumns(ctx context.Context, d *Diff, a, b *Version) error {
	before, err := s.Profile(ctx, a)
	if err != nil {
		return err
	}
	after, err := s.Profile(ctx, b)
	if err != nil {
		return err
	}
	for i := range after.Columns {
		y := &after.Columns[i]
		x := before.Column(y.Name)
		if x == nil || x.Kind != y.Kind {
			continue
		}
		c := ColumnDiff{Name: y.Name, Unit: y.Unit, NullShareFrom: share(x.Nulls, before.Rows), NullShareTo: share(y.Nulls, after.Rows),
			DistinctFrom: x.Distinct, DistinctTo: y.Distinct, MeanFrom: x.Mean, MeanTo: y.Mean, MedianFrom: x.quantile(0.5), MedianTo: y.quantile(0.5)}
		if x.Mean != nil && y.Mean != nil && x.SD != nil && *x.SD > 0 {
			c.Shift = finite((*y.Mean - *x.Mean) / *x.SD)
		}
		if c.NullShareFrom != c.NullShareTo || c.DistinctFrom != c.DistinctTo || !same(c.MeanFrom, c.MeanTo) || !same(c.MedianFrom, c.MedianTo) {
			d.Columns = append(d.Columns, c)
		}
	}
	return nil
}

func (c *ColumnProfile) quantile(p float64) *float64 {
	for _, q := range c.Quantiles {
		if q.P == p {
			return &q.Value
		}
	}
	return nil
}

func share(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func same(a, b *float64) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
