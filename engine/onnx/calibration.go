package onnx

import (
	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// calibrate writes the calibrated predictions, double [N, outputs]. Isotonic steps have no form: they may be steeper than
// the single precision in which runtimes add up trees, so that a row beside one would come out on its other side.
func (g *graph) calibrate(c *calibrate.Calibrator, predictions string) (string, error) {
	const least = 1e-15 // as package calibrate keeps probabilities off 0 and 1
	k := int64(c.Outputs())
	one := g.doubles([]float64{1}, 1, 1)
	logs := func() (yes, no string) { // ln p and ln(1-p)
		p := g.bound("Less", least, g.bound("Greater", 1-least, predictions))
		return g.node("Log", []string{p}), g.node("Log", []string{g.node("Sub", []string{one, p})})
	}
	times := func(v string, by []float64) string { return g.node("Mul", []string{v, g.doubles(by, 1, k)}) }
	curves := c.Curves()
	var z string
	switch c.Method() {
	case calibrate.TemperatureMethod:
		if k > 1 {
			log := g.node("Log", []string{g.bound("Less", least, predictions)})
			cooled := g.node("Div", []string{log, g.doubles([]float64{curves.Temperature}, 1, 1)})
			return g.node("Softmax", []string{cooled}, intAttribute("axis", 1)), nil
		}
		yes, no := logs()
		z = g.node("Div", []string{g.node("Sub", []string{yes, no}), g.doubles([]float64{curves.Temperature}, 1, 1)})
	case calibrate.PlattMethod:
		var slopes, shifts []float64
		for _, v := range curves.Platt {
			slopes, shifts = append(slopes, -v.A), append(shifts, -v.B)
		}
		yes, no := logs()
		z = g.node("Add", []string{times(g.node("Sub", []string{yes, no}), slopes), g.doubles(shifts, 1, k)})
	case calibrate.BetaMethod:
		var up, down, shifts []float64
		for _, v := range curves.Beta {
			up, down, shifts = append(up, v.A), append(down, v.B), append(shifts, v.C)
		}
		yes, no := logs()
		z = g.node("Add", []string{g.node("Sub", []string{times(yes, up), times(no, down)}), g.doubles(shifts, 1, k)})
	default:
		return "", fault.New(fault.NotSupported, "a model with %s calibration has no ONNX form", c.Method()).
			WithHint("calibrate with platt, beta or temperature, or convert the model that was calibrated")
	}
	p := g.node("Sigmoid", []string{z})
	if k == 1 {
		return p, nil
	}
	sum := g.node("ReduceSum", []string{p, g.int64s([]int64{1}, 1)}, intAttribute("keepdims", 1))
	none := g.node("LessOrEqual", []string{sum, g.doubles([]float64{0}, 1, 1)}) // every class says no
	shares := g.node("Div", []string{p, g.node("Where", []string{none, one, sum})})
	return g.node("Where", []string{none, g.doubles([]float64{1 / float64(k)}, 1, 1), shares}), nil
}
