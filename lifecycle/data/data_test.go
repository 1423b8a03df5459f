package data_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// house is everything that the service stands on, in a folder of its own.
type house struct {
	*data.Service
	dir    string // where the files of the project are
	state  string
	blobs  *blob.File
	duck   *duck.DB
	db     *catalog.DB
	events *govern.Service
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return openHouse(t, t.TempDir(), t.TempDir(), blob.Disk{})
}

func openHouse(t testing.TB, dir, state string, disk blob.FS) *house {
	t.Helper()
	db, err := catalog.Open(context.Background(), catalogtest.In(t, state), govern.Schema, data.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	blobs, err := blob.NewFile(filepath.Join(state, "blobs"), disk)
	if err != nil {
		t.Fatal(err)
	}
	d, err := duck.Open(duck.Options{TempDir: filepath.Join(state, "temp")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	events := govern.New(db)
	return &house{data.New(db, blobs, d, events, []byte("a secret")), dir, state, blobs, d, db, events}
}

// write makes a file of the project.
func (h *house) write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *house) ingest(spec project.Dataset) (*data.Version, error) {
	return h.Ingest(context.Background(), data.IngestRequest{Project: "p", Dataset: "d", Spec: spec, Dir: h.dir}, nil)
}

func (h *house) mustIngest(t testing.TB, spec project.Dataset) *data.Version {
	t.Helper()
	v, err := h.ingest(spec)
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, fault.HintOf(err))
	}
	return v
}

// rows reads a query as lines of cells divided by |, with the word null for a missing one.
func (h *house) rows(t testing.TB, query string) string {
	t.Helper()
	tab, err := h.duck.Table(context.Background(), "SELECT COLUMNS(*)::VARCHAR FROM ("+query+")")
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, tab.Rows)
	for i := range lines {
		cells := make([]string, len(tab.Columns))
		for j, c := range tab.Columns {
			if cells[j] = c.Value(i).S; c.IsNull(i) {
				cells[j] = "null"
			}
		}
		lines[i] = strings.Join(cells, "|")
	}
	return strings.Join(lines, "\n")
}

func (h *house) content(t testing.TB, v *data.Version) string {
	t.Helper()
	relation, err := h.Relation(context.Background(), v, "")
	if err != nil {
		t.Fatal(err)
	}
	return h.rows(t, "SELECT * FROM "+relation)
}

func flights(files ...string) project.Dataset {
	return project.Dataset{
		Files: files, Key: []string{"time_hour", "carrier", "flight", "origin"},
		Time:     &project.TimeColumn{Column: "time_hour", Zone: "America/New_York"},
		Contract: []project.Check{{Column: "distance", Between: []float64{50, 6000}}, {Column: "dest", Matches: "^[A-Z]{3}$"}, {Rows: &project.RowCount{AtLeast: 10000}}},
		Personal: map[string]string{"tailnum": data.Pseudonymise},
	}
}

func TestFlights(t *testing.T) {
	h := newHouse(t)
	h.dir = "../../examples/flights"
	ctx := context.Background()
	v := h.mustIngest(t, flights("flights-2013-q1.parquet"))
	if v.Rows != 80789 || v.Number != 1 || !v.New || v.Quarantined != 0 || len(v.Parts) != 1 || len(v.Schema) != 19 {
		t.Errorf("version %d: %d rows, %d in quarantine, %d parts, %d columns", v.Number, v.Rows, v.Quarantined, len(v.Parts), len(v.Schema))
	}
	again := h.mustIngest(t, flights("flights-2013-q1.parquet"))
	if again.New || again.ID != v.ID || again.Number != 1 {
		t.Errorf("the same bytes made version %d (new %v)", again.Number, again.New)
	}
	both := h.mustIngest(t, flights("flights-2013-*.parquet"))
	if both.Rows != 336775 || both.Quarantined != 1 || both.Number != 2 || len(both.Parts) != 2 || both.Parts[0].Blob != v.Parts[0].Blob || both.Parent != v.ID {
		t.Errorf("version %d: %d rows, %d in quarantine, %d parts", both.Number, both.Rows, both.Quarantined, len(both.Parts))
	}
	path, err := h.blobs.Path(ctx, both.QuarantineBlob)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.rows(t, "SELECT _source, _reason, flight FROM read_parquet("+duck.Literal(path)+")"), "flights-2013-replay.parquet|distance is 17, not between 50 and 6000|1632"; got != want {
		t.Errorf("the quarantine holds %q, want %q", got, want)
	}
	p, err := h.Profile(ctx, both)
	if err != nil {
		t.Fatal(err)
	}
	d := p.Column("arr_delay")
	// Reference: duckdb 1.5.5, SELECT count(x), count(DISTINCT x), avg(x), stddev_pop(x), quantile_disc(x, [...]) over both files WHERE distance <> 17;
	// the skewness is the population's: DuckDB's 3.7168174805 without its factor sqrt(n(n-1))/(n-2) for n = 327,346.
	if d.Count != 327346 || d.Nulls != 9429 || d.Distinct != 577 || !near(*d.Mean, 6.89537675731489) || !near(*d.SD, 44.63322351565443) || !near(*d.Skewness, 3.716800448835265) {
		t.Errorf("arr_delay: %d values, %d nulls, %d distinct, mean %v, sd %v, skewness %v", d.Count, d.Nulls, d.Distinct, *d.Mean, *d.SD, *d.Skewness)
	}
	for i, want := range []float64{-86, -44, -32, -17, -5, 14, 91, 190, 1272} {
		if d.Quantiles[i].Value != want {
			t.Errorf("quantile %v is %v, want %v", d.Quantiles[i].P, d.Quantiles[i].Value, want)
		}
	}
	counted := d.Histogram.Below + d.Histogram.Above
	for _, n := range d.Histogram.Counts {
		counted += n
	}
	if counted != d.Count || len(d.Histogram.Counts) > 40 {
		t.Errorf("the histogram counts %d of %d values in %d bins", counted, d.Count, len(d.Histogram.Counts))
	}
	if d.Top[0] != (data.TopValue{Value: "-13", Count: 7177}) {
		t.Errorf("the most frequent value is %v", d.Top[0])
	}
	if tail := p.Column("tailnum"); tail.Top != nil || tail.Distinct != 4043 {
		t.Errorf("a personal column shows %v, distinct %d", tail.Top, tail.Distinct)
	}
	relation, err := h.Relation(ctx, both, data.Ingested)
	if err != nil {
		t.Fatal(err)
	}
	token := h.Pseudonymise("N14228")
	if got := h.rows(t, "SELECT count(*) FROM "+relation+" WHERE tailnum = "+duck.Literal(token)); got != "111" {
		t.Errorf("%s flights have the token of N14228, want 111", got)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b)) }
