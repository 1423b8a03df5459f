package recipe

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var testSchema = map[string]table.Kind{
	"x": table.Double, "y": table.Double, "n": table.Long, "b": table.Boolean, "c": table.Boolean,
	"s": table.String, "u": table.String, "t": table.Datetime, "v": table.Datetime,
	"arr_delay": table.Double, "time_hour": table.Datetime, "odd name": table.Double,
}

func TestParseExprNormalForm(t *testing.T) {
	for _, c := range []struct{ src, want, slug string }{
		{"arr_delay >= 15", "arr_delay >= 15", "arr_delay_at_least_15"},
		{"weekday(time_hour)", "weekday(time_hour)", "weekday_time_hour"},
		{"WeekDay( time_hour )", "weekday(time_hour)", "weekday_time_hour"},
		{"distance", "distance", "distance"},
		{`"odd name" + 1`, `"odd name" + 1`, "odd_name_plus_1"},
		{"`odd name`", `"odd name"`, "odd name"},
		{"a - (b - c)", "a - (b - c)", "a_minus_b_minus_c"},
		{"(a - b) - c", "a - b - c", "a_minus_b_minus_c"},
		{"a + b * c", "a + b * c", "a_plus_b_times_c"},
		{"(a + b) * c", "(a + b) * c", "a_plus_b_times_c"},
		{"not a = 1 or b = 2 and c = 3", "not a = 1 or b = 2 and c = 3", "not_a_is_1_or_b_is_2_and_c_is_3"},
		{"a NOT IN ('x', 'it''s')", "not a in ('x', 'it''s')", "not_a_in_x_it_s"},
		{"a is not null", "not a is null", "not_a_is_null"},
		{"a not between 1 and 2", "not a between 1 and 2", "not_a_between_1_2"},
		{"--a", "-(-a)", "minus_minus_a"},
		{"-1.50", "-1.5", "minus_1_5"},
		{"1e3 + .5", "1000.0 + 0.5", "1000_0_plus_0_5"},
		{"coalesce(a, 0) % 2", "coalesce(a, 0) % 2", "coalesce_a_0_mod_2"},
		{"if(a > 1, 'x', null)", "if(a > 1, 'x', null)", "if_a_above_1_x_null"},
		{`"and" = true`, `"and" = true`, "and_is_true"},
		{"''", "''", "value"},
	} {
		e, err := ParseExpr(c.src)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if e.String() != c.want || e.Slug() != c.slug {
			t.Errorf("%s: got %s (%s), want %s (%s)", c.src, e, e.Slug(), c.want, c.slug)
		}
		if again, err := ParseExpr(e.String()); err != nil || again.String() != e.String() {
			t.Errorf("%s: the normal form %s reads as %v, %v", c.src, e, again, err)
		}
	}
}

func TestParseExprFaults(t *testing.T) {
	for _, c := range []struct {
		src    string
		column int
		text   string
		hint   string
	}{
		{"", 1, "the expression is empty", ""},
		{"a +", 4, "the expression ends where a column, a value or a function should be", ""},
		{"weekdya(t)", 1, "there is no function weekdya", "did you mean weekday?"},
		{"x + huor(t)", 5, "there is no function huor", "did you mean hour?"},
		{"a = b = c", 7, "a comparison cannot be compared again", "write a < b and b < c, or put parentheses"},
		{"a && b", 3, `unexpected "&"`, "write and, or, not"},
		{"é + 'open", 5, "this text has no closing '", ""},
		{"(a", 3, `the expression ends where ")" should be`, ""},
		{"a b", 3, `unexpected "b" where an operator or the end should be`, ""},
		{"a in ()", 3, "in () needs at least one value", ""},
		{"12abc", 1, `"12abc" is not a number`, ""},
		{"hour()", 1, "hour takes one argument, not 0", ""},
		{"if(a)", 1, "if takes 3 arguments, not 1", ""},
		{"round(a, 99)", 10, "the digits of round are a number from 0 to 15", ""},
		{"1 + and", 5, `unexpected "and" where a column, a value or a function should be`, "a column of that name is written in double quotes"},
		{"a is 1", 6, `unexpected "1" where null should be`, ""},
	} {
		_, err := ParseExpr(c.src)
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Errorf("%q: got %v, want a fault", c.src, err)
			continue
		}
		if f.Code != fault.Invalid || f.Position.Column != c.column || f.Message != c.text || f.Hint != c.hint {
			t.Errorf("%q: got column %d, %q, hint %q; want column %d, %q, hint %q", c.src, f.Position.Column, f.Message, f.Hint, c.column, c.text, c.hint)
		}
	}
}

