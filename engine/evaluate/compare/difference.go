package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// CriticalDifference is Friedman's test with Nemenyi's comparison of all pairs, best model first (Demšar, JMLR 7,
// 2006). Two models whose mean ranks differ by less than CD cannot be told apart.
type CriticalDifference struct {
	Models   []string       `json:"models"` // by rising mean rank: the best first
	Ranks    []float64      `json:"ranks"`
	DataSets int            `json:"data_sets"`
	Alpha    float64        `json:"alpha"`
	CD       float64        `json:"cd"`
	Cliques  [][2]int       `json:"cliques"`  // first and last of each largest run of two or more models within CD
	P        [][]float64    `json:"p"`        // Nemenyi's p-value of each pair, in the order of Models
	Friedman FriedmanResult `json:"friedman"` // its mean ranks are in the order of the columns
}

// Nemenyi compares k models over N data sets: x has one row per data set and one column per model, named by models.
// CD = q sqrt(k(k+1)/(6N)), q the alpha quantile of the studentised range over sqrt(2).
func Nemenyi(x [][]float64, models []string, higherIsBetter bool, alpha float64) (CriticalDifference, error) {
	k, err := rectangle("Nemenyi", x)
	switch {
	case err != nil:
		return CriticalDifference{}, err
	case len(models) != k:
		return CriticalDifference{}, fault.New(fault.Invalid, "Nemenyi: %d names for %d models", len(models), k)
	case !(alpha > 0 && alpha < 1):
		return CriticalDifference{}, fault.New(fault.Invalid, "Nemenyi: alpha is between 0 and 1, not %v", alpha)
	}
	if higherIsBetter {
		turned := make([][]float64, len(x))
		for i, row := range x {
			turned[i] = make([]float64, k)
			for j, v := range row {
				turned[i][j] = -v
			}
		}
		x = turned
	}
	f, err := Friedman(x)
	if err != nil {
		return CriticalDifference{}, err
	}
	order := make([]int, k)
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.MeanRanks[a], f.MeanRanks[b]) })
	n, m := float64(len(x)), float64(k)
	se := math.Sqrt(m * (m + 1) / (6 * n))
	out := CriticalDifference{DataSets: len(x), Alpha: alpha, Friedman: f,
		CD: tail.StudentizedRangeQuantile(alpha, k) / math.Sqrt2 * se}
	for _, j := range order {
		out.Models = append(out.Models, models[j])
		out.Ranks = append(out.Ranks, f.MeanRanks[j])
	}
	out.P = make([][]float64, k)
	for i, a := range out.Ranks {
		out.P[i] = make([]float64, k)
		out.P[i][i] = 1
		for j, b := range out.Ranks[:i] {
			out.P[i][j] = tail.StudentizedRange(math.Abs(a-b)/se*math.Sqrt2, k)
			out.P[j][i] = out.P[i][j]
		}
	}
	last := 0
	for i := range out.Ranks {
		j := i
		for j+1 < k && out.Ranks[j+1]-out.Ranks[i] < out.CD {
			j++
		}
		if j > max(i, last) {
			out.Cliques = append(out.Cliques, [2]int{i, j})
		}
		last = max(last, j)
	}
	return out, nil
}

// SVG draws the critical-difference diagram: an axis of mean ranks with the best on the left, each model joined to its
// rank, a bar over the models of each clique, and the length of CD. It has a text alternative, takes its colour from
// currentColor, and escapes the names.
func (d CriticalDifference) SVG() string {
	const width, left, right, axis, line = 720.0, 190.0, 530.0, 64.0, 22.0
	k := len(d.Ranks)
	if k < 2 {
		return ""
	}
	at := func(rank float64) float64 { return left + (rank-1)/float64(k-1)*(right-left) }
	bars := float64(len(d.Cliques)) * 9
	half := (k + 1) / 2
	first := axis + 18 + bars // where the names begin
	height := first + float64(half)*line + 4
	var s drawing
	s.open(width, height, d.summary())
	s.line(left, axis, right, axis, 1.2)
	for r := 1; r <= k; r++ {
		s.line(at(float64(r)), axis-5, at(float64(r)), axis, 1.2)
		s.text(at(float64(r)), axis-10, "middle", strconv.Itoa(r))
	}
	length := d.CD / float64(k-1) * (right - left)
	s.line(left, 22, left+length, 22, 1.2)
	s.line(left, 18, left, 26, 1.2)
	s.line(left+length, 18, left+length, 26, 1.2)
	s.text(left+length+8, 26, "start", "CD = "+short(d.CD))
	for i, name := range d.Models {
		x, row, end, anchor, text := at(d.Ranks[i]), i, left-12, "end", left-18
		if i >= half {
			row, end, anchor, text = k-1-i, right+12, "start", right+18
		}
		y := first + float64(row)*line + 10
		s.line(x, axis, x, y, 0.8)
		s.line(x, y, end, y, 0.8)
		s.text(text, y+4, anchor, name+"  "+short(d.Ranks[i]))
	}
	for i, c := range d.Cliques {
		y := axis + 10 + float64(i)*9
		s.line(at(d.Ranks[c[0]])-4, y, at(d.Ranks[c[1]])+4, y, 4)
	}
	return s.close()
}

// summary says in words what the diagram shows.
func (d CriticalDifference) summary() string {
	s := "Mean ranks over " + strconv.Itoa(d.DataSets) + " data sets, critical difference " + short(d.CD) + ":"
	for i, name := range d.Models {
		s += " " + name + " " + short(d.Ranks[i]) + ";"
	}
	return s
}

func short(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
