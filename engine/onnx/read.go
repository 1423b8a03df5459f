package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Outline is what a file says about itself without its numbers.
type Outline struct {
	IR              int64
	Opsets          map[string]int64 // by domain; "" is ai.onnx
	Inputs, Outputs []Tensor
	Operators       map[string]int // how many nodes of each operator, ai.onnx.ml's with their domain
	Metadata        map[string]string
}

// Tensor describes an input or an output. Type is float, double, int64, string or another number of ONNX; a dimension of -1 is free.
type Tensor struct {
	Name, Type string
	Shape      []int64
	Doc        string
}

// Read gives the outline of an ONNX file. Bytes that are not one are fault.Corrupt; it never panics.
func Read(b []byte) (*Outline, error) {
	o := &Outline{Opsets: map[string]int64{}, Operators: map[string]int{}, Metadata: map[string]string{}}
	err := fields(b, func(field protowire.Number, v uint64, body []byte) error {
		switch field {
		case 1:
			o.IR = int64(v)
		case 7:
			return o.graph(body)
		case 8:
			set, err := collect(body)
			o.Opsets[string(set[1].body)] = int64(set[2].number)
			return err
		case 14:
			entry, err := collect(body)
			o.Metadata[string(entry[1].body)] = string(entry[2].body)
			return err
		}
		return nil
	})
	if err == nil && (o.IR == 0 || len(o.Opsets) == 0) {
		err = fault.New(fault.Corrupt, "it names no version")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "this is not an ONNX file")
	}
	return o, nil
}

func (o *Outline) graph(b []byte) error {
	return fields(b, func(field protowire.Number, _ uint64, body []byte) error {
		switch field {
		case 1:
			node, err := collect(body)
			name := string(node[4].body)
			if domain := string(node[7].body); domain != "" {
				name = domain + "." + name
			}
			o.Operators[name]++
			return err
		case 11, 12:
			t, err := readTensor(body)
			if field == 11 {
				o.Inputs = append(o.Inputs, t)
			} else {
				o.Outputs = append(o.Outputs, t)
			}
			return err
		}
		return nil
	})
}

func readTensor(b []byte) (Tensor, error) {
	info, err := collect(b)
	if err != nil {
		return Tensor{}, err
	}
	t := Tensor{Name: string(info[1].body), Doc: string(info[3].body)}
	typeProto, err := collect(info[2].body)
	if err != nil {
		return Tensor{}, err
	}
	tensorType, err := collect(typeProto[1].body)
	if err != nil {
		return Tensor{}, err
	}
	t.Type = map[uint64]string{typeFloat: "float", typeDouble: "double", typeInt64: "int64", typeString: "string"}[tensorType[1].number]
	if t.Type == "" {
		t.Type = "other"
	}
	return t, fields(tensorType[2].body, func(field protowire.Number, _ uint64, body []byte) error {
		dim, err := collect(body)
		size := int64(-1)
		if d, ok := dim[1]; ok {
			size = int64(d.number)
		}
		t.Shape = append(t.Shape, size)
		return err
	})
}

type fieldValue struct {
	number uint64
	body   []byte
}

// collect is the last value of every field of a message.
func collect(b []byte) (map[protowire.Number]fieldValue, error) {
	out := map[protowire.Number]fieldValue{}
	err := fields(b, func(field protowire.Number, v uint64, body []byte) error {
		out[field] = fieldValue{v, body}
		return nil
	})
	return out, err
}

// fields visits the fields of a message: v holds a varint, body a length-delimited value.
func fields(b []byte, visit func(field protowire.Number, v uint64, body []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := visit(field, v, body); err != nil {
			return err
		}
	}
	return nil
}
