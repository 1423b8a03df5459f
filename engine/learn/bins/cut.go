package bins

import (
	"cmp"
	"math"
	"slices"
)

// thresholds are the cuts of a column given its distinct values, ascending, and how often each of them occurs. With few
// of them each gets its own part; otherwise parts hold equal counts, except that a value which alone is more than a
// part's share keeps a part to itself.
func thresholds(distinct []float32, counts []int, total, bins int) []float32 {
	if len(distinct) <= 1 {
		return nil
	}
	if len(distinct) <= bins {
		out := make([]float32, 0, len(distinct)-1)
		for i := 1; i < len(distinct); i++ {
			out = append(out, between(distinct[i-1], distinct[i]))
		}
		return out
	}
	// The share is taken anew over what is left after each part, and over all values that are not large on their own.
	share := float64(total) / float64(bins)
	large := make([]bool, len(distinct))
	rest, restBins := total, bins
	for i, c := range counts {
		if float64(c) >= share {
			large[i] = true
			rest -= c
			restBins--
		}
	}
	share = float64(rest) / float64(max(restBins, 1))
	out := make([]float32, 0, bins-1)
	inBin := 0
	for i := 0; i < len(distinct)-1 && len(out) < bins-1; i++ {
		if !large[i] {
			rest -= counts[i]
		}
		inBin += counts[i]
		if large[i] || float64(inBin) >= share || (large[i+1] && float64(inBin) >= share/2) {
			out = append(out, between(distinct[i], distinct[i+1]))
			inBin = 0
			if !large[i] {
				restBins--
				share = float64(rest) / float64(max(restBins, 1))
			}
		}
	}
	return out
}

// ordered maps a number to a key that sorts as the number does; -0 and 0 have the same key.
func ordered(v float32) uint32 {
	b := math.Float32bits(v + 0)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

// number is the inverse of ordered.
func number(key uint32) float32 {
	if key>>31 == 1 {
		return math.Float32frombits(key &^ (1 << 31))
	}
	return math.Float32frombits(^key)
}

// few is how many distinct keys are counted one by one before sorting pays.
const few = 12

// runs are the distinct numbers of the keys in ascending order and how often each occurs. It may reorder the keys;
// spare is as long as keys.
func runs(keys, spare []uint32) (distinct []float32, counts []int) {
	if found, n := countFew(keys); found != nil {
		for _, f := range found[:n] {
			distinct, counts = append(distinct, number(f.key)), append(counts, f.count)
		}
		return distinct, counts
	}
	for i, k := range sortKeys(keys, spare) {
		if i == 0 || number(k) != distinct[len(distinct)-1] {
			distinct = append(distinct, number(k))
			counts = append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	return distinct, counts
}

type counted struct {
	key   uint32
	count int
}

// countFew counts keys of at most few distinct values and sorts them; nil when there are more.
func countFew(keys []uint32) ([]counted, int) {
	found := make([]counted, 0, few)
	last := -1
next:
	for _, k := range keys {
		if last >= 0 && found[last].key == k {
			found[last].count++
			continue
		}
		for i := range found {
			if found[i].key == k {
				found[i].count++
				last = i
				continue next
			}
		}
		if len(found) == few {
			return nil, 0
		}
		last = len(found)
		found = append(found, counted{k, 1})
	}
	slices.SortFunc(found, func(a, b counted) int { return cmp.Compare(a.key, b.key) })
	return found, len(found)
}

// sortKeys sorts by radix, eleven bits at a time, between keys and spare, and returns the one that ends sorted.
func sortKeys(keys, spare []uint32) []uint32 {
	for shift := 0; shift < 32; shift += 11 {
		var at [1 << 11]int
		for _, k := range keys {
			at[k>>shift&(1<<11-1)]++
		}
		sum := 0
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, k := range keys {
			d := k >> shift & (1<<11 - 1)
			spare[at[d]] = k
			at[d]++
		}
		keys, spare = spare, keys
	}
	return keys
}

// between is a float32 t with a <= t < b, the midpoint where float32 has one.
func between(a, b float32) float32 {
	t := float32((float64(a) + float64(b)) / 2)
	if t >= a && t < b {
		return t
	}
	return a
}
