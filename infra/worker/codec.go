package worker

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// array describes a tensor in a header; its elements follow in raw form, Size bytes of them.
type array struct {
	Name     string      `json:"name"`
	Datatype tensor.Type `json:"datatype"`
	Shape    []int       `json:"shape"`
	Size     int         `json:"size"`
}

// results is the header of a RESULT.
type results struct {
	Outputs []array `json:"outputs"`
}

// problem is the header of an ERROR.
type problem struct {
	Kind      string `json:"kind"` // input, model, memory, load
	Message   string `json:"message"`
	Traceback string `json:"traceback,omitempty"`
}

// request appends an INFER frame to what is sent.
func (w *wire) request(id uint64, inputs []tensor.Named, wanted []string, params map[string]any) error {
	w.begin(frameInfer, id)
	b := append(w.sent, `{"inputs":[`...)
	for i, in := range inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendText(b, in.Name)
		b = append(b, `,"datatype":"`...)
		b = append(b, in.Type().String()...)
		b = append(b, `","shape":[`...)
		for j, d := range in.Shape {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, `],"size":`...)
		b = strconv.AppendInt(b, int64(in.RawSize()), 10)
		b = append(b, '}')
	}
	b = append(b, `],"outputs":[`...)
	for i, name := range wanted {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, name)
	}
	b = append(b, ']')
	if len(params) > 0 {
		text, err := json.Marshal(params)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the parameters of the request cannot be passed on")
		}
		b = append(append(b, `,"params":`...), text...)
	}
	w.sent = append(b, '}')
	w.headerEnds()
	for _, in := range inputs {
		w.sent = in.AppendRaw(w.sent)
		if len(w.sent) > maxFrame {
			return fault.New(fault.TooLarge, "the request has more than %d bytes", maxFrame)
		}
	}
	return nil
}

// appendText writes a JSON text.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			text, _ := json.Marshal(s) // a text always can be
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// answers reads RESULT frames. One header after the other is often the same, so that the last one is kept.
type answers struct {
	header []byte
	parsed results
}

// read gives the tensors of a RESULT. What does not fit together is errGarbage.
func (a *answers) read(f frame) ([]tensor.Named, error) {
	if a.header == nil || !bytes.Equal(a.header, f.header) {
		var r results
		if err := json.Unmarshal(f.header, &r); err != nil {
			return nil, errGarbage
		}
		a.header, a.parsed = bytes.Clone(f.header), r
	}
	out := make([]tensor.Named, len(a.parsed.Outputs))
	raw := f.raw
	for i, o := range a.parsed.Outputs {
		if o.Size < 0 || o.Size > len(raw) || o.Datatype == tensor.None {
			return nil, errGarbage
		}
		t, err := tensor.FromRaw(o.Datatype, append([]int(nil), o.Shape...), raw[:o.Size])
		if err != nil {
			return nil, errGarbage
		}
		out[i], raw = tensor.Named{Name: o.Name, Tensor: t}, raw[o.Size:]
	}
	if len(raw) > 0 {
		return nil, errGarbage
	}
	return out, nil
}

// accept brings what a caller sends into the form that the model declared: its inputs in order, their types, [N, 1] where [N] is
// declared and the other way round. A model that declared nothing gets what there is.
func accept(fields []predictor.Field, inputs []tensor.Named) ([]tensor.Named, error) {
	if len(fields) == 0 {
		return inputs, nil
	}
	out := make([]tensor.Named, 0, len(fields))
	rows := -1
	for _, f := range fields {
		at := -1
		for i := range inputs {
			if inputs[i].Name == f.Name {
				at = i
				break
			}
		}
		if at < 0 {
			if f.Optional {
				continue
			}
			return nil, fault.New(fault.Invalid, "the input %q is missing", f.Name).With("input", f.Name)
		}
		t := inputs[at].Tensor
		if f.Type != tensor.None && t.Type() != f.Type {
			converted, err := t.Convert(f.Type)
			if err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "the input %q", f.Name).With("input", f.Name)
			}
			t = converted
		}
		t, ok := shaped(t, f.Shape)
		if !ok {
			return nil, fault.New(fault.Invalid, "the input %q has the shape %v, and the model takes %v", f.Name, t.Shape, f.Shape).With("input", f.Name)
		}
		if len(f.Shape) > 0 && f.Shape[0] == -1 {
			if rows >= 0 && t.Rows() != rows {
				return nil, fault.New(fault.Invalid, "the input %q has %d rows, and those before it %d", f.Name, t.Rows(), rows).With("input", f.Name)
			}
			rows = t.Rows()
		}
		out = append(out, tensor.Named{Name: f.Name, Tensor: t})
	}
	return out, nil
}

// shaped fits a tensor to a declared shape; a nil shape takes any.
func shaped(t *tensor.Tensor, want []int) (*tensor.Tensor, bool) {
	if want == nil {
		return t, true
	}
	have := t.Shape
	switch {
	case len(want) == 1 && len(have) == 2 && have[1] == 1:
		have = have[:1]
	case len(want) == 2 && len(have) == 1 && want[1] == 1:
		have = []int{have[0], 1}
	}
	if len(have) != len(want) {
		return t, false
	}
	for i, d := range want {
		if d >= 0 && have[i] != d {
			return t, false
		}
	}
	if len(have) != len(t.Shape) {
		return &tensor.Tensor{Shape: append([]int(nil), have...), Data: t.Data}, true
	}
	return t, true
}
