package data

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// unique quarantines rows whose key was there before, in an earlier file or an earlier row: the first row with a key stays. It rewrites the
// parts that lose rows and returns the blobs of what was quarantined. rows is how many rows the files have, for the share that may fail.
func (g *staging) unique(ctx context.Context, v *Version, spec project.Dataset, rows int64) ([]string, error) {
	type set struct {
		columns []string
		mostly  float64
	}
	var sets []set
	if len(spec.Key) > 0 {
		sets = append(sets, set{spec.Key, mostlyDefault})
	}
	for _, c := range spec.Contract {
		if len(c.Unique) > 0 {
			s := set{c.Unique, mostlyDefault}
			if c.Mostly > 0 {
				s.mostly = c.Mostly
			}
			sets = append(sets, s)
		}
	}
	var quarantined []string
	for _, s := range sets {
		for _, column := range s.columns {
			if spec.Personal[column] == Drop {
				return nil, unknownColumn("the key", column)
			}
			for _, p := range v.Parts {
				if !slices.ContainsFunc(p.Schema, func(f Field) bool { return f.Name == column }) {
					return nil, unknownColumn("unique", column)
				}
			}
		}
		blobs, n, err := g.dropRepeated(ctx, v, s.columns, spec)
		if err != nil {
			return nil, err
		}
		if err := refuseMostly("unique "+strings.Join(s.columns, ", "), s.mostly, n, rows, ""); err != nil {
			return nil, err
		}
		quarantined = append(quarantined, blobs...)
	}
	return quarantined, nil
}

func (g *staging) dropRepeated(ctx context.Context, v *Version, columns []string, spec project.Dataset) ([]string, int64, error) {
	paths := make([]string, len(v.Parts))
	for i, p := range v.Parts {
		var err error
		if paths[i], err = g.blobs.Path(ctx, p.Blob); err != nil {
			return nil, 0, err
		}
	}
	if len(paths) == 0 {
		return nil, 0, nil
	}
	quoted := make([]string, len(columns))
	known := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = duck.Quote(c)
		known[i] = quoted[i] + " IS NOT NULL"
	}
	key, present := strings.Join(quoted, ", "), strings.Join(known, " AND ")
	// Counting distinct hashes is a third of the work of counting distinct keys. Equal keys have equal hashes, so equal counts prove that
	// every key is unique; otherwise the keys themselves decide.
	row, err := g.duck.Scalar(ctx, fmt.Sprintf("SELECT count(*) AS n, count(DISTINCT hash(%s)) AS d FROM read_parquet(%s, union_by_name = true) WHERE %s", key, duck.List(paths), present))
	if err != nil {
		return nil, 0, fmt.Errorf("look for repeated keys: %w", err)
	}
	if row["n"].F == row["d"].F {
		return nil, 0, nil
	}
	each := make([]string, len(paths))
	for i, path := range paths {
		each[i] = fmt.Sprintf("SELECT %d AS part, file_row_number AS row, %s FROM read_parquet(%s, file_row_number = true) WHERE %s", i, key, duck.Literal(path), present)
	}
	if err := g.duck.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE TEMP TABLE repeated AS SELECT part, row FROM (SELECT part, row, row_number() OVER (PARTITION BY %s ORDER BY part, row) AS nth FROM (%s)) WHERE nth > 1",
		key, strings.Join(each, " UNION ALL "))); err != nil {
		return nil, 0, fmt.Errorf("look for repeated keys: %w", err)
	}
	counts, err := g.duck.Table(ctx, "SELECT part, count(*) AS n FROM repeated GROUP BY part ORDER BY part")
	if err != nil {
		return nil, 0, err
	}
	reason := duck.Literal(strings.Join(columns, ", ")+" = ") + " || concat_ws(', ', " + key + ") || ' is there before, and must be unique'"
	for _, c := range columns {
		if spec.Personal[c] != "" {
			reason = duck.Literal(strings.Join(columns, ", ") + " is there before, and must be unique")
		}
	}
	var quarantined []string
	var total int64
	drop := map[int]bool{}
	for k := range counts.Rows {
		i, n := int(counts.Columns[0].Floats[k]), int64(counts.Columns[1].Floats[k])
		old := v.Parts[i]
		names := (&plan{fields: old.Schema}).names()
		// IN is a hash join, which does not keep the order of the rows: it is restored by their numbers.
		from := fmt.Sprintf("(SELECT *, file_row_number IN (SELECT row FROM repeated WHERE part = %d) AS __again FROM read_parquet(%s, file_row_number = true))", i, duck.Literal(paths[i]))
		bad := g.path("repeated")
		if err := g.duck.Exec(ctx, fmt.Sprintf("COPY (SELECT %s AS _source, NULL::BIGINT AS _line, file_row_number + 1 AS _row, %s AS _reason, NULL::VARCHAR AS _raw, %s FROM %s WHERE __again ORDER BY file_row_number) TO %s (%s)",
			duck.Literal(old.Source), reason, names, from, duck.Literal(bad), duck.ParquetOptions)); err != nil {
			return nil, 0, diskOr(err, "write the quarantine")
		}
		hash, _, err := g.blobs.PutFile(ctx, bad)
		if err != nil {
			return nil, 0, err
		}
		quarantined = append(quarantined, hash)
		total += n
		if n == old.Rows {
			drop[i] = true
			continue
		}
		good := g.path("passed")
		if err := g.duck.Exec(ctx, fmt.Sprintf("COPY (SELECT %s FROM %s WHERE NOT __again ORDER BY file_row_number) TO %s (%s)", names, from, duck.Literal(good), duck.ParquetOptions)); err != nil {
			return nil, 0, diskOr(err, "write the rows that passed")
		}
		part, err := g.part(ctx, good, old.Schema, old.Rows-n)
		if err != nil {
			return nil, 0, err
		}
		part.Kind, part.Source, part.SourceHash = old.Kind, old.Source, old.SourceHash
		v.Parts[i] = *part
	}
	kept := v.Parts[:0]
	for i, p := range v.Parts {
		if !drop[i] {
			kept = append(kept, p)
		}
	}
	v.Parts = kept
	v.Quarantined += total
	return quarantined, total, nil
}
