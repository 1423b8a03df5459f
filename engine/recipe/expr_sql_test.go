package recipe

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// openDuck opens an in-memory DuckDB whose time zone is UTC.
func openDuck(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	return db
}

// randomExpr writes an expression of the class that passes the type check over testSchema.
func randomExpr(r *rand.Rand, c class, depth int) string {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	sub := func(c class) string { return randomExpr(r, c, depth-1) }
	leaf := depth <= 0 || r.IntN(5) == 0
	switch c {
	case classNumber:
		if leaf {
			return pick("x", "y", "n", "0", "1", "2.5", "-3", "1e300", "null")
		}
		return pick(
			"("+sub(c)+pick(" + ", " - ", " * ", " / ", " % ")+sub(c)+")", "-("+sub(c)+")",
			pick("abs", "round", "floor", "ceil", "sqrt")+"("+sub(c)+")", fmt.Sprintf("round(%s, %d)", sub(c), r.IntN(4)),
			"coalesce("+sub(c)+", "+sub(c)+")", "if("+sub(classBoolean)+", "+sub(c)+", "+sub(c)+")", "length("+sub(classText)+")",
			pick("hour", "minute", "weekday", "day", "month", "year", "day_of_year", "epoch")+"("+sub(classTime)+")",
		)
	case classBoolean:
		if leaf {
			return pick("b", "c", "true", "false", "null", "x > 1", "s = 'a'")
		}
		of := []class{classNumber, classText, classTime}[r.IntN(3)]
		return pick(
			"("+sub(c)+pick(" and ", " or ")+sub(c)+")", "(not "+sub(c)+")",
			"("+sub(of)+pick(" = ", " != ", " < ", " <= ", " > ", " >= ")+sub(of)+")",
			"("+sub(of)+pick(" in (", " not in (")+sub(of)+", "+sub(of)+"))", "("+sub(of)+" between "+sub(of)+" and "+sub(of)+")",
			"("+sub(of)+pick(" is null)", " is not null)"), "is_weekend("+sub(classTime)+")", "(b = "+sub(classNumber)+")",
			"coalesce("+sub(c)+", "+sub(c)+")",
		)
	case classText:
		if leaf {
			return pick("s", "u", "'a'", "'Ünï'", "''")
		}
		return pick("lower("+sub(c)+")", "upper("+sub(c)+")", "coalesce("+sub(c)+", "+sub(c)+")", "if("+sub(classBoolean)+", "+sub(c)+", "+sub(c)+")")
	}
	if leaf {
		return pick("t", "v")
	}
	return pick("coalesce("+pick("t", "v")+", t)", "if("+sub(classBoolean)+", t, t)")
}

// exprTable makes rows with nulls and extremes for testSchema's columns, in Go and in DuckDB.
func exprTable(t testing.TB, db *sql.DB, r *rand.Rand, rows int) (columns []string, cells [][]table.Value) {
	t.Helper()
	columns = []string{"x", "y", "n", "b", "c", "s", "u", "t", "v"}
	_, err := db.Exec(`CREATE TABLE data (i INTEGER, x DOUBLE, y DOUBLE, n BIGINT, b BOOLEAN, c BOOLEAN, s VARCHAR, u VARCHAR, t TIMESTAMP, v TIMESTAMPTZ)`)
	if err != nil {
		t.Fatal(err)
	}
	doubles := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 2.5, -2.5, 1e300, -1e300, 5e-324, math.Inf(1), math.Inf(-1), 1e15, 3}
	texts := []string{"", "a", "A", "b", "Ünï", "ÀÉß", "it's", "🤦x", "İıſ", "ΣΑΣ"}
	for i := range rows {
		row := make([]table.Value, len(columns))
		args := []any{i}
		for j, name := range columns {
			var arg any
			switch v := &row[j]; {
			case r.IntN(5) == 0:
				*v = table.Null
			case j < 2:
				v.F = doubles[r.IntN(len(doubles))]
				if r.IntN(2) == 0 {
					v.F = math.Round(r.NormFloat64()*1000) / 8
				}
				arg = v.F
			case name == "n":
				v.F = float64(r.IntN(20) - 10)
				arg = int64(v.F)
			case name == "b" || name == "c":
				v.F = float64(r.IntN(2))
				arg = v.F == 1
			case name == "s" || name == "u":
				v.S = texts[r.IntN(len(texts))]
				arg = v.S
			default: // 1905 to 2095
				v.F = float64(r.Int64N(6e15)) - 2.05e15
				arg = time.UnixMicro(int64(v.F)).UTC()
			}
			args = append(args, arg)
		}
		if _, err := db.Exec("INSERT INTO data VALUES (?,?,?,?,?,?,?,?,?,?)", args...); err != nil {
			t.Fatal(err)
		}
		cells = append(cells, row)
	}
	return columns, cells
}

