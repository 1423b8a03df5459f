package oip

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// answer writes the answer of a request after b: JSON, and then the bytes of the tensors that were asked for so. header is the length of
// the JSON, or -1 when nothing follows it.
func (c *call) answer(b []byte, a *serve.Answer) (out []byte, header int, err error) {
	tensors, err := codec.Outputs(a, c.wanted)
	if err != nil {
		return b, -1, err
	}
	start := len(b)
	b = append(b, `{"model_name":`...)
	b = codec.AppendText(b, a.Deployment)
	b = append(b, `,"model_version":"`...)
	b = strconv.AppendInt(b, int64(a.Version), 10)
	b = append(b, '"')
	if c.hasID {
		b = append(b, `,"id":`...)
		b = codec.AppendText(b, c.id)
	}
	b = append(b, `,"outputs":[`...)
	binary := false
	for i := range tensors {
		t := &tensors[i]
		o := output{}
		if i < len(c.outputs) {
			o = c.outputs[i] // Outputs keeps the order that was asked for
		}
		if o.classes > 0 {
			if t.Tensor, err = codec.Classify(t.Tensor, o.classes, classNames(a, t.Name)); err != nil {
				return b, -1, err
			}
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = codec.AppendText(b, t.Name)
		b = append(b, `,"shape":[`...)
		for k, d := range t.Shape {
			if k > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, `],"datatype":"`...)
		b = append(b, t.Type().String()...)
		if o.binary || c.binary && !o.json {
			binary = true
			b = append(b, `","parameters":{"binary_data_size":`...)
			b = strconv.AppendInt(b, int64(t.RawSize()), 10)
			b = append(b, "}}"...)
			continue
		}
		b = append(b, `","data":[`...)
		if b, err = appendData(b, t); err != nil {
			return b, -1, err
		}
		b = append(b, "]}"...)
	}
	b = append(b, "]}"...)
	if !binary {
		return append(b, '\n'), -1, nil
	}
	header = len(b) - start
	for i := range tensors {
		o := output{}
		if i < len(c.outputs) {
			o = c.outputs[i]
		}
		if o.binary || c.binary && !o.json {
			b = tensors[i].AppendRaw(b)
		}
	}
	return b, header, nil
}

// classNames is what the columns of an output are called.
func classNames(a *serve.Answer, name string) []string {
	if name != codec.Probabilities {
		return nil
	}
	if a.Signature.Task == string(learn.Binary) && len(a.Signature.Classes) != 2 {
		return []string{"false", "true"}
	}
	return a.Signature.Classes
}

// appendData writes the elements of a tensor, flat and in row-major order.
func appendData(b []byte, t *tensor.Named) ([]byte, error) {
	switch d := t.Data.(type) {
	case []float64:
		for i, v := range d {
			b = appendFloat(comma(b, i), v, 64)
		}
	case []float32:
		for i, v := range d {
			b = appendFloat(comma(b, i), float64(v), 32)
		}
	case []tensor.Float16:
		for i, v := range d {
			b = appendFloat(comma(b, i), float64(v.Float32()), 32)
		}
	case []tensor.BFloat16:
		for i, v := range d {
			b = appendFloat(comma(b, i), float64(v.Float32()), 32)
		}
	case []bool:
		for i, v := range d {
			b = strconv.AppendBool(comma(b, i), v)
		}
	case []string:
		for i, v := range d {
			if !utf8.ValidString(v) {
				return b, fault.New(fault.Invalid, "element %d of the output %q is no text, and JSON has no other bytes", i, codec.Clip(t.Name)).WithHint("ask for it as bytes: binary_data")
			}
			b = codec.AppendText(comma(b, i), v)
		}
	case []int64:
		b = appendInts(b, d)
	case []int32:
		b = appendInts(b, d)
	case []int16:
		b = appendInts(b, d)
	case []int8:
		b = appendInts(b, d)
	case []uint64:
		for i, v := range d {
			b = strconv.AppendUint(comma(b, i), v, 10)
		}
	case []uint32:
		b = appendInts(b, d)
	case []uint16:
		b = appendInts(b, d)
	case []uint8:
		b = appendInts(b, d)
	}
	return b, nil
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendInts[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](b []byte, d []T) []byte {
	for i, v := range d {
		b = strconv.AppendInt(comma(b, i), int64(v), 10)
	}
	return b
}

// appendFloat writes a number in the fewest digits that give it back. What JSON lacks is a text, which numpy and Python's float read.
func appendFloat(b []byte, v float64, bits int) []byte {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	case a != 0 && (a < 1e-6 || a >= 1e21):
		return strconv.AppendFloat(b, v, 'e', -1, bits)
	}
	return strconv.AppendFloat(b, v, 'f', -1, bits)
}
