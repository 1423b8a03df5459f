package exchange

import (
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// mostParts is far beyond the 8 that CatBoost's max_ctr_complexity allows, each of which may bring several parts.
const mostParts = 64

// simple reports whether a statistic is of one categorical feature alone, which makes a set of categories of a split.
func (ctr *catboostCtr) simple() bool {
	return len(ctr.Elements) == 1 && ctr.Elements[0].Kind == "cat_feature_value"
}

// combinations makes a column of every statistic of several features, behind the file's own columns. There are none in
// a file without such statistics.
func (c *catboost) combinations(inputs int) error {
	added := &combine.Columns{Inputs: inputs}
	categories := map[int]int{} // by feature_index: place in added.Categories
	place := map[string]int{}   // of combinations, by what they are made of
	type at struct {
		combination int
		identifier  string
	}
	tables := map[at]int{}
	type statistic struct{ combination, table, number int }
	where := map[*catboostCtr]statistic{}
	for i := range c.file.Features.Ctrs {
		ctr := &c.file.Features.Ctrs[i]
		if ctr.simple() {
			continue
		}
		if len(ctr.Elements) > mostParts {
			return fault.New(fault.NotSupported, "a statistic is of a combination of %d parts; at most %d are read", len(ctr.Elements), mostParts)
		}
		key := ctr.key()
		n, there := place[key]
		if !there {
			parts, err := c.parts(ctr, added, categories)
			if err != nil {
				return err
			}
			n = len(added.Combinations)
			place[key] = n
			added.Combinations = append(added.Combinations, combine.Combination{Parts: parts})
		}
		table, there := c.file.Tables[ctr.Identifier]
		if !there {
			return fault.New(fault.Corrupt, "a statistic has no table: %s", ctr.Identifier)
		}
		hashes, values, empty, err := ctr.values(&table)
		if err != nil {
			return err
		}
		if err := c.room.take(len(values)); err != nil {
			return err
		}
		b := &added.Combinations[n]
		t, there := tables[at{n, ctr.Identifier}]
		if !there {
			t = len(b.Tables)
			tables[at{n, ctr.Identifier}] = t
			b.Tables = append(b.Tables, combine.Table{Hashes: hashes})
		}
		where[ctr] = statistic{n, t, len(b.Tables[t].Statistics)}
		b.Tables[t].Statistics = append(b.Tables[t].Statistics, combine.Statistic{Values: values, Empty: empty})
	}
	if len(added.Combinations) == 0 {
		return nil
	}
	c.added, c.column = added, map[*catboostCtr]int{}
	first := map[[2]int]int{} // column of a table's first statistic
	next := inputs
	for n := range added.Combinations {
		for t := range added.Combinations[n].Tables {
			first[[2]int{n, t}] = next
			next += len(added.Combinations[n].Tables[t].Statistics)
		}
	}
	c.addedNames = make([]string, next-inputs)
	for ctr, s := range where {
		column := first[[2]int{s.combination, s.table}] + s.number
		c.column[ctr] = column
		c.addedNames[column-inputs] = c.describe(ctr) + " " + ctr.Type
	}
	return nil
}

// key tells combinations apart.
func (ctr *catboostCtr) key() string {
	var b strings.Builder
	for _, e := range ctr.Elements {
		b.WriteString(e.Kind + "/" + strconv.Itoa(e.Categorical) + "/" + strconv.Itoa(e.Float) + "/" + strconv.Itoa(int(e.Value)) + "/" +
			strconv.FormatFloat(e.Border, 'g', -1, 64) + ";")
	}
	return b.String()
}

// parts are the parts of a combination; the categories that they read are added to those of the columns.
func (c *catboost) parts(ctr *catboostCtr, added *combine.Columns, categories map[int]int) ([]combine.Part, error) {
	var parts []combine.Part
	for _, e := range ctr.Elements {
		if e.Kind == "float_feature" {
			f := c.numeric[e.Float]
			if f == nil {
				return nil, fault.New(fault.Corrupt, "a statistic reads float feature %d, which is not there", e.Float)
			}
			parts = append(parts, combine.Part{Kind: combine.Above, Of: f.Flat, Border: float32(e.Border), MissingAbove: f.NaN == "AsTrue"})
			continue
		}
		if e.Kind != "cat_feature_value" && e.Kind != "cat_feature_exact_value" {
			return nil, fault.New(fault.NotSupported, "a statistic is of a combination with %q, which is not known here", e.Kind)
		}
		f := c.byHash.features[e.Categorical]
		if f == nil {
			return nil, fault.New(fault.Corrupt, "a statistic reads categorical feature %d, which is not there", e.Categorical)
		}
		of, there := categories[e.Categorical]
		if !there {
			own := f.coded()
			if err := c.room.take(2 * len(own.Hashes)); err != nil {
				return nil, err
			}
			of = len(added.Categories)
			categories[e.Categorical] = of
			added.Categories = append(added.Categories, own)
		}
		part := combine.Part{Kind: combine.Category, Of: of}
		if e.Kind == "cat_feature_exact_value" {
			part.Kind, part.Code = combine.Is, -1
			if code, known := f.codes[uint32(e.Value)]; known {
				part.Code = code
			}
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// coded lists the hashes of the feature's categories by code. What is missing is the category "nan".
func (f *catboostFeature) coded() combine.Categories {
	most := -1
	for _, code := range f.codes {
		most = max(most, code)
	}
	out := combine.Categories{Column: f.column, Hashes: make([]uint32, most+1), Known: make([]bool, most+1), Missing: -1}
	for hash, code := range f.codes {
		out.Hashes[code], out.Known[code] = hash, true
		if f.texts[hash] == "nan" {
			out.Missing = code
		}
	}
	return out
}

// taking looks for the categories of features that have no table of their own in those of combinations: each hash is
// taken apart again, from its last part to its first, into categories that the file has texts for.
type taking struct {
	vocabulary *catboostVocabulary
	candidates []uint32 // ascending
	known      map[uint32]bool
	left       int // steps
	found      []map[uint32]bool
}

// mostSteps bounds the search, at some nanoseconds each. When they do not suffice, each text of the file is a category
// of each feature that would have needed more: that predicts the same, only the lists are longer.
const mostSteps = 1 << 22

// combined adds to the vocabulary what combinations tell about features without a table of their own, which are those
// that complete does not name.
func (v *catboostVocabulary) combined(file *catboostFile, texts map[uint32]string, complete map[int]bool, unknown func(feature string) error) error {
	t := &taking{vocabulary: v, known: map[uint32]bool{}, left: mostSteps}
	for hash := range texts {
		t.candidates, t.known[hash] = append(t.candidates, hash), true
	}
	slices.Sort(t.candidates)
	read := map[string]bool{}
	for i := range file.Features.Ctrs {
		ctr := &file.Features.Ctrs[i]
		if ctr.simple() {
			continue
		}
		open := -1 // a feature whose categories are not known yet
		for _, e := range ctr.Elements {
			own := v.features[e.Categorical]
			switch {
			case e.Kind == "cat_feature_exact_value" && own != nil:
				text, known := texts[uint32(e.Value)]
				if !known {
					return unknown(own.name)
				}
				own.texts[uint32(e.Value)] = text
			case e.Kind == "cat_feature_value" && own != nil && !complete[e.Categorical]:
				open = e.Categorical
			}
		}
		table := file.Tables[ctr.Identifier]
		if open < 0 || read[ctr.Identifier] || table.Stride < 1 {
			continue
		}
		read[ctr.Identifier] = true
		t.found = make([]map[uint32]bool, len(ctr.Elements))
		for k := range t.found {
			t.found[k] = map[uint32]bool{}
		}
		for rest := table.Values; len(rest) >= table.Stride && t.left > 0; rest = rest[table.Stride:] {
			hash, err := strconv.ParseUint(string(rest[0]), 10, 64)
			if err != nil || hash == noHash {
				continue
			}
			if !t.apart(hash, ctr.Elements, complete) && t.left > 0 {
				return unknown(v.features[open].name)
			}
		}
		for k, e := range ctr.Elements {
			own := v.features[e.Categorical]
			if e.Kind != "cat_feature_value" || own == nil || complete[e.Categorical] {
				continue
			}
			for hash := range t.found[k] {
				own.texts[hash] = texts[hash]
			}
			if t.left <= 0 {
				for hash, text := range texts {
					own.texts[hash] = text
				}
			}
		}
	}
	return nil
}

// apart takes a hash apart into the elements and notes the categories that it finds; it reports whether it could.
func (t *taking) apart(hash uint64, elements []catboostElement, complete map[int]bool) bool {
	if len(elements) == 0 {
		return hash == 0
	}
	if t.left--; t.left < 0 {
		return false
	}
	last := len(elements) - 1
	e := &elements[last]
	if e.Kind != "cat_feature_value" {
		return t.apart(combine.Unmix(hash, 0), elements[:last], complete) || t.apart(combine.Unmix(hash, 1), elements[:last], complete)
	}
	if last == 0 { // what stands first is found without a search
		category := uint32(combine.First(hash))
		if combine.Sign(category) != combine.First(hash) || !t.known[category] {
			return false
		}
		t.found[0][category] = true
		return true
	}
	own := t.vocabulary.features[e.Categorical]
	for _, category := range t.candidates {
		if own != nil && complete[e.Categorical] {
			if _, there := own.texts[category]; !there {
				continue
			}
		}
		if t.apart(combine.Unmix(hash, combine.Sign(category)), elements[:last], complete) {
			t.found[last][category] = true
			return true
		}
	}
	return false
}
