package exchange

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// catboostTest is a split as nodes of trees here have it.
type catboostTest struct {
	feature     int32 // the column
	threshold   float64
	categorical bool
	words       []uint32 // of the set of codes that go left
	leftIsTrue  bool
	missingLeft bool
}

// sharedSets are the category sets of a tree, which its nodes share, and the room for more.
type sharedSets struct {
	number map[*catboostTest]int32
	room   *reserve
}

// add appends a node of the test.
func (s *catboostTest) add(t *tree.Tree, sets *sharedSets) (int32, error) {
	n := t.Add(s.feature, s.threshold, s.missingLeft, 0, 0, 0)
	if !s.categorical {
		return n, nil
	}
	if set, there := sets.number[s]; there {
		t.Set[n] = set
		return n, nil
	}
	if err := sets.room.take(len(s.words)); err != nil {
		return 0, err
	}
	t.SetCategories(n, nil)
	t.Bits = append(t.Bits, s.words...)
	t.Bounds[len(t.Bounds)-1] = int32(len(t.Bits))
	sets.number[s] = t.Set[n]
	return n, nil
}

// lead sends rows for which the split is false and true to their nodes.
func (s *catboostTest) lead(t *tree.Tree, n, isFalse, isTrue int32) {
	t.Left[n], t.Right[n] = isFalse, isTrue
	if s.leftIsTrue {
		t.Left[n], t.Right[n] = isTrue, isFalse
	}
}

// test makes the test of a split; splits of the same split_index share one.
func (c *catboost) test(s *catboostSplit) (*catboostTest, error) {
	switch s.Type {
	case "FloatFeature":
		f := c.numeric[s.Float]
		if f == nil {
			return nil, fault.New(fault.Corrupt, "a split reads float feature %d, which is not there", s.Float)
		}
		// What is missing counts as below every border or above; as it is (AsIs) it is not above any.
		return &catboostTest{feature: int32(f.Flat), threshold: s.Border, missingLeft: f.NaN != "AsTrue"}, nil
	case "OneHotFeature":
		if t := c.tests[s.Index]; t != nil && t.categorical {
			return t, nil
		}
		v := c.byHash.features[s.Categorical]
		if v == nil {
			return nil, fault.New(fault.Corrupt, "a split reads categorical feature %d, which is not there", s.Categorical)
		}
		t := v.test(func(hash uint32, known bool) bool { return known && hash == uint32(s.Value) })
		c.tests[s.Index] = t
		return t, nil
	case "OnlineCtr":
		return c.ctrTest(s)
	}
	return nil, fault.New(fault.NotSupported, "a split has the type %q, which is not known here", s.Type)
}

// catboostCtr is a statistic of categories: the counts of a table, a prior, and a line that they go through.
type catboostCtr struct {
	Borders     doubles
	Type        string `json:"ctr_type"`
	Identifier  string
	Elements    []catboostElement
	Numerator   float32 `json:"prior_numerator"`
	Denominator float32 `json:"prior_denomerator"`
	Scale       float32
	Shift       float32
	Target      int `json:"target_border_idx"`
}

type catboostElement struct {
	Kind        string `json:"combination_element"`
	Categorical int    `json:"cat_feature_index"`
	Float       int    `json:"float_feature_index"`
	Border      float64
	Value       int32 // hash of the category
}

// catboostTable has Stride values for each category: its hash as text, then counts (or a sum and a count).
type catboostTable struct {
	Denominator int64      `json:"counter_denominator"`
	Values      hashValues `json:"hash_map"`
	Stride      int        `json:"hash_stride"`
}

// staticCtr is one border of a statistic.
type staticCtr struct {
	ctr    *catboostCtr
	border float32
}

// ctrValues are a statistic's value for each hash in its table, and for a category that is not there.
type ctrValues struct {
	byHash map[uint64]float32
	empty  float32
}

// listCtrs numbers the borders of statistics: split_index counts the borders of float features, then the values of
// one-hot features, then these.
func (c *catboost) listCtrs() {
	f := &c.file.Features
	for i := range f.Float {
		c.first += len(f.Float[i].Borders)
	}
	for i := range f.Categorical {
		c.first += len(f.Categorical[i].Values)
	}
	for i := range f.Ctrs {
		for _, border := range f.Ctrs[i].Borders {
			c.statics = append(c.statics, staticCtr{&f.Ctrs[i], float32(border)})
		}
	}
}

