package duck_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func open(t testing.TB) *duck.DB {
	t.Helper()
	d, err := duck.Open(duck.Options{TempDir: filepath.Join(t.TempDir(), "spill")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestTableReadsEveryType(t *testing.T) {
	d := open(t)
	at := time.Date(2013, 1, 1, 10, 0, 0, 5000, time.UTC)
	us := float64(at.UnixMicro())
	tests := []struct {
		sql  string
		kind table.Kind
		want table.Value
	}{
		{"1::TINYINT", table.Long, table.Number(1)},
		{"-2::SMALLINT", table.Long, table.Number(-2)},
		{"3::INTEGER", table.Long, table.Number(3)},
		{"-9007199254740992::BIGINT", table.Long, table.Number(-9007199254740992)},
		{"250::UTINYINT", table.Long, table.Number(250)},
		{"65000::USMALLINT", table.Long, table.Number(65000)},
		{"4000000000::UINTEGER", table.Long, table.Number(4000000000)},
		{"18446744073709549568::UBIGINT", table.Long, table.Number(18446744073709549568)},
		{"-5::HUGEINT", table.Long, table.Number(-5)},
		{"36893488147419103232::HUGEINT", table.Long, table.Number(36893488147419103232)},
		{"1.5::FLOAT", table.Double, table.Number(1.5)},
		{"0.1::DOUBLE", table.Double, table.Number(0.1)},
		{"'nan'::DOUBLE", table.Double, table.Null},
		{"'-inf'::DOUBLE", table.Double, table.Number(math.Inf(-1))},
		{"12.34::DECIMAL(4,2)", table.Double, table.Number(12.34)},
		{"-12345.678::DECIMAL(9,3)", table.Double, table.Number(-12345.678)},
		{"1234567890.5::DECIMAL(18,1)", table.Double, table.Number(1234567890.5)},
		{"-2.5::DECIMAL(38,1)", table.Double, table.Number(-2.5)},
		{"true", table.Boolean, table.Number(1)},
		{"NULL::BOOLEAN", table.Boolean, table.Null},
		{"TIMESTAMP '2013-01-01 10:00:00.000005'", table.Datetime, table.Number(us)},
		{"TIMESTAMPTZ '2013-01-01 05:00:00.000005-05'", table.Datetime, table.Number(us)},
		{"'2013-01-01 10:00:00'::TIMESTAMP_S", table.Datetime, table.Number(us - 5)},
		{"'2013-01-01 10:00:00'::TIMESTAMP_MS", table.Datetime, table.Number(us - 5)},
		{"'2013-01-01 10:00:00.000005'::TIMESTAMP_NS", table.Datetime, table.Number(us)},
		{"DATE '1969-12-31'", table.Datetime, table.Number(-86_400_000_000)},
		{"'infinity'::TIMESTAMP", table.Datetime, table.Null},
		{"''", table.String, table.Text("")},
		{"'twelve bytes'", table.String, table.Text("twelve bytes")},
		{"'longer than twelve bytes, žluťoučký'", table.String, table.Text("longer than twelve bytes, žluťoučký")},
		{"'b'::ENUM('a', 'b')", table.String, table.Text("b")},
		{"NULL", table.Long, table.Null},
	}
	for _, test := range tests {
		t.Run(test.sql, func(t *testing.T) {
			got, err := d.Table(context.Background(), "SELECT "+test.sql+" AS x")
			if err != nil {
				t.Fatal(err)
			}
			c := got.Column("x")
			if got.Rows != 1 || c.Kind != test.kind || c.Value(0) != test.want {
				t.Errorf("%d rows, kind %s, value %+v; want %s %+v", got.Rows, c.Kind, c.Value(0), test.kind, test.want)
			}
		})
	}
	if _, err := d.Table(context.Background(), "SELECT [1, 2] AS xs"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a list column gave %v, want a fault that says which column", err)
	}
}

func TestWrittenParquetReadsBackEqual(t *testing.T) {
	d := open(t)
	const rows = 5000 // more than two vectors of 2,048
	want := table.New(
		&table.Column{Name: "d", Kind: table.Double}, &table.Column{Name: "l", Kind: table.Long},
		&table.Column{Name: "b", Kind: table.Boolean}, &table.Column{Name: `odd "name"`, Kind: table.Datetime},
		&table.Column{Name: "s", Kind: table.String},
	)
	for i := range rows {
		v := []table.Value{table.Number(float64(i) / 3), table.Number(float64(i)), table.Number(float64(i % 2)), table.Number(float64(i) * 1e9), table.Text("text that is number " + string(rune('a'+i%26)))}
		for j, c := range want.Columns {
			if (i+j)%7 == 0 {
				c.Append(table.Null)
			} else {
				c.Append(v[j])
			}
		}
	}
	want.Rows = rows
	path := filepath.Join(t.TempDir(), "it's.parquet")
	if err := d.WriteParquet(context.Background(), want, path); err != nil {
		t.Fatal(err)
	}
	got, err := d.Table(context.Background(), "SELECT * FROM read_parquet("+duck.Literal(path)+")")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

func TestParameters(t *testing.T) {
	d := open(t)
	at := time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC)
	got, err := d.Table(context.Background(), "SELECT ? AS a, ? AS b, ?::VARCHAR AS c, ?::TIMESTAMP AS d, ?::BIGINT AS e", 1, 2.5, "O'Hare\x00", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []table.Value{table.Number(1), table.Number(2.5), table.Text("O'Hare\x00"), table.Number(float64(at.UnixMicro())), table.Null}
	for i, c := range got.Columns {
		if c.Value(0) != want[i] {
			t.Errorf("parameter %d came back as %+v, want %+v", i, c.Value(0), want[i])
		}
	}
	if _, err := d.Table(context.Background(), "SELECT ?", 1, 2); err == nil {
		t.Error("a parameter too many was accepted")
	}
}

func TestCancelledQueryEnds(t *testing.T) {
	d := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- d.Exec(ctx, "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3")
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled query gave %v", err)
	}
	if err := d.Exec(context.Background(), "SELECT 1"); err != nil {
		t.Errorf("the query after it gave %v", err)
	}
}

func TestNoExtensionIsLoaded(t *testing.T) {
	d := open(t)
	for _, sql := range []string{"SELECT * FROM read_csv('https://example.com/a.csv')", "INSTALL httpfs FROM community"} {
		if err := d.Exec(context.Background(), sql); err == nil {
			t.Errorf("%s was accepted", sql)
		}
	}
}

func TestSessionTablesAreItsOwn(t *testing.T) {
	d := open(t)
	ctx := context.Background()
	for range 2 {
		s, err := d.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Exec(ctx, "CREATE TEMP TABLE mine AS SELECT 1 AS x"); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

func TestQuoting(t *testing.T) {
	d := open(t)
	const nasty = `a"b'c; DROP TABLE x --`
	got, err := d.Table(context.Background(), "SELECT "+duck.Literal(nasty)+" AS "+duck.Quote(nasty)+", "+duck.Number(0.1)+" AS n, "+duck.Number(math.Inf(1))+" AS i")
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Column(nasty); c == nil || c.Value(0).S != nasty {
		t.Errorf("quoted name or text was changed: %+v", got.Columns)
	}
	if got.Column("n").Floats[0] != 0.1 || !math.IsInf(got.Column("i").Floats[0], 1) {
		t.Errorf("numbers were changed: %+v", got.Columns)
	}
}

func BenchmarkTable(b *testing.B) {
	d := open(b)
	for b.Loop() {
		t, err := d.Table(context.Background(), "SELECT * FROM read_parquet('../../examples/flights/flights-2013-*.parquet')")
		if err != nil || t.Rows != 336_776 {
			b.Fatal(t, err)
		}
	}
}

func TestWhatAnEarlierProcessLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "ingest-1", "stage.parquet")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := duck.Open(duck.Options{TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if entries, err := os.ReadDir(d.TempDir()); err != nil || len(entries) > 0 {
		t.Errorf("%d entries are left, %v", len(entries), err)
	}
}

func TestConcurrentQueries(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			got, err := d.Table(context.Background(), "SELECT sum(range + ?) AS s FROM range(10000)", i)
			if err != nil {
				t.Error(err)
				return
			}
			if want := float64(49_995_000 + 10_000*i); got.Columns[0].Floats[0] != want { // n(n-1)/2 + n*i
				t.Errorf("%d: %v, want %v", i, got.Columns[0].Floats[0], want)
			}
		})
	}
	wg.Wait()
}