func sameValue(got table.Value, want any) bool {
	switch w := want.(type) {
	case nil:
		return got.Null
	case bool:
		return got == truth(w)
	case string:
		return got == table.Text(w)
	case int64:
		return !got.Null && got.F == float64(w)
	case int32:
		return !got.Null && got.F == float64(w)
	case float64:
		return !got.Null && (got.F == w || math.Abs(got.F-w) <= 1e-15*math.Abs(w))
	case time.Time:
		return !got.Null && got.F == float64(w.UnixMicro())
	}
	return false
}

func TestEvalEqualsDuckDB(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	db := openDuck(t)
	columns, cells := exprTable(t, db, r, 60)
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	sydney, err := time.LoadLocation("Australia/Sydney")
	if err != nil {
		t.Fatal(err)
	}
	sources := []string{"x", "b", "s", "t", "x = n", "s = u", "t < v", "b in (c)", "log(x)", "exp(n)", "log(abs(x) + 1)", "x between n and y", "coalesce(b, c) or x is null"}
	for len(sources) < 600 {
		sources = append(sources, randomExpr(r, class(1+r.IntN(3)), 4))
	}
	for _, src := range sources {
		e, err := ParseExpr(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if _, err := e.Kind(testSchema); err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		b, err := e.Bind(columns, map[string]*time.Location{"t": newYork, "v": sydney})
		if err != nil {
			t.Fatal(err)
		}
		form := e.SQL(map[string]string{"t": "America/New_York", "v": "Australia/Sydney"})
		rows, err := db.Query("SELECT " + form + " FROM data ORDER BY i")
		if err != nil {
			t.Fatalf("%s\n%s\n%v", src, form, err)
		}
		for i := 0; rows.Next(); i++ {
			var want any
			if err := rows.Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got := b.Eval(cells[i]); !sameValue(got, want) {
				t.Errorf("%s\n%s\nrow %+v\nGo %+v, DuckDB %v (%T)", e, form, cells[i], got, want, want)
				break
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%s\n%s\n%v", src, form, err)
		}
		_ = rows.Close()
	}
}

// TestCaseMappingEqualsDuckDB walks all of Unicode, because Go and DuckDB bring their own tables.
func TestCaseMappingEqualsDuckDB(t *testing.T) {
	db := openDuck(t)
	differ := 0
	for _, name := range []string{"lower", "upper"} {
		e, err := ParseExpr(name + "(s)")
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Bind([]string{"s"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Query("SELECT chr(i::INTEGER), " + name + "(chr(i::INTEGER)) FROM range(1, 65536) r(i) WHERE i < 55296 OR i > 57343")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var s, want string
			if err := rows.Scan(&s, &want); err != nil {
				t.Fatal(err)
			}
			if got := b.Eval([]table.Value{table.Text(s)}); got.S != want {
				differ++
				t.Logf("%s(%q U+%04X) is %q in Go, %q in DuckDB", name, s, []rune(s)[0], got.S, want)
			}
		}
		_ = rows.Close()
	}
	if differ > 0 {
		t.Errorf("%d letters differ", differ)
	}
}
