package explain

import (
	"math"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// m points integrate every power up to 2m-1 over [0, 1]: the integral of t^k is 1/(k+1).
func TestPoints(t *testing.T) {
	for _, m := range []int{1, 2, 3, 4, 8, 12, 16, 64, 512} {
		places, rest, weights := points(m)
		for k := range 2 * m {
			var sum float64
			for i, p := range places {
				if p <= 0 || p >= 1 || math.Abs(p+rest[i]-1) > 1e-15 {
					t.Fatalf("%d points: place %d is %v, the rest %v", m, i, p, rest[i])
				}
				sum += weights[i] * math.Pow(p, float64(k))
			}
			if want := 1 / float64(k+1); math.Abs(sum-want) > 1e-13*want*float64(k+1) {
				t.Errorf("%d points: the integral of t^%d is %v, not %v", m, k, sum, want)
			}
		}
	}
}

func chain(features, splits int) tree.Ensemble {
	t := tree.Tree{}
	at := t.Add(tree.Leaf, 0, false, 1, 0, float64(splits+1))
	for i := range splits {
		t.Feature[at], t.Value[at] = int32(i%features), 0
		l := t.Add(tree.Leaf, 0, false, float64(i%7), 0, 1)
		r := t.Add(tree.Leaf, 0, false, 1, 0, float64(splits-i))
		t.Left[at], t.Right[at] = l, r
		at = r
	}
	return tree.Ensemble{Features: features, Base: []float64{0}, Trees: []tree.Tree{t}, Link: tree.Identity, Scale: 1, Single: true}
}

func model(t *testing.T, e tree.Ensemble) *tree.Model {
	m, err := tree.NewModel("test", learner.Regression, e)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A path of a thousand features is still exact; a tree of one long path, as a hostile file may hold, neither overflows
// the stack nor takes time that grows with the square of its length.
func TestLongPaths(t *testing.T) {
	for _, c := range []struct{ features, splits int }{{1000, 1000}, {maxPath, 3000}, {3, 100_000}} {
		m := model(t, chain(c.features, c.splits))
		e, err := New(m)
		if err != nil {
			t.Fatal(err)
		}
		x, got, margin := make([]float32, c.features), make([]float64, c.features), make([]float64, 1)
		for j := range x {
			x[j] = float32(j%5) - 0.5
		}
		e.Row(x, got)
		m.Margin(x, margin)
		sum := e.Expected()[0]
		for _, v := range got {
			sum += v
		}
		if !near(sum, margin[0], 1e-9) {
			t.Errorf("%d features, %d splits: contributions add up to %v, the margin is %v", c.features, c.splits, sum, margin[0])
		}
	}
}

func TestRefusals(t *testing.T) {
	unknown := chain(3, 3)
	clear(unknown.Trees[0].Cover)
	negative := chain(3, 3)
	negative.Trees[0].Cover[1] = -1
	undefined := chain(3, 3)
	undefined.Trees[0].Cover[2] = math.NaN()
	infinite := chain(3, 3)
	infinite.Trees[0].Value[1] = math.Inf(1)
	for name, m := range map[string]learner.Model{
		"covers unknown":    model(t, unknown),
		"a negative cover":  model(t, negative),
		"an undefined one":  model(t, undefined),
		"an infinite leaf":  model(t, infinite),
		"too long a path":   model(t, chain(maxPath+1, maxPath+1)),
		"a kind of its own": strange{},
	} {
		if _, err := New(m); !fault.Is(err, fault.NotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Trees without a split need no covers.
	flat := chain(3, 0)
	flat.Trees[0].Cover[0] = 0
	if e, err := New(model(t, flat)); err != nil || e.Expected()[0] != 1 {
		t.Errorf("no split: %v", err)
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		task  learner.Task
		link  tree.Link
		scale float64
		want  string
	}{
		{learner.Binary, tree.Logistic, 1, LogOdds}, {learner.Binary, tree.Logistic, 2, Score}, {learner.Binary, tree.Identity, 1, Probability},
		{learner.Multiclass, tree.Softmax, 1, Score}, {learner.Multiclass, tree.LogisticEach, 1, Score}, {learner.Multiclass, tree.Identity, 1, Probability},
		{learner.Regression, tree.Identity, 1, Value}, {learner.Regression, tree.Exp, 1, Log}, {learner.Ranking, tree.Identity, 1, Score},
	} {
		e := chain(3, 3)
		e.Link, e.Scale = c.link, c.scale
		if c.task == learner.Multiclass {
			e.Base = []float64{0, 0}
		}
		m, err := tree.NewModel("test", c.task, e)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := New(covered{m}); err != nil || made.Unit() != c.want {
			t.Errorf("%s, %s, scale %v: %v, %v", c.task, c.link, c.scale, made, err)
		}
	}
}

// covered is a model over another, like a calibration.
type covered struct{ learner.Model }

func (c covered) Inner() learner.Model { return c.Model }

// strange is a model that nothing here knows.
type strange struct{ learner.Model }

func (strange) Kind() string  { return "strange" }
func (strange) Features() int { return 1 }
func (strange) Outputs() int  { return 1 }
