package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// readTensors reads the inputs of an inference request as JSON. What does not fit is fault.Invalid and named.
func readTensors(body []byte) (*predictor.Request, error) {
	var file struct {
		Inputs []struct {
			Name     string          `json:"name"`
			Shape    []int           `json:"shape"`
			Datatype tensor.Type     `json:"datatype"`
			Data     json.RawMessage `json:"data"`
		} `json:"inputs"`
		Outputs []struct {
			Name string `json:"name"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(body, &file); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the inputs are not JSON tensors")
	}
	q := &predictor.Request{}
	for _, in := range file.Inputs {
		n, ok := tensor.Volume(in.Shape)
		if !ok || n > len(in.Data) || in.Datatype == tensor.None {
			return nil, fault.New(fault.Invalid, "the input %q of shape %v and type %q has not as many values", in.Name, in.Shape, in.Datatype)
		}
		t := tensor.Make(in.Datatype, in.Shape...)
		d := json.NewDecoder(bytes.NewReader(in.Data))
		d.UseNumber()
		var tree any
		if err := d.Decode(&tree); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the data of the input %q", in.Name)
		}
		held := 0
		if err := putValues(t, tree, &held); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the input %q", in.Name)
		}
		if held != n {
			return nil, fault.New(fault.Invalid, "the input %q of shape %v holds %d values", in.Name, in.Shape, held)
		}
		q.Inputs = append(q.Inputs, tensor.Named{Name: in.Name, Tensor: t})
	}
	for _, out := range file.Outputs {
		q.Wanted = append(q.Wanted, out.Name)
	}
	return q, nil
}

// putValues writes the values of a list, or of lists in lists, one after the other.
func putValues(t *tensor.Tensor, tree any, at *int) error {
	if list, ok := tree.([]any); ok {
		for _, v := range list {
			if err := putValues(t, v, at); err != nil {
				return err
			}
		}
		return nil
	}
	if *at >= t.Len() {
		return fault.New(fault.Invalid, "it has more values than its shape %v", t.Shape)
	}
	if !putValue(t, tree, *at) {
		return fault.New(fault.Invalid, "value %d, %v, is not %s", *at, tree, t.Type())
	}
	*at++
	return nil
}

var wordNumbers = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

func putValue(t *tensor.Tensor, value any, i int) bool {
	text := ""
	switch v := value.(type) {
	case string:
		if d, ok := t.Data.([]string); ok {
			d[i] = v
			return true
		}
		number, ok := wordNumbers[v]
		return ok && putNumber(t, number, i)
	case bool:
		d, ok := t.Data.([]bool)
		if ok {
			d[i] = v
		}
		return ok
	case json.Number:
		text = v.String()
	case nil:
		return putNumber(t, math.NaN(), i)
	default:
		return false
	}
	switch d := t.Data.(type) {
	case []int64:
		v, err := strconv.ParseInt(text, 10, 64)
		d[i] = v
		if err == nil {
			return true
		}
	case []uint64:
		v, err := strconv.ParseUint(text, 10, 64)
		d[i] = v
		if err == nil {
			return true
		}
	case []float32: // rounded once
		v, err := strconv.ParseFloat(text, 32)
		d[i] = float32(v)
		return err == nil
	}
	v, err := strconv.ParseFloat(text, 64)
	return err == nil && putNumber(t, v, i)
}

// putNumber writes a number that the type holds.
func putNumber(t *tensor.Tensor, v float64, i int) bool {
	if t.Type() == tensor.String {
		return false
	}
	one, err := tensor.New([]float64{v}, 1).Convert(t.Type())
	if err != nil {
		return false
	}
	switch d := t.Data.(type) {
	case []bool:
		d[i] = one.Data.([]bool)[0]
	case []uint8:
		d[i] = one.Data.([]uint8)[0]
	case []uint16:
		d[i] = one.Data.([]uint16)[0]
	case []uint32:
		d[i] = one.Data.([]uint32)[0]
	case []uint64:
		d[i] = one.Data.([]uint64)[0]
	case []int8:
		d[i] = one.Data.([]int8)[0]
	case []int16:
		d[i] = one.Data.([]int16)[0]
	case []int32:
		d[i] = one.Data.([]int32)[0]
	case []int64:
		d[i] = one.Data.([]int64)[0]
	case []tensor.Float16:
		d[i] = one.Data.([]tensor.Float16)[0]
	case []tensor.BFloat16:
		d[i] = one.Data.([]tensor.BFloat16)[0]
	case []float32:
		d[i] = float32(v)
	case []float64:
		d[i] = v
	default:
		return false
	}
	return true
}

// appendTensors writes outputs as JSON: data flat and row-major.
func appendTensors(b []byte, outputs []tensor.Named) []byte {
	b = append(b, `{"outputs":[`...)
	for i, out := range outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendText(b, out.Name)
		b = append(b, `,"shape":[`...)
		for k, d := range out.Shape {
			if k > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, `],"datatype":"`...)
		b = append(b, out.Type().String()...)
		b = append(b, `","data":[`...)
		for k := range out.Len() {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, out.Tensor, k)
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}

func appendValue(b []byte, t *tensor.Tensor, i int) []byte {
	bits := 64
	switch d := t.Data.(type) {
	case []string:
		return appendText(b, d[i])
	case []bool:
		return strconv.AppendBool(b, d[i])
	case []int64:
		return strconv.AppendInt(b, d[i], 10)
	case []uint64:
		return strconv.AppendUint(b, d[i], 10)
	case []float32, []tensor.Float16, []tensor.BFloat16:
		bits = 32
	}
	v, _ := t.Number(i)
	switch {
	case v != v:
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

// appendText writes a JSON string; bytes that are no UTF-8 become the replacement character.
func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string(bytes.ToValidUTF8([]byte(s), []byte("\ufffd")))
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can be
	return append(b, bytes.TrimRight(text.Bytes(), "\n")...)
}
