package gbdt

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Growth are the parameters of how trees grow beyond their size. The defaults are LightGBM's.
type Growth struct {
	MaxDepth        int     // most splits from the root to a leaf; default 0, no bound
	MinGain         float64 // what a split must gain; default 0
	ExtraTrees      bool    // try one random threshold per column and node instead of all; default false
	ColsampleByNode float64 // share of a tree's columns drawn for each node; default 1

	// Sampling "goss" trains each tree on the TopRate share of the rows with the largest gradients and on OtherRate, drawn
	// from the rest and amplified by (1-TopRate)/OtherRate; default "none". The first 1/learning_rate rounds use all rows.
	Sampling           string
	TopRate, OtherRate float64 // default 0.2 and 0.1

	// Monotone is 1 where predictions must not fall as the column rises, -1 where they must not rise, 0 elsewhere: a list
	// with one number per column, or a map from names.
	Monotone any
	// Interactions are groups of columns, by name or index: two columns meet on a path only when some group holds both.
	// Columns in no group make up one more.
	Interactions any

	MaxOneHot       int     // categories up to which a column is split one against the rest; default 4
	CatSmooth       float64 // rows that a category needs to be sorted, and weight that pulls small ones to 0; default 10
	CatL2           float64 // penalty on top of L2 in splits of many categories; default 10
	MaxCatThreshold int     // most categories on the left of a split; default 32
	MinDataPerGroup int     // rows between two candidate splits of sorted categories; default 100
}

// readGrowth reads max_depth, min_gain, extra_trees, colsample_bynode, sampling, top_rate, other_rate, monotone,
// interactions, max_onehot, cat_smooth, cat_l2, max_cat_threshold and min_data_per_group.
func readGrowth(r *learner.Reader) Growth {
	g := Growth{
		MaxDepth:        r.Int("max_depth", 0, 0, 1<<16),
		MinGain:         r.Float("min_gain", 0, 0, math.MaxFloat64),
		ExtraTrees:      r.Bool("extra_trees", false),
		ColsampleByNode: r.Float("colsample_bynode", 1, 1e-3, 1),
		Sampling:        r.Text("sampling", "none", "none", "goss"),
		TopRate:         r.Float("top_rate", 0.2, 0, 1),
		OtherRate:       r.Float("other_rate", 0.1, 1e-3, 1),
		Monotone:        r.Any("monotone"),
		Interactions:    r.Any("interactions"),
		MaxOneHot:       r.Int("max_onehot", 4, 1, 255),
		CatSmooth:       r.Float("cat_smooth", 10, 0, math.MaxFloat64),
		CatL2:           r.Float("cat_l2", 10, 0, math.MaxFloat64),
		MaxCatThreshold: r.Int("max_cat_threshold", 32, 1, 255),
		MinDataPerGroup: r.Int("min_data_per_group", 100, 1, math.MaxInt32),
	}
	if g.Sampling == "goss" && g.TopRate+g.OtherRate > 1 {
		r.Refuse(fault.New(fault.Invalid, "%s: top_rate + other_rate must be at most 1, not %v", Name, g.TopRate+g.OtherRate))
	}
	return g
}

// add adds the parameters to p.
func (g Growth) add(p learner.Params) {
	p["max_depth"], p["min_gain"], p["extra_trees"], p["colsample_bynode"] = g.MaxDepth, g.MinGain, g.ExtraTrees, g.ColsampleByNode
	p["sampling"], p["top_rate"], p["other_rate"] = g.Sampling, g.TopRate, g.OtherRate
	p["max_onehot"], p["cat_smooth"], p["cat_l2"] = g.MaxOneHot, g.CatSmooth, g.CatL2
	p["max_cat_threshold"], p["min_data_per_group"] = g.MaxCatThreshold, g.MinDataPerGroup
	if g.Monotone != nil {
		p["monotone"] = g.Monotone
	}
	if g.Interactions != nil {
		p["interactions"] = g.Interactions
	}
}

