package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
)

func numbers(name string, x []float64) *table.Column {
	c := &table.Column{Name: name, Kind: table.Double}
	for _, v := range x {
		c.Append(table.Number(v))
	}
	return c
}

func words(name string, w []string) *table.Column {
	return &table.Column{Name: name, Kind: table.String, Strings: w}
}

func draw(n int, f func() float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = f()
	}
	return x
}

// sample is a table of every sort of column with n rows.
func sample(r *rand.Rand, n int) *table.Table {
	c := &table.Column{Name: "late", Kind: table.Boolean}
	w := &table.Column{Name: "carrier", Kind: table.String}
	x := &table.Column{Name: "temp", Kind: table.Double}
	z := &table.Column{Name: "precip", Kind: table.Double}
	for range n {
		c.Append(table.Value{F: float64(r.IntN(2))})
		w.Append(table.Text(fmt.Sprintf("w%d", int(r.ExpFloat64()*8))))
		v := table.Number(r.NormFloat64()*15 + 50)
		if r.IntN(20) == 0 {
			v = table.Null
		}
		x.Append(v)
		if r.IntN(5) > 0 {
			z.Append(table.Number(0))
		} else {
			z.Append(table.Number(r.ExpFloat64()))
		}
	}
	return table.New(c, w, x, z)
}

