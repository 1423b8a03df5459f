package gbdt

import (
	"cmp"
	"slices"
)

// quantileOf is the alpha quantile of v, between neighbours in a straight line as NumPy's and R's (type 7). It reorders
// v. Quickselect finds it (Hoare 1961), with the median of three as pivot, in time proportional to the length.
func quantileOf(v []float64, alpha float64) float64 {
	if len(v) == 0 {
		return 0
	}
	at := alpha * float64(len(v)-1)
	k := min(int(at), len(v)-1)
	low := nth(v, k)
	if k == len(v)-1 {
		return low
	}
	// What lies behind k is not below it: its least is the next in order.
	return low + float64((at-float64(k))*(slices.Min(v[k+1:])-low))
}

// nth moves the k-th smallest number of v to place k, smaller ones before it and larger ones behind, and returns it.
func nth(v []float64, k int) float64 {
	lo, hi := 0, len(v)-1
	for lo < hi {
		mid := lo + (hi-lo)/2
		if v[mid] < v[lo] {
			v[mid], v[lo] = v[lo], v[mid]
		}
		if v[hi] < v[lo] {
			v[hi], v[lo] = v[lo], v[hi]
		}
		if v[hi] < v[mid] {
			v[hi], v[mid] = v[mid], v[hi]
		}
		pivot := v[mid]
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for pivot < v[j] {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}

// weightedQuantile is quantileOf with weights w: the mean of v over a window of the sorted weights that is as wide as one
// of the rows that the weights are worth, (sum w)² / sum w² (Akinshin, "Weighted quantile estimators", arXiv:2304.07265,
// section 3, for type 7). Equal weights give quantileOf; 0 when every weight is 0.
func weightedQuantile(v, w []float64, alpha float64) float64 {
	type weighted struct{ v, w float64 }
	rows := make([]weighted, 0, len(v))
	var total, squares float64
	for i, x := range v {
		if w[i] > 0 {
			rows = append(rows, weighted{x, w[i]})
			total += w[i]
			squares += float64(w[i] * w[i])
		}
	}
	if len(rows) == 0 {
		return 0
	}
	slices.SortFunc(rows, func(a, b weighted) int { return cmp.Or(cmp.Compare(a.v, b.v), cmp.Compare(a.w, b.w)) })
	worth := total * total / squares
	from := total * alpha * (worth - 1) / worth
	to := from + total/worth
	var sum, within, below float64
	for _, r := range rows {
		above := below + r.w
		if part := min(above, to) - max(below, from); part > 0 {
			sum += float64(part * r.v)
			within += part
		}
		if below = above; below >= to {
			break
		}
	}
	if within == 0 {
		return rows[len(rows)-1].v
	}
	return sum / within
}
