package calibrate

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Method names a way to calibrate.
type Method string

// The methods; see the package comment.
const (
	PlattMethod       Method = "platt"
	IsotonicMethod    Method = "isotonic"
	BetaMethod        Method = "beta"
	TemperatureMethod Method = "temperature"
)

// Methods are all methods, in the order to show them.
func Methods() []Method { return []Method{PlattMethod, IsotonicMethod, BetaMethod, TemperatureMethod} }

// Calibrator turns the probabilities that a model gives into calibrated ones. It is immutable and safe for concurrent
// use.
type Calibrator struct {
	method  Method
	outputs int // 1 for two classes, else the number of classes
	// One curve for each output; of Platt's and the temperature method over log odds or logarithms, of the others over
	// probabilities.
	platt       []Platt
	isotonic    []Isotonic
	beta        []Beta
	temperature float64
}

// Method is how it was fitted.
func (c *Calibrator) Method() Method { return c.method }

// Curves are what was fitted: one for each output, of the method alone, or the temperature.
type Curves struct {
	Platt       []Platt // of log odds (see Logit)
	Isotonic    []Isotonic
	Beta        []Beta
	Temperature float64
}

// Curves are the calibrator's; they must not be changed.
func (c *Calibrator) Curves() Curves {
	return Curves{c.platt, c.isotonic, c.beta, c.temperature}
}

// Outputs is the numbers per row: 1 for the probability of the positive of two classes, else one per class.
func (c *Calibrator) Outputs() int { return c.outputs }

