package explain

import "math"

// points are the places t and the weights of Gauss-Legendre quadrature on [0, 1]: m points integrate every polynomial of
// degree 2m-1 exactly. The places are the roots of the Legendre polynomial, found by Newton's method from Tricomi's
// approximation (Press et al., Numerical Recipes, 4.6). rest is 1-t.
func points(m int) (t, rest, weight []float64) {
	t, rest, weight = make([]float64, m), make([]float64, m), make([]float64, m)
	for i := range (m + 1) / 2 {
		x := math.Cos(math.Pi * (float64(i) + 0.75) / (float64(m) + 0.5))
		var slope float64
		for range 100 {
			p, before := 1.0, 0.0
			for j := range m {
				p, before = (float64(float64(2*j+1)*x*p)-float64(float64(j)*before))/float64(j+1), p
			}
			slope = float64(m) * (float64(x*p) - before) / (float64(x*x) - 1)
			step := p / slope
			x -= step
			if math.Abs(step) < 1e-16 {
				break
			}
		}
		w := 1 / ((1 - float64(x*x)) * float64(slope*slope))
		j := m - 1 - i
		t[j], t[i] = (1+x)/2, (1-x)/2
		weight[i], weight[j] = w, w
	}
	for i := range rest {
		rest[i] = t[m-1-i]
	}
	return t, rest, weight
}
