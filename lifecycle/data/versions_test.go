package data_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

func TestVersionsFollowTheBytes(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	spec := project.Dataset{Files: project.Strings{"*.csv"}, Key: []string{"k"}}
	h.write(t, "a.csv", "k,x\n1,0.5\n2,1.5\n")
	one := h.mustIngest(t, spec)

	same := func(what string) {
		t.Helper()
		if v := h.mustIngest(t, spec); v.New || v.ID != one.ID || v.Number != 1 {
			t.Errorf("%s made version %d (new %v)", what, v.Number, v.New)
		}
	}
	same("the same bytes")
	if err := os.Rename(filepath.Join(h.dir, "a.csv"), filepath.Join(h.dir, "renamed.csv")); err != nil {
		t.Fatal(err)
	}
	same("another name")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(h.dir, "renamed.csv"), later, later); err != nil {
		t.Fatal(err)
	}
	same("another time")

	h.write(t, "z.csv", "k,x\n3,2.5\n2,9.5\n") // k = 2 is there before
	two := h.mustIngest(t, spec)
	if !two.New || two.Number != 2 || two.Parent != one.ID || two.Rows != 3 || two.Quarantined != 1 || two.Parts[0].Blob != one.Parts[0].Blob {
		t.Errorf("an appended file made %+v", two)
	}
	if got, want := h.content(t, two), "1|0.5\n2|1.5\n3|2.5"; got != want {
		t.Errorf("version 2 holds %q, want %q", got, want)
	}
	if got, want := h.quarantined(t, two), "2|k = 2 is there before, and must be unique"; got != want {
		t.Errorf("the quarantine holds %q, want %q", got, want)
	}
	if got, want := h.content(t, one), "1|0.5\n2|1.5"; got != want {
		t.Errorf("version 1 changed to %q", got)
	}

	// A later file is read with the types of the version before: 4 is a double here, "many" is none.
	h.write(t, "zz.csv", "k,x,new\n4,4,a\n5,many,b\n6,6,c\n")
	three := h.mustIngest(t, spec)
	if got, want := h.content(t, three), "1|0.5|null\n2|1.5|null\n3|2.5|null\n4|4.0|a\n6|6.0|c"; got != want {
		t.Errorf("version 3 holds %q, want %q", got, want)
	}
	if f := three.Field("x"); f.Kind != table.Double {
		t.Errorf("x became a %s", f.Kind)
	}
	if f := three.Field("new"); f == nil || !f.Nullable {
		t.Errorf("the new column is %+v", f)
	}

	d, err := h.Diff(ctx, "p", "d", 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if d.PartsShared != 2 || len(d.PartsAdded) != 1 || len(d.PartsRemoved) != 0 || len(d.Added) != 1 || d.Added[0].Name != "new" || d.RowsFrom != 3 || d.RowsTo != 5 {
		t.Errorf("the difference is %+v", d)
	}
	if i := slices.IndexFunc(d.Columns, func(c data.ColumnDiff) bool { return c.Name == "x" }); i < 0 || *d.Columns[i].MeanFrom != 1.5 || *d.Columns[i].MeanTo != 2.9 {
		t.Errorf("x changed by %+v", d.Columns)
	}
	versions, err := h.Versions(ctx, "p", "d")
	if err != nil || len(versions) != 3 || versions[0].Number != 3 {
		t.Errorf("versions are %v, %v", versions, err)
	}
	byID, err := h.ByID(ctx, two.ID)
	if err != nil || byID.Number != 2 {
		t.Errorf("the id of version 2 finds %v, %v", byID, err)
	}
	events, err := h.events.List(ctx, govern.Filter{Project: "p", Kind: "dataset.version"})
	if err != nil || len(events) != 3 || events[0].Subject != "dataset/d/3" || events[0].Level != govern.Attention {
		t.Errorf("events are %+v, %v", events, err)
	}
}

