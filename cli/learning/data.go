package learning

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
)

// file is an open CSV or Parquet file.
type file struct {
	db      *duck.DB
	path    string
	csv     bool
	columns []field
}

type field struct{ name, kind string }

// open looks at the columns of a file. The caller closes it.
func open(ctx context.Context, path string) (*file, error) {
	f := &file{path: path}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv", ".tsv", ".txt", ".gz":
		f.csv = true
	case ".parquet", ".pq":
	default:
		return nil, fault.New(fault.Invalid, "%s is neither .csv nor .parquet", path).WithHint("name it after its format")
	}
	if info, err := os.Stat(path); err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "%s can't be read", path)
	} else if info.IsDir() {
		return nil, fault.New(fault.Invalid, "%s is a folder, not a file", path)
	}
	db, err := duck.Open(duck.Options{MemoryLimit: "2GB"})
	if err != nil {
		return nil, err
	}
	f.db = db
	t, err := db.Table(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+f.source(nil)+")")
	if err != nil {
		db.Close()
		return nil, unreadable(err, path)
	}
	for i := range t.Rows {
		f.columns = append(f.columns, field{t.Columns[0].Strings[i], t.Columns[1].Strings[i]})
	}
	if f.csv && len(f.columns) == 1 && strings.ContainsAny(f.columns[0].name, ",;\t|") && startsWith(path, f.columns[0].name) {
		db.Close()
		return nil, fault.New(fault.Invalid, "%s can't be read: its rows don't have as many cells as its header", path).
			WithHint("look for rows with a cell too few or too many; a cell with the separator in it needs quotes")
	}
	return f, nil
}

// startsWith reports whether a file's bytes begin with the text.
func startsWith(path, text string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(text))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == text
}

// unreadable is DuckDB's error without its list of options and its picture of the query.
func unreadable(err error, path string) error {
	if code := fault.CodeOf(err); code == fault.Canceled {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), "\n\n")
	text, _, _ = strings.Cut(text, "\nPossible ")
	return fault.New(fault.Invalid, "%s can't be read: %s", path, strings.ReplaceAll(text, "\n", " "))
}

func (f *file) close() { f.db.Close() }

// source is the file as a relation. kinds say what columns must be read as.
func (f *file) source(kinds map[string]table.Kind) string {
	if !f.csv {
		return "read_parquet(" + duck.Literal(f.path) + ")"
	}
	missing := []string{"''"}
	for _, w := range data.MissingWords() {
		missing = append(missing, duck.Literal(w))
	}
	types := []string{}
	for _, c := range f.columns {
		k, ok := kinds[c.name]
		if !ok && c.kind == "BOOLEAN" {
			k, ok = table.String, true // yes and no keep their names
		}
		if ok {
			types = append(types, duck.Literal(c.name)+": "+duck.Literal(duck.SQLType(k)))
		}
	}
	options := "header = true, skip = 0, sample_size = -1, nullstr = [" + strings.Join(missing, ", ") + "]"
	if len(types) > 0 {
		slices.Sort(types)
		options += ", types = {" + strings.Join(types, ", ") + "}"
	}
	return "read_csv(" + duck.Literal(f.path) + ", " + options + ")"
}

// plain are DuckDB's types that a table can hold; others are read as texts.
var plain = []string{"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
	"FLOAT", "DOUBLE", "DATE", "VARCHAR", `"NULL"`}

// read is all rows. kinds say what columns must be read as; columns that are not in the file are no fault here.
func (f *file) read(ctx context.Context, kinds map[string]table.Kind) (*table.Table, error) {
	list := make([]string, len(f.columns))
	for i, c := range f.columns {
		list[i] = duck.Quote(c.name)
		kind, known := kinds[c.name]
		switch {
		case known && !f.csv && kind != table.Datetime:
			list[i] = fmt.Sprintf("CAST(%s AS %s) AS %s", list[i], duck.SQLType(kind), list[i])
		case known, slices.Contains(plain, c.kind), strings.HasPrefix(c.kind, "DECIMAL"), strings.HasPrefix(c.kind, "TIMESTAMP"), strings.HasPrefix(c.kind, "ENUM"):
		default:
			list[i] = fmt.Sprintf("CAST(%s AS VARCHAR) AS %s", list[i], list[i])
		}
	}
	t, err := f.db.Table(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+f.source(kinds))
	if err != nil {
		return nil, unreadable(err, f.path)
	}
	if t.Rows == 0 {
		e := fault.New(fault.Invalid, "%s has no rows", f.path)
		if f.csv && !startsWith(f.path, f.columns[0].name) {
			return nil, e.WithHint("if it has: do they all have as many cells as the header?")
		}
		return nil, e
	}
	return t, nil
}

// readTable opens, reads and closes a file.
func readTable(ctx context.Context, path string, kinds map[string]table.Kind) (*table.Table, error) {
	f, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.read(ctx, kinds)
}

// writeTable writes a table as CSV or Parquet, whole or not at all.
func writeTable(ctx context.Context, t *table.Table, path string) error {
	part := path + ".part"
	defer os.Remove(part) // it is gone when all went well
	switch strings.ToLower(filepath.Ext(path)) {
	case ".parquet", ".pq":
		db, err := duck.Open(duck.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		if err := db.WriteParquet(ctx, t, part); err != nil {
			return err
		}
	case ".csv":
		if err := writeCSV(t, part); err != nil {
			return fault.Wrap(err, fault.Invalid, "%s can't be written", path)
		}
	default:
		return fault.New(fault.Invalid, "%s is neither .csv nor .parquet", path).WithHint("name it after its format")
	}
	if err := os.Rename(part, path); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s can't be written", path)
	}
	return nil
}