func TestExprKind(t *testing.T) {
	for _, c := range []struct {
		src  string
		want table.Kind
		err  string
	}{
		{"x + 1", table.Double, ""},
		{"n + 1", table.Long, ""},
		{"n / 2", table.Double, ""},
		{"arr_delay >= 15", table.Boolean, ""},
		{"hour(time_hour)", table.Long, ""},
		{"is_weekend(t)", table.Boolean, ""},
		{"lower(s)", table.String, ""},
		{"coalesce(n, x)", table.Double, ""},
		{"coalesce(null, s)", table.String, ""},
		{"if(b, 1, 0)", table.Long, ""},
		{"t > v", table.Boolean, ""},
		{"b = 1", table.Boolean, ""},
		{"null", table.Double, ""},
		{"s + 1", "", "1: arithmetic needs numbers, and this is a string"},
		{"x > s", "", "5: a string does not go with a double"},
		{"hour(x)", "", "6: hour takes a datetime, and this is a double"},
		{"not x", "", "5: not needs a condition, and this is a double"},
		{"b and n", "", "7: and needs a condition, and this is a long"},
		{"if(x, 1, 2)", "", "4: the first argument of if is a condition, and this is a double"},
		{"coalesce(b, 2)", "", "10: a boolean does not go with a long"},
		{"arr_dleay > 1", "", "1: there is no column arr_dleay"},
	} {
		e, err := ParseExpr(c.src)
		if err != nil {
			t.Fatalf("%s: %v", c.src, err)
		}
		got, err := e.Kind(testSchema)
		if c.err != "" {
			var f *fault.Error
			if !errors.As(err, &f) || fmt.Sprintf("%d: %s", f.Position.Column, f.Message) != c.err {
				t.Errorf("%s: got error %v, want %s", c.src, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.src, got, err, c.want)
		}
	}
}

func TestEvalNulls(t *testing.T) {
	row := []table.Value{table.Number(3), table.Null, table.Text("a"), table.Null}
	for _, c := range []struct {
		src  string
		want table.Value
	}{
		{"x + z", table.Null}, {"x > 2", truth(true)}, {"z > 2", table.Null},
		{"x > 2 or z > 2", truth(true)}, {"x < 2 and z > 2", truth(false)}, {"x > 2 and z > 2", table.Null},
		{"not z > 2", table.Null}, {"z is null", truth(true)}, {"x is not null", truth(true)},
		{"x in (1, null)", table.Null}, {"x in (3, null)", truth(true)}, {"x not in (1, 2)", truth(true)}, {"z in (1)", table.Null},
		{"x between 1 and null", table.Null}, {"x between 5 and null", truth(false)},
		{"x / 0", table.Null}, {"0 / 0", table.Null}, {"1 / (1 / 0)", table.Null}, {"x % 0", table.Null},
		{"log(0)", table.Null}, {"log(-1)", table.Null}, {"sqrt(-1)", table.Null}, {"exp(1000)", table.Null}, {"1e308 * 10", table.Null},
		{"coalesce(z, x)", table.Number(3)}, {"if(z > 1, 1, 2)", table.Number(2)},
		{"s = 'a'", truth(true)}, {"w = 'a'", table.Null}, {"lower(w) is null", truth(true)}, {"length(s)", table.Number(1)},
		{"round(2.5)", table.Number(3)}, {"round(-2.5)", table.Number(-3)}, {"-7 % 3", table.Number(-1)},
	} {
		e, err := ParseExpr(c.src)
		if err != nil {
			t.Fatalf("%s: %v", c.src, err)
		}
		b, err := e.Bind([]string{"x", "z", "s", "w"}, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.src, err)
		}
		if got := b.Eval(row); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.src, got, c.want)
		}
	}
}

