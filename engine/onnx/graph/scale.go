package graph

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var scalers = map[string]operator{
	"ai.onnx.ml.Scaler":     {run: scaler},
	"ai.onnx.ml.Normalizer": {run: normalizer},
	"ai.onnx.ml.Imputer":    {run: imputer},
	"ai.onnx.ml.Binarizer": {run: func(c *call) {
		threshold := c.attr.Float("threshold", 0)
		t := c.arg(0)
		values := as[float64](t)
		out := make([]float64, len(values))
		for i, v := range values {
			if v > float64(threshold) {
				out[i] = 1
			}
		}
		c.like(0, t, out, t.Shape...)
	}},
}

// setting is the one for a column; one setting is for all.
func setting(list []float32, column int) float32 {
	if len(list) == 1 {
		return list[0]
	}
	return list[column]
}

func scaler(c *call) {
	t := c.arg(0)
	offset, scale := c.attr.Floats("offset"), c.attr.Floats("scale")
	width := cols(t)
	if len(t.Shape) == 1 && len(offset) != len(scale) || len(offset) != 1 && len(offset) != width || len(scale) != 1 && len(scale) != width {
		throw(fault.Invalid, "it has settings for %d columns and gets %d", len(offset), width)
	}
	values := as[float32](t)
	out := alloc[float32](c, 0, t.Shape...)
	for i, v := range values {
		k := i % width
		out[i] = (v - setting(offset, k)) * setting(scale, k)
	}
}

// normalizer divides rows by a norm. MAX is the greatest value, as onnxruntime has it, where scikit-learn takes the greatest size.
func normalizer(c *call) {
	t := c.arg(0)
	norm := c.attr.Text("norm")
	values := as[float32](t)
	out := alloc[float32](c, 0, t.Shape...)
	width := cols(t)
	for begin := 0; begin+width <= len(out) && width > 0; begin += width {
		row := values[begin : begin+width]
		by := 0.0
		switch norm {
		case "L1":
			for _, v := range row {
				by += math.Abs(float64(v))
			}
		case "L2":
			for _, v := range row {
				by += float64(v) * float64(v)
			}
			by = math.Sqrt(by)
		default:
			by = math.Inf(-1)
			for _, v := range row {
				by = max(by, float64(v))
			}
		}
		for i, v := range row {
			if by == 0 {
				out[begin+i] = v
			} else {
				out[begin+i] = float32(float64(v) / by)
			}
		}
	}
}

func imputer(c *call) {
	t := c.arg(0)
	width := cols(t)
	if fill := c.attr.Ints("imputed_value_int64s"); len(fill) > 0 && t.Type() != tensor.FP32 && t.Type() != tensor.FP64 {
		if len(fill) != 1 && len(fill) != width {
			throw(fault.Invalid, "it has settings for %d columns and gets %d", len(fill), width)
		}
		missing := c.attr.Int("replaced_value_int64", 0)
		out := alloc[int64](c, 0, t.Shape...)
		for i, v := range as[int64](t) {
			if v == missing {
				v = fill[i%width%len(fill)]
			}
			out[i] = v
		}
		return
	}
	fill := c.attr.Floats("imputed_value_floats")
	if len(fill) == 0 || len(fill) != 1 && len(fill) != width {
		throw(fault.Invalid, "it has settings for %d columns and gets %d", len(fill), width)
	}
	missing := c.attr.Float("replaced_value_float", 0)
	values := as[float64](t)
	out := make([]float64, len(values))
	for i, v := range values {
		if v == float64(missing) || v != v && missing != missing {
			v = float64(setting(fill, i%width))
		}
		out[i] = v
	}
	c.like(0, t, out, t.Shape...)
}
