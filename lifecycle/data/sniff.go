package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// sniffRows is how many rows are looked at to tell the types of a text file.
const sniffRows = 20480

// missingWords are read as a missing value in columns of numbers, times and booleans, never in text.
var missingWords = []string{"NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "nan", "NaN", "-", "?", `\N`}

// sniffed is what a look at a file told: how to read it, and its columns.
type sniffed struct {
	// from is the relation that reads the file, with the types that the reader shall give and further arguments for it.
	from    func(types map[string]string, more string) string
	columns []sniffedColumn
	lines   bool // the reader gives lines of JSON, and those that are not JSON in __unread
	text    bool // the reader takes types and can set aside lines that it cannot read
}

// sniffedColumn is a column as the reader gives it.
type sniffedColumn struct {
	name    string
	kind    table.Kind // what it seems to be
	sqlType string     // what the reader gives
	raw     string     // expression over the reader's relation
	words   bool       // missing values are written as a word: text for the reader, numbers for us
}

func sniff(ctx context.Context, d *duck.Session, f *source) (*sniffed, error) {
	var out *sniffed
	var err error
	switch f.format {
	case csvFormat, tsvFormat:
		out, err = sniffText(ctx, d, f)
	case jsonlFormat:
		out, err = sniffLines(ctx, d, f)
	case parquetFormat:
		out, err = sniffParquet(ctx, d, f)
	default:
		return nil, fault.New(fault.Invalid, "the format %q is not known", f.format).WithHint("formats are csv, tsv, jsonl and parquet")
	}
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range out.columns {
		folded := strings.ToLower(c.name) // DuckDB does not tell names apart by case
		if strings.HasPrefix(folded, "__") || strings.TrimSpace(c.name) == "" {
			return nil, fault.New(fault.Invalid, "a column has the name %q", c.name).At(fault.Position{File: f.name, Line: 1}).
				WithHint("names must not be empty or start with two underscores")
		}
		if seen[folded] {
			return nil, twice(f, c.name)
		}
		seen[folded] = true
	}
	return out, nil
}

func sniffText(ctx context.Context, d *duck.Session, f *source) (*sniffed, error) {
	if err := checkText(f); err != nil {
		return nil, err
	}
	delimiter, names, err := header(f)
	if err != nil {
		return nil, err
	}
	dialect := ", delim = " + duck.Literal(delimiter)
	if f.format == csvFormat {
		dialect += `, quote = '"'` // else one open quote makes all quotes look like letters
	}
	look := func(more string) (map[string]table.Value, []struct{ Name, Type string }, error) {
		row, err := d.Scalar(ctx, fmt.Sprintf(`SELECT Delimiter AS delim, Quote AS quote, Escape AS escape, SkipRows AS skip, DateFormat AS dates,
			TimestampFormat AS times, to_json(Columns)::VARCHAR AS columns FROM sniff_csv(%s, header = true, sample_size = %d, ignore_errors = true,
			max_line_size = %d, buffer_size = %d%s%s)`,
			duck.Literal(f.path), sniffRows, 8*maxLine, 16*maxLine, dialect, more))
		if err != nil {
			return nil, nil, unreadable(f, explain(ctx, d, f, dialect, names, err))
		}
		var columns []struct{ Name, Type string }
		if err := json.Unmarshal([]byte(row["columns"].S), &columns); err != nil {
			return nil, nil, fmt.Errorf("read what DuckDB saw in %s: %w", f.name, err)
		}
		return row, columns, nil
	}
	row, columns, err := look("")
	if err != nil {
		return nil, err
	}
	// A second look with words for "missing": a column of numbers and NA is text at first sight.
	_, guessed, err := look(", nullstr = " + duck.List(append([]string{""}, missingWords...)))
	if err != nil || len(guessed) != len(columns) {
		guessed = columns
	}
	out := &sniffed{text: true}
	numbers := 0
	for i, c := range columns {
		kind := kindOf(c.Type)
		col := sniffedColumn{name: c.Name, kind: kind, sqlType: c.Type, raw: duck.Quote(c.Name)}
		if kind == table.String {
			col.sqlType = "VARCHAR"
			if better := kindOf(guessed[i].Type); better != table.String {
				col.kind, col.words = better, true
			}
		}
		if _, err := strconv.ParseFloat(c.Name, 64); err == nil {
			numbers++
		}
		out.columns = append(out.columns, col)
	}
	if numbers > 0 && numbers == len(columns) {
		return nil, fault.New(fault.Invalid, "the first line holds numbers where the names of the columns should be").
			At(fault.Position{File: f.name, Line: 1}).WithHint("add a header line")
	}
	options := fmt.Sprintf("read_csv(%s, auto_detect = false, header = true, skip = %d, delim = %s, quote = %s, escape = %s",
		duck.Literal(f.path), int(row["skip"].F), duck.Literal(row["delim"].S), duck.Literal(noNone(row["quote"].S)), duck.Literal(noNone(row["escape"].S)))
	if s := row["dates"].S; s != "" {
		options += ", dateformat = " + duck.Literal(s)
	}
	if s := row["times"].S; s != "" {
		options += ", timestampformat = " + duck.Literal(s)
	}
	out.from = func(types map[string]string, more string) string {
		list := make([]string, len(out.columns))
		for i, c := range out.columns {
			list[i] = duck.Literal(c.name) + ": " + duck.Literal(types[c.name])
		}
		return options + ", columns = {" + strings.Join(list, ", ") + "}" + more + ")"
	}
	return out, nil
}

// header reads the first line: what divides its fields, and their names. The delimiter is told from that line alone, because the names of columns
// seldom hold one, and a ragged row further down must not make the file look as if it had one column.
func header(f *source) (delimiter string, names []string, err error) {
	head, err := f.prefix(headerLimit)
	if err != nil && len(head) == 0 {
		return "", nil, fault.Wrap(err, fault.Invalid, "the file %s cannot be read", f.name)
	}
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	const candidates = ",;\t|"
	counts := map[rune]int{}
	quoted, end := false, -1
	for i, c := range string(head) {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && (c == '\n' || c == '\r') && len(bytes.TrimSpace(head[:i])) > 0 {
			end = i
			break
		}
		if !quoted && strings.ContainsRune(candidates, c) {
			counts[c]++
		}
	}
	at := fault.Position{File: f.name, Line: 1}
	if end < 0 {
		return "", nil, fault.New(fault.Invalid, "the line with the names of the columns does not end within %d bytes", len(head)).At(at).
			WithHint("is a quote left open, or is this not a table?")
	}
	best := ','
	for _, c := range candidates {
		if counts[c] > counts[best] {
			best = c
		}
	}
	if f.format == tsvFormat {
		best = '\t'
	}
	fields := csv.NewReader(bytes.NewReader(head[:end]))
	fields.Comma, fields.LazyQuotes = best, true
	if names, err = fields.Read(); err != nil {
		return "", nil, fault.Wrap(err, fault.Invalid, "the names of the columns cannot be read").At(at).WithHint("put names that hold a quote or the delimiter in quotes")
	}
	seen := map[string]bool{}
	for _, name := range names {
		folded := strings.ToLower(name)
		if seen[folded] {
			return "", nil, twice(f, name)
		}
		seen[folded] = true
	}
	return string(best), names, nil
}

const headerLimit = 1 << 20

func twice(f *source, name string) error {
	return fault.New(fault.Invalid, "two columns have the name %q", name).At(fault.Position{File: f.name, Line: 1}).
		WithHint("rename one of them; upper and lower case count as the same")
}

// explain finds the line at which the sniffer, which does not tell, gave up: by reading the start of the file as text. err is the sniffer's own error.
func explain(ctx context.Context, d *duck.Session, f *source, dialect string, names []string, err error) error {
	columns := make([]string, len(names))
	for i := range names {
		columns[i] = fmt.Sprintf("'c%d': 'VARCHAR'", i)
	}
	better := d.Exec(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT * FROM read_csv(%s, auto_detect = false, header = true, columns = {%s}, max_line_size = %d%s) LIMIT %d)",
		duck.Literal(f.path), strings.Join(columns, ", "), maxLine, dialect, sniffRows))
	if lineIn(fmt.Sprint(better)) > 0 {
		return better
	}
	return err
}

