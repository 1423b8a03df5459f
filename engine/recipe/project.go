package recipe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Projection replaces some numeric inputs by fewer features, linear combinations of them. Feature k is the sum over
// inputs, in their order, of (x - Mean) * Weights[k], in float64 and without fused multiply-add; it is NaN when one of the
// inputs is. The first of the inputs stands for all features in the row; the others have none.
type Projection struct {
	Inputs  []int       `json:"inputs"`  // places in the recipe's inputs, ascending
	Mean    []float64   `json:"mean"`    // one per input; zeros for truncated_svd
	Weights [][]float64 `json:"weights"` // components x inputs
	// Explained is the share of the inputs' variance that each component has in training.
	Explained []float64 `json:"explained"`
	Name      string    `json:"name"` // of the features: name and a number from 1
}

// stacked is how many inputs' values are kept without allocating.
const stacked = 64

// write computes the features of one row of inputs. It allocates when there are more than stacked inputs.
func (p *Projection) write(columns []Column, value func(i int) table.Value, dst []float32) {
	var near [stacked]float64
	x := near[:]
	if len(p.Inputs) > stacked {
		x = make([]float64, len(p.Inputs))
	}
	x = x[:len(p.Inputs)]
	for i, in := range p.Inputs {
		x[i] = columns[in].before(value(in))
	}
	for k := range p.Weights {
		dst[k] = float32(p.output(k, x))
	}
}

// output is feature k for the values of the inputs.
func (p *Projection) output(k int, x []float64) float64 {
	var sum float64
	for i, v := range x {
		sum += float64((v - p.Mean[i]) * p.Weights[k][i])
	}
	return sum
}

// Bounds of a projection: unknowns that are computed exactly, and those that are computed at all.
const (
	exactColumns  = 1000
	oversamples   = 10
	powerRounds   = 7
	maxComponents = 10_000
)

// components reads the number of components, or the share of variance that they must reach.
func (s *Step) components() (n int, share float64, err error) {
	v, err := s.number("components", 0, 0, maxComponents)
	switch {
	case err != nil:
		return 0, 0, err
	case v <= 0 || v > 1 && v != math.Trunc(v):
		return 0, 0, fault.New(fault.Invalid, "%s needs components: a whole number, or the share of variance to keep, between 0 and 1", s.Op).
			WithHint("write {%s: {components: 5}} or {%s: {components: 0.95}}", s.Op, s.Op)
	case v < 1:
		if s.Op == "truncated_svd" {
			return 0, 0, fault.New(fault.Invalid, "truncated_svd takes a number of components, and no share of variance").WithHint("use pca")
		}
		return 0, v, nil
	}
	return int(v), 0, nil
}

// project fits pca or truncated_svd on the current values of the targets.
func (f *fitting) project(step Step, targets []*fittingColumn) error {
	n, share, err := step.components()
	if err != nil {
		return err
	}
	p := &Projection{Name: step.Op}
	var columns [][]float64
	for i := range f.columns {
		c := &f.columns[i]
		if !slices.Contains(targets, c) {
			continue
		}
		switch {
		case c.Text || c.Encoder != nil:
			return fault.New(fault.Invalid, "%s is not a number, and %s combines numbers", c.name, step.Op)
		case c.Projected != nil || c.Hidden:
			return fault.New(fault.Invalid, "%s is in another pca or truncated_svd already", c.name)
		case len(c.numbers) != 1:
			return fault.New(fault.Invalid, "%s is encoded already", c.name)
		case !f.outline && slices.ContainsFunc(c.numbers[0], func(v float64) bool { return v-v != 0 }):
			return fault.New(fault.Invalid, "%s has missing or infinite values, which %s cannot combine", c.name, step.Op).WithHint("impute or clip it before")
		}
		p.Inputs, columns = append(p.Inputs, i), append(columns, c.numbers[0])
	}
	if len(columns) == 0 {
		return fault.New(fault.Invalid, "there are no numbers for %s", step.Op)
	}
	if n > len(columns) || !f.outline && n > f.rows {
		return fault.New(fault.Invalid, "%s cannot make %d components of %d columns and %d rows", step.Op, n, len(columns), f.rows)
	}
	if f.outline {
		p.Mean, p.Explained = make([]float64, len(columns)), make([]float64, max(n, 1))
		for range p.Explained {
			p.Weights = append(p.Weights, make([]float64, len(columns)))
		}
	} else if err := p.fit(columns, n, share, step.Op == "pca", f.spec.Seed); err != nil {
		return err
	}
	outputs := make([][]float64, len(p.Weights))
	row := make([]float64, len(columns))
	for k := range outputs {
		outputs[k] = make([]float64, f.rows)
	}
	for r := range f.rows {
		for i, c := range columns {
			row[i] = c[r]
		}
		for k := range outputs {
			outputs[k][r] = p.output(k, row)
		}
	}
	for i, at := range p.Inputs {
		c := &f.columns[at]
		if i == 0 {
			c.Projected, c.numbers = p, outputs
		} else {
			c.Hidden, c.numbers = true, nil
		}
	}
	return nil
}