// Fit calibrates probabilities p, outputs per row, of rows that the model was not trained on. With one output y is 1 for
// positive rows; with more it is the class, from 0. weights may be nil. Platt's, isotonic and beta curves are fitted to
// each class against the rest, and the probabilities of a row then brought to a sum of 1; the temperature is one for all.
// What cannot be fitted to is fault.Invalid: no rows, rows of one class only, numbers that are none.
func Fit(method Method, p, y []float64, outputs int, weights []float64) (*Calibrator, error) {
	if outputs < 1 || len(p) != len(y)*outputs || weights != nil && len(weights) != len(y) {
		return nil, fault.New(fault.Invalid, "calibration: %d probabilities, %d to a row, for %d labels and %d weights", len(p), outputs, len(y), len(weights))
	}
	if !slices.Contains(Methods(), method) {
		return nil, fault.New(fault.Invalid, "there is no calibration %q", method).WithHint("calibrations are platt, isotonic, beta and temperature")
	}
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return nil, fault.New(fault.Invalid, "calibration: row %d has the probability %v", i/outputs+1, v)
		}
	}
	classes := max(outputs, 2)
	code := make([]int, len(y))
	seen := map[int]bool{}
	for i, v := range y {
		if v != math.Trunc(v) || v < 0 || v >= float64(classes) {
			return nil, fault.New(fault.Invalid, "calibration: the label of row %d is %v, not a class from 0 to %d", i+1, v, classes-1)
		}
		code[i] = int(v)
		if weight(weights, i) > 0 {
			seen[code[i]] = true
		}
	}
	if len(seen) < 2 {
		return nil, fault.New(fault.Invalid, "calibration needs rows of at least two classes").WithHint("calibrate on more rows")
	}
	c := &Calibrator{method: method, outputs: outputs}
	if method == TemperatureMethod {
		logits := make([]float64, 0, len(y)*classes)
		for _, v := range p {
			if outputs == 1 {
				logits = append(logits, 0, Logit(v))
			} else {
				logits = append(logits, logarithm(v))
			}
		}
		t, _, err := FitTemperature(logits, code, classes, weights)
		c.temperature = t
		return c, err
	}
	for j := range outputs {
		own, label := make([]float64, len(y)), make([]float64, len(y))
		for i := range y {
			own[i] = p[i*outputs+j]
			if method == PlattMethod {
				own[i] = Logit(own[i])
			}
			if outputs == 1 && code[i] == 1 || outputs > 1 && code[i] == j {
				label[i] = 1
			}
		}
		if err := c.add(own, label, weights); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// add fits the curve of the next output.
func (c *Calibrator) add(score, y, w []float64) (err error) {
	switch c.method {
	case PlattMethod:
		var v Platt
		v, err = FitPlatt(score, y, w)
		c.platt = append(c.platt, v)
	case IsotonicMethod:
		var v Isotonic
		v, err = FitIsotonic(score, y, w)
		c.isotonic = append(c.isotonic, v)
	case BetaMethod:
		var v Beta
		v, err = FitBeta(score, y, w)
		c.beta = append(c.beta, v)
	}
	return err
}

// logarithm keeps a probability off 0.
func logarithm(p float64) float64 { return math.Log(max(p, 1e-15)) }

// Apply calibrates the Outputs probabilities of one row in place, without allocating.
func (c *Calibrator) Apply(p []float64) {
	p = p[:c.outputs]
	if c.method == TemperatureMethod {
		c.cool(p)
		return
	}
	sum := 0.0
	for j, v := range p {
		switch c.method {
		case PlattMethod:
			v = c.platt[j].At(Logit(v))
		case IsotonicMethod:
			v = c.isotonic[j].At(v)
		case BetaMethod:
			v = c.beta[j].At(v)
		}
		p[j] = v
		sum += v
	}
	if c.outputs == 1 {
		return
	}
	for j := range p {
		if sum > 0 {
			p[j] /= sum
		} else {
			p[j] = 1 / float64(c.outputs) // every class says no
		}
	}
}

func (c *Calibrator) cool(p []float64) {
	if c.outputs == 1 {
		p[0] = sigmoid(Logit(p[0]) / c.temperature)
		return
	}
	top := math.Inf(-1)
	for _, v := range p {
		top = max(top, logarithm(v))
	}
	sum := 0.0
	for j, v := range p {
		p[j] = math.Exp((logarithm(v) - top) / c.temperature)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
}

// write appends the calibrator to a model's bytes.
func (c *Calibrator) write(w *wire.Writer) {
	w.Text(string(c.method))
	w.Uint32(uint32(c.outputs))
	if c.method == TemperatureMethod {
		w.Floats([]float64{c.temperature})
		return
	}
	for j := range c.outputs {
		switch c.method {
		case PlattMethod:
			w.Floats([]float64{c.platt[j].A, c.platt[j].B})
		case BetaMethod:
			w.Floats([]float64{c.beta[j].A, c.beta[j].B, c.beta[j].C})
		case IsotonicMethod:
			w.Floats(c.isotonic[j].X)
			w.Floats(c.isotonic[j].Y)
		}
	}
}

// read takes back what write wrote; what could give something else than a probability is a fault of the reader.
func read(r *wire.Reader) *Calibrator {
	c := &Calibrator{method: Method(r.Text(32)), outputs: int(r.Uint32())}
	if r.Err() == nil && (c.outputs < 1 || !slices.Contains(Methods(), c.method)) {
		r.Fail("the calibration %q of %d outputs is not known", c.method, c.outputs)
	}
	floats := func(n int) []float64 {
		v := r.Floats()
		if r.Err() == nil && len(v) != n {
			r.Fail("a calibration has %d numbers, not %d", len(v), n)
		}
		for _, x := range v {
			if !(math.Abs(x) <= 1e100) { // far beyond any fit, and safe to multiply with log odds
				r.Fail("a calibration holds the number %v", x)
			}
		}
		if r.Err() != nil {
			return make([]float64, n)
		}
		return v
	}
	if c.method == TemperatureMethod {
		c.temperature = floats(1)[0]
		if r.Err() == nil && !(c.temperature > 0) {
			r.Fail("the temperature is %v", c.temperature)
		}
		return c
	}
	for j := 0; j < c.outputs && r.Err() == nil; j++ {
		switch c.method {
		case PlattMethod:
			v := floats(2)
			c.platt = append(c.platt, Platt{v[0], v[1]})
		case BetaMethod:
			v := floats(3)
			c.beta = append(c.beta, Beta{v[0], v[1], v[2]})
		case IsotonicMethod:
			v := Isotonic{X: r.Floats(), Y: r.Floats()}
			if r.Err() == nil && !v.sound() {
				r.Fail("an isotonic calibration does not rise from 0 to 1")
			}
			c.isotonic = append(c.isotonic, v)
		}
	}
	return c
}

// sound reports whether the knots are ones that FitIsotonic could have made.
func (c Isotonic) sound() bool {
	if len(c.X) == 0 || len(c.X) != len(c.Y) || !allFinite(c.X) || !allFinite(c.Y) {
		return false
	}
	for i := range c.X {
		if c.Y[i] < 0 || c.Y[i] > 1 || i > 0 && (c.X[i] <= c.X[i-1] || c.Y[i] < c.Y[i-1]) {
			return false
		}
	}
	return true
}

func allFinite(v []float64) bool {
	var t metric.Sum
	for _, x := range v {
		t.Add(0 * x)
	}
	return t.Value() == 0
}