// noNone turns the sniffer's word for "no such character" into an empty one.
func noNone(s string) string {
	if s == "(empty)" || s == "\x00" {
		return ""
	}
	return s
}

func sniffLines(ctx context.Context, d *duck.Session, f *source) (*sniffed, error) {
	if err := checkText(f); err != nil {
		return nil, err
	}
	columns, err := describe(ctx, d, fmt.Sprintf("read_json(%s, format = 'newline_delimited', records = true, ignore_errors = true, sample_size = %d)",
		duck.Literal(f.path), sniffRows))
	if err != nil {
		return nil, unreadable(f, err)
	}
	// Each line is read as one text, so that a line that is not JSON is quarantined and not the end of the file. JSON has no control
	// characters, so the unit separator divides nothing.
	reader := "read_csv(" + duck.Literal(f.path) + ", auto_detect = false, header = false, delim = '\x1f', quote = '', escape = '', columns = {'line': 'VARCHAR'}"
	out := &sniffed{lines: true, from: func(_ map[string]string, more string) string {
		return "(SELECT CASE WHEN json_valid(line) THEN line END AS line, CASE WHEN NOT json_valid(line) THEN line END AS __unread FROM " +
			reader + more + ") WHERE trim(line) <> '')"
	}}
	for _, c := range columns {
		pointer := "/" + strings.ReplaceAll(strings.ReplaceAll(c.name, "~", "~0"), "/", "~1")
		c.raw = "json_extract_string(line, " + duck.Literal(pointer) + ")"
		c.sqlType = "VARCHAR"
		out.columns = append(out.columns, c)
	}
	return out, nil
}