// ctrTest turns a statistic of one categorical feature into the set of the categories that it is above the border for; one
// of a combination has a column of its own.
func (c *catboost) ctrTest(s *catboostSplit) (*catboostTest, error) {
	if t := c.tests[s.Index]; t != nil && t.categorical {
		return t, nil
	}
	at := s.Index - c.first
	if at < 0 || at >= len(c.statics) || c.statics[at].border != float32(s.Border) {
		return nil, fault.New(fault.Corrupt, "a split has the number %d, which is not that of a statistic with border %v", s.Index, s.Border)
	}
	ctr := c.statics[at].ctr
	if !ctr.simple() { // a statistic that is not a number is above no border
		return &catboostTest{feature: int32(c.column[ctr]), threshold: float64(c.statics[at].border), missingLeft: true}, nil
	}
	v := c.byHash.features[ctr.Elements[0].Categorical]
	if v == nil {
		return nil, fault.New(fault.Corrupt, "a statistic reads categorical feature %d, which is not there", ctr.Elements[0].Categorical)
	}
	table, there := c.file.Tables[ctr.Identifier]
	if !there {
		return nil, fault.New(fault.Corrupt, "a statistic has no table: %s", ctr.Identifier)
	}
	if c.ctrs[ctr] == nil {
		hashes, values, empty, err := ctr.values(&table)
		if err != nil {
			return nil, err
		}
		byHash := make(map[uint64]float32, len(hashes))
		for i, hash := range hashes {
			byHash[hash] = values[i]
		}
		c.ctrs[ctr] = &ctrValues{byHash, empty}
	}
	values, empty := c.ctrs[ctr].byHash, c.ctrs[ctr].empty
	t := v.test(func(hash uint32, known bool) bool {
		value, there := values[ctrHash(hash)]
		if !known || !there {
			value = empty
		}
		return value > c.statics[at].border
	})
	c.tests[s.Index] = t
	return t, nil
}

func (c *catboost) describe(ctr *catboostCtr) string {
	text := ""
	for _, e := range ctr.Elements {
		if text != "" {
			text += " x "
		}
		name := ""
		if e.Kind == "float_feature" {
			if f := c.numeric[e.Float]; f != nil {
				name = f.Name
			}
		} else if v := c.byHash.features[e.Categorical]; v != nil {
			name = v.name
		}
		text += name
	}
	return text
}

// values are the statistic of each hash in the table, and of a category that is not in it. Float32, as in
// static_ctr_provider.cpp.
func (ctr *catboostCtr) values(table *catboostTable) (hashes []uint64, values []float32, empty float32, err error) {
	classes := table.Stride - 1
	if table.Stride < 2 || len(table.Values)%table.Stride != 0 {
		return nil, nil, 0, fault.New(fault.Corrupt, "a table has %d values in steps of %d", len(table.Values), table.Stride)
	}
	calc := func(good, total float32) float32 {
		share := (good + ctr.Numerator) / (total + ctr.Denominator)
		return (share + ctr.Shift) * ctr.Scale
	}
	empty = calc(0, 0)
	var of func(counts []json.Number) (good, total float64)
	number := func(n json.Number) float64 { v, _ := n.Float64(); return v }
	sum := func(counts []json.Number) (total float64) {
		for _, n := range counts {
			total += number(n)
		}
		return total
	}
	switch {
	case ctr.Type == "Borders" && classes >= 2 && ctr.Target >= 0 && ctr.Target+1 < classes:
		of = func(counts []json.Number) (float64, float64) { return sum(counts[ctr.Target+1:]), sum(counts) }
	case ctr.Type == "Buckets" && classes >= 2 && ctr.Target >= 0 && ctr.Target < classes:
		of = func(counts []json.Number) (float64, float64) { return number(counts[ctr.Target]), sum(counts) }
	case (ctr.Type == "BinarizedTargetMeanValue" || ctr.Type == "FloatTargetMeanValue") && classes == 2:
		of = func(counts []json.Number) (float64, float64) { return number(counts[0]), number(counts[1]) }
	case (ctr.Type == "Counter" || ctr.Type == "FeatureFreq") && classes == 1:
		empty = calc(0, float32(table.Denominator))
		of = func(counts []json.Number) (float64, float64) { return number(counts[0]), float64(table.Denominator) }
	default:
		return nil, nil, 0, fault.New(fault.NotSupported, "a statistic of type %q with %d classes is not known here", ctr.Type, classes)
	}
	hashes, values = make([]uint64, 0, len(table.Values)/table.Stride), make([]float32, 0, len(table.Values)/table.Stride)
	for v := table.Values; len(v) > 0; v = v[table.Stride:] {
		hash, err := strconv.ParseUint(string(v[0]), 10, 64)
		if err != nil {
			return nil, nil, 0, fault.Wrap(err, fault.Corrupt, "a table's hash")
		}
		good, total := of(v[1:table.Stride])
		hashes, values = append(hashes, hash), append(values, calc(float32(good), float32(total)))
	}
	return hashes, values, empty, nil
}

// noHash marks an empty place of a table.
const noHash = math.MaxUint64

// ctrHash is the hash that a table of one categorical feature has for a category's hash.
func ctrHash(category uint32) uint64 { return combine.Mix(0, combine.Sign(category)) }

// catboostVocabulary knows the categories of each feature by their hashes. The file lists the texts of all features
// together; a text belongs to the features whose tables or values have its hash.
type catboostVocabulary struct{ features map[int]*catboostFeature }