func TestTypesAreOfAllFilesOfTheFirstVersion(t *testing.T) {
	h := newHouse(t)
	h.write(t, "a.csv", "a,b,c\n1,1,1\n")
	h.write(t, "b.csv", "a,b,c\n1.5,x,2013-01-01\n")
	v := h.mustIngest(t, project.Dataset{Files: project.Strings{"*.csv"}})
	if got, want := h.content(t, v), "1.0|1|1\n1.5|x|2013-01-01"; got != want {
		t.Errorf("the version holds %q, want %q", got, want)
	}
}

func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	h := newHouse(t)
	spec := project.Dataset{Files: project.Strings{"*.csv"}}
	h.write(t, "a.csv", "k\n1\n2\n")
	h.mustIngest(t, spec)
	h.write(t, "b.csv", "k\n3\n")
	var read []string
	_, err := h.Ingest(context.Background(), data.IngestRequest{Project: "p", Dataset: "d", Spec: spec, Dir: h.dir}, func(_, _ int64, _, message string) {
		if name, ok := strings.CutPrefix(message, "reading "); ok {
			read = append(read, name)
		}
	})
	if err != nil || !slices.Equal(read, []string{"b.csv"}) {
		t.Errorf("read %v, %v; want b.csv alone", read, err)
	}
	// Another contract for the rows is another reading.
	spec.Contract = []project.Check{{Column: "k", Between: []float64{0, 2}}}
	v := h.mustIngest(t, project.Dataset{Files: spec.Files, Contract: []project.Check{{Column: "k", Between: []float64{0, 2}, Mostly: 0.1}}})
	if v.Rows != 2 || v.Quarantined != 1 {
		t.Errorf("under a new contract %d rows, %d in quarantine", v.Rows, v.Quarantined)
	}
}