func rows(t *table.Table) [][]table.Value {
	out := make([][]table.Value, t.Rows)
	for i := range out {
		for _, c := range t.Columns {
			out[i] = append(out[i], c.Value(i))
		}
	}
	return out
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryShardingAndOrderGivesTheSameProfile(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ref := BuildReference(sample(r, 5000), Options{Words: 10})
	current := rows(sample(r, 3000))
	current[0][2] = table.Value{F: math.Inf(1)}
	current[1][2] = table.Value{F: 1e300}
	current[2][1] = table.Text("never seen")
	whole := ref.New()
	for _, row := range current {
		whole.Add(row)
	}
	want := asJSON(t, whole)
	for shards := range 7 {
		parts := make([]*Profile, shards+1)
		for i := range parts {
			parts[i] = ref.New()
		}
		r.Shuffle(len(current), func(i, j int) { current[i], current[j] = current[j], current[i] })
		for _, row := range current {
			parts[r.IntN(len(parts))].Add(row)
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		sum := ref.New()
		for _, p := range parts {
			if err := sum.Merge(p); err != nil {
				t.Fatal(err)
			}
		}
		if got := asJSON(t, sum); got != want {
			t.Fatalf("%d shards give another profile", shards+1)
		}
	}
}

func TestReferenceAndProfileSurviveJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	ref := BuildReference(sample(r, 2000), Options{Words: 5})
	var back Reference
	if err := json.Unmarshal([]byte(asJSON(t, ref)), &back); err != nil {
		t.Fatal(err)
	}
	if asJSON(t, &back) != asJSON(t, ref) {
		t.Fatal("the reference changed")
	}
	p, q := ref.New(), back.New()
	for _, row := range rows(sample(r, 500)) {
		p.Add(row)
		q.Add(row)
	}
	if asJSON(t, p) != asJSON(t, q) {
		t.Fatal("the same rows are counted otherwise on the reference that was read")
	}
	again, err := back.Parse([]byte(asJSON(t, p)))
	if err != nil {
		t.Fatal(err)
	}
	if asJSON(t, again) != asJSON(t, p) {
		t.Fatal("the profile changed")
	}
	for _, bad := range []string{`{"rows":1,"columns":[]}`, `{"rows":1,"columns":[{"cells":[[99999,1]]},{},{},{}]}`, `{"rows":1,"columns":[{"cells":[[1,-1]]},{},{},{}]}`, `x`} {
		if _, err := back.Parse([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestCellsOfNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	x := draw(4000, r.NormFloat64)
	for i := range 1000 {
		x[i] = 0 // an atom
	}
	ref := BuildReference(table.New(numbers("x", x)), Options{})
	c := ref.Columns[0]
	if !slices.Equal(c.Atoms, []float64{0}) {
		t.Fatalf("atoms %v, want [0]", c.Atoms)
	}
	p := ref.New()
	for _, v := range []table.Value{table.Null, {F: math.NaN()}, {F: math.Inf(1)}, {F: math.Inf(-1)}, {F: 1e12}, {F: -1e12}, {F: 0}, {F: math.Copysign(0, -1)}, {F: 100}} {
		p.Add([]table.Value{v})
	}
	n := p.Columns[0]
	for cell, want := range map[int]int64{cellMissing: 2, cellPosInf: 1, cellNegInf: 1, cellOver: 1, cellUnder: 1, firstBin + bins: 2} {
		if n.Cells[cell] != want {
			t.Errorf("cell %d holds %d, want %d", cell, n.Cells[cell], want)
		}
	}
	if n.OutOfRange != 3 { // 1e12, -1e12 and 100
		t.Errorf("out of range %d, want 3", n.OutOfRange)
	}
	if n.Missing() != 2 {
		t.Errorf("missing %d, want 2", n.Missing())
	}
	for i := range 20000 { // each value lies in the span of its cell
		v := r.NormFloat64() * math.Pow(10, float64(i%12-4))
		cell := c.cell(table.Value{F: v})
		if cell < firstBin {
			continue
		}
		if from, to := c.edges[c.bin(v)], c.edges[c.bin(v)+1]; v < from || (v >= to && from != to) {
			t.Fatalf("%v is counted in [%v, %v)", v, from, to)
		}
	}
}

func TestCellsOfText(t *testing.T) {
	ref := BuildReference(table.New(words("w", []string{"a", "a", "b", "b", "c"})), Options{Words: 2})
	p := ref.New()
	for _, w := range []string{"a", "b", "c", "d", "d"} {
		p.Add([]table.Value{table.Text(w)})
	}
	p.Add([]table.Value{table.Null})
	if got, want := p.Columns[0].Cells, []int64{1, 1, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("missing, other, unseen, a, b = %v, want %v", got, want)
	}
	if got := ref.Columns[0].Unseen(p.Columns[0]); got != 2 {
		t.Errorf("unseen %d, want 2", got)
	}
}

func TestQuantilesAndMomentsAreCloseToTheExact(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for name, f := range map[string]func() float64{
		"normal":    func() float64 { return r.NormFloat64()*10 + 2000 },
		"lognormal": func() float64 { return math.Exp(r.NormFloat64()) },
		"hours":     func() float64 { return float64(5 + r.IntN(19)) },
	} {
		x := draw(20000, f)
		ref := BuildReference(table.New(numbers("x", x)), Options{})
		c := ref.Columns[0]
		mean, sd := c.Moments(c.Counts)
		m, s := 0.0, 0.0
		for _, v := range x {
			m += v / 20000
		}
		for _, v := range x {
			s += (v - m) * (v - m) / 20000
		}
		near(t, name+" mean", mean, m, 0.01*math.Sqrt(s))
		near(t, name+" sd", sd, math.Sqrt(s), 0.02*math.Sqrt(s))
		sort.Float64s(x)
		for _, q := range []float64{0.01, 0.25, 0.5, 0.75, 0.99} {
			want := x[int(q*19999)]
			near(t, fmt.Sprintf("%s quantile %v", name, q), c.Quantile(c.Counts, q), want, 0.03*(math.Abs(want-c.Center)+c.Scale))
		}
		near(t, name+" least", c.Quantile(c.Counts, 0), x[0], 1e-9*math.Abs(x[0]))
		near(t, name+" greatest", c.Quantile(c.Counts, 1), x[len(x)-1], 1e-9*math.Abs(x[len(x)-1]))
	}
}

func exactKS(a, b []float64) float64 {
	i, j, d := 0, 0, 0.0
	for i < len(a) && j < len(b) {
		v := math.Min(a[i], b[j])
		for i < len(a) && a[i] <= v {
			i++
		}
		for j < len(b) && b[j] <= v {
			j++
		}
		d = math.Max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return d
}

func exactW1(a, b []float64) float64 {
	all := append(slices.Clone(a), b...)
	sort.Float64s(all)
	i, j, s := 0, 0, 0.0
	for k := range len(all) - 1 {
		for i < len(a) && a[i] <= all[k] {
			i++
		}
		for j < len(b) && b[j] <= all[k] {
			j++
		}
		s += math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))) * (all[k+1] - all[k])
	}
	return s
}

// The cells lose at most the mass of one cell of KS and 1 % of W1 against the exact statistics on the sorted values.
func TestDistancesOnCellsAreThoseOfTheValues(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for name, f := range map[string]func(shift float64) float64{
		"normal":       func(s float64) float64 { return r.NormFloat64()*(1+s/2) + s },
		"lognormal":    func(s float64) float64 { return math.Exp(r.NormFloat64()*1.5) * (1 + s) },
		"40 % zeros":   func(s float64) float64 { return math.Max(0, r.Float64()-0.4+s/2) * 50 },
		"far from nil": func(s float64) float64 { return 2000 + s*10 + r.NormFloat64()*10 },
	} {
		a, b := draw(50000, func() float64 { return f(0) }), draw(20000, func() float64 { return f(0.1) })
		ref := BuildReference(table.New(numbers("x", a)), Options{})
		p := ref.New()
		for _, v := range b {
			p.Add([]table.Value{{F: v}})
		}
		sort.Float64s(a)
		sort.Float64s(b)
		s := Drift(ref.Columns[0], p.Columns[0], 0, 0)
		_, sd := ref.Columns[0].Moments(ref.Columns[0].Counts)
		near(t, name+" KS", s.KS, exactKS(a, b), 0.01)
		near(t, name+" W1", s.W1, exactW1(a, b)/sd, 0.01*exactW1(a, b)/sd)
	}
}

func TestDriftIsQuietWithoutAShiftAndSeesOne(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	ref := BuildReference(sample(r, 20000), Options{})
	alarms, windows := 0, 0
	for range 200 {
		p := ref.New()
		for _, row := range rows(sample(r, 500)) {
			p.Add(row)
		}
		for i, c := range ref.Columns {
			windows++
			if s := Drift(c, p.Columns[i], 0, 0); s.PSI >= s.Bar && s.P < 0.05 {
				alarms++
			}
		}
	}
	if share := float64(alarms) / float64(windows); share > 0.01 {
		t.Errorf("%d of %d windows without a shift are over the bar", alarms, windows)
	}
	p := ref.New()
	for _, row := range rows(sample(r, 500)) {
		row[2].F += 15 // one standard deviation
		p.Add(row)
	}
	if s := Drift(ref.Columns[2], p.Columns[2], 0, 0); s.PSI < s.Bar || s.P > 1e-6 || s.PSI < 0.5 {
		t.Errorf("a shift of one standard deviation: %+v", s)
	}
}

func TestSharedValuesCountOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	hours := draw(300, r.NormFloat64)
	station := &table.Column{Name: "hour", Kind: table.Long}
	temp := &table.Column{Name: "temp", Kind: table.Double}
	for i, h := range hours {
		for range 20 {
			station.Append(table.Number(float64(i)))
			temp.Append(table.Number(h))
		}
	}
	ref := BuildReference(table.New(station, temp), Options{SharedBy: map[string][]string{"temp": {"hour"}}})
	if got := ref.Columns[1].NEff; got != 300 {
		t.Fatalf("effective rows %v, want 300", got)
	}
	p := ref.New()
	for range 100 { // another 100 hours of the same climate, 20 flights each
		x := r.NormFloat64()
		for range 20 {
			p.Add([]table.Value{{F: 1}, {F: x}})
		}
	}
	if naive := Drift(ref.Columns[1], p.Columns[1], 0, 0); naive.P > 0.01 {
		t.Errorf("taking every row as independent p = %v: the test cannot fail", naive.P)
	}
	if s := Drift(ref.Columns[1], p.Columns[1], 300, 100); s.P < 0.01 || s.PSI >= NullBar(Floor, 0.01, 300, 100, s.Cells) {
		t.Errorf("100 independent hours of the same climate: %+v", s)
	}
}

func TestHistogramKeepsAllRows(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	ref := BuildReference(sample(r, 3000), Options{})
	p := ref.New()
	for _, row := range rows(sample(r, 1000)) {
		row[2].F *= 1.5
		p.Add(row)
	}
	p.Add([]table.Value{table.Null, table.Text("new"), {F: math.Inf(1)}, {F: 3}})
	for i, c := range ref.Columns {
		h := c.Histogram(p.Columns[i], 12)
		var a, b float64
		plain := 0
		for _, bar := range h.Bars {
			a += bar.Reference
			b += bar.Current
			if bar.Special == "" {
				plain++
			}
		}
		near(t, c.Name+" reference", a, 1, 1e-9)
		near(t, c.Name+" current", b, 1, 1e-9)
		if plain > 12 {
			t.Errorf("%s has %d bars", c.Name, plain)
		}
	}
}

func TestStrangeColumns(t *testing.T) {
	for name, x := range map[string][]float64{
		"empty":    nil,
		"missing":  {math.NaN(), math.NaN()},
		"constant": {7, 7, 7},
		"zero":     {0, 0},
		"huge":     {-1.7e308, 1.7e308, 0, 1},
		"tiny":     {5e-324, 1e-323, 0},
		"times":    {1.7e15, 1.7e15 + 1, 1.7e15 + 2},
		"infinite": {math.Inf(1), math.Inf(-1), 1},
	} {
		ref := BuildReference(table.New(numbers(name, x)), Options{})
		var back Reference
		if err := json.Unmarshal([]byte(asJSON(t, ref)), &back); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := back.New()
		for _, v := range append(x, 1, -1, 1e308, -1e308) {
			p.Add([]table.Value{table.Number(v)})
		}
		s := Drift(back.Columns[0], p.Columns[0], 0, 0)
		for what, v := range map[string]float64{"psi": s.PSI, "js": s.JS, "p": s.P, "bar": s.Bar} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s: %s is %v", name, what, v)
			}
		}
		if p.Columns[0].Total() != int64(len(x)+4) {
			t.Errorf("%s: rows were lost", name)
		}
		back.Columns[0].Histogram(p.Columns[0], 40)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	ref := BuildReference(sample(r, 1000), Options{})
	p, row := ref.New(), rows(sample(r, 1))[0]
	if n := testing.AllocsPerRun(100, func() { p.Add(row) }); n != 0 {
		t.Errorf("Add allocates %v times", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(23, 24))
	x := draw(1<<12, func() float64 { return r.NormFloat64()*10 + 50 })
	ref := BuildReference(table.New(numbers("x", x)), Options{})
	p := ref.New()
	row := make([]table.Value, 1)
	b.ReportAllocs()
	for i := range b.N {
		row[0].F = x[i&(1<<12-1)]
		p.Add(row)
	}
}
