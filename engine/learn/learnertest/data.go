package learnertest

import (
	"math"
	"math/rand/v2"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Columns of a sample: two numbers that matter together, one with gaps that matter, one small and one large set of
// categories that matter, a constant and noise.
var names = []string{"a", "b", "gaps", "few", "many", "constant", "noise"}

const (
	gaps     = 2
	few      = 3
	many     = 4
	fewCodes = 7
	manySize = 80 // more than learners make columns of
)

// Sample is rows of seven columns with gaps and categories, and labels of the task that depend on most of them. The
// same arguments give the same rows. Ranking has queries of ten rows.
func Sample(rows int, task learner.Task, classes int, seed uint64) learner.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	x := table.NewMatrix(rows, names)
	x.Levels = make([]int32, len(names))
	x.Levels[few], x.Levels[many] = fewCodes, manySize
	set := learner.Set{X: x, Y: make([]float64, rows)}
	if task == learner.Ranking {
		set.Query = make([]int32, rows)
	}
	for i := range rows {
		a, b := r.NormFloat64(), r.NormFloat64()
		small, large := r.IntN(fewCodes), min(int(r.ExpFloat64()*15), manySize-1)
		row := x.Row(i)
		row[0], row[1], row[few], row[many] = float32(a), float32(b), float32(small), float32(large)
		row[5], row[6] = 3, float32(r.NormFloat64())
		z := 1.5*a - b + a*b/2 + []float64{1.2, -0.8, 0, 2, -1.5, 0.3, -1}[small]
		z += float64(large%3) / 2
		if r.Float64() < 0.2 {
			row[gaps] = float32(math.NaN())
			z++
		} else {
			row[gaps] = float32(r.NormFloat64())
		}
		switch task {
		case learner.Binary:
			if r.Float64() < 1/(1+math.Exp(-z)) {
				set.Y[i] = 1
			}
		case learner.Multiclass:
			set.Y[i] = min(max(math.Floor(z+r.NormFloat64()/2+float64(classes)/2), 0), float64(classes-1))
		case learner.Ranking:
			set.Query[i] = int32(i / 10)
			set.Y[i] = min(max(math.Floor(z+r.NormFloat64()/2+2), 0), 4)
		default:
			set.Y[i] = z + r.NormFloat64()/4
		}
	}
	return set
}

func (s *Subject) sample(rows int, seed uint64) learner.Set {
	set := Sample(rows, s.Task, s.Classes, seed)
	if s.NoCategories {
		set.X.Levels = nil
	}
	if s.Task == learner.Binary && rows >= 2 { // small samples may have one class
		set.Y[0], set.Y[1] = 0, 1
	}
	return set
}

// take is the set with the given rows, in that order.
func take(set learner.Set, rows []int) learner.Set {
	out := learner.Set{X: set.X.Take(rows), Y: make([]float64, len(rows))}
	if set.Query != nil {
		out.Query = make([]int32, len(rows))
	}
	for i, r := range rows {
		out.Y[i] = set.Y[r]
		if set.Query != nil {
			out.Query[i] = set.Query[r]
		}
	}
	return out
}

// numbers is a set of plain columns without gaps or categories.
func (s *Subject) numbers(rows, columns int, seed uint64) learner.Set {
	r := rand.New(rand.NewPCG(seed, 2))
	set := s.sample(rows, seed)
	x := table.NewMatrix(rows, make([]string, columns))
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	for i := range rows {
		x.Row(i)[0] = set.X.Row(i)[0]
	}
	set.X = x
	return set
}

// columns is the matrix's first n columns.
func columns(x *table.Matrix, n int) *table.Matrix {
	out := table.NewMatrix(x.Rows, x.Names[:n])
	for i := range x.Rows {
		copy(out.Row(i), x.Row(i))
	}
	return out
}
