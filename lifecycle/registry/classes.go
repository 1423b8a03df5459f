package registry

import "github.com/trimtab-ml/trimtab/engine/evaluate"

// mostShown classes have a matrix that people can look through.
const mostShown = 40

// classesOf is the decisions of a multiclass model, and how often its likeliest class is right by how likely it is.
func classesOf(h *Held) (*Decisions, *evaluate.CalibrationCurve) {
	if h.K == 0 || len(h.Y) == 0 || len(h.P) != len(h.Y)*h.K {
		return nil, nil
	}
	right, confidence := make([]float64, len(h.Y)), make([]float64, len(h.Y))
	matrix := make([][]int, h.K)
	for i := range matrix {
		matrix[i] = make([]int, h.K)
	}
	for i, y := range h.Y {
		p := h.P[i*h.K : (i+1)*h.K]
		class := int(decided(p, 0))
		confidence[i] = max(0, min(1, p[class]))
		matrix[int(y)][class]++
		if class == int(y) {
			right[i] = 1
		}
	}
	curve := evaluate.Calibration(right, confidence, curveBins)
	if h.K > mostShown {
		return nil, &curve
	}
	return &Decisions{Matrix: matrix}, &curve
}
