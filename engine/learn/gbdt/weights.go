package gbdt

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxClassWeight bounds class weights, so that products with row weights stay within float32.
const maxClassWeight = 1e6

// readClassWeight is the parameter class_weight: the word balanced, a list of weights by class index, or a map from class
// indices to weights, in which a class that is left out weighs 1.
func readClassWeight(r *learner.Reader) (weights []float64, balanced bool) {
	given := r.Any("class_weight")
	if given == nil {
		return nil, false
	}
	if given == "balanced" {
		return nil, true
	}
	v := reflect.ValueOf(given)
	set := func(class int, value any) {
		w, ok := float(value)
		if !ok || !(w >= 0 && w <= maxClassWeight) {
			r.Refuse(fault.New(fault.Invalid, "gbdt: class_weight gives class %d the weight %v; weights are from 0 to %g", class, value, maxClassWeight))
			return
		}
		for len(weights) <= class {
			weights = append(weights, 1)
		}
		weights[class] = w
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			set(i, v.Index(i).Interface())
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			class, err := strconv.Atoi(fmt.Sprint(it.Key()))
			if err != nil || class < 0 || class > maxClasses {
				r.Refuse(fault.New(fault.Invalid, "gbdt: class_weight names the class %v; classes are named by index, from 0", it.Key()))
				continue
			}
			set(class, it.Value().Interface())
		}
	default:
		r.Refuse(fault.New(fault.Invalid, "gbdt: class_weight must be balanced, a list or a map from class indices, not %v", given))
	}
	return weights, false
}

// maxClasses bounds the index that a map may name.
const maxClasses = 1 << 16

// float is a number of any Go number type.
func float(v any) (float64, bool) {
	if n, ok := v.(interface{ Float64() (float64, error) }); ok { // json.Number
		f, err := n.Float64()
		return f, err == nil
	}
	switch r := reflect.ValueOf(v); {
	case r.IsValid() && r.CanInt():
		return float64(r.Int()), true
	case r.IsValid() && r.CanUint():
		return float64(r.Uint()), true
	case r.IsValid() && r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}

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
