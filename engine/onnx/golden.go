package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// MinGoldenRows is the least number of golden rows of a version.
const MinGoldenRows = 1000

// GoldenRows makes n rows (at least MinGoldenRows) for checking that an engine gives the predictions it should. They have the inputs of the recipe, by name.
//
// A half are rows of sample. The others start from one and change it: missing cells, categories never seen, and, where a numeric
// input reaches the trees unchanged, values at a threshold of the model, one float32 ulp beside it, and half an ulp beside it, which only rounding decides.
// Whole numbers and booleans stay whole. The first row is all missing, the second all unseen. The same arguments give the same rows.
func GoldenRows(f *recipe.Fitted, m learn.Model, sample *table.Table, n int, seed uint64) (*table.Table, error) {
	if sample.Rows == 0 {
		return nil, fault.New(fault.Invalid, "golden rows need at least one row to start from")
	}
	g := &golden{random: rand.New(rand.NewPCG(seed, 0x901de)), inputs: f.Inputs(), columns: f.Columns()}
	g.cuts = make([][]float32, len(g.inputs))
	for j, list := range Thresholds(m) {
		if i := f.FeatureInputs()[j]; f.PassThrough(j) && len(list) > 0 {
			g.cuts[i], g.numeric = list, append(g.numeric, i)
		}
	}
	out := make([]*table.Column, len(g.inputs))
	source := make([]*table.Column, len(g.inputs))
	for i, in := range g.inputs {
		if source[i] = sample.Column(in.Name); source[i] == nil {
			return nil, fault.New(fault.Invalid, "the sample has no column %s", in.Name)
		}
		out[i] = &table.Column{Name: in.Name, Kind: in.Kind}
		if in.Kind == table.String {
			g.texts = append(g.texts, i)
		}
	}
	row := make([]table.Value, len(g.inputs))
	for k := range max(n, MinGoldenRows) {
		from := g.random.IntN(sample.Rows)
		for i, c := range source {
			row[i] = c.Value(from)
		}
		g.change(row, k)
		for i, c := range out {
			c.Append(row[i])
		}
	}
	return table.New(out...), nil
}

// Thresholds are the distinct numbers, ascending, at which a tree model splits each feature, also under a calibration;
// none for other models.
func Thresholds(m learn.Model) [][]float32 {
	if inner, _, ok := calibrate.Unwrap(m); ok {
		m = inner
	}
	out := make([][]float32, m.Features())
	trees, ok := m.(*tree.Model)
	if !ok {
		return out
	}
	for i := range trees.Trees {
		for n, j := range trees.Trees[i].Feature {
			if t := trees.Trees[i].Threshold[n]; j >= 0 && !math.IsInf(t, 0) {
				out[j] = append(out[j], tree.Floor32(t))
			}
		}
	}
	for j := range out {
		slices.Sort(out[j])
		out[j] = slices.Compact(out[j])
	}
	return out
}

type golden struct {
	random         *rand.Rand
	inputs         []recipe.Input
	columns        []recipe.Column
	cuts           [][]float32 // per input that passes through unchanged
	texts, numeric []int       // inputs of text, and those with cuts
}

func (g *golden) change(row []table.Value, k int) {
	switch {
	case k == 0:
		for i := range row {
			g.miss(row, i)
		}
	case k == 1:
		for _, i := range g.texts {
			row[i] = g.unseen(i)
		}
	case k%2 == 0:
	case k%8 == 1:
		for range 1 + g.random.IntN(3) {
			g.miss(row, g.random.IntN(len(row)))
		}
	case k%8 == 3 && len(g.texts) > 0:
		i := g.texts[g.random.IntN(len(g.texts))]
		row[i] = g.unseen(i)
	case len(g.numeric) > 0:
		i := g.numeric[g.random.IntN(len(g.numeric))]
		row[i] = g.near(i)
	}
}

// miss makes a cell missing; a text in either of its two forms.
func (g *golden) miss(row []table.Value, i int) {
	row[i] = table.Null
	if g.inputs[i].Kind == table.String && g.random.IntN(2) == 0 {
		row[i] = table.Text("")
	}
}

func (g *golden) unseen(i int) table.Value {
	for {
		s := fmt.Sprintf("never seen %d", g.random.IntN(1000))
		if !slices.Contains(g.columns[i].Encoder.Texts, s) {
			return table.Text(s)
		}
	}
}

// near is a number at a threshold of input i or as close to it as the input's kind allows.
func (g *golden) near(i int) table.Value {
	cut := g.cuts[i][g.random.IntN(len(g.cuts[i]))]
	switch g.inputs[i].Kind {
	case table.Boolean:
		return table.Value{F: float64(g.random.IntN(2))}
	case table.Long:
		return table.Value{F: math.Floor(float64(cut)) + float64(g.random.IntN(2))}
	}
	at := float64(cut)
	below, above := float64(math.Nextafter32(cut, float32(math.Inf(-1)))), float64(math.Nextafter32(cut, float32(math.Inf(1))))
	near := []float64{at, below, above, (at + below) / 2, (at + above) / 2, math.Nextafter((at+above)/2, math.Inf(1))}
	x := near[g.random.IntN(len(near))]
	if math.IsInf(x, 0) { // beside the largest float32
		x = at
	}
	return table.Value{F: x}
}