type catboostFeature struct {
	column int
	name   string
	texts  map[uint32]string // by hash
	codes  map[uint32]int
}

func newVocabulary(file *catboostFile) (*catboostVocabulary, error) {
	f := &file.Features
	v := &catboostVocabulary{features: map[int]*catboostFeature{}}
	texts := make(map[uint32]string, len(f.Hashes))
	byCtr := make(map[uint64]uint32, len(f.Hashes))
	for _, h := range f.Hashes {
		texts[h.Hash] = h.Value
		byCtr[ctrHash(h.Hash)] = h.Hash
	}
	unknown := func(feature string) error {
		return fault.New(fault.NotSupported, "the file has no texts for the categories of feature %s", feature).
			WithHint(`save it with the rows it was trained on: model.save_model("model.json", format="json", pool=pool)`)
	}
	for i := range f.Categorical {
		c := &f.Categorical[i]
		own := &catboostFeature{column: c.Flat, name: c.Name, texts: map[uint32]string{}}
		v.features[c.Index] = own
		for _, hash := range c.Values {
			text, known := texts[uint32(hash)]
			if !known {
				return nil, unknown(c.Name)
			}
			own.texts[uint32(hash)] = text
		}
	}
	read, complete := map[string]bool{}, map[int]bool{}
	for i := range f.Ctrs {
		ctr := &f.Ctrs[i]
		table := file.Tables[ctr.Identifier]
		if !ctr.simple() || v.features[ctr.Elements[0].Categorical] == nil || read[ctr.Identifier] || table.Stride < 1 {
			continue
		}
		read[ctr.Identifier] = true
		complete[ctr.Elements[0].Categorical] = true
		own := v.features[ctr.Elements[0].Categorical]
		for rest := table.Values; len(rest) >= table.Stride; rest = rest[table.Stride:] {
			hash, err := strconv.ParseUint(string(rest[0]), 10, 64)
			if err != nil || hash == noHash {
				continue
			}
			category, known := byCtr[hash]
			if !known {
				return nil, unknown(own.name)
			}
			own.texts[category] = texts[category]
		}
	}
	if err := v.combined(file, texts, complete, unknown); err != nil {
		return nil, err
	}
	for _, own := range v.features {
		own.number()
	}
	return v, nil
}

// number gives each category its code: the number that all texts of the feature are, when those are small enough, and
// else its place in the order of the texts.
func (f *catboostFeature) number() {
	f.codes = make(map[uint32]int, len(f.texts))
	most := 64 + 16*len(f.texts)
	for hash, text := range f.texts {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > most || strconv.Itoa(n) != text {
			f.codes = nil
			break
		}
		f.codes[hash] = n
	}
	if f.codes != nil {
		return
	}
	hashes := make([]uint32, 0, len(f.texts))
	for hash := range f.texts {
		hashes = append(hashes, hash)
	}
	slices.SortFunc(hashes, func(a, b uint32) int {
		if f.texts[a] != f.texts[b] {
			if f.texts[a] < f.texts[b] {
				return -1
			}
			return 1
		}
		return int(int64(a) - int64(b))
	})
	f.codes = make(map[uint32]int, len(hashes))
	for code, hash := range hashes {
		f.codes[hash] = code
	}
}

// list writes the texts by code.
func (v *catboostVocabulary) list(info *Info, features int) {
	for _, f := range v.features {
		if len(f.codes) == 0 {
			continue
		}
		if info.Categories == nil {
			info.Categories = make([][]string, features)
		}
		most := 0
		for _, code := range f.codes {
			most = max(most, code)
		}
		texts := make([]string, most+1)
		for hash, code := range f.codes {
			texts[code] = f.texts[hash]
		}
		info.Categories[f.column] = texts
	}
}

// test asks of every category of the feature, and of one that is not known, whether a split is true for it. Nodes send
// unknown categories right, so those that differ from them go left. What is missing is the category "nan".
func (f *catboostFeature) test(isTrue func(hash uint32, known bool) bool) *catboostTest {
	otherwise := isTrue(0, false)
	t := &catboostTest{feature: int32(f.column), categorical: true, leftIsTrue: !otherwise}
	for hash, code := range f.codes {
		if isTrue(hash, true) != otherwise {
			for len(t.words) <= code/32 {
				t.words = append(t.words, 0)
			}
			t.words[code/32] |= 1 << (code % 32)
			t.missingLeft = t.missingLeft || f.texts[hash] == "nan"
		}
	}
	return t
}

// hashValues are the texts and numbers of a table.
type hashValues []json.Number

// UnmarshalJSON implements json.Unmarshaler.
func (h *hashValues) UnmarshalJSON(b []byte) error {
	return eachNumber(b, func(n int) { *h = make(hashValues, 0, n) }, func(text string) error {
		*h = append(*h, json.Number(text))
		return nil
	})
}
