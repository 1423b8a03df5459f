package feature_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/feature"
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

func values(rows ...string) string {
	return "(SELECT * FROM (VALUES " + strings.Join(rows, ", ") + "))"
}

func TestJoin(t *testing.T) {
	weather := func(rows ...string) string {
		return "(SELECT col0 AS origin, col1::TIMESTAMP AS at, col2::INTEGER AS temp FROM " + values(rows...) + ")"
	}
	planes := func(rows ...string) string {
		return "(SELECT col0 AS tailnum, col1::INTEGER AS seats FROM " + values(rows...) + ")"
	}
	base := "(SELECT 'EWR' AS origin, TIMESTAMP '2013-01-01 10:00' AS at, 'N1' AS tailnum)"
	asOf := feature.View{Entity: []string{"origin"}, Time: "at", Select: []string{"temp"}, MaxAge: 3 * time.Hour}
	byPlane := feature.View{Entity: []string{"tailnum"}, Select: []string{"seats"}}
	tests := []struct {
		name string
		view feature.View
		from string
		want string
	}{
		{"at the same time", asOf, weather("('EWR', '2013-01-01 10:00', 1)"), "1"},
		{"the latest before", asOf, weather("('EWR', '2013-01-01 08:00', 1)", "('EWR', '2013-01-01 09:00', 2)"), "2"},
		{"never after", asOf, weather("('EWR', '2013-01-01 09:00', 2)", "('EWR', '2013-01-01 10:00:00.000001', 3)"), "2"},
		{"only later values", asOf, weather("('EWR', '2013-01-01 11:00', 3)"), "null"},
		{"exactly as old as it may be", asOf, weather("('EWR', '2013-01-01 07:00', 1)"), "1"},
		{"older than it may be", asOf, weather("('EWR', '2013-01-01 06:59:59.999999', 1)"), "null"},
		{"another entity", asOf, weather("('JFK', '2013-01-01 10:00', 1)"), "null"},
		{"a null that was known", asOf, weather("('EWR', '2013-01-01 08:00', 1)", "('EWR', '2013-01-01 09:00', NULL)"), "null"},
		{"a row without time", asOf, weather("('EWR', '2013-01-01 08:00', 1)", "('EWR', NULL, 2)"), "1"},
		{"twice at one time: the last of the file", asOf, weather("('EWR', '2013-01-01 09:00', 1)", "('EWR', '2013-01-01 09:00', 2)", "('EWR', '2013-01-01 08:00', 3)"), "2"},
		{"without time", byPlane, planes("('N1', 100)", "('N2', 200)"), "100"},
		{"without time, twice: the last of the file", byPlane, planes("('N1', 100)", "('N1', 150)"), "150"},
		{"an entity that is null", byPlane, planes("(NULL, 100)"), "null"},
	}
	d := open(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.view.From = test.from
			got, err := d.Table(context.Background(), feature.JoinSQL(base, "at", []feature.View{test.view}))
			if err != nil {
				t.Fatal(err)
			}
			value := "null"
			if c := got.Columns[len(got.Columns)-1]; !c.IsNull(0) {
				value = fmt.Sprint(c.Floats[0])
			}
			if got.Rows != 1 || value != test.want {
				t.Errorf("%d rows, the value %s; want %s", got.Rows, value, test.want)
			}
		})
	}
}

// TestJoinAgainstSearch compares the join of two views with a search of every row, for random rows with repeated times, nulls and planted later rows.
func TestJoinAgainstSearch(t *testing.T) {
	d := open(t)
	ctx := context.Background()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		base := random(r, 300, "x")
		view := random(r, 500, "value")
		maxAge := time.Duration(r.IntN(3)*10) * time.Microsecond
		dir := t.TempDir()
		relation := func(name string, rows *table.Table) string {
			path := filepath.Join(dir, name)
			if err := d.WriteParquet(ctx, rows, path); err != nil {
				t.Fatal(err)
			}
			return "read_parquet(" + duck.Literal(path) + ")"
		}
		from := relation("view", view)
		query := feature.JoinSQL("(SELECT * FROM "+relation("base", base)+")", "at", []feature.View{
			{From: from, Entity: []string{"entity"}, Time: "at", Select: []string{"value"}, MaxAge: maxAge},
			{From: "(SELECT entity, value AS fixed FROM " + from + ")", Entity: []string{"entity"}, Select: []string{"fixed"}},
		})
		got, err := d.Table(ctx, "SELECT * FROM ("+query+") ORDER BY x")
		if err != nil {
			t.Fatal(err)
		}
		if got.Rows != base.Rows {
			t.Fatalf("seed %d: %d rows became %d", seed, base.Rows, got.Rows)
		}
		for i := range base.Rows {
			want, fixed := search(base, view, i, maxAge)
			if v := got.Column("value").Value(i); v != want {
				t.Fatalf("seed %d, row %d: value %v, want %v", seed, i, v, want)
			}
			if v := got.Column("fixed").Value(i); v != fixed {
				t.Fatalf("seed %d, row %d: fixed %v, want %v", seed, i, v, fixed)
			}
		}
	}
}

// random makes rows of a few entities at a few times; the last column numbers the rows.
func random(r *rand.Rand, rows int, name string) *table.Table {
	t := table.New(&table.Column{Name: "entity", Kind: table.String}, &table.Column{Name: "at", Kind: table.Datetime}, &table.Column{Name: name, Kind: table.Long})
	for i := range rows {
		entity, at, value := table.Text(string(rune('a'+r.IntN(5)))), table.Number(float64(1e15+r.IntN(100))), table.Number(float64(i))
		if r.IntN(20) == 0 {
			entity = table.Null
		}
		if name == "value" && r.IntN(20) == 0 {
			at = table.Null
		}
		if name == "value" && r.IntN(10) == 0 {
			value = table.Null
		}
		for j, v := range []table.Value{entity, at, value} {
			t.Columns[j].Append(v)
		}
	}
	t.Rows = rows
	return t
}

// search finds by looking at every row what the join must give row i.
func search(base, view *table.Table, i int, maxAge time.Duration) (asOf, fixed table.Value) {
	asOf, fixed = table.Null, table.Null
	entity, at := base.Column("entity").Value(i), base.Column("at").Value(i)
	best := table.Null
	for j := range view.Rows {
		e, a, v := view.Column("entity").Value(j), view.Column("at").Value(j), view.Column("value").Value(j)
		if entity.Null || e.Null || e != entity {
			continue
		}
		fixed = v
		if !a.Null && a.F <= at.F && (best.Null || a.F >= best.F) {
			best, asOf = a, v
		}
	}
	if !best.Null && maxAge > 0 && best.F < at.F-float64(maxAge.Microseconds()) {
		asOf = table.Null
	}
	return asOf, fixed
}
