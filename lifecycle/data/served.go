package data

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
)

// AppendServed makes a version with the parts of the latest one and the given served parts. A part with the Source of an earlier served part takes
// its place. When that changes nothing it returns the version that is there, with New false. tx may be nil; the rows are then
// recorded in a transaction of their own. The files of the parts are moved into the store.
func (s *Service) AppendServed(ctx context.Context, tx *catalog.Tx, project, dataset string, parts []ServedPart, cause string, asOf time.Time) (*Version, error) {
	release, err := s.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var q catalog.Querier = s.db.Read()
	if tx != nil {
		q = tx
	}
	before, err := latest(ctx, q, project, dataset)
	if err != nil {
		return nil, err
	}
	g, done, err := newStaging(ctx, s.duck, s.blobs)
	if err != nil {
		return nil, err
	}
	defer done()
	v := &Version{Project: project, Dataset: dataset, Cause: cause, AsOf: asOf, Quarantined: before.Quarantined, QuarantineBlob: before.QuarantineBlob, Sources: before.Sources}
	v.Parts = append(v.Parts, before.Parts...)
	for _, sp := range parts {
		part, err := g.served(ctx, sp, before)
		if err != nil {
			return nil, err
		}
		if part == nil {
			continue
		}
		at := -1
		for i, p := range v.Parts {
			if p.Kind == Served && p.Source == part.Source {
				at = i
			}
		}
		if at < 0 {
			v.Parts = append(v.Parts, *part)
		} else {
			v.Parts[at] = *part
		}
	}
	v.describe(nil, before)
	return s.commit(ctx, tx, v, before, func() error { return s.profile(ctx, g.duck, v) })
}

// served takes a Parquet file in as a part; nil when it has no rows. A column that the dataset has keeps the dataset's type: the pieces
// of a key come out of the log as text.
func (g *staging) served(ctx context.Context, sp ServedPart, before *Version) (*Part, error) {
	hash := sp.Blob
	if hash == "" {
		var err error
		if hash, _, err = g.blobs.PutFile(ctx, sp.Path); err != nil {
			return nil, err
		}
	}
	path, err := g.blobs.Path(ctx, hash)
	if err != nil {
		return nil, err
	}
	columns, err := describe(ctx, g.duck, "read_parquet("+duck.Literal(path)+")")
	if err != nil {
		return nil, fmt.Errorf("read the served rows %s: %w", sp.Source, err)
	}
	if list, differs := recast(columns, before); differs {
		file := g.path("served")
		if err := g.duck.Exec(ctx, "COPY (SELECT "+list+" FROM read_parquet("+duck.Literal(path)+")) TO "+duck.Literal(file)+" ("+duck.ParquetOptions+")"); err != nil {
			return nil, fmt.Errorf("take the served rows %s in: %w", sp.Source, err)
		}
		sp.Path, sp.Blob = file, ""
		return g.served(ctx, sp, before)
	}
	n, err := g.duck.Scalar(ctx, "SELECT count(*) AS n FROM read_parquet("+duck.Literal(path)+")")
	if err != nil {
		return nil, err
	}
	if n["n"].F == 0 {
		return nil, nil
	}
	part := &Part{Blob: hash, Rows: int64(n["n"].F), Kind: Served, Source: sp.Source}
	for _, c := range columns {
		f := Field{Name: c.name, Kind: c.kind, SQLType: c.sqlType, Personal: sp.Personal[c.name]}
		if f.Kind == table.Datetime {
			f.SQLType = duck.SQLType(f.Kind)
		}
		part.Schema = append(part.Schema, f)
	}
	if part.Columns, err = footer(ctx, g.duck, path, part.Schema); err != nil {
		return nil, err
	}
	for i, f := range part.Schema {
		part.Schema[i].Nullable = part.Columns[f.Name].Nulls > 0
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	part.Bytes = info.Size()
	return part, nil
}

// recast selects the columns with the kinds that the dataset gives them; differs tells whether any has another.
func recast(columns []sniffedColumn, before *Version) (list string, differs bool) {
	items := make([]string, len(columns))
	for i, c := range columns {
		items[i] = c.raw
		if f := before.Field(c.name); f != nil && f.Kind != c.kind {
			items[i] = "TRY_CAST(" + c.raw + " AS " + f.SQLType + ") AS " + c.raw
			differs = true
		}
	}
	return strings.Join(items, ", "), differs
}
