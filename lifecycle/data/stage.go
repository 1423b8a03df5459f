package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxLine is the longest line of a text file that is read, in bytes; a longer one is quarantined.
const maxLine = 2 << 20

// staging is one ingest at work: a connection and a folder that live as long as it does.
type staging struct {
	duck  *duck.Session
	blobs blob.Store
	dir   string
	files int
}

func (g *staging) path(name string) string {
	g.files++
	return filepath.Join(g.dir, fmt.Sprintf("%03d-%s.parquet", g.files, name))
}

// read turns one file into parts and quarantined rows. It reads the file once, into a staging file; when every row passes, that file is the part.
func (g *staging) read(ctx context.Context, src *source, seen *sniffed, r *reading) (*staged, error) {
	stage := g.path("stage")
	p, rejects, err := g.copyIn(ctx, src, seen, r, stage)
	if err != nil {
		return nil, err
	}
	if err := src.unchanged(ctx); err != nil {
		return nil, err
	}
	out := &staged{Failed: map[string]int64{}, Examples: map[string]string{}, Kinds: map[string]table.Kind{}}
	for _, c := range seen.columns {
		out.Kinds[c.name] = r.kinds[c.name]
	}
	if out.Unreadable, err = g.unreadable(ctx, src, rejects, out); err != nil {
		return nil, err
	}
	failing, err := g.judge(ctx, src, p, stage, out)
	if err != nil {
		return nil, err
	}
	out.Rows += out.Unreadable
	out.Quarantined = failing + out.Unreadable
	if out.Rows == 0 {
		return nil, fault.New(fault.Invalid, "the file has a header and no rows").At(fault.Position{File: src.name, Line: 1}).WithHint("was its export finished?")
	}
	passed := stage
	if failing > 0 || p.masked {
		passed = g.path("passed")
		if err := g.duck.Exec(ctx, fmt.Sprintf("COPY (SELECT %s FROM read_parquet(%s) WHERE NOT (%s)) TO %s (%s)",
			p.names(), duck.Literal(stage), p.fails(), duck.Literal(passed), duck.ParquetOptions)); err != nil {
			return nil, diskOr(err, "write the rows that passed")
		}
	}
	if out.Quarantined > 0 {
		if err := g.quarantine(ctx, src, p, stage, rejects, len(r.spec.Personal) > 0, out); err != nil {
			return nil, err
		}
	}
	if out.Rows == out.Quarantined {
		return out, nil
	}
	part, err := g.part(ctx, passed, p.fields, out.Rows-out.Quarantined)
	if err != nil {
		return nil, err
	}
	part.Kind, part.Source, part.SourceHash = Ingested, src.name, src.hash
	out.Parts = []Part{*part}
	return out, nil
}

// copyIn reads the file into a staging file. It first takes for granted that the whole file is what it seems at its start; only when that fails the
// file is read again with care, and lines that cannot be read are set aside in the returned table ("" when there are none).
func (g *staging) copyIn(ctx context.Context, src *source, seen *sniffed, r *reading, stage string) (p *plan, rejects string, err error) {
	tokens, err := g.know(ctx, src, seen, r)
	if err != nil {
		return nil, "", err
	}
	read := func(how care, more string) error {
		if p, err = r.plan(seen, how, tokens); err != nil {
			return err
		}
		return g.duck.Exec(ctx, fmt.Sprintf("COPY (SELECT %s FROM %s) TO %s (%s)",
			strings.Join(p.selects, ", "), seen.from(p.types, more), duck.Literal(stage), duck.ParquetOptions))
	}
	limit := ""
	if seen.text || seen.lines {
		limit = fmt.Sprintf(", max_line_size = %d, buffer_size = %d", maxLine, 16*maxLine)
	}
	how := checked
	if src.whole {
		how = quick
	}
	err = read(how, limit)
	var said *duck.Error
	switch {
	case err == nil:
		return p, "", nil
	case !errors.As(err, &said):
		return nil, "", err
	case said.Class == "IO Error" || said.Class == "Out of Memory Error":
		return nil, "", diskOr(err, "stage "+src.name)
	case limit == "":
		return nil, "", fault.Wrap(err, fault.Invalid, "%s cannot be read", src.name).WithHint("was the file written whole?")
	}
	rejects = fmt.Sprintf("rejects_%d", g.files)
	err = read(careful, limit+fmt.Sprintf(", store_rejects = true, rejects_limit = 0, rejects_table = %s, rejects_scan = %s", duck.Literal(rejects), duck.Literal(rejects+"_scan")))
	if errors.As(err, &said) {
		return nil, "", unreadable(src, err)
	}
	return p, rejects, err
}

