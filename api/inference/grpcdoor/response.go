package grpcdoor

import (
	"math"
	"strconv"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// inferResponse is a written ModelInferResponse or ModelStreamInferResponse.
type inferResponse struct{ message mem.Buffer }

// answer is what a ModelInferResponse says. Values travel raw: tritonclient reads nothing else.
type answer struct {
	model   string
	version int
	id      string
	final   bool // of a stream: parameter triton_final_response
	outputs []tensor.Named
}

// maxAnswer bounds a message: gRPC's length has 32 bits, and clients take much less.
const maxAnswer = math.MaxInt32

// size is at least the bytes of the message.
func (a *answer) size() int {
	n := 64 + len(a.model) + len(a.id)
	for i := range a.outputs {
		o := &a.outputs[i]
		n += 48 + len(o.Name) + 10*len(o.Shape) + o.RawSize()
	}
	return n
}

// append writes the message.
func (a *answer) append(b []byte) []byte {
	b = appendText(b, 1, a.model)
	var number [20]byte
	b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), strconv.AppendInt(number[:0], int64(a.version), 10))
	b = appendText(b, 3, a.id)
	if a.final {
		b = append(b, finalResponse...)
	}
	for i := range a.outputs {
		o := &a.outputs[i]
		kind := o.Type().String()
		shape := 0
		for _, d := range o.Shape {
			shape += protowire.SizeVarint(uint64(d))
		}
		n := 1 + protowire.SizeBytes(len(o.Name)) + 1 + protowire.SizeBytes(len(kind))
		if shape > 0 {
			n += 1 + protowire.SizeBytes(shape)
		}
		b = protowire.AppendVarint(protowire.AppendTag(b, 5, protowire.BytesType), uint64(n))
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), o.Name)
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), kind)
		if shape > 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.BytesType), uint64(shape))
			for _, d := range o.Shape {
				b = protowire.AppendVarint(b, uint64(d))
			}
		}
	}
	for i := range a.outputs {
		o := &a.outputs[i]
		b = protowire.AppendVarint(protowire.AppendTag(b, 6, protowire.BytesType), uint64(o.RawSize()))
		b = o.AppendRaw(b)
	}
	return b
}

// finalResponse is the parameter triton_final_response: true.
var finalResponse = func() []byte {
	value := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	entry := appendText(nil, 1, "triton_final_response")
	entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), value)
	return protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), entry)
}()

// appendText writes a field that is left out when it is empty.
func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// buffer takes memory of at least n bytes; done gives what was appended to its empty front as a message.
func buffer(n int) (b []byte, done func([]byte) mem.Buffer) {
	if mem.IsBelowBufferPoolingThreshold(n) {
		return make([]byte, 0, n), func(b []byte) mem.Buffer { return mem.SliceBuffer(b) }
	}
	pool := mem.DefaultBufferPool()
	p := pool.Get(n)
	return (*p)[:0], func(b []byte) mem.Buffer {
		*p = b
		return mem.NewBuffer(p, pool)
	}
}

// write makes the message of an answer.
func (r *inferResponse) write(a *answer) error {
	n := a.size()
	if n > maxAnswer {
		return fault.New(fault.TooLarge, "the answer has more than %d bytes", maxAnswer).WithHint("ask for fewer rows, or name the outputs that you need")
	}
	b, done := buffer(n)
	r.message = done(a.append(b))
	return nil
}

// writeStreamed makes the message of an answer in a stream.
func (r *inferResponse) writeStreamed(a *answer) error {
	n := a.size()
	if n > maxAnswer {
		return fault.New(fault.TooLarge, "the answer has more than %d bytes", maxAnswer).WithHint("ask for fewer rows, or name the outputs that you need")
	}
	inner := a.append(make([]byte, 0, n))
	b, done := buffer(n + 16)
	r.message = done(protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), inner))
	return nil
}

// writeError makes the message of a refusal in a stream: what was wrong, and which request it was.
func (r *inferResponse) writeError(model, id, message string) {
	b := appendText(nil, 1, message)
	inner := appendText(appendText(nil, 1, model), 3, id)
	r.message = mem.SliceBuffer(protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), inner))
}
