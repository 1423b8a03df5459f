package catalog

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// copyFormat is the version of the form in which Dump writes and Load reads.
const copyFormat = 1

// copyLine is a line of a copy that is not a row. A copy is lines of JSON: first one with Format and Migrations; for each
// table one with Table and Columns, then one array for each row; last one with End and the number of rows.
// In a row, text is a string, a whole number a number, NULL null, and whatever JSON cannot say is an object (see cell).
type copyLine struct {
	Format     int      `json:"format,omitempty"`
	Migrations []int64  `json:"migrations,omitempty"`
	Table      string   `json:"table,omitempty"`
	Columns    []string `json:"columns,omitempty"`
	End        bool     `json:"end,omitempty"`
	Rows       int64    `json:"rows,omitempty"`
}

// cell is a value of a row that is none of JSON's own.
type cell struct {
	Fraction string  `json:"f,omitempty"` // as strconv writes it: the shortest text that reads back as the same number
	Bytes    *[]byte `json:"b,omitempty"`
	Text     []byte  `json:"t,omitempty"` // text that is not UTF-8, which only a file of an older program can hold
}

// Dump writes every row of every table to w, as all of them are at one moment, while others go on writing. The copy is
// the same for both dialects, so that what one wrote the other can load. It holds one reading connection until it ends.
func (d *DB) Dump(ctx context.Context, w io.Writer) (err error) {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return wrap(err, "copy the catalog")
	}
	defer func() { _ = tx.Rollback() }() // it only read
	out := bufio.NewWriterSize(w, 1<<16)
	head := copyLine{Format: copyFormat}
	if head.Migrations, err = applied(ctx, tx); err != nil {
		return wrap(err, "copy the catalog")
	}
	tables, err := d.dialect.tables(ctx, tx)
	if err != nil {
		return wrap(err, "copy the catalog")
	}
	if err := writeLine(out, head); err != nil {
		return err
	}
	var total int64
	for _, table := range tables {
		n, err := dumpTable(ctx, tx, table, out)
		if err != nil {
			return wrap(err, "copy the table %s", table)
		}
		total += n
	}
	if err := writeLine(out, copyLine{End: true, Rows: total}); err != nil {
		return err
	}
	return out.Flush()
}

// applied lists the numbers of the migrations that a catalog has.
func applied(ctx context.Context, q Querier) ([]int64, error) {
	rows, err := q.QueryContext(ctx, "SELECT version_id FROM goose_db_version WHERE version_id > 0 ORDER BY version_id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		all = append(all, number)
	}
	return all, rows.Err()
}

func writeLine(out *bufio.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := out.Write(b); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

func dumpTable(ctx context.Context, tx *sql.Tx, table string, out *bufio.Writer) (n int64, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	if err := writeLine(out, copyLine{Table: table, Columns: columns}); err != nil {
		return 0, err
	}
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		for i, v := range row {
			switch v := v.(type) {
			case float64:
				row[i] = cell{Fraction: strconv.FormatFloat(v, 'g', -1, 64)}
			case []byte:
				row[i] = cell{Bytes: &v}
			case string:
				if !utf8.ValidString(v) {
					row[i] = cell{Text: []byte(v)}
				}
			case int64, nil:
			default:
				return n, fmt.Errorf("column %s has a %T: the types of a catalog are text, whole numbers, fractions and bytes", columns[i], v)
			}
		}
		if err := writeLine(out, row); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// Load makes a catalog at an empty place, a path where no file is or a schema without tables, out of a copy that Dump
// wrote. schemas are the migrations of this program: the copy may be of an older one, whose migrations are then applied
// before its rows are loaded and the others after that, but not of a newer one. On an error the place is empty again.
func Load(ctx context.Context, place string, copied io.Reader, schemas ...fs.FS) (err error) {
	all, err := merge(schemas)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(copied, 1<<16)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return cut(err)
	}
	var head copyLine
	if err := json.Unmarshal(line, &head); err != nil || head.Format < 1 {
		return fault.New(fault.Corrupt, "this is not a copy of a catalog").WithHint("give a file that `trimtab backup` wrote")
	}
	if head.Format > copyFormat {
		return newer()
	}
	old, unknown := all.only(head.Migrations)
	if len(unknown) > 0 {
		return newer().With("migrations", unknown)
	}
	d, err := dialectOf(ctx, place)
	if err != nil {
		return err
	}
	if err := d.vacant(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.clear(context.WithoutCancel(ctx)))
		}
	}()
	if err := d.migrate(ctx, old); err != nil {
		return wrap(err, "make the catalog %s", d.name())
	}
	db := &DB{dialect: d, write: d.open(true), read: d.open(false)}
	db.write.SetMaxOpenConns(1)
	err = db.Write(ctx, func(tx *Tx) error { return load(ctx, tx, d, in) })
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return wrap(d.migrate(ctx, all), "bring the catalog %s up to date", d.name())
}

