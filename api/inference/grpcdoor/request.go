package grpcdoor

import (
	"math"
	"sync"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// A ModelInferRequest is read by hand: the generated reader would allocate a message per tensor and copy every value twice.
//
// Texts and raw bytes alias the message, which the request holds until it is released; numbers are copied into memory of their own.

// Bounds of what a request may hold.
const (
	maxTensors    = 4096
	maxDimensions = 8
	maxParameters = 256
)

// inferRequest is a ModelInferRequest while it is answered.
type inferRequest struct {
	message mem.Buffer // what everything below aliases
	err     error      // of reading it: the codec must not return it, grpc-go would call it the server's failure

	model, version, id string
	inputs             []inputTensor
	raw                [][]byte
	wanted             []string
	classes            []int // of each wanted output: how many classes of it are asked for; 0 = its values
	params             []parameter

	batch   serve.Batch
	columns []serve.Column
	shapes  []int // of all inputs
	keys    []string
	at      []int64
	timeout int64 // microseconds; 0 = none
	label   string
}

// inputTensor is an InferInputTensor.
type inputTensor struct {
	name, datatype string
	shape          []int
	contents       []byte // an InferTensorContents; nil = none
	content        string // parameter content_type
}

// parameter is an entry of a map of InferParameter: value is a bool, an int64, a string, a float64 or a uint64.
type parameter struct {
	name  string
	value any
}

var requests = sync.Pool{New: func() any { return new(inferRequest) }}

// keepTensors is the most inputs whose memory goes back into the pool.
const keepTensors = 512

// release lets go of the message. Nothing of the request may be used afterwards.
func (q *inferRequest) release() {
	if q.message != nil {
		q.message.Free()
	}
	if cap(q.inputs) > keepTensors || cap(q.keys) > keepTensors || cap(q.shapes) > 4*keepTensors {
		return
	}
	clear(q.inputs[:cap(q.inputs)])
	clear(q.raw[:cap(q.raw)])
	clear(q.wanted[:cap(q.wanted)])
	clear(q.params[:cap(q.params)])
	clear(q.columns[:cap(q.columns)])
	clear(q.keys[:cap(q.keys)])
	*q = inferRequest{inputs: q.inputs[:0], raw: q.raw[:0], wanted: q.wanted[:0], classes: q.classes[:0], params: q.params[:0], columns: q.columns[:0], shapes: q.shapes[:0], keys: q.keys[:0], at: q.at[:0]}
	requests.Put(q)
}

// text is b as a string of the same memory.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// field is one field of a message: a varint (which fixed-size numbers are, too) or bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64
	bytes  []byte
}

// next reads a field from the front of b; n < 0 is a message that is broken here.
func (f *field) next(b []byte) (n int) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return n
	}
	f.number, f.kind, f.value, f.bytes = number, kind, 0, nil
	var m int
	switch kind {
	case protowire.VarintType:
		f.value, m = protowire.ConsumeVarint(b[n:])
	case protowire.Fixed32Type:
		var v uint32
		v, m = protowire.ConsumeFixed32(b[n:])
		f.value = uint64(v)
	case protowire.Fixed64Type:
		f.value, m = protowire.ConsumeFixed64(b[n:])
	case protowire.BytesType:
		f.bytes, m = protowire.ConsumeBytes(b[n:])
	default:
		m = protowire.ConsumeFieldValue(number, kind, b[n:])
	}
	if m < 0 {
		return m
	}
	return n + m
}

func broken(what string) error {
	return fault.New(fault.Invalid, "the message is no %s: it is broken or cut short", what)
}

// fields calls each for every field of a message.
func fields(b []byte, what string, each func(f *field) error) error {
	var f field
	for len(b) > 0 {
		n := f.next(b)
		if n < 0 {
			return broken(what)
		}
		b = b[n:]
		if err := each(&f); err != nil {
			return err
		}
	}
	return nil
}

// wants tells whether a field that is known comes in the wire type that it must have.
func (f *field) wants(kind protowire.Type, what string) error {
	if f.kind != kind {
		return fault.New(fault.Invalid, "field %d of %s has the wire type %d", f.number, what, f.kind)
	}
	return nil
}

