package recipe

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxNumberCategories bounds the distinct numbers that can be encoded as categories.
const maxNumberCategories = 1000

func (f *fitting) encode(step Step, c *fittingColumn) error {
	if c.Encoder != nil {
		return fault.New(fault.Invalid, "%s is encoded already", c.name)
	}
	if !c.Text {
		if n := len(rank(c.numbers[0], math.NaN())); n > maxNumberCategories {
			return fault.New(fault.Invalid, "%s has %d distinct numbers; at most %d can be categories", c.name, n, maxNumberCategories).
				WithHint("leave it a number")
		}
	}
	switch step.Op {
	case "ordinal":
		c.ordinal(EncodeOrdinal)
		return nil
	case "category":
		c.ordinal(EncodeCategory)
		return nil
	case "one_hot":
		return c.oneHot(step)
	}
	return f.targetEncode(step, c)
}

// categories sets the encoder's list: the max most frequent values with at least least rows. A missing value is a category, after the others,
// when withMissing is set and it has at least least rows.
func (c *fittingColumn) categories(op string, least, max int, withMissing bool) *Encoder {
	e, missing := &Encoder{Op: op}, 0
	if c.Text {
		for _, s := range c.texts {
			if s == "" {
				missing++
			}
		}
		for _, r := range rank(c.texts, "") {
			if r.count >= least && len(e.Texts) < max && storable(r.key) {
				e.Texts = append(e.Texts, strings.Clone(r.key)) // detached from the memory of the training table
			}
		}
	} else {
		for _, x := range c.numbers[0] {
			if x != x {
				missing++
			}
		}
		for _, r := range rank(c.numbers[0], math.NaN()) {
			if r.count >= least && len(e.Numbers) < max && r.key-r.key == 0 {
				e.Numbers = append(e.Numbers, r.key)
			}
		}
	}
	e.Missing = withMissing && missing > 0 && missing >= least
	e.index()
	return e
}

// storable reports whether every form of the recipe can hold the text. Other texts count as unseen.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// code is the category of training row i, and whether the row is missing.
func (c *fittingColumn) code(e *Encoder, i int) (code int, missing bool) {
	if c.Text {
		known, ok := e.texts[c.texts[i]]
		missing = c.texts[i] == ""
		return e.code(known, ok, missing), missing
	}
	x := c.numbers[0][i]
	known, ok := e.numbers[x]
	return e.code(known, ok, x != x), x != x
}

func (c *fittingColumn) ordinal(op string) {
	e := c.categories(op, 0, math.MaxInt, false)
	out := make([]float64, len(c.missing))
	for i := range out {
		code, missing := c.code(e, i)
		out[i] = e.Output(code, 0, missing)
	}
	c.Encoder, c.numbers = e, [][]float64{out}
}

func (c *fittingColumn) oneHot(step Step) error {
	least, err := step.number("min_count", 10, 0, 1e9)
	if err != nil {
		return err
	}
	limit, err := step.number("max", 50, 1, 10_000)
	if err != nil {
		return err
	}
	e := c.categories(EncodeOneHot, int(least), int(limit), true)
	codes := make([]int, len(c.missing))
	for i := range codes {
		codes[i], _ = c.code(e, i)
	}
	c.Encoder, c.codes, c.numbers = e, codes, nil
	return nil
}

// folds of cross-fitting. Five lose a fifth of the evidence per row, and k-fold beat ordered statistics with histogram boosting.
const folds = 5

// fold assigns a row to a fold, by SplitMix64 of the seed and the row's index (Steele, Lea, Flood 2014), so that rows sorted by time or label do not share a fold.
func fold(seed uint64, row int) int {
	z := seed + (uint64(row)+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % folds)
}

// targetEncode replaces a category by the smoothed mean of the label in it: (sum + smoothing * prior) / (n + smoothing), where the prior is the
// mean over all rows (Micci-Barreca 2001). With more than two classes there is one output per class, its share.
func (f *fitting) targetEncode(step Step, c *fittingColumn) error {
	smoothing, err := step.number("smoothing", 10, 0, 1e9)
	if err != nil {
		return err
	}
	if len(f.y) != f.rows {
		return fault.New(fault.Invalid, "target_encode needs a label for every row: %d of %d", len(f.y), f.rows)
	}
	e := c.categories(EncodeTarget, 0, math.MaxInt, true)
	codes := make([]int, f.rows)
	for i := range codes {
		codes[i], _ = c.code(e, i)
	}
	outputs := 1
	if f.classes > 2 {
		outputs = f.classes
	}
	e.Values, e.Unseen = make([][]float64, e.Categories()), make([]float64, outputs)
	for k := range e.Values {
		e.Values[k] = make([]float64, outputs)
	}
	numbers := make([][]float64, outputs)
	for out := range outputs {
		target := f.y
		if outputs > 1 {
			target = make([]float64, f.rows)
			for i, class := range f.y {
				if class == float64(out) {
					target[i] = 1
				}
			}
		}
		m := newTargetMeans(target, codes, e.Categories(), f.spec.Seed, smoothing)
		for k := range e.Values {
			e.Values[k][out] = m.mean(k, folds)
		}
		e.Unseen[out] = m.prior(folds)
		numbers[out] = make([]float64, f.rows)
		for i, k := range codes {
			numbers[out][i] = m.mean(k, fold(f.spec.Seed, i))
		}
	}
	c.Encoder, c.numbers = e, numbers
	return nil
}

// targetMeans holds sums and counts of the label per fold and category; index folds is the total, and the last category is all rows.
type targetMeans struct {
	sum, count [folds + 1][]float64
	smoothing  float64
}

func newTargetMeans(target []float64, codes []int, categories int, seed uint64, smoothing float64) *targetMeans {
	m := &targetMeans{smoothing: smoothing}
	for k := range m.sum {
		m.sum[k], m.count[k] = make([]float64, categories+1), make([]float64, categories+1)
	}
	for i, y := range target {
		for _, k := range [2]int{fold(seed, i), folds} {
			if code := codes[i]; code >= 0 {
				m.sum[k][code] += y
				m.count[k][code]++
			}
			m.sum[k][categories] += y
			m.count[k][categories]++
		}
	}
	return m
}

// without is the sum and count of a category outside of a fold; without(_, folds) is over all rows.
func (m *targetMeans) without(category, fold int) (sum, count float64) {
	sum, count = m.sum[folds][category], m.count[folds][category]
	if fold < folds {
		sum -= m.sum[fold][category]
		count -= m.count[fold][category]
	}
	return sum, count
}

// prior is the mean over all rows outside of the fold; over all when the fold is everything.
func (m *targetMeans) prior(fold int) float64 {
	all := len(m.sum[folds]) - 1
	sum, count := m.without(all, fold)
	if count == 0 {
		sum, count = m.without(all, folds)
	}
	return sum / count
}

func (m *targetMeans) mean(category, fold int) float64 {
	prior := m.prior(fold)
	if category < 0 {
		return prior
	}
	sum, count := m.without(category, fold)
	if count+m.smoothing == 0 {
		return prior
	}
	return (sum + float64(m.smoothing*prior)) / (count + m.smoothing)
}