// unreadable counts the lines that could not be read. A wrong encoding is a fault of the file, not of its lines.
func (g *staging) unreadable(ctx context.Context, src *source, rejects string, out *staged) (int64, error) {
	if rejects == "" {
		return 0, nil
	}
	t, err := g.duck.Table(ctx, fmt.Sprintf(`SELECT line, min(error_type::VARCHAR) AS kind, min(error_message) AS message FROM %s GROUP BY line ORDER BY line`, duck.Quote(rejects)))
	if err != nil {
		return 0, err
	}
	for i := range t.Rows {
		kind := t.Columns[1].Strings[i]
		if strings.Contains(kind, "ENCODING") || strings.Contains(kind, "UNICODE") {
			if bad := badEncoding(src); bad != nil {
				return 0, bad
			}
		}
		if i == 0 {
			out.Examples[unreadableRule] = fmt.Sprintf("%s:%d", src.name, int(t.Columns[0].Floats[i]))
		}
	}
	if t.Rows > 0 {
		out.Failed[unreadableRule] = int64(t.Rows)
	}
	return int64(t.Rows), nil
}

// judge counts the staged rows, those that fail, and those that fail each rule.
func (g *staging) judge(ctx context.Context, src *source, p *plan, stage string, out *staged) (failing int64, err error) {
	columns := []string{"count(*) AS n", "count(*) FILTER (WHERE " + p.fails() + ") AS failing"}
	for i, r := range p.rules {
		columns = append(columns, fmt.Sprintf("count(*) FILTER (WHERE %s) AS r%d", r.fails, i))
	}
	row, err := g.duck.Scalar(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM read_parquet("+duck.Literal(stage)+")")
	if err != nil {
		return 0, fmt.Errorf("check the rows: %w", err)
	}
	out.Rows = int64(row["n"].F)
	for i, r := range p.rules {
		n := int64(row[fmt.Sprintf("r%d", i)].F)
		if n == 0 {
			continue
		}
		out.Failed[r.name] += n
		example, err := g.duck.Scalar(ctx, fmt.Sprintf("SELECT file_row_number + 1 AS row, %s AS why FROM read_parquet(%s, file_row_number = true) WHERE %s ORDER BY file_row_number LIMIT 1",
			r.reason, duck.Literal(stage), r.fails))
		if err != nil {
			return 0, fmt.Errorf("check the rows: %w", err)
		}
		out.Examples[r.name] = fmt.Sprintf("%s, row %s: %s", src.name, count(int64(example["row"].F)), example["why"].S)
	}
	return int64(row["failing"].F), nil
}

// quarantine writes the rows that failed, with why. The text of an unreadable line is kept only when the dataset has no personal columns.
func (g *staging) quarantine(ctx context.Context, src *source, p *plan, stage, rejects string, personal bool, out *staged) error {
	unread := "NULL::VARCHAR"
	for _, r := range p.rules {
		if r.name == unreadableRule && !personal {
			unread = "__unread"
		}
	}
	query := fmt.Sprintf("SELECT %s AS _source, NULL::BIGINT AS _line, file_row_number + 1 AS _row, %s AS _reason, %s AS _raw, %s FROM read_parquet(%s, file_row_number = true) WHERE %s",
		duck.Literal(src.name), p.reasonsOrNull(), unread, p.names(), duck.Literal(stage), p.fails())
	if rejects != "" {
		message, raw := "string_agg(DISTINCT replace(error_message, chr(10), ' '), '; ')", "any_value(csv_line)"
		if personal {
			message, raw = "string_agg(DISTINCT lower(error_type::VARCHAR) || coalesce(' in ' || column_name, ''), '; ')", "NULL::VARCHAR"
		}
		query += fmt.Sprintf(" UNION ALL BY NAME SELECT %s AS _source, line::BIGINT AS _line, NULL::BIGINT AS _row, left(%s, 500) AS _reason, left(%s, 10000) AS _raw FROM %s GROUP BY line ORDER BY _line NULLS FIRST, _row",
			duck.Literal(src.name), message, raw, duck.Quote(rejects))
	}
	path := g.path("quarantine")
	if err := g.duck.Exec(ctx, "COPY ("+query+") TO "+duck.Literal(path)+" ("+duck.ParquetOptions+")"); err != nil {
		return diskOr(err, "write the quarantine")
	}
	hash, _, err := g.blobs.PutFile(ctx, path)
	out.QuarantineBlob = hash
	return err
}

func (p *plan) reasonsOrNull() string {
	if len(p.rules) == 0 {
		return "NULL::VARCHAR"
	}
	return p.reasons()
}

// part stores a Parquet file as a part; its statistics are those of the file's footer.
func (g *staging) part(ctx context.Context, path string, fields []Field, rows int64) (*Part, error) {
	part := &Part{Rows: rows, Schema: append([]Field(nil), fields...)}
	var err error
	if part.Columns, err = footer(ctx, g.duck, path, fields); err != nil {
		return nil, err
	}
	for i := range part.Schema {
		part.Schema[i].Nullable = part.Columns[part.Schema[i].Name].Nulls > 0
	}
	part.Blob, part.Bytes, err = g.blobs.PutFile(ctx, path)
	return part, err
}

// footer reads nulls and bounds per column from the statistics that the Parquet file carries.
func footer(ctx context.Context, d *duck.Session, path string, fields []Field) (map[string]Stats, error) {
	t, err := d.Table(ctx, fmt.Sprintf(`SELECT path_in_schema AS name, sum(stats_null_count)::BIGINT AS nulls,
		min(coalesce(TRY_CAST(stats_min_value AS DOUBLE), epoch_us(TRY_CAST(stats_min_value AS TIMESTAMP)), TRY_CAST(TRY_CAST(stats_min_value AS BOOLEAN) AS INTEGER))) AS low,
		max(coalesce(TRY_CAST(stats_max_value AS DOUBLE), epoch_us(TRY_CAST(stats_max_value AS TIMESTAMP)), TRY_CAST(TRY_CAST(stats_max_value AS BOOLEAN) AS INTEGER))) AS high,
		min(stats_min_value) AS low_text, max(stats_max_value) AS high_text
		FROM parquet_metadata(%s) GROUP BY path_in_schema`, duck.Literal(path)))
	if err != nil {
		return nil, fmt.Errorf("read the statistics of a part: %w", err)
	}
	out := make(map[string]Stats, len(fields))
	at := map[string]int{}
	for i, name := range t.Column("name").Strings {
		at[name] = i
	}
	for _, f := range fields {
		i, ok := at[f.Name]
		if !ok {
			continue
		}
		s := Stats{Nulls: int64(t.Column("nulls").Floats[i])}
		if f.Kind == "string" {
			low, high := t.Column("low_text").Value(i), t.Column("high_text").Value(i)
			if f.Personal == "" && !low.Null && !high.Null && len(low.S) <= 64 && len(high.S) <= 64 {
				s.MinText, s.MaxText = &low.S, &high.S
			}
		} else {
			low, high := t.Column("low").Value(i), t.Column("high").Value(i)
			if !low.Null && !high.Null {
				s.Min, s.Max = &low.F, &high.F
			}
		}
		out[f.Name] = s
	}
	return out, nil
}

// diskOr names a full disk or exhausted memory as conditions that pass; any other error stays what it is.
func diskOr(err error, what string) error {
	var said *duck.Error
	if errors.As(err, &said) {
		switch {
		case strings.Contains(said.Message, "No space left"), strings.Contains(said.Message, "Disk quota"):
			return fault.Wrap(err, fault.Unavailable, "cannot %s: the disk is full", what).WithHint("free some space and try again; nothing that was stored before is lost")
		case said.Class == "Out of Memory Error":
			return fault.Wrap(err, fault.Unavailable, "cannot %s: memory is exhausted", what).WithHint("give the server more memory, or split the file")
		}
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

func newStaging(ctx context.Context, d *duck.DB, blobs blob.Store) (*staging, func(), error) {
	dir, err := os.MkdirTemp(d.TempDir(), "ingest-*")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for the ingest: %w", err)
	}
	session, err := d.Session(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &staging{duck: session, blobs: blobs, dir: dir}, func() {
		session.Close()
		_ = os.RemoveAll(dir) // what stays is removed by the next Open of the database
	}, nil
}
