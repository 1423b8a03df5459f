package fair

import (
	"cmp"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Column is an attribute of people or things, a value per row.
type Column struct {
	Name   string
	Values []string
}

// Groups says which group each row is in.
type Groups struct {
	Names []string
	Of    []int32 // a group per row
	Small []bool  // groups with too few rows to judge: they are shown, and left out of every gap
}

// Others is the name of the group of pooled groups.
const Others = "(small groups)"

// By groups rows by the values of one column, or by the combinations of several that occur ("sex=F, age=60+"), in the
// order of the values. Groups with fewer than minimum rows are marked small. Columns of unequal length are
// fault.Invalid.
func By(minimum int, columns ...Column) (Groups, error) {
	if len(columns) == 0 {
		return Groups{}, fault.New(fault.Invalid, "groups need at least one column")
	}
	n := len(columns[0].Values)
	for _, c := range columns {
		if len(c.Values) != n {
			return Groups{}, fault.New(fault.Invalid, "column %q has %d rows and column %q has %d", columns[0].Name, n, c.Name, len(c.Values))
		}
	}
	// Codes in the order of the values, then codes of combinations in the order of their parts.
	codes, names := rankValues(columns[0])
	for _, c := range columns[1:] {
		own, values := rankValues(c)
		pairs := make([]int, n)
		for i := range pairs {
			pairs[i] = int(codes[i])*len(values) + int(own[i])
		}
		distinct := slices.Clone(pairs)
		slices.Sort(distinct)
		distinct = slices.Compact(distinct)
		joined := make([]string, len(distinct))
		for g, pair := range distinct {
			joined[g] = names[pair/len(values)] + ", " + values[pair%len(values)]
		}
		for i, pair := range pairs {
			g, _ := slices.BinarySearch(distinct, pair)
			codes[i] = int32(g)
		}
		names = joined
	}
	if len(columns) == 1 {
		for g := range names {
			names[g] = strings.TrimPrefix(names[g], columns[0].Name+"=")
		}
	}
	return Groups{Names: names, Of: codes}.mark(minimum), nil
}

// rankValues is the place of each row's value among the sorted values, and their names.
func rankValues(c Column) (codes []int32, names []string) {
	at := map[string]int32{}
	var values []string
	for _, v := range c.Values {
		if _, ok := at[v]; !ok {
			at[v] = 0
			values = append(values, v)
		}
	}
	slices.SortFunc(values, cmp.Compare)
	for g, v := range values {
		at[v] = int32(g)
		names = append(names, c.Name+"="+v)
	}
	codes = make([]int32, len(c.Values))
	for i, v := range c.Values {
		codes[i] = at[v]
	}
	return codes, names
}

// sizes is the number of rows of each group.
func (g Groups) sizes() []int {
	n := make([]int, len(g.Names))
	for _, of := range g.Of {
		n[of]++
	}
	return n
}

func (g Groups) mark(minimum int) Groups {
	g.Small = make([]bool, len(g.Names))
	for i, n := range g.sizes() {
		g.Small[i] = n < minimum
	}
	return g
}

// Pool puts all groups with fewer than minimum rows into one, the last, which is marked small if it still is. A single
// small group keeps its name.
func (g Groups) Pool(minimum int) Groups {
	sizes := g.sizes()
	few := 0
	for _, n := range sizes {
		if n < minimum {
			few++
		}
	}
	if few < 2 {
		return g.mark(minimum)
	}
	out := Groups{Of: make([]int32, len(g.Of))}
	to := make([]int32, len(g.Names))
	for i, n := range sizes {
		if n >= minimum {
			to[i] = int32(len(out.Names))
			out.Names = append(out.Names, g.Names[i])
		}
	}
	for i, n := range sizes {
		if n < minimum {
			to[i] = int32(len(out.Names))
		}
	}
	out.Names = append(out.Names, Others)
	for i, of := range g.Of {
		out.Of[i] = to[of]
	}
	return out.mark(minimum)
}

// Intersections is the groups of each column and of each pair of columns, each with its small groups marked: a model
// can be even-handed on two attributes and not on their combinations.
func Intersections(minimum int, columns ...Column) ([]Groups, error) {
	var out []Groups
	add := func(c ...Column) error {
		g, err := By(minimum, c...)
		out = append(out, g)
		return err
	}
	for _, c := range columns {
		if err := add(c); err != nil {
			return nil, err
		}
	}
	for i, a := range columns {
		for _, b := range columns[i+1:] {
			if err := add(a, b); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