func sniffParquet(ctx context.Context, d *duck.Session, f *source) (*sniffed, error) {
	from := "read_parquet(" + duck.Literal(f.path) + ")"
	columns, err := describe(ctx, d, from)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s cannot be read as Parquet", f.name).WithHint("was the file written whole?")
	}
	return &sniffed{from: func(map[string]string, string) string { return from }, columns: columns}, nil
}

func describe(ctx context.Context, d *duck.Session, from string) ([]sniffedColumn, error) {
	t, err := d.Table(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+from+")")
	if err != nil {
		return nil, err
	}
	columns := make([]sniffedColumn, t.Rows)
	for i := range columns {
		name, sqlType := t.Columns[0].Strings[i], t.Columns[1].Strings[i]
		columns[i] = sniffedColumn{name: name, kind: kindOf(sqlType), sqlType: sqlType, raw: duck.Quote(name)}
	}
	return columns, nil
}

// kindOf is the kind that holds what a SQL type holds; anything that is not a number, a boolean or a time is text.
func kindOf(sqlType string) table.Kind {
	base, _, _ := strings.Cut(sqlType, "(")
	if strings.HasSuffix(sqlType, "]") {
		return table.String
	}
	switch base {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER":
		return table.Long
	case "FLOAT", "DOUBLE", "DECIMAL", "HUGEINT", "UHUGEINT", "UBIGINT": // beyond a BIGINT
		return table.Double
	case "BOOLEAN":
		return table.Boolean
	case "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE":
		return table.Datetime
	}
	return table.String
}

// open reads the file's text, unpacked.
func (f *source) open() (io.ReadCloser, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the file %s cannot be read", f.name)
	}
	switch {
	case strings.HasSuffix(strings.ToLower(f.path), ".gz"):
		unpacked, err := gzip.NewReader(r)
		if err != nil {
			r.Close()
			return nil, fault.Wrap(err, fault.Invalid, "%s is not a gzip file", f.name).WithHint("rename it if it is not packed, else make it anew")
		}
		return joined{unpacked, []io.Closer{unpacked, r}}, nil
	case strings.HasSuffix(strings.ToLower(f.path), ".zst"):
		unpacked, err := zstd.NewReader(r)
		if err != nil {
			r.Close()
			return nil, fault.Wrap(err, fault.Invalid, "%s is not a zstd file", f.name).WithHint("rename it if it is not packed, else make it anew")
		}
		return joined{unpacked, []io.Closer{unpacked.IOReadCloser(), r}}, nil
	}
	return r, nil
}

