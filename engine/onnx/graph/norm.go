package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var norms = map[string]operator{
	"Softmax": {run: halves(func(c *call) { softmaxes(c, softmax) })},
	"LogSoftmax": {run: halves(func(c *call) {
		softmaxes(c, func(v []float64) {
			top := slices.Max(v)
			sum := 0.0
			for _, x := range v {
				sum += math.Exp(x - top)
			}
			for i := range v {
				v[i] -= top + math.Log(sum)
			}
		})
	})},
	"Hardmax": {run: halves(func(c *call) {
		softmaxes(c, func(v []float64) {
			best := 0
			for i := range v {
				if v[i] > v[best] {
					best = i
				}
			}
			clear(v)
			v[best] = 1
		})
	})},
	"LpNormalization":           {run: halves(lpNormalization)},
	"BatchNormalization":        {run: halves(batchNormalization)},
	"LayerNormalization":        {run: halves(layerNormalization)},
	"RMSNormalization":          {run: halves(rmsNormalization)},
	"InstanceNormalization":     {run: halves(instanceNormalization)},
	"MeanVarianceNormalization": {run: halves(meanVariance)},
}

func softmax(v []float64) {
	top := math.Inf(-1)
	for _, x := range v {
		top = math.Max(top, x)
	}
	sum := 0.0
	for i, x := range v {
		v[i] = math.Exp(x - top)
		sum += v[i]
	}
	for i := range v {
		v[i] /= sum
	}
}

// softmaxes works on the lines of an axis; before opset 13 everything from the axis on is one line.
func softmaxes(c *call, f func(v []float64)) {
	t := c.arg(0)
	shape, axis := t.Shape, 0
	if c.opset < 13 {
		axis = int(c.attr.Int("axis", 1))
		if axis < 0 {
			axis += len(shape)
		}
		if axis < 0 || axis > len(shape) {
			throw(fault.Corrupt, "axis %d of %d dimensions", axis, len(shape))
		}
		shape = []int{size(shape[:axis]), size(shape[axis:])}
		axis = 1
	} else {
		axis = axisOf(c.attr.Int("axis", -1), len(shape))
	}
	alongLines(c, t, shape, axis, f)
}

// alongLines changes the lines of an axis by f.
func alongLines(c *call, t *Tensor, shape []int, axis int, f func(v []float64)) {
	values := as[float64](t)
	out := make([]float64, len(values))
	line := make([]float64, shape[axis])
	if len(line) > 0 {
		lines(shape, axis, func(first, step, n int) {
			for i := range n {
				line[i] = values[first+i*step]
			}
			f(line)
			for i := range n {
				out[first+i*step] = line[i]
			}
		})
	}
	c.like(0, t, out, t.Shape...)
}

func lpNormalization(c *call) {
	t := c.arg(0)
	p := c.attr.Int("p", 2)
	alongLines(c, t, t.Shape, axisOf(c.attr.Int("axis", -1), len(t.Shape)), func(v []float64) {
		by := 0.0
		for _, x := range v {
			if p == 1 {
				by += math.Abs(x)
			} else {
				by += x * x
			}
		}
		if p != 1 {
			by = math.Sqrt(by)
		}
		for i := range v {
			if by == 0 {
				v[i] = 0
			} else {
				v[i] /= by
			}
		}
	})
}

// batchNormalization uses the stored mean and variance, as in prediction.
func batchNormalization(c *call) {
	t := c.arg(0)
	if c.attr.Int("training_mode", 0) != 0 {
		throw(fault.FormatNotServed, "it normalizes by its own input, as in training")
	}
	scale, bias, mean, variance := as[float64](c.arg(1)), as[float64](c.arg(2)), as[float64](c.arg(3)), as[float64](c.arg(4))
	epsilon := float64(c.attr.Float("epsilon", 1e-5))
	channels := 1
	inner := 1
	if len(t.Shape) > 1 {
		channels, inner = t.Shape[1], size(t.Shape[2:])
	}
	if len(scale) != channels || len(bias) != channels || len(mean) != channels || len(variance) != channels {
		throw(fault.Invalid, "%d channels and %d scales", channels, len(scale))
	}
	values := as[float64](t)
	out := make([]float64, len(values))
	for i, v := range values {
		k := i / inner % channels
		out[i] = (v-mean[k])/math.Sqrt(variance[k]+epsilon)*scale[k] + bias[k]
	}
	c.like(0, t, out, t.Shape...)
}

