package registry

import (
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/evaluate/fair"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// JudgeGroups measures how the rows of each group were treated: by the values of each named column of the held rows, and
// with cross by the combinations of two. Groups of fewer than least rows are shown and do not count. Classes beyond two
// have no report.
func JudgeGroups(h *Held, threshold float64, columns []string, cross bool, least int) ([]Fairness, error) {
	if h.Task == learn.Multiclass || len(h.Y) == 0 {
		return nil, nil
	}
	var all []fair.Column
	for _, name := range columns {
		c := h.Sliced.Column(name)
		if c == nil {
			return nil, fault.New(fault.Invalid, "the rows have no column %q to group by", name).WithHint("check evaluate.fairness.groups")
		}
		all = append(all, fair.Column{Name: name, Values: texts(c)})
	}
	var out []Fairness
	add := func(of ...fair.Column) error {
		groups, err := fair.By(least, of...)
		if err != nil {
			return err
		}
		const most = 30 // groups that people can look through
		if len(groups.Names) > most {
			groups = groups.Pool(least)
		}
		f := Fairness{}
		for _, c := range of {
			f.Columns = append(f.Columns, c.Name)
		}
		if h.Task == learn.Binary {
			r, err := fair.Binary(h.Y, h.P, threshold, groups)
			if err != nil {
				return err
			}
			f.Binary = &r
		} else {
			r, err := fair.Regression(h.Y, h.P, groups)
			if err != nil {
				return err
			}
			f.Regression = &r
		}
		out = append(out, f)
		return nil
	}
	for _, c := range all {
		if err := add(c); err != nil {
			return nil, err
		}
	}
	if cross {
		for i, a := range all {
			for _, b := range all[i+1:] {
				if err := add(a, b); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// texts are the cells of a column as names of groups.
func texts(c *table.Column) []string {
	out := make([]string, c.Len())
	for i := range out {
		switch {
		case c.IsNull(i):
			out[i] = "(missing)"
		case c.Kind == table.String:
			out[i] = c.Strings[i]
		case c.Kind == table.Boolean:
			out[i] = strconv.FormatBool(c.Floats[i] != 0)
		default:
			out[i] = strconv.FormatFloat(c.Floats[i], 'g', -1, 64)
		}
	}
	return out
}