func TestPseudonymsJoinAlikeEverywhere(t *testing.T) {
	h := newHouse(t)
	r := rand.New(rand.NewPCG(1, 2))
	var people, visits strings.Builder
	people.WriteString("name,age\n")
	visits.WriteString("who,day\n")
	names := []string{"ann", "Ann", "O'Hare", "žluťoučký kůň", " padded ", "日本", strings.Repeat("long", 40)}
	for range 200 {
		b := make([]rune, 1+r.IntN(20))
		for i := range b {
			b[i] = rune(33 + r.IntN(90))
			if b[i] == '"' || b[i] == ',' {
				b[i] = 'é'
			}
		}
		names = append(names, string(b))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for i, n := range names {
		fmt.Fprintf(&people, "\"%s\",%d\n", n, i)
		fmt.Fprintf(&visits, "\"%s\",%d\n", n, i%7)
	}
	h.write(t, "people.csv", people.String())
	h.write(t, "visits.csv", visits.String())
	ctx := context.Background()
	relations := map[string]string{}
	for dataset, column := range map[string]string{"people": "name", "visits": "who"} {
		v, err := h.Ingest(ctx, data.IngestRequest{Project: "p", Dataset: dataset, Dir: h.dir,
			Spec: project.Dataset{Files: project.Strings{dataset + ".csv"}, Types: map[string]string{column: "string"}, Personal: map[string]string{column: data.Pseudonymise}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if relations[dataset], err = h.Relation(ctx, v, ""); err != nil {
			t.Fatal(err)
		}
		p, err := h.Profile(ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		if c := p.Column(column); c.Top != nil || c.Distinct != int64(len(names)) {
			t.Errorf("the profile of %s shows %v of %d", column, c.Top, c.Distinct)
		}
		for _, part := range v.Parts {
			if s := part.Columns[column]; s.MinText != nil || s.MaxText != nil {
				t.Errorf("the manifest shows bounds of %s: %s", column, *s.MinText)
			}
		}
	}
	if got, want := h.rows(t, "SELECT count(*) FROM "+relations["people"]+" JOIN "+relations["visits"]+" ON name = who"), fmt.Sprint(len(names)); got != want {
		t.Errorf("%s rows join, want %s", got, want)
	}
	// Equal in SQL and in Go, for every name.
	tokens := strings.Split(h.rows(t, "SELECT name FROM "+relations["people"]+" ORDER BY age"), "\n")
	for i, n := range names {
		if got := h.Pseudonymise(n); got != tokens[i] || len(got) != 32 {
			t.Errorf("%q is %s in Go and %s in SQL", n, got, tokens[i])
		}
	}
	other := data.New(h.db, h.blobs, h.duck, h.events, []byte("another secret"))
	if h.Pseudonymise("ann") == other.Pseudonymise("ann") {
		t.Error("two secrets give one token")
	}
	if h.Pseudonymise("") != "" {
		t.Error("a missing value got a token")
	}
	// The names are in no blob.
	if err := h.blobs.List(ctx, func(hash string, _ int64) error {
		b, err := blob.ReadAll(ctx, h.blobs, hash)
		if bytes.Contains(b, []byte("žluťoučký")) || bytes.Contains(b, []byte("O'Hare")) {
			t.Errorf("the blob %s holds a name", hash)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestServedParts(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.write(t, "a.csv", "k,x\n1,0.5\n2,1.5\n")
	spec := project.Dataset{Files: project.Strings{"a.csv"}}
	one := h.mustIngest(t, spec)
	served := func(source string, values ...float64) data.ServedPart {
		k := &table.Column{Name: "k", Kind: table.Long, Floats: values}
		late := &table.Column{Name: "late", Kind: table.Long, Floats: values}
		path := filepath.Join(t.TempDir(), "served.parquet")
		if err := h.duck.WriteParquet(ctx, table.New(k, late), path); err != nil {
			t.Fatal(err)
		}
		return data.ServedPart{Path: path, Source: source}
	}
	add := func(parts ...data.ServedPart) *data.Version {
		t.Helper()
		v, err := h.AppendServed(ctx, nil, "p", "d", parts, "outcomes", time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	two := add(served("served/m/1", 7), served("served/m/2", 8))
	if !two.New || two.Number != 2 || two.Parent != one.ID || two.Rows != 4 {
		t.Errorf("served parts made %+v", two)
	}
	if again := add(served("served/m/1", 7), served("served/m/2", 8)); again.New || again.ID != two.ID {
		t.Errorf("the same parts made version %d", again.Number)
	}
	three := add(served("served/m/2", 8, 9))
	if got, want := h.content(t, three), "1|0.5|null\n2|1.5|null\n7|null|7\n8|null|8\n9|null|9"; got != want {
		t.Errorf("after a stretch ripened the version holds %q, want %q", got, want)
	}
	for kind, want := range map[string]string{data.Ingested: "2", data.Served: "3"} {
		relation, err := h.Relation(ctx, three, kind)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.rows(t, "SELECT count(*) FROM "+relation); got != want {
			t.Errorf("%s rows of kind %s, want %s", got, kind, want)
		}
	}
	relation, err := h.Relation(ctx, one, data.Served)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.rows(t, "SELECT count(*), count(k) FROM "+relation); got != "0|0" {
		t.Errorf("a version without served parts gives %s", got)
	}
	// The files again: the served parts stay, and nothing is new.
	if v := h.mustIngest(t, spec); v.New || v.ID != three.ID {
		t.Errorf("ingesting again made version %d with %d rows", v.Number, v.Rows)
	}
	// In a transaction of the caller, all or nothing.
	stop := errors.New("stop")
	if err := h.db.Write(ctx, func(tx *catalog.Tx) error {
		if _, err := h.AppendServed(ctx, tx, "p", "d", []data.ServedPart{served("served/m/3", 10)}, "", time.Now()); err != nil {
			return err
		}
		return stop
	}); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if v, err := h.Latest(ctx, "p", "d"); err != nil || v.Number != 3 {
		t.Errorf("a transaction rolled back left version %v, %v", v, err)
	}
}

func TestCorruptPartIsNamedAndMadeAnew(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.write(t, "a.csv", "k\n1\n2\n")
	spec := project.Dataset{Files: project.Strings{"a.csv"}}
	v := h.mustIngest(t, spec)
	hash := v.Parts[0].Blob
	path, err := h.blobs.Path(ctx, hash)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = h.db.Close()
	again := openHouse(t, h.dir, h.state, blob.Disk{})
	if _, err := again.Relation(ctx, v, ""); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), hash) {
		t.Errorf("a corrupt part gave %v", err)
	}
	healed := again.mustIngest(t, spec)
	if healed.ID != v.ID || again.content(t, healed) != "1\n2" {
		t.Errorf("the file again made version %d", healed.Number)
	}
}

// full is a disk that has room for a number of bytes.
type full struct {
	blob.Disk
	left *int
}

func (f full) CreateTemp(dir string) (blob.Handle, error) {
	h, err := f.Disk.CreateTemp(dir)
	return fullHandle{h, f}, err
}

func (f full) Rename(from, to string) error {
	if *f.left < 0 {
		return syscall.ENOSPC
	}
	return f.Disk.Rename(from, to)
}

type fullHandle struct {
	blob.Handle
	f full
}

func (h fullHandle) Write(p []byte) (int, error) {
	if *h.f.left -= len(p); *h.f.left < 0 {
		return 0, syscall.ENOSPC
	}
	return h.Handle.Write(p)
}

// TestFullDiskLeavesNoVersion fills the disk after every possible number of stored bytes, then frees it.
func TestFullDiskLeavesNoVersion(t *testing.T) {
	for _, room := range []int{-1, 0, 200, 500} {
		left := room
		h := openHouse(t, t.TempDir(), t.TempDir(), full{left: &left})
		h.write(t, "a.csv", "k,x\n1,2\n-1,3\n")
		spec := project.Dataset{Files: project.Strings{"a.csv"}, Contract: []project.Check{{Column: "k", Between: []float64{0, 9}}}}
		_, err := h.ingest(spec)
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "disk is full") {
			t.Fatalf("room for %d: %v", room, err)
		}
		if _, err := h.Latest(context.Background(), "p", "d"); !fault.Is(err, fault.NotFound) {
			t.Errorf("room for %d: a version is visible: %v", room, err)
		}
		left = 1 << 30
		if v := h.mustIngest(t, spec); v.Rows != 1 || v.Quarantined != 1 {
			t.Errorf("with room again: %+v", v)
		}
	}
}

func TestCancelledIngestLeavesNoVersion(t *testing.T) {
	h := newHouse(t)
	h.write(t, "a.csv", "k\n1\n2\n")
	for _, at := range []string{"looking at a.csv", "reading a.csv", "checking", "profiling"} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := h.Ingest(ctx, data.IngestRequest{Project: "p", Dataset: "d", Spec: project.Dataset{Files: project.Strings{"a.csv"}}, Dir: h.dir}, func(_, _ int64, _, message string) {
			if message == at {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %q: %v", at, err)
		}
		if _, err := h.Latest(context.Background(), "p", "d"); !fault.Is(err, fault.NotFound) {
			t.Errorf("cancelled at %q: a version is visible", at)
		}
		if left, _ := os.ReadDir(filepath.Join(h.state, "temp")); len(left) > 0 {
			t.Errorf("cancelled at %q: %s is left", at, left[0].Name())
		}
		if at == "reading a.csv" { // it was read by now, and is not read again
			h.write(t, "a.csv", "k\n1\n3\n")
		}
	}
	h.mustIngest(t, project.Dataset{Files: project.Strings{"a.csv"}})
}

func TestSuggestedContractHolds(t *testing.T) {
	h := newHouse(t)
	h.dir = "../../examples/flights"
	ctx := context.Background()
	v := h.mustIngest(t, project.Dataset{Files: project.Strings{"weather.parquet"}})
	s, err := h.Suggest(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Key, []string{"origin", "time_hour"}) {
		t.Errorf("the key is %v", s.Key)
	}
	text := "project: p\ndata:\n  d:\n    files: weather.parquet\n" + indent(s.YAML())
	file, err := project.ParseFile("trimtab.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	again := h.mustIngest(t, file.Data["d"])
	// The wind of 1,048 mph at EWR on 12 February is a fault of the data.
	if got, want := h.quarantined(t, again), "is 1048.36058, not between"; !strings.Contains(got, want) || again.Quarantined > 3 {
		t.Errorf("the suggestion quarantines %s\n%s", got, s.YAML())
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

func TestReportHasNoRowsAndStaysSmall(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	header, line := make([]string, 300), make([]string, 300)
	var text strings.Builder
	for i := range header {
		header[i] = fmt.Sprintf("<column & %d>%s", i, strings.Repeat("x", 60))
	}
	text.WriteString(strings.Join(header, ",") + "\n")
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		for i := range line {
			line[i] = fmt.Sprintf("%.3f", r.NormFloat64()*1000)
			if i%3 == 0 {
				line[i] = fmt.Sprintf("<script>value %d</script>%s", r.IntN(20), strings.Repeat("y", 50))
			}
		}
		text.WriteString(strings.Join(line, ",") + "\n")
	}
	h.write(t, "wide.csv", text.String())
	v := h.mustIngest(t, project.Dataset{Files: project.Strings{"wide.csv"}})
	p, err := h.Profile(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := h.ReportHTML(v, p, &page); err != nil {
		t.Fatal(err)
	}
	if page.Len() > 300_000 {
		t.Errorf("the report has %d bytes", page.Len())
	}
	for _, bad := range []string{"<script", "http://", "https://", "src="} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the report holds %q", bad)
		}
	}
}

func TestLook(t *testing.T) {
	h := newHouse(t)
	path := h.write(t, "a.csv", "id,at,colour,x\n1,2013-01-01 10:00:00,red,0.5\n2,2013-01-02 10:00:00,blue,\n3,2013-01-03 10:00:00,red,2.5\n")
	look, err := data.LookAt(context.Background(), h.duck, path)
	if err != nil {
		t.Fatal(err)
	}
	want := []project.LookColumn{
		{Name: "id", Kind: table.Long, Distinct: 3, Unique: true, Min: 1, Max: 3},
		{Name: "at", Kind: table.Datetime, Distinct: 3, Unique: true},
		{Name: "colour", Kind: table.String, Distinct: 2, Values: []string{"red", "blue"}},
		{Name: "x", Kind: table.Double, Nulls: 1, Distinct: 2, Min: 0.5, Max: 2.5},
	}
	if look.Rows != 3 || look.Format != "csv" || fmt.Sprint(look.Columns) != fmt.Sprint(want) {
		t.Errorf("saw %+v\nwant %+v", look.Columns, want)
	}
	if look.Sample.Rows != 3 || look.Sample.Column("x").Value(1) != table.Null {
		t.Errorf("the sample is %+v", look.Sample)
	}
}

func TestQuarantineIsDownloadable(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.write(t, "a.csv", "a,b\n1,x\n-1,y\n-2,z\n3,x\n4,x\n")
	v := h.mustIngest(t, project.Dataset{Files: project.Strings{"a.csv"}, Contract: []project.Check{{Column: "a", Between: []float64{0, 9}}}})
	rows, err := h.Quarantine(ctx, v, 1)
	if err != nil || len(rows) != 1 || rows[0].Record != 2 || rows[0].Row["b"] != "y" || rows[0].Reason != "a is -1, not between 0 and 9" {
		t.Errorf("the quarantine lists %+v, %v", rows, err)
	}
	reasons, err := h.Reasons(ctx, v)
	if err != nil || len(reasons) != 1 || reasons[0].Rows != 2 || reasons[0].Reason != "a is …, not between 0 and 9" {
		t.Errorf("the reasons are %+v, %v", reasons, err)
	}
	r, err := h.OpenQuarantine(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "q.parquet")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := h.rows(t, "SELECT _source, _row, a, b FROM read_parquet("+duck.Literal(path)+")"), "a.csv|2|-1|y\na.csv|3|-2|z"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	h.write(t, "b.csv", "a\n1\n")
	clean, err := h.Ingest(ctx, data.IngestRequest{Project: "p", Dataset: "clean", Spec: project.Dataset{Files: project.Strings{"b.csv"}}, Dir: h.dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenQuarantine(ctx, clean); !fault.Is(err, fault.NotFound) {
		t.Errorf("a version without quarantine gave %v", err)
	}
}

// TestBigFilesKeepTheirOrder: tokens made beforehand are those of every row, and whatever is done to a part its rows keep their order.
func TestBigFilesKeepTheirOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a file of 20 MB")
	}
	h := newHouse(t)
	ctx := context.Background()
	const rows = 400_000
	path := filepath.Join(h.dir, "big.csv")
	if err := h.duck.Exec(ctx, fmt.Sprintf(`COPY (SELECT i AS n, 'person ' || (CASE WHEN i < 300000 THEN i %% 1000 ELSE i END) AS who, 'some text that makes the row long enough' AS filler FROM range(%d) t(i)) TO %s (HEADER)`, rows, duck.Literal(path))); err != nil {
		t.Fatal(err)
	}
	// One row is there twice at the end, so that the part is written once more without it.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("5,person 5,again\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	v := h.mustIngest(t, project.Dataset{Files: project.Strings{"big.csv"}, Key: []string{"n"}, Personal: map[string]string{"who": data.Pseudonymise}})
	relation, err := h.Relation(ctx, v, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.duck.Table(ctx, "SELECT n, who FROM "+relation)
	if err != nil {
		t.Fatal(err)
	}
	if got.Rows != rows {
		t.Fatalf("%d rows of %d", got.Rows, rows)
	}
	for i := range rows {
		if got.Column("n").Floats[i] != float64(i) {
			t.Fatalf("row %d is where row %d should be", int(got.Column("n").Floats[i]), i)
		}
		if i%997 == 0 || i >= 299_990 && i < 300_010 {
			person := i
			if i < 300_000 {
				person = i % 1000
			}
			if want := h.Pseudonymise(fmt.Sprintf("person %d", person)); got.Column("who").Strings[i] != want {
				t.Fatalf("row %d has the token %s, want %s", i, got.Column("who").Strings[i], want)
			}
		}
	}
}

// TestPersonalKeys: a personal column may be the key or checked, also when its file is not read again, and its token does not depend on what
// the other values of a file look like.
func TestPersonalKeys(t *testing.T) {
	h := newHouse(t)
	spec := project.Dataset{Files: project.Strings{"*.csv"}, Key: []string{"id"}, Contract: []project.Check{{Column: "mail", NotNull: true}},
		Personal: map[string]string{"id": data.Pseudonymise, "mail": data.Drop}}
	h.write(t, "a.csv", "id,mail,x\n007,a@b.c,1\n008,d@e.f,2\n")
	one := h.mustIngest(t, spec)
	if again := h.mustIngest(t, spec); again.New || again.ID != one.ID {
		t.Errorf("the same bytes made version %d", again.Number)
	}
	h.write(t, "b.csv", "id,mail,x\n007,a@b.c,3\nA9,g@h.i,4\nB1,,5\n")
	two := h.mustIngest(t, spec)
	want := h.Pseudonymise("007") + "|1\n" + h.Pseudonymise("008") + "|2\n" + h.Pseudonymise("A9") + "|4"
	if got := h.content(t, two); got != want || two.Quarantined != 2 {
		t.Errorf("%d in quarantine, and the version holds\n%s\nwant\n%s", two.Quarantined, got, want)
	}
	spec.Personal["mial"] = data.Drop
	if _, err := h.ingest(spec); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "mial") {
		t.Errorf("a personal column that is not there gave %v", err)
	}
}
