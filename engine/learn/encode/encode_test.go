package encode

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	rows   = 300
	levels = 60 // above the default of columns that are encoded
)

// set is a number, a column of many categories with gaps, and one of few.
func set(seed uint64, classes int) learner.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	m := table.NewMatrix(rows, []string{"x", "many", "few"})
	m.Levels = []int32{0, levels, 3}
	y := make([]float64, rows)
	for i := range rows {
		many := float32(r.IntN(levels))
		if i%17 == 0 {
			many = float32(math.NaN())
		}
		copy(m.Row(i), []float32{float32(r.NormFloat64()), many, float32(r.IntN(3))})
		y[i] = float64(r.IntN(max(classes, 2)))
	}
	return learner.Set{X: m, Y: y}
}

// TestNoRowSeesItsOwnLabel changes one label at a time: the row's own features stay what they are, to the bit, and some
// other row's change.
func TestNoRowSeesItsOwnLabel(t *testing.T) {
	for _, task := range []learner.Task{learner.Binary, learner.Multiclass, learner.Regression} {
		classes := 0
		if task == learner.Multiclass {
			classes = 3
		}
		s := set(1, classes)
		_, before := Fit(s, task, classes, nil, Options{Seed: 7})
		for i := 0; i < rows; i += 13 {
			changed := learner.Set{X: s.X, Y: slices.Clone(s.Y)}
			changed.Y[i] = 1 - min(changed.Y[i], 1)
			_, after := Fit(changed, task, classes, nil, Options{Seed: 7})
			if !sameBits(before.Row(i), after.Row(i)) {
				t.Fatalf("%s: row %d became %v from %v by its own label", task, i, after.Row(i), before.Row(i))
			}
			if sameBits(before.Data, after.Data) {
				t.Errorf("%s: no row learned from row %d", task, i)
			}
		}
	}
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// TestMeansAreSmoothed holds values of new rows against the definition, computed the plain way.
func TestMeansAreSmoothed(t *testing.T) {
	s := set(2, 2)
	w := make([]float64, rows)
	for i := range w {
		w[i] = float64(1 + i%3)
	}
	e, _ := Fit(s, learner.Binary, 2, w, Options{Smoothing: 4})
	var prior, all float64
	for i := range rows {
		prior, all = prior+float64(w[i]*s.Y[i]), all+w[i]
	}
	prior /= all
	x := table.NewMatrix(levels, s.X.Names)
	x.Levels = s.X.Levels
	for k := range levels {
		copy(x.Row(k), []float32{0, float32(k), 1})
	}
	out := e.Apply(x)
	for k := range levels {
		sum, n, count := float64(4*prior), 4.0, 0.0
		for i := range rows {
			if s.X.Row(i)[1] == float32(k) {
				sum, n, count = sum+float64(w[i]*s.Y[i]), n+w[i], count+1
			}
		}
		if got := out.Row(k); math.Abs(float64(got[3])-sum/n) > 1e-6 || got[4] != float32(count) {
			t.Errorf("category %d has mean %v and count %v, want %v and %v", k, got[3], got[4], sum/n, count)
		}
	}
	if !slices.Equal(out.Names, []string{"x", "many", "few", "many mean", "many count"}) || !slices.Equal(out.Levels, []int32{0, 0, 3, 0, 0}) {
		t.Errorf("columns are %q with levels %v", out.Names, out.Levels)
	}
	for j, want := range []int{0, 1, 2, 1, 1} {
		if got := e.Source(j); got != want {
			t.Errorf("column %d comes from %d, not %d", j, got, want)
		}
	}
}

// TestUnseenCategories take the mean of all rows, and a count of 0.
func TestUnseenCategories(t *testing.T) {
	s := set(3, 2)
	e, _ := Fit(s, learner.Binary, 2, nil, Options{})
	var prior float64
	for _, y := range s.Y {
		prior += y
	}
	prior /= rows
	dst := make([]float32, e.Outputs())
	for _, v := range []float64{levels, levels + 1, 1e9, math.MaxFloat32, math.Inf(1), -1, math.Inf(-1), math.NaN()} {
		e.Row([]float32{0, float32(v), 0}, dst)
		if math.Abs(float64(dst[3])-prior) > 1e-6 || dst[4] != 0 {
			t.Errorf("category %v has mean %v and count %v, want %v and 0", v, dst[3], dst[4], prior)
		}
	}
	s.X.Row(0)[1] = math.MaxFloat32
	Fit(s, learner.Binary, 2, nil, Options{})
}

// TestLeavesFewLevels has nothing to encode, and counts alone for very many classes.
func TestLeavesFewLevels(t *testing.T) {
	s := set(4, 2)
	if e, x := Fit(s, learner.Binary, 2, nil, Options{Above: levels}); e != nil || x != s.X {
		t.Error("a column of as many levels as the limit was encoded")
	}
	s = set(4, mostMeans+1)
	e, x := Fit(s, learner.Multiclass, mostMeans+1, nil, Options{})
	if e.Outputs() != 4 || x.Cols != 4 {
		t.Errorf("%d columns, want the count of one beside 3", e.Outputs())
	}
}

func encoded(t testing.TB, task learner.Task, classes int) (*Encoder, []byte) {
	e, _ := Fit(set(5, classes), task, classes, nil, Options{})
	w := wire.NewWriter("test", 1)
	e.Write(w)
	return e, w.Bytes
}

func read(b []byte) (*Encoder, error) {
	r, _, _, err := wire.Open(b)
	if err != nil {
		return nil, err
	}
	e, err := Read(r)
	if err != nil {
		return nil, err
	}
	return e, r.End()
}

func TestWritesAndReads(t *testing.T) {
	for _, c := range []struct {
		task    learner.Task
		classes int
	}{{learner.Binary, 2}, {learner.Multiclass, 3}, {learner.Multiclass, mostMeans + 1}, {learner.Regression, 0}} {
		e, b := encoded(t, c.task, c.classes)
		again, err := read(b)
		if err != nil {
			t.Fatal(err)
		}
		x := set(6, c.classes).X
		if want, got := e.Apply(x), again.Apply(x); !sameBits(want.Data, got.Data) || !slices.Equal(want.Names, got.Names) {
			t.Errorf("%s of %d: what was read encodes otherwise", c.task, c.classes)
		}
		for n := range len(b) {
			if _, err := read(b[:n]); err == nil {
				t.Fatalf("%s of %d: the first %d of %d bytes were read", c.task, c.classes, n, len(b))
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	_, b := encoded(f, learner.Binary, 2)
	f.Add(b)
	_, b = encoded(f, learner.Multiclass, mostMeans+1)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := read(b)
		if err != nil || e.Inputs() > 1000 {
			return
		}
		x := make([]float32, e.Inputs())
		for _, v := range []float32{0, 1, -1, 1e30, float32(math.NaN())} {
			for j := range x {
				x[j] = v
			}
			e.Row(x, make([]float32, e.Outputs()))
		}
		for j := range e.Outputs() {
			if s := e.Source(j); s < 0 || s >= e.Inputs() {
				t.Fatalf("column %d comes from %d of %d", j, s, e.Inputs())
			}
		}
	})
}