type joined struct {
	io.Reader
	closers []io.Closer
}

func (j joined) Close() error {
	var err error
	for _, c := range j.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// checkText looks at the first lines for what would otherwise end in a riddle: nothing but a header, UTF-16, another encoding.
func checkText(f *source) error {
	head, err := f.prefix(1 << 20)
	if err != nil && len(head) == 0 {
		if fault.Is(err, fault.Invalid) {
			return err
		}
		return fault.Wrap(err, fault.Invalid, "the file %s cannot be read", f.name).WithHint("was it written whole?")
	}
	at := fault.Position{File: f.name, Line: 1}
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return fault.New(fault.Invalid, "the file is UTF-16, only UTF-8 is read").At(at).WithHint("convert it: iconv -f UTF-16 -t UTF-8 < %s > utf8.csv", f.name)
	}
	if i := bytes.IndexByte(head, 0); i >= 0 {
		at.Line += bytes.Count(head[:i], []byte("\n"))
		return fault.New(fault.Invalid, "the file holds a zero byte, so it is not text").At(at).WithHint("is the format right? Parquet and spreadsheets have endings of their own")
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
	if len(text) == 0 {
		return fault.New(fault.Invalid, "the file holds nothing but white space").At(at).WithHint("was its export finished?")
	}
	if f.format != jsonlFormat && !bytes.ContainsAny(text, "\n\r") && len(head) < 1<<20 {
		return fault.New(fault.Invalid, "the file has a header and no rows").At(at).WithHint("was its export finished?")
	}
	return nil
}

// badEncoding finds the first line that is not UTF-8; nil when all are.
func badEncoding(f *source) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	in := bufio.NewReaderSize(r, 1<<16)
	for line, column := 1, 1; ; {
		c, size, err := in.ReadRune()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the file %s cannot be read", f.name)
		}
		if c == utf8.RuneError && size == 1 {
			if err := in.UnreadRune(); err != nil {
				return err
			}
			b, err := in.ReadByte()
			if err != nil {
				return err
			}
			return fault.New(fault.Invalid, "the byte 0x%02X is not UTF-8", b).At(fault.Position{File: f.name, Line: line, Column: column}).
				WithHint("if the file is Latin-1, convert it: iconv -f LATIN1 -t UTF-8 < %s > utf8.csv", f.name)
		}
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
	}
}

// unreadable explains why DuckDB could not read a text file.
func unreadable(f *source, err error) error {
	var said *duck.Error
	if !errors.As(err, &said) {
		return err
	}
	if bad := badEncoding(f); bad != nil {
		return bad
	}
	message := strings.TrimPrefix(said.Message, fmt.Sprintf("CSV Error on Line: %d\n", lineIn(said.Message)))
	if _, after, ok := strings.Cut(message, "\n\n"); ok && strings.HasPrefix(message, "Original Line:") {
		message = after // not the line itself: it may be long, and personal
	}
	if at := strings.LastIndex(message, "\n"); strings.HasPrefix(message, "Original Line:") && at >= 0 {
		message = message[at+1:]
	}
	if first, _, ok := strings.Cut(message, "\n"); ok {
		message = first
	}
	return fault.New(fault.Invalid, "the file cannot be read: %.300s", strings.TrimSpace(message)).At(fault.Position{File: f.name, Line: lineIn(said.Message)}).
		WithHint("every line needs as many fields as the header; quote fields that hold the delimiter; set format: if the ending of the name misleads")
}

// lineIn finds the line number that DuckDB's message names; 0 when it names none.
func lineIn(message string) int {
	lower := strings.ToLower(message)
	for _, mark := range []string{"csv error on line: ", "in line ", "on line: ", "line: "} {
		if _, rest, ok := strings.Cut(lower, mark); ok {
			end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
			if end < 0 {
				end = len(rest)
			}
			if n, err := strconv.Atoi(rest[:end]); err == nil {
				return n
			}
		}
	}
	return 0
}