func layerNormalization(c *call) {
	t := c.arg(0)
	axis := axisOf(c.attr.Int("axis", -1), len(t.Shape))
	epsilon := float64(c.attr.Float("epsilon", 1e-5))
	values, width := as[float64](t), size(t.Shape[axis:])
	kept := slices.Clone(t.Shape)
	for i := axis; i < len(kept); i++ {
		kept[i] = 1
	}
	means, inverses := make([]float64, size(kept)), make([]float64, size(kept))
	out := make([]float64, len(values))
	for i := range means {
		row := values[i*width : (i+1)*width]
		means[i], inverses[i] = moments(row, epsilon)
		for k, v := range row {
			out[i*width+k] = (v - means[i]) * inverses[i]
		}
	}
	scaled(out, t.Shape, c.opt(1), c.opt(2))
	c.like(0, t, out, t.Shape...)
	if len(c.out) > 1 {
		c.like(1, &Tensor{Data: []float32{}}, means, kept...)
	}
	if len(c.out) > 2 {
		c.like(2, &Tensor{Data: []float32{}}, inverses, kept...)
	}
}

// moments are the mean of values and one over their standard deviation.
func moments(row []float64, epsilon float64) (mean, inverse float64) {
	mean = sumOf(row) / float64(len(row))
	variance := 0.0
	for _, v := range row {
		variance += (v - mean) * (v - mean)
	}
	return mean, 1 / math.Sqrt(variance/float64(len(row))+epsilon)
}

// scaled multiplies values with one tensor and adds another, both spread over the shape.
func scaled(values []float64, shape []int, by, add *Tensor) {
	apply := func(t *Tensor, f func(a, b float64) float64) {
		if t == nil {
			return
		}
		result, s := spreadOver(shape, t.Shape)
		if !slices.Equal(result, shape) {
			throw(fault.Invalid, "a scale of %v for %v", slices.Clone(t.Shape), slices.Clone(shape))
		}
		zip(&s, values, values, as[float64](t), f)
	}
	apply(by, func(a, b float64) float64 { return a * b })
	apply(add, func(a, b float64) float64 { return a + b })
}

func rmsNormalization(c *call) {
	t := c.arg(0)
	axis := axisOf(c.attr.Int("axis", -1), len(t.Shape))
	epsilon := float64(c.attr.Float("epsilon", 1e-5))
	values, width := as[float64](t), size(t.Shape[axis:])
	out := make([]float64, len(values))
	for i := range size(t.Shape[:axis]) {
		row := values[i*width : (i+1)*width]
		by := math.Sqrt(squares(row)/float64(width) + epsilon)
		for k, v := range row {
			out[i*width+k] = v / by
		}
	}
	scaled(out, t.Shape, c.opt(1), nil)
	c.like(0, t, out, t.Shape...)
}

func instanceNormalization(c *call) {
	t := c.arg(0)
	scale, bias := as[float64](c.arg(1)), as[float64](c.arg(2))
	if len(t.Shape) < 2 || len(scale) != t.Shape[1] || len(bias) != t.Shape[1] {
		throw(fault.Invalid, "%d scales for %v", len(scale), slices.Clone(t.Shape))
	}
	values, inner := as[float64](t), size(t.Shape[2:])
	out := make([]float64, len(values))
	for i := range t.Shape[0] * t.Shape[1] {
		row := values[i*inner : (i+1)*inner]
		mean, inverse := moments(row, float64(c.attr.Float("epsilon", 1e-5)))
		k := i % t.Shape[1]
		for j, v := range row {
			out[i*inner+j] = (v-mean)*inverse*scale[k] + bias[k]
		}
	}
	c.like(0, t, out, t.Shape...)
}

func meanVariance(c *call) {
	t := c.arg(0)
	axes := []int{}
	named := c.attr.Ints("axes")
	if named == nil {
		named = []int64{0, 2, 3}
	}
	for _, a := range named {
		axes = append(axes, axisOf(a, len(t.Shape)))
	}
	turned, width := c.trailing(t, axes)
	values := as[float64](turned)
	kept := without(t.Shape, axes, true)
	means, by := make([]float64, size(kept)), make([]float64, size(kept))
	for i := range means {
		mean, inverse := moments(values[i*width:(i+1)*width], 0)
		means[i], by[i] = mean, 1/(1/inverse+1e-9)
	}
	out := slices.Clone(as[float64](t))
	_, s := spreadOver(t.Shape, kept)
	zip(&s, out, out, means, func(a, b float64) float64 { return a - b })
	zip(&s, out, out, by, func(a, b float64) float64 { return a * b })
	c.like(0, t, out, t.Shape...)
}
