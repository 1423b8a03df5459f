package gbdt

import (
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxClassWeight bounds class weights, so that products with row weights stay within float32.
const maxClassWeight = 1e6

// classWeights multiplies the rows' weights, which may be nil for all ones, by those of their classes. Balanced weights
// are n / (K * rows of the class), as scikit-learn's, whatever the rows' weights.
func (s *Settings) classWeights(y []float64, task learner.Task, classes int, rows []float64) ([]float64, error) {
	of := s.ClassWeight
	if !s.Balanced && of == nil && s.ScalePosWeight == 1 {
		return rows, nil
	}
	switch {
	case task != learner.Binary && s.ScalePosWeight != 1:
		return nil, fault.New(fault.Invalid, "gbdt: scale_pos_weight is for binary tasks, and this one is %s", task)
	case task == learner.Binary:
		classes = 2
	case task != learner.Multiclass:
		return nil, fault.New(fault.Invalid, "gbdt: class_weight is for classes, and the task is %s", task)
	}
	if len(of) > classes {
		return nil, fault.New(fault.Invalid, "gbdt: class_weight has %d weights for %d classes", len(of), classes)
	}
	factor := make([]float64, classes)
	for k := range factor {
		factor[k] = 1
	}
	copy(factor, of)
	if s.Balanced {
		count := make([]float64, classes)
		for _, v := range y {
			count[int(v)]++
		}
		for k, n := range count {
			factor[k] = float64(len(y)) / (float64(classes) * max(n, 1))
		}
	}
	if task == learner.Binary {
		factor[1] *= s.ScalePosWeight
	}
	out := make([]float64, len(y))
	var total float64
	for i, v := range y {
		out[i] = factor[int(v)]
		if rows != nil {
			out[i] *= rows[i]
		}
		total += out[i]
	}
	if total == 0 {
		return nil, fault.New(fault.Invalid, "gbdt: class_weight leaves every row without weight")
	}
	return out, nil
}
