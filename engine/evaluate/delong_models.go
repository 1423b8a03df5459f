package evaluate

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/trimtab-ml/trimtab/engine/evaluate/compare"
	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// DeLongModels compares the ROC AUC of several sets of scores for the same rows.
type DeLongModels struct {
	AUC        []float64   `json:"auc"`
	Covariance [][]float64 `json:"covariance"`
	Statistic  float64     `json:"statistic"` // chi-squared, of all AUCs being equal or of the contrasts being zero
	DF         float64     `json:"df"`        // contrasts that are independent of each other
	P          float64     `json:"p"`
	Pairs      [][]float64 `json:"pairs"` // two-sided p of each pair of models, corrected by Holm for their number; 1 on the diagonal
	Positives  int         `json:"positives"`
	Negatives  int         `json:"negatives"`
	Defined    bool        `json:"defined"` // false with fewer than two rows of a class: there is no test, and P is 1
}

// DeLongAll tests whether sets of scores rank the rows equally well, by (L auc)' (L S L')⁻¹ (L auc) with the covariance
// S of the AUCs (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, formula 5). Each row of contrasts L has a weight
// per model, adding up to 0; nil compares each model with the first, which is the test that all are equal. For two
// models the statistic is the square of DeLong's Z. Contrasts without any variance, as of models that rank alike, do not
// count; where such a contrast is not zero the statistic is the greatest finite number and P 0.
func DeLongAll(y []float64, scores [][]float64, contrasts [][]float64) (DeLongModels, error) {
	k := len(scores)
	if k < 2 {
		return DeLongModels{}, fault.New(fault.Invalid, "DeLong's test needs two models or more, not %d", k)
	}
	for i, s := range scores {
		if len(s) != len(y) {
			return DeLongModels{}, fault.New(fault.Invalid, "model %d has %d scores for %d labels", i+1, len(s), len(y))
		}
	}
	if contrasts == nil {
		for i := 1; i < k; i++ {
			row := make([]float64, k)
			row[0], row[i] = 1, -1
			contrasts = append(contrasts, row)
		}
	}
	l := mat.NewDense(max(len(contrasts), 1), k, nil)
	for i, row := range contrasts {
		sum, size := 0.0, 0.0
		for _, v := range row {
			sum += v
			size += math.Abs(v)
		}
		if len(row) != k || !(math.Abs(sum) <= 1e-9*size) || math.IsInf(size, 1) {
			return DeLongModels{}, fault.New(fault.Invalid, "contrast %d is %v", i+1, row).
				WithHint("give one weight per model; they add up to 0")
		}
		l.SetRow(i, row)
	}
	parts := make([]placements, k)
	for i, s := range scores {
		parts[i] = placementsOf(y, s)
	}
	out := DeLongModels{P: 1, Positives: len(parts[0].positives), Negatives: len(parts[0].negatives)}
	if out.Positives < 2 || out.Negatives < 2 {
		return out, nil
	}
	out.Defined = true
	covariances := mat.NewSymDense(k, nil)
	out.Covariance = make([][]float64, k)
	for i := range parts {
		out.AUC = append(out.AUC, parts[i].auc)
		out.Covariance[i] = make([]float64, k)
		for j := range parts {
			out.Covariance[i][j] = covariance(parts[i], parts[j])
			covariances.SetSym(i, j, out.Covariance[i][j])
		}
	}
	out.Statistic, out.DF = quadratic(l, mat.NewVecDense(k, out.AUC), covariances)
	if out.DF > 0 {
		out.P = tail.ChiSquared(out.Statistic, out.DF)
	}
	if out.Statistic == math.MaxFloat64 {
		out.P = 0
	}
	var p []float64
	for i := range scores {
		for j := range i {
			p = append(p, DeLong(y, scores[i], scores[j]).P)
		}
		out.Pairs = append(out.Pairs, make([]float64, k))
	}
	p = compare.Holm(p)
	for i := range scores {
		out.Pairs[i][i] = 1
		for j := range i {
			out.Pairs[i][j], out.Pairs[j][i] = p[0], p[0]
			p = p[1:]
		}
	}
	return out, nil
}

// quadratic is (L v)' (L S L')⁺ (L v) and the rank of L S L'.
func quadratic(l *mat.Dense, v *mat.VecDense, s *mat.SymDense) (statistic, rank float64) {
	rows, k := l.Dims()
	var d mat.VecDense
	d.MulVec(l, v)
	var ls, lsl mat.Dense
	ls.Mul(l, s)
	lsl.Mul(&ls, l.T())
	sym := mat.NewSymDense(rows, nil)
	largest := 0.0
	for i := range rows {
		for j := range i + 1 {
			sym.SetSym(i, j, lsl.At(i, j))
		}
		for j := range k {
			largest = max(largest, l.At(i, j)*l.At(i, j)*s.At(j, j))
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(sym, true) {
		return math.NaN(), 0
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	for i, value := range eigen.Values(nil) {
		along := mat.Dot(vectors.ColView(i), &d)
		switch {
		case value > 1e-13*largest: // below, it is the rounding of variances that cancel
			rank++
			statistic += along * along / value
		case math.Abs(along) > 1e-12:
			return math.MaxFloat64, rank
		}
	}
	return statistic, rank
}
