package data_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

func (h *house) quarantined(t testing.TB, v *data.Version) string {
	t.Helper()
	if v.QuarantineBlob == "" {
		return ""
	}
	path, err := h.blobs.Path(context.Background(), v.QuarantineBlob)
	if err != nil {
		t.Fatal(err)
	}
	return h.rows(t, "SELECT coalesce(_line, _row) AS at, _reason FROM read_parquet("+duck.Literal(path)+")")
}

// TestOddFiles: what is in a file is in the version, in the quarantine, or in the fault; nothing is lost in silence.
func TestOddFiles(t *testing.T) {
	many := func(line string, n int) string { return strings.Repeat(line+"\n", n) }
	tests := []struct {
		name, file, text string
		spec             project.Dataset
		want             string // content of the version
		bad              string // in the quarantine: row and reason, as parts to be found in that order
		fails            string // of the fault
		code             fault.Code
	}{
		{name: "plain", file: "a.csv", text: "a,b\n1,x\n2,y\n", want: "1|x\n2|y"},
		{name: "byte-order mark", file: "a.csv", text: "\xef\xbb\xbfa,b\n1,x\n2,y\n", want: "1|x\n2|y"},
		{name: "windows line ends", file: "a.csv", text: "a,b\r\n1,x\r\n2,y\r\n", want: "1|x\n2|y"},
		{name: "semicolons", file: "a.csv", text: "a;b\n1;x\n2;y\n", want: "1|x\n2|y"},
		{name: "tabs", file: "a.tsv", text: "a\tb\n1\tx, y\n2\ty\n", want: "1|x, y\n2|y"},
		{name: "quotes and newlines in fields", file: "a.csv", text: "a,b\n1,\"x\ny, \"\"z\"\"\"\n2,y\n", want: "1|x\ny, \"z\"\n2|y"},
		{name: "one column", file: "a.csv", text: "a\n1\n2\n", want: "1\n2"},
		{name: "words for missing", file: "a.csv", text: "a,b\n1,NA\nNA,x\n3,y\n", want: "1|NA\nnull|x\n3|y"},
		{name: "quoted delimiters and empty text", file: "a.csv", text: "a,b\n1,\n2,\"\"\n3,y\n", want: "1|null\n2|null\n3|y"},
		{name: "leading zeros stay when pinned", file: "a.csv", text: "a,b\n007,1\n010,2\n", spec: project.Dataset{Types: map[string]string{"a": "string"}}, want: "007|1\n010|2"},
		{name: "pinned number with bad values", file: "a.csv", text: "a,b\n1,x\ntwo,y\n3.5,z\n4.0,u\n5,v\n6,w\n", spec: project.Dataset{Types: map[string]string{"a": "long"}}, want: "1|x\n4|u\n5|v\n6|w",
			bad: "2|a is 'two', which is not a long\n3|a is '3.5', which is not a long"},
		{name: "ragged rows", file: "a.csv", text: "a,b,c\n" + many("1,2,3", 50) + "1,2\n4,5,6,7\n" + many("1,2,3", 50), want: strings.TrimSpace(many("1|2|3", 100)),
			bad: "52|...Expected Number of Columns: 3 Found: 2...\n53|...Expected Number of Columns: 3 Found: 4"},
		{name: "wrong type after the look", file: "a.csv", text: "a,b\n" + many("1,2", 30000) + "x,2\n" + many("1,2", 10), want: strings.TrimSpace(many("1|2", 30010)),
			bad: "30001|a is 'x', which is not a long"},
		{name: "fraction after the look is not rounded", file: "a.csv", text: "a,b\n" + many("1,2", 30000) + "1.5,2\n", want: strings.TrimSpace(many("1|2", 30000)), bad: "30001|a is '1.5', which is not a long"},
		{name: "a line of 10 MB", file: "a.csv", text: "a,b\n" + many("1,x", 100) + "2," + strings.Repeat("y", 10<<20) + "\n" + many("1,x", 100), want: strings.TrimSpace(many("1|x", 200)), bad: "102|...aximum"},
		{name: "a header of 10 MB", file: "a.csv", text: strings.Repeat("a", 10<<20) + ",b\n1,2\n", fails: "a.csv", code: fault.Invalid},
		{name: "Latin-1", file: "a.csv", text: "a,b\n1,x\n2,caf\xe9\n", fails: "a.csv:3:6: the byte 0xE9 is not UTF-8", code: fault.Invalid},
		{name: "Latin-1 after the look", file: "a.csv", text: "a,b\n" + many("1,x", 300000) + "2,caf\xe9\n" + many("1,x", 1000), fails: "a.csv:300002:6: the byte 0xE9 is not UTF-8", code: fault.Invalid},
		{name: "UTF-16", file: "a.csv", text: "\xff\xfea\x00,\x00b\x00\n\x00", fails: "UTF-16", code: fault.Invalid},
		{name: "empty", file: "a.csv", text: "", fails: "a.csv:1: the file is empty", code: fault.Invalid},
		{name: "white space", file: "a.csv", text: "\n\n  \n", fails: "nothing but white space", code: fault.Invalid},
		{name: "a header only", file: "a.csv", text: "a,b,c\n", fails: "a.csv:1: the file has a header and no rows", code: fault.Invalid},
		{name: "a header only, no line end", file: "a.csv", text: "a,b,c", fails: "a header and no rows", code: fault.Invalid},
		{name: "no header", file: "a.csv", text: "1,2\n3,4\n", fails: "numbers where the names", code: fault.Invalid},
		{name: "zero bytes", file: "a.csv", text: "a,b\n1,\x00\n", fails: "a.csv:2: the file holds a zero byte", code: fault.Invalid},
		{name: "a name twice", file: "a.csv", text: "a,A\n1,2\n", fails: "the name \"A", code: fault.Invalid},
		{name: "a name of ours", file: "a.csv", text: "__bad_0,b\n1,2\n", fails: "__bad_0", code: fault.Invalid},
		{name: "an open quote", file: "a.csv", text: "a,b\n1,\"x\n2,y\n3,z\n", fails: "a.csv", code: fault.Invalid},
		{name: "mostly bad", file: "a.csv", text: "a,b\n" + many("1,2", 30000) + many("x,2", 40000), fails: "the first is a.csv, row 30,001: a is 'x', which is not a long", code: fault.GateRefused},
		{name: "lines of JSON", file: "a.jsonl", text: "{\"a\": 1, \"b\": \"x\"}\n\n{\"a\": 2.5, \"b\": null}\n{\"b\": \"z\", \"c\": {\"d\": [1]}}\n", want: "1.0|x|null\n2.5|null|null\nnull|z|{\"d\":[1]}"},
		{name: "a line that is not JSON", file: "a.jsonl", text: "{\"a\": 1}\n{\"a\": \n{\"a\": 3}\n{\"a\": \"x\"}\n{\"a\": 4}\n{\"a\": 5}\n", spec: project.Dataset{Types: map[string]string{"a": "long"}}, want: "1\n3\n4\n5",
			bad: "2|the line is not JSON\n4|a is 'x', which is not a long"},
		{name: "no JSON at all", file: "a.jsonl", text: "hello\nworld\n", fails: "a.jsonl", code: fault.Invalid},
		{name: "not Parquet", file: "a.parquet", text: "PAR1 or not", fails: "a.parquet cannot be read as Parquet", code: fault.Invalid},
		{name: "an ending nobody knows", file: "a.xlsx", text: "x", fails: "format of a.xlsx", code: fault.Invalid},
		{name: "key twice, and missing", file: "a.csv", text: "k,b\n1,x\n2,y\n1,z\n,u\n", spec: project.Dataset{Key: []string{"k"}}, want: "1|x\n2|y",
			bad: "4|k is missing, and it is part of the key\n3|k = 1 is there before, and must be unique"},
		{name: "several reasons", file: "a.csv", text: "a,b\n1,x\n2,y\n-1,zz\n3,x\n",
			spec: project.Dataset{Contract: []project.Check{{Column: "a", Between: []float64{0, 10}}, {Column: "b", In: []string{"x", "y"}}, {Column: "b", NotNull: true}}},
			want: "1|x\n2|y\n3|x", bad: "3|a is -1, not between 0 and 10; b is 'zz', which is not one of x, y"},
		{name: "null passes a range", file: "a.csv", text: "a,b\n1,x\n,y\n", spec: project.Dataset{Contract: []project.Check{{Column: "a", Between: []float64{0, 10}}}}, want: "1|x\nnull|y"},
		{name: "contract of a column that is not there", file: "a.csv", text: "a,b\n1,x\n", spec: project.Dataset{Contract: []project.Check{{Column: "z", NotNull: true}}}, fails: `names the column "z"`, code: fault.Invalid},
		{name: "not enough rows", file: "a.csv", text: "a,b\n1,x\n", spec: project.Dataset{Contract: []project.Check{{Rows: &project.RowCount{AtLeast: 2}}}}, fails: "1 rows, there must be at least 2", code: fault.GateRefused},
		{name: "too many fail", file: "a.csv", text: "a,b\n1,x\n2,y\n3,z\n", spec: project.Dataset{Contract: []project.Check{{Column: "a", Between: []float64{1, 2}, Mostly: 0.9}}},
			fails: `1 of 3 rows fail "a between 1 and 2", at least 90 % must pass`, code: fault.GateRefused},
		{name: "stale", file: "a.csv", text: "at,b\n2013-01-01 10:00:00,x\n", spec: project.Dataset{Contract: []project.Check{{Fresh: &project.Freshness{Column: "at", Within: project.Duration(3600e9)}}}}, fails: "the newest at is 2013-01-01 10:00:00Z", code: fault.GateRefused},
		{name: "a path out of the folder", file: "a.csv", text: "a\n1\n", spec: project.Dataset{Files: project.Strings{"../a.csv"}}, fails: "leads out", code: fault.Invalid},
		{name: "a pattern that nothing matches", file: "a.csv", text: "a\n1\n", spec: project.Dataset{Files: project.Strings{"b*.csv"}}, fails: "no file matches", code: fault.NotFound},
		{name: "a folder", file: "x/a.csv", text: "a\n1\n", spec: project.Dataset{Files: project.Strings{"x"}}, fails: "x is not a file", code: fault.Invalid},
		{name: "times with and without a zone", file: "a.csv", text: "at,b\n2013-01-01T10:00:00Z,x\n2013-01-01T05:00:00-05:00,y\n", want: "2013-01-01 10:00:00|x\n2013-01-01 10:00:00|y"},
		{name: "dates", file: "a.csv", text: "at,b\n2013-01-02,x\n2013-01-03,y\n", want: "2013-01-02 00:00:00|x\n2013-01-03 00:00:00|y"},
		{name: "personal", file: "a.csv", text: "who,b\nann,1\nbob,2\nann,3\n", spec: project.Dataset{Personal: map[string]string{"who": "drop"}, Contract: []project.Check{{Column: "who", In: []string{"ann"}}}}, want: "1\n3",
			bad: "2|who (not shown, it is personal), which is not one of ann"},
		{name: "gzip that is not", file: "a.csv.gz", text: "a,b\n1,2\n", fails: "not a gzip file", code: fault.Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.write(t, test.file, test.text)
			if test.spec.Files == nil {
				test.spec.Files = project.Strings{test.file}
			}
			v, err := h.ingest(test.spec)
			if test.fails != "" {
				if !fault.Is(err, test.code) || !strings.Contains(err.Error(), test.fails) || fault.HintOf(err) == "" {
					t.Fatalf("got %v (code %s, hint %q), want %s: ...%s...", err, fault.CodeOf(err), fault.HintOf(err), test.code, test.fails)
				}
				if _, err := h.Latest(context.Background(), "p", "d"); !fault.Is(err, fault.NotFound) {
					t.Errorf("the refused ingest left a version: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\nhint: %s", err, fault.HintOf(err))
			}
			if got := h.content(t, v); got != test.want {
				t.Errorf("the version holds\n%.500s\nwant\n%.500s", got, test.want)
			}
			got := h.quarantined(t, v)
			rest := got
			for _, part := range strings.Split(test.bad, "...") {
				_, after, ok := strings.Cut(rest, part)
				if !ok {
					t.Errorf("the quarantine holds\n%.500s\nwhich lacks %q", got, part)
				}
				rest = after
			}
			if lines := strings.Count(got, "\n") + 1; got != "" && int64(lines) != v.Quarantined {
				t.Errorf("%d rows in quarantine, %d counted", lines, v.Quarantined)
			}
			if test.bad == "" && v.Quarantined != 0 {
				t.Errorf("%d rows in quarantine: %.500s", v.Quarantined, got)
			}
		})
	}
}

func TestPackedFiles(t *testing.T) {
	const text = "a,b\n1,x\n2,y\n"
	var gz, zs bytes.Buffer
	w := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{w, z} {
		if _, err := out.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t)
	h.write(t, "a.csv.gz", gz.String())
	h.write(t, "b.csv.zst", zs.String())
	h.write(t, "c.jsonl", "{\"a\": 3, \"b\": \"z\"}\n")
	v := h.mustIngest(t, project.Dataset{Files: project.Strings{"*.csv.*", "c.jsonl"}})
	if got, want := h.content(t, v), "1|x\n2|y\n1|x\n2|y\n3|z"; got != want {
		t.Errorf("the version holds\n%s\nwant\n%s", got, want)
	}
}