// fit computes the components: the eigenvectors of the columns' second moments, about the means for pca and about zero
// for truncated_svd, in falling order of what they explain. Up to exactColumns columns that is exact; above, the range is found
// by random projection with power iterations (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1). A component's sign makes
// its largest weight positive, as scikit-learn's svd_flip does on the right singular vectors.
func (p *Projection) fit(columns [][]float64, n int, share float64, centred bool, seed uint64) error {
	w, rows := len(columns), len(columns[0])
	p.Mean = make([]float64, w)
	x := mat.NewDense(rows, w, nil)
	var total float64 // the sum of the columns' variances
	for j, c := range columns {
		mean, deviation := meanDeviation(c)
		total += float64(deviation * deviation)
		if centred {
			p.Mean[j] = mean
		}
		for i, v := range c {
			x.Set(i, j, v-p.Mean[j])
		}
	}
	if total-total != 0 {
		return fault.New(fault.Invalid, "the values are too large to combine").WithHint("scale them before")
	}
	var vectors *mat.Dense // w x components
	switch {
	case w <= exactColumns && rows >= 10*w: // the matrix of second moments is small beside the rows
		moments := new(mat.SymDense)
		moments.SymOuterK(1, x.T())
		var eigen mat.EigenSym
		if !eigen.Factorize(moments, true) {
			return fault.New(fault.Invalid, "the eigenvalues of the columns do not converge").WithHint("scale them before")
		}
		rising := new(mat.Dense)
		eigen.VectorsTo(rising)
		vectors = mat.NewDense(w, w, nil)
		for k := range w {
			vectors.SetCol(k, mat.Col(nil, w-1-k, rising))
		}
	case w <= exactColumns || n == 0 || n+oversamples >= min(w, rows):
		var svd mat.SVD
		if !svd.Factorize(x, mat.SVDThin) {
			return fault.New(fault.Invalid, "the singular values of the columns do not converge").WithHint("scale them before")
		}
		vectors = new(mat.Dense)
		svd.VTo(vectors)
	default:
		vectors = randomised(x, n, seed)
	}
	_, found := vectors.Dims()
	scores := new(mat.Dense)
	scores.Mul(x, vectors)
	var reached float64
	for k := range found {
		if n > 0 && k == n || n == 0 && reached > share {
			break
		}
		weights := mat.Col(nil, k, vectors)
		largest := 0
		for i, v := range weights {
			if math.Abs(v) > math.Abs(weights[largest]) {
				largest = i
			}
		}
		if weights[largest] < 0 {
			for i := range weights {
				weights[i] = -weights[i]
			}
		}
		_, deviation := meanDeviation(mat.Col(nil, k, scores))
		explained := 0.0
		if total > 0 {
			explained = deviation * deviation / total
		}
		reached += explained
		p.Weights, p.Explained = append(p.Weights, weights), append(p.Explained, explained)
	}
	return nil
}

// randomised is the leading right singular vectors of x, w x n.
func randomised(x *mat.Dense, n int, seed uint64) *mat.Dense {
	rows, w := x.Dims()
	size := min(n+oversamples, rows, w)
	r := rand.New(rand.NewPCG(seed, 0x706361))
	start := mat.NewDense(w, size, nil)
	for i := range w {
		for j := range size {
			start.Set(i, j, r.NormFloat64())
		}
	}
	basis := func(m *mat.Dense) *mat.Dense {
		var qr mat.QR
		qr.Factorize(m)
		full := new(mat.Dense)
		qr.QTo(full)
		n, _ := m.Dims()
		return mat.DenseCopyOf(full.Slice(0, n, 0, size))
	}
	q := new(mat.Dense)
	q.Mul(x, start)
	for range powerRounds {
		z := new(mat.Dense)
		z.Mul(x.T(), basis(q))
		q = new(mat.Dense)
		q.Mul(x, basis(z))
	}
	small := new(mat.Dense)
	small.Mul(basis(q).T(), x)
	var svd mat.SVD
	svd.Factorize(small, mat.SVDThin)
	v := new(mat.Dense)
	svd.VTo(v)
	return mat.DenseCopyOf(v.Slice(0, w, 0, n))
}

// check refuses a stored projection that does not hold together. at is the input that it stands at.
func (p *Projection) check(at int, columns []Column) error {
	if len(p.Inputs) == 0 || p.Inputs[0] != at || len(p.Mean) != len(p.Inputs) || len(p.Weights) == 0 || len(p.Explained) != len(p.Weights) {
		return fault.New(fault.Corrupt, "the projection does not hold together")
	}
	for i, in := range p.Inputs {
		if i > 0 && (in <= p.Inputs[i-1] || in >= len(columns) || !columns[in].Hidden) || columns[in].Text || columns[in].Encoder != nil {
			return fault.New(fault.Corrupt, "the projection reads input %d, which is not its own", in)
		}
	}
	for k, w := range p.Weights {
		if len(w) != len(p.Inputs) {
			return fault.New(fault.Corrupt, "component %d has %d weights for %d inputs", k, len(w), len(p.Inputs))
		}
	}
	return nil
}

// names of the features.
func (p *Projection) feature(k int) string { return fmt.Sprint(p.Name, k+1) }