// text reads a field of the type string.
func (f *field) text(what string) (string, error) {
	if err := f.wants(protowire.BytesType, what); err != nil {
		return "", err
	}
	if !utf8.Valid(f.bytes) {
		return "", fault.New(fault.Invalid, "field %d of %s is not UTF-8", f.number, what)
	}
	return text(f.bytes), nil
}

const requestName = "ModelInferRequest"

// read takes the message apart. Tensors are made later, once it is known which form the values have.
func (q *inferRequest) read(b []byte) error {
	var f field
	for len(b) > 0 {
		n := f.next(b)
		if n < 0 {
			return broken(requestName)
		}
		b = b[n:]
		var err error
		switch f.number {
		case 1:
			q.model, err = f.text(requestName)
		case 2:
			q.version, err = f.text(requestName)
		case 3:
			q.id, err = f.text(requestName)
		case 4:
			if err = f.wants(protowire.BytesType, requestName); err == nil {
				q.params, err = readParameter(q.params, f.bytes)
			}
		case 5:
			if err = f.wants(protowire.BytesType, requestName); err == nil {
				err = q.readInput(f.bytes)
			}
		case 6:
			if err = f.wants(protowire.BytesType, requestName); err == nil {
				err = q.readWanted(f.bytes)
			}
		case 7:
			if err = f.wants(protowire.BytesType, requestName); err == nil {
				if len(q.raw) >= maxTensors {
					return fault.New(fault.Invalid, "the request has more than %d raw_input_contents", maxTensors)
				}
				q.raw = append(q.raw, f.bytes)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *inferRequest) readInput(b []byte) error {
	const what = "InferInputTensor"
	if len(q.inputs) >= maxTensors {
		return fault.New(fault.Invalid, "the request has more than %d inputs", maxTensors)
	}
	var in inputTensor
	from := len(q.shapes)
	size := func(v uint64) error {
		if v > math.MaxInt32 {
			return fault.New(fault.Invalid, "the input %q has the size %d in its shape", clip(in.name), int64(v))
		}
		if len(q.shapes)-from >= maxDimensions {
			return fault.New(fault.Invalid, "the input %q has more than %d dimensions", clip(in.name), maxDimensions)
		}
		q.shapes = append(q.shapes, int(v))
		return nil
	}
	var f field
	for len(b) > 0 {
		n := f.next(b)
		if n < 0 {
			return broken(what)
		}
		b = b[n:]
		var err error
		switch f.number {
		case 1:
			in.name, err = f.text(what)
		case 2:
			in.datatype, err = f.text(what)
		case 3:
			if f.kind == protowire.VarintType {
				err = size(f.value)
				break
			}
			if err = f.wants(protowire.BytesType, what); err != nil {
				break
			}
			for p := f.bytes; len(p) > 0 && err == nil; {
				v, n := protowire.ConsumeVarint(p)
				if n < 0 {
					return broken(what)
				}
				p = p[n:]
				err = size(v)
			}
		case 4:
			if err = f.wants(protowire.BytesType, what); err == nil {
				var one [1]parameter
				var got []parameter
				if got, err = readParameter(one[:0], f.bytes); err == nil && got[0].name == "content_type" {
					in.content, _ = got[0].value.(string)
				}
			}
		case 5:
			if err = f.wants(protowire.BytesType, what); err == nil {
				if in.contents == nil {
					in.contents = f.bytes[:len(f.bytes):len(f.bytes)]
				} else {
					in.contents = append(in.contents, f.bytes...) // messages that come twice are merged
				}
			}
		}
		if err != nil {
			return err
		}
	}
	in.shape = q.shapes[from:len(q.shapes):len(q.shapes)]
	q.inputs = append(q.inputs, in)
	return nil
}

func (q *inferRequest) readWanted(b []byte) error {
	if len(q.wanted) >= maxTensors {
		return fault.New(fault.Invalid, "the request names more than %d outputs", maxTensors)
	}
	const what = "InferRequestedOutputTensor"
	name, classes := "", int64(0)
	err := fields(b, what, func(f *field) (err error) {
		switch f.number {
		case 1:
			name, err = f.text(what)
		case 2:
			if err = f.wants(protowire.BytesType, what); err != nil {
				return err
			}
			var one [1]parameter
			got, err := readParameter(one[:0], f.bytes)
			if err != nil {
				return err
			}
			if got[0].name == "classification" {
				var ok bool
				if classes, ok = whole(got[0].value); !ok || classes < 0 || classes > math.MaxInt32 {
					return fault.New(fault.Invalid, "the parameter classification is how many classes are asked for")
				}
			}
		}
		return err
	})
	q.wanted, q.classes = append(q.wanted, name), append(q.classes, int(classes))
	return err
}

// readParameter reads an entry of a map of parameters; one without a value is left out of what is asked of it later.
func readParameter(to []parameter, b []byte) ([]parameter, error) {
	const what = "InferParameter"
	if len(to) >= maxParameters {
		return to, fault.New(fault.Invalid, "the request has more than %d parameters", maxParameters)
	}
	var p parameter
	err := fields(b, what, func(f *field) (err error) {
		switch f.number {
		case 1:
			p.name, err = f.text(what)
		case 2:
			if err = f.wants(protowire.BytesType, what); err == nil {
				err = fields(f.bytes, what, func(f *field) (err error) {
					switch f.number {
					case 1:
						err = f.wants(protowire.VarintType, what)
						p.value = f.value != 0
					case 2:
						err = f.wants(protowire.VarintType, what)
						p.value = int64(f.value)
					case 3:
						var s string
						s, err = f.text(what)
						p.value = s
					case 4:
						err = f.wants(protowire.Fixed64Type, what)
						p.value = math.Float64frombits(f.value)
					case 5:
						err = f.wants(protowire.VarintType, what)
						p.value = f.value
					}
					return err
				})
			}
		}
		return err
	})
	return append(to, p), err
}

// prepare makes the batch: tensors of the inputs, and what the parameters say.
func (q *inferRequest) prepare() error {
	if q.err != nil {
		return q.err
	}
	if len(q.inputs) == 0 {
		return fault.New(fault.Invalid, "the request has no inputs")
	}
	if len(q.raw) > 0 && len(q.raw) != len(q.inputs) {
		return fault.New(fault.Invalid, "the request has %d inputs and %d raw_input_contents", len(q.inputs), len(q.raw)).
			WithHint("raw_input_contents hold all inputs in their order, or none")
	}
	tensors := make([]tensor.Tensor, len(q.inputs))
	for i := range q.inputs {
		in := &q.inputs[i]
		t := &tensors[i]
		if err := q.tensor(t, i); err != nil {
			return err
		}
		special, err := q.special(in.name, t)
		if err != nil {
			return err
		}
		if !special {
			q.columns = append(q.columns, serve.Column{Name: in.name, Tensor: t, Kind: in.content})
		}
	}
	q.batch = serve.Batch{Request: q.id, Columns: q.columns, Keys: q.keys, At: q.at}
	return q.parameters()
}

// tensor reads the values of input i.
func (q *inferRequest) tensor(t *tensor.Tensor, i int) error {
	in := &q.inputs[i]
	if in.name == "" {
		return fault.New(fault.Invalid, "input %d has no name", i)
	}
	kind, ok := tensor.ParseType(in.datatype)
	if !ok {
		return fault.New(fault.Invalid, "the input %q has the datatype %q, which is none of the protocol's", clip(in.name), clip(in.datatype)).
			WithHint("datatypes are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 and BYTES")
	}
	n, ok := tensor.Volume(in.shape)
	if !ok {
		return fault.New(fault.Invalid, "the input %q has the impossible shape %v", clip(in.name), in.shape)
	}
	var err error
	shape := append([]int(nil), in.shape...) // tensors are handed on, q.shapes is used again
	if len(q.raw) > 0 {
		if in.contents != nil {
			return fault.New(fault.Invalid, "the input %q has contents and raw_input_contents", clip(in.name)).WithHint("send one of the two")
		}
		err = readRaw(t, kind, shape, n, q.raw[i])
	} else {
		err = readContents(t, kind, shape, n, in.contents)
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the input %q", clip(in.name)).With("column", clip(in.name))
	}
	return nil
}

// clip keeps an error short, whatever a caller sent.
func clip(s string) string {
	if len(s) > 60 {
		s = s[:60]
		for len(s) > 0 && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return s
}