func newer() *fault.Error {
	return fault.New(fault.Invalid, "the copy was made by a newer version of the program").
		WithHint("install the version that made it, or a newer one")
}

func cut(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.Wrap(err, fault.Corrupt, "the copy of the catalog ends too early").WithHint("make a new backup, or take an older one")
}

// load puts the rows of a copy in place of what the migrations put into the tables.
func load(ctx context.Context, tx *Tx, d dialect, in *bufio.Reader) error {
	tables, err := d.tables(ctx, tx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	var into batch
	var total int64
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return cut(err)
		}
		if line[0] == '[' {
			row, err := readRow(line)
			if err == nil {
				err = into.add(ctx, tx, row, len(line))
			}
			if err != nil {
				return fmt.Errorf("row %d of the table %s: %w", total+1, into.table, err)
			}
			total++
			continue
		}
		if err := into.flush(ctx, tx); err != nil {
			return fmt.Errorf("table %s: %w", into.table, err)
		}
		var mark copyLine
		if err := json.Unmarshal(line, &mark); err != nil {
			return fault.Wrap(err, fault.Corrupt, "read the copy of the catalog")
		}
		switch {
		case mark.End && mark.Rows == total:
			return nil
		case mark.End:
			return fault.New(fault.Corrupt, "the copy of the catalog has %d rows and says that there are %d", total, mark.Rows)
		case !slices.Contains(tables, mark.Table):
			return fault.New(fault.Corrupt, "the copy of the catalog has a table %q, which its migrations do not make", mark.Table)
		}
		if into, err = newBatch(mark); err != nil {
			return err
		}
	}
}

// readRow reads the values of a line as the driver takes them.
func readRow(line []byte) ([]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var row []any
	if err := decoder.Decode(&row); err != nil {
		return nil, err
	}
	for i, v := range row {
		var err error
		switch v := v.(type) {
		case json.Number:
			row[i], err = v.Int64()
		case map[string]any:
			row[i], err = readCell(v)
		case string, nil:
		default:
			err = fmt.Errorf("value %d is a %T", i+1, v)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "read the copy of the catalog")
		}
	}
	return row, nil
}

func readCell(v map[string]any) (any, error) {
	for kind, text := range v {
		text, ok := text.(string)
		if !ok || len(v) != 1 {
			break
		}
		switch kind {
		case "f":
			return strconv.ParseFloat(text, 64)
		case "b":
			return base64.StdEncoding.DecodeString(text)
		case "t":
			b, err := base64.StdEncoding.DecodeString(text)
			return foreign(b), err
		}
	}
	return nil, errors.New("a value of an unknown kind")
}

// foreign is text that is not UTF-8: kept where it was possible to have it, refused by PostgreSQL.
type foreign string

// batch collects rows of one table, so that many go to the store at once.
type batch struct {
	table   string
	columns []string
	args    []any
	bytes   int
}

const (
	maxParameters = 30_000
	maxBatchBytes = 1 << 20
)

// newBatch refuses names that a copy cannot have: they become part of a statement.
func newBatch(mark copyLine) (batch, error) {
	for _, name := range append([]string{mark.Table}, mark.Columns...) {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || name == "" {
			return batch{}, fault.New(fault.Corrupt, "the copy of the catalog has a name %q", name)
		}
	}
	return batch{table: mark.Table, columns: mark.Columns}, nil
}

func (b *batch) add(ctx context.Context, tx *Tx, row []any, size int) error {
	if len(row) != len(b.columns) || len(row) == 0 {
		return fault.New(fault.Corrupt, "%d values for %d columns", len(row), len(b.columns))
	}
	b.args = append(b.args, row...)
	b.bytes += size
	if len(b.args)+len(b.columns) > maxParameters || b.bytes > maxBatchBytes {
		return b.flush(ctx, tx)
	}
	return nil
}

func (b *batch) flush(ctx context.Context, tx *Tx) error {
	if len(b.args) == 0 {
		return nil
	}
	var statement strings.Builder
	fmt.Fprintf(&statement, "INSERT INTO %s (%s) VALUES ", b.table, strings.Join(b.columns, ", "))
	for i := range b.args {
		switch {
		case i == 0:
			statement.WriteByte('(')
		case i%len(b.columns) == 0:
			statement.WriteString("), (")
		default:
			statement.WriteString(", ")
		}
		fmt.Fprintf(&statement, "$%d", i+1)
	}
	statement.WriteByte(')')
	_, err := tx.ExecContext(ctx, statement.String(), b.args...)
	b.args, b.bytes = b.args[:0], 0
	return err
}
