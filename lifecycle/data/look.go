package data

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

const (
	lookSample = 5000 // rows that a look brings back
	lookValues = 50   // distinct texts that are told one by one
)

// LookAt reads an unknown file and tells what a first trimtab.yaml can be made of: its columns over all rows, and a sample of rows. It reads
// the file in the same way as an ingest does, keeps nothing, and gives the same faults.
func LookAt(ctx context.Context, d *duck.DB, path string) (*project.Look, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	src, err := newSource(filepath.Dir(absolute), absolute, "")
	if err != nil {
		return nil, err
	}
	if err := src.digest(ctx); err != nil {
		return nil, err
	}
	g, done, err := newStaging(ctx, d, nil)
	if err != nil {
		return nil, err
	}
	defer done()
	seen, err := sniff(ctx, g.duck, &src)
	if err != nil {
		return nil, err
	}
	r, err := newReading(project.Dataset{}, pseudonymKeys{}, nil)
	if err != nil {
		return nil, err
	}
	r.meet(seen.columns, nil)
	stage := g.path("look")
	p, _, err := g.copyIn(ctx, &src, seen, r, stage)
	if err != nil {
		return nil, err
	}
	relation := "(SELECT " + p.names() + " FROM read_parquet(" + duck.Literal(stage) + "))"
	look := &project.Look{Path: path, Format: src.format}
	for _, f := range p.fields {
		c, err := lookColumn(ctx, g.duck, relation, f, look)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", src.name, err)
		}
		look.Columns = append(look.Columns, *c)
	}
	if look.Rows == 0 {
		return nil, fault.New(fault.Invalid, "the file has no rows").At(fault.Position{File: src.name, Line: 1}).WithHint("was its export finished?")
	}
	// Every n-th row, so that the sample spans the file.
	step := max(1, look.Rows/lookSample)
	if look.Sample, err = g.duck.Table(ctx, fmt.Sprintf("SELECT %s FROM read_parquet(%s, file_row_number = true) WHERE file_row_number %% %d = 0 ORDER BY file_row_number LIMIT %d",
		p.names(), duck.Literal(stage), step, lookSample)); err != nil {
		return nil, err
	}
	return look, os.Remove(stage)
}

// lookColumn describes one column over all rows, and sets the number of rows.
func lookColumn(ctx context.Context, d *duck.Session, relation string, f Field, look *project.Look) (*project.LookColumn, error) {
	name := duck.Quote(f.Name)
	list := "count(*) AS n, count(" + name + ") AS present, count(DISTINCT " + name + ") AS different"
	if f.Kind == table.Double || f.Kind == table.Long {
		list += ", min(" + name + ")::DOUBLE AS low, max(" + name + ")::DOUBLE AS high"
	}
	row, err := d.Scalar(ctx, "SELECT "+list+" FROM "+relation)
	if err != nil {
		return nil, err
	}
	look.Rows = int64(row["n"].F)
	distinct := int64(row["different"].F)
	c := &project.LookColumn{Name: f.Name, Kind: f.Kind, Nulls: look.Rows - int64(row["present"].F), Distinct: distinct, Unique: distinct == look.Rows,
		Min: row["low"].F, Max: row["high"].F}
	if f.Kind == table.String && distinct <= lookValues {
		t, err := d.Table(ctx, fmt.Sprintf("SELECT %[1]s AS v FROM %[2]s WHERE %[1]s IS NOT NULL GROUP BY v ORDER BY count(*) DESC, v", name, relation))
		if err != nil {
			return nil, err
		}
		c.Values = t.Columns[0].Strings
	}
	return c, nil
}