func TestEvalDatePartsInZone(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	// The clocks of New York went forward on 2013-03-10 at 07:00 UTC and back on 2013-11-03 at 06:00 UTC.
	for _, at := range []string{"2013-03-10T06:59:59Z", "2013-03-10T07:00:00Z", "2013-11-03T05:59:59Z", "2013-11-03T06:00:00Z", "2013-01-01T03:30:00Z",
		"2070-10-31T04:12:58Z", "2180-07-01T00:00:00Z", "1883-11-18T12:00:00Z", "1950-07-01T00:00:00Z", "1969-12-31T23:59:59Z", "2199-12-31T23:59:59Z", "2300-07-01T12:00:00Z", "9999-12-31T00:00:00Z"} {
		instant, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		local := instant.In(newYork)
		row := []table.Value{table.Number(float64(instant.UnixMicro()))}
		for src, want := range map[string]int{
			"hour(t)": local.Hour(), "minute(t)": local.Minute(), "weekday(t)": (int(local.Weekday()) + 6) % 7, "day(t)": local.Day(),
			"month(t)": int(local.Month()), "year(t)": local.Year(), "day_of_year(t)": local.YearDay(),
		} {
			e, err := ParseExpr(src)
			if err != nil {
				t.Fatal(err)
			}
			b, err := e.Bind([]string{"t"}, map[string]*time.Location{"t": newYork})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Eval(row); got != table.Number(float64(want)) {
				t.Errorf("%s at %s: got %+v, want %d", src, at, got, want)
			}
		}
	}
}

func TestEvalDoesNotAllocate(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	row := []table.Value{table.Number(3), table.Text("JFK"), table.Number(1.372e15)}
	for _, src := range []string{"x * 2 + log(x) / 3 > 1 and s in ('JFK', 'EWR')", "weekday(t)", "day_of_year(t)", "hour(t) + minute(t) / 60", "coalesce(x, 0)", "if(s = 'LGA', 1, round(x, 2))"} {
		e, err := ParseExpr(src)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Bind([]string{"x", "s", "t"}, map[string]*time.Location{"t": newYork})
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { b.Eval(row) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", src, n)
		}
	}
}

func TestBindUnknownColumn(t *testing.T) {
	e, err := ParseExpr("1 + distnace")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Bind([]string{"carrier", "distance"}, nil)
	if fault.HintOf(err) != "did you mean distance?" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{"a + b", "weekday(t) in (5, 6)", "not a is null", "'x''y'", "\"q\"", "-(-1)", "if(a, b, c)", "a between 1 and 2", "((((", "1e", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := ParseExpr(src)
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid {
				t.Fatalf("%q: %v is not a fault", src, err)
			}
			return
		}
		normal := e.String()
		again, err := ParseExpr(normal)
		if err != nil {
			if len(normal) > maxSourceBytes { // quotes and spaces can lengthen it
				return
			}
			t.Fatalf("%q: normal form %q: %v", src, normal, err)
		}
		if again.String() != normal {
			t.Fatalf("%q: normal form %q became %q", src, normal, again.String())
		}
		_, _ = e.Kind(testSchema)
		_, _ = e.SQL(nil), e.Slug()
		if b, err := e.Bind(e.Columns(), nil); err == nil {
			b.Eval(make([]table.Value, len(e.Columns())))
		}
	})
}