// directions is Monotone per column of x, nil when it is not set.
func (g Growth) directions(x *table.Matrix) ([]int8, error) {
	if g.Monotone == nil {
		return nil, nil
	}
	v := reflect.ValueOf(g.Monotone)
	out := make([]int8, x.Cols)
	set := func(f int, value any) error {
		n, ok := whole(value)
		if !ok || n < -1 || n > 1 {
			return fault.New(fault.Invalid, "%s: a direction in monotone is -1, 0 or 1, not %v", Name, value)
		}
		if n != 0 && x.Categories(f) > 0 {
			return fault.New(fault.Invalid, "%s: %s has categories, which have no order to be monotone in", Name, column(x, f))
		}
		out[f] = int8(n)
		return nil
	}
	switch v.Kind() {
	case reflect.Slice:
		if v.Len() != x.Cols {
			return nil, fault.New(fault.Invalid, "%s: monotone has %d directions for %d columns", Name, v.Len(), x.Cols).
				WithHint("give one per column, or a map from names to -1 or 1")
		}
		for f := range v.Len() {
			if err := set(f, v.Index(f).Interface()); err != nil {
				return nil, err
			}
		}
		return out, nil
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			f, err := find(x, "monotone", it.Key().Interface())
			if err != nil {
				return nil, err
			}
			if err := set(f, it.Value().Interface()); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fault.New(fault.Invalid, "%s: monotone must be a list with -1, 0 or 1 for each column, or a map from names, not %v", Name, g.Monotone)
}

// together is Interactions as columns of x, nil when it is not set.
func (g Growth) together(x *table.Matrix) ([][]int, error) {
	if g.Interactions == nil {
		return nil, nil
	}
	wrong := fault.New(fault.Invalid, "%s: interactions must be a list of lists of names or indices, not %v", Name, g.Interactions)
	v := reflect.ValueOf(g.Interactions)
	if v.Kind() != reflect.Slice {
		return nil, wrong
	}
	out := [][]int{}
	for i := range v.Len() {
		item := reflect.ValueOf(v.Index(i).Interface())
		if item.Kind() != reflect.Slice {
			return nil, wrong
		}
		var group []int
		for j := range item.Len() {
			f, err := find(x, "interactions", item.Index(j).Interface())
			if err != nil {
				return nil, err
			}
			group = append(group, f)
		}
		out = append(out, group)
	}
	return out, nil
}

// find is the column of x that a name or an index means.
func find(x *table.Matrix, parameter string, key any) (int, error) {
	if name, ok := key.(string); ok {
		if f := slices.Index(x.Names, name); f >= 0 {
			return f, nil
		}
		e := fault.New(fault.Invalid, "%s: %s names the column %q, which the data does not have", Name, parameter, name)
		if near := learner.Nearest(name, x.Names); near != "" {
			e = e.WithHint("did you mean %q?", near)
		}
		return 0, e
	}
	f, ok := whole(key)
	if !ok || f < 0 || f >= x.Cols {
		return 0, fault.New(fault.Invalid, "%s: %s refers to column %v; columns are numbered from 0 to %d", Name, parameter, key, x.Cols-1)
	}
	return f, nil
}

// whole is a whole number of any Go number type.
func whole(v any) (int, bool) {
	if s, ok := v.(interface{ Int64() (int64, error) }); ok { // json.Number
		n, err := s.Int64()
		return int(n), err == nil
	}
	switch r := reflect.ValueOf(v); {
	case r.IsValid() && r.CanInt():
		return int(r.Int()), true
	case r.IsValid() && r.CanUint():
		return int(r.Uint()), true
	case r.IsValid() && r.CanFloat():
		f := r.Float()
		return int(f), f == math.Trunc(f) && math.Abs(f) < 1<<31
	}
	return 0, false
}

func column(x *table.Matrix, f int) string {
	if f < len(x.Names) && x.Names[f] != "" {
		return fmt.Sprintf("the column %q", x.Names[f])
	}
	return fmt.Sprintf("column %d", f)
}
