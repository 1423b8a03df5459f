package filter

import (
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func TestBounds(t *testing.T) {
	one := "tags.a = 'b'"
	for _, c := range []struct {
		name, filter, want string
	}{
		{"too long", one + strings.Repeat(" ", MaxBytes), "Invalid filter: it is 65548 bytes long, more than 65536"},
		{"too many", strings.Repeat(one+" AND ", MaxClauses+1), "Invalid filter: it has more than 1000 comparisons"},
		{"not UTF-8", "tags.a = '\xff'", "Invalid filter: it is not UTF-8"},
		{"deep", strings.Repeat("(", 200) + one + strings.Repeat(")", 200), "Error on parsing filter"},
	} {
		_, err := Parse(Runs, c.filter)
		if fault.CodeOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %.100v, want %q", c.name, err, c.want)
		}
	}
	clauses, err := Parse(Runs, strings.Repeat(one+" AND ", MaxClauses))
	if err != nil || len(clauses) != MaxClauses {
		t.Errorf("%d clauses, %v", len(clauses), err)
	}
	if _, err := Parse("traces", one); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an unknown noun: %v", err)
	}
}

// TestLinearTime parses texts that make a backtracking or list-copying parser slow: four times the text may take a few
// times four times the time, where quadratic work would take sixteen.
func TestLinearTime(t *testing.T) {
	parse := func(piece string, size int) time.Duration {
		s := strings.Repeat(piece, size/len(piece))
		best := time.Hour
		for range 3 {
			start := time.Now()
			_, _ = Parse(Runs, s)
			_, _, _ = direction(s)
			best = min(best, time.Since(start))
		}
		return best
	}
	for _, piece := range []string{"'", `"`, "`", `'\`, "''", "'a", "/*", "*/", "a.", "a ", "a,", "a=", "a=b=", "(", ")", "()", "((a)", "[", "[a]", "-",
		"1", "1.", "1e", "NOT ", "a as ", "a b ", "x::", "--\n", "# ", "WHERE ", "CASE ", "CASE END ", "a AND ", "a IN ('b') AND ", " ", "\n", "%(",
		"$a", "a(", "é", "a;", "x IS NULL "} {
		small, large := parse(piece, MaxBytes/16), parse(piece, MaxBytes/4)
		if large > 12*small && large > time.Second {
			t.Errorf("%q: %v, four times as much %v", piece, small, large)
		}
	}
}

// like is LIKE as a regular expression.
func like(pattern string, fold bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?s)")
	if fold {
		b.WriteString("(?i)")
	}
	b.WriteString("^")
	for _, r := range pattern {
		switch r {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(b.String() + "$")
}

func TestPatternsMatchAsRegularExpressions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet []rune, n int) string {
		var b strings.Builder
		for range n {
			b.WriteRune(alphabet[rng.IntN(len(alphabet))])
		}
		return b.String()
	}
	for range 50000 {
		pattern, s := text([]rune("aabAé%_%"), rng.IntN(8)), text([]rune("aabAé"), rng.IntN(10))
		fold := rng.IntN(2) == 0
		if got, want := NewPattern(pattern, fold).Match(s), like(pattern, fold).MatchString(s); got != want {
			t.Fatalf("%q like %q (fold %v): %v, want %v", s, pattern, fold, got, want)
		}
	}
	long := strings.Repeat("ab", 100)
	for pattern, want := range map[string]bool{
		"%" + strings.Repeat("_", 200): true, "%" + strings.Repeat("_", 201): false, "%a" + strings.Repeat("_", 130) + "b%": true,
		"%a" + strings.Repeat("_", 130) + "a%": false, "%a" + strings.Repeat("_", 131) + "a%": true, "%" + strings.Repeat("a_", 70) + "%": true,
	} {
		if got := NewPattern(pattern, false).Match(long); got != want || like(pattern, false).MatchString(long) != want {
			t.Errorf("%q: %v, want %v", pattern, got, want)
		}
	}
}

func TestHardPatternsAreQuick(t *testing.T) {
	value := strings.Repeat("a", 100000)
	start := time.Now()
	for _, pattern := range []string{strings.Repeat("%a", 30000) + "b", "%" + strings.Repeat("a", 30000) + "b%", "%" + strings.Repeat("a_", 15000) + "b%",
		strings.Repeat("%a_", 20000) + "%b%"} {
		if NewPattern(pattern, false).Match(value) {
			t.Errorf("%.10q matches", pattern)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%v", took)
	}
}

func TestMatchKinds(t *testing.T) {
	parse := func(n Noun, s string) Clause {
		t.Helper()
		clauses, err := Parse(n, s)
		if err != nil || len(clauses) != 1 {
			t.Fatal(s, err)
		}
		return clauses[0]
	}
	for _, c := range []struct {
		noun         Noun
		filter       string
		value        string
		present, yes bool
	}{
		{Runs, "tags.a IS NULL", "", false, true},
		{Runs, "tags.a IS NULL", "", true, false},
		{Runs, "tags.a IS NOT NULL", "", false, false},
		{Runs, "tags.a != 'b'", "", false, false},
		{Runs, "tags.`mlflow.prompt.is_prompt` != 'true'", "", false, false},
		{RegisteredModels, "tags.`mlflow.prompt.is_prompt` != 'true'", "", false, true},
		{ModelVersions, "tags.`mlflow.prompt.is_prompt` = 'false'", "", false, true},
		{ModelVersions, "tags.`mlflow.prompt.is_prompt` = 'true'", "", false, false},
		{Runs, "run_id NOT IN ('a', 'b')", "c", true, true},
		{Runs, "metrics.m > 1", "2", true, false},
		{Runs, "tags.a LIKE 'A%'", "abc", true, false},
		{Runs, "tags.a ILIKE 'Ä%'", "äbc", true, true},
		{Runs, `tags.a LIKE 'a\%'`, `a\b`, true, true},
	} {
		if got := parse(c.noun, c.filter).MatchText(c.value, c.present); got != c.yes {
			t.Errorf("%s: %q %v: %v", c.filter, c.value, c.present, got)
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	for filter, want := range map[string][]bool{ // 1, NaN, Inf, absent
		"metrics.m > 0": {true, false, true, false}, "metrics.m != 1": {false, true, true, false}, "metrics.m = 1": {true, false, false, false},
		"metrics.m <= 1": {true, false, false, false}, "metrics.m < 1e999": {true, false, false, false}, "metrics.m >= 1e999": {false, false, true, false},
	} {
		c := parse(Runs, filter)
		got := []bool{c.MatchNumber(1, true), c.MatchNumber(nan, true), c.MatchNumber(inf, true), c.MatchNumber(0, false)}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
}

func TestAbsentIsLastAfterNaN(t *testing.T) {
	nan := math.NaN()
	values := []Value{{Number: 2}, {Null: true}, {Number: nan}, {Number: 1}, {Number: math.Inf(-1)}}
	for _, c := range []struct {
		desc bool
		want []int
	}{{false, []int{4, 3, 0, 2, 1}}, {true, []int{0, 3, 4, 2, 1}}} {
		o := Order{Kind: Metric, Key: "m", Numeric: true, Desc: c.desc}
		got := []int{0, 1, 2, 3, 4}
		slices.SortFunc(got, func(a, b int) int { return o.Compare(values[a], values[b]) })
		if !slices.Equal(got, c.want) {
			t.Errorf("desc %v: %v, want %v", c.desc, got, c.want)
		}
	}
	if CompareText("a", true, "b", true, true) != 1 || CompareText("", false, "b", true, true) != 1 || CompareText("", false, "", false, false) != 0 {
		t.Error("texts")
	}
}

func TestTotalNamesEveryTieOnce(t *testing.T) {
	orders, err := ParseOrder(Runs, []string{"Created ASC", "metrics.`val loss` DESC"})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, o := range Total(Runs, orders) {
		said = append(said, o.String())
	}
	if got, want := strings.Join(said, ", "), "start_time ASC, metrics.`val loss` DESC, run_id ASC"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, n := range nouns {
		if last := Defaults(n); len(last) == 0 || last[len(last)-1].Kind != Attribute {
			t.Errorf("%s: %v", n, last)
		}
	}
}

// roundTrip prints what s says and reads it again.
func roundTrip(t *testing.T, n Noun, s string) {
	t.Helper()
	clauses, err := Parse(n, s)
	if err != nil {
		if fault.CodeOf(err) != fault.Invalid {
			t.Fatalf("%q: %v is not the caller's mistake", s, err)
		}
		return
	}
	printed := Format(clauses)
	again, err := Parse(n, printed)
	if len(printed) > MaxBytes { // escapes made it longer
		return
	}
	if err != nil {
		t.Fatalf("%s: %q is printed %q, which says %v", n, s, printed, err)
	}
	if !reflect.DeepEqual(clauses, again) {
		t.Fatalf("%s: %q is printed %q: %+v, %+v", n, s, printed, clauses, again)
	}
}

func TestWhatIsPrintedReadsBack(t *testing.T) {
	for _, n := range nouns {
		for _, f := range readGolden(t, n).Filters {
			roundTrip(t, n, f.Filter)
		}
	}
}

func FuzzParse(f *testing.F) {
	for i, n := range nouns {
		for j, g := range readGolden(f, n).Filters {
			if j%25 != 0 {
				continue
			}
			f.Add(i, g.Filter)
		}
	}
	f.Add(0, `tags.a = 'x\' AND tags.b = "y"`)
	f.Add(0, "tags.\"a`b\" = \"it's\" AND params.`a``b` = 'say \"x\"' AND run_id IN ('a\\'b', \"c\\\\\")")
	f.Fuzz(func(t *testing.T, noun int, s string) {
		if noun < 0 || noun >= len(nouns) {
			return
		}
		roundTrip(t, nouns[noun], s)
		orders, err := ParseOrder(nouns[noun], []string{s})
		if err != nil && fault.CodeOf(err) != fault.Invalid {
			t.Fatalf("%q: %v is not the caller's mistake", s, err)
		}
		Total(nouns[noun], orders)
	})
}
