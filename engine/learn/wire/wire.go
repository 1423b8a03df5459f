// Package wire writes and reads the little-endian arrays that models are stored as. A Reader never trusts a length:
// it checks each one against the bytes that are left before it allocates. It knows no model.
package wire

import (
	"encoding/binary"
	"math"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Magic opens every model file, followed by the format version, the model's kind and its body.
const Magic = "TTML"

// Writer appends values to Bytes.
type Writer struct{ Bytes []byte }

// NewWriter starts a model of the kind with the version of its body's layout.
func NewWriter(kind string, version uint32) *Writer {
	w := &Writer{Bytes: []byte(Magic)}
	w.Uint32(version)
	w.Text(kind)
	return w
}

// Uint32 appends one number.
func (w *Writer) Uint32(v uint32) { w.Bytes = binary.LittleEndian.AppendUint32(w.Bytes, v) }

// Text appends a length and the bytes.
func (w *Writer) Text(s string) {
	w.Uint32(uint32(len(s)))
	w.Bytes = append(w.Bytes, s...)
}

// Texts appends a length and the texts.
func (w *Writer) Texts(v []string) {
	w.Uint32(uint32(len(v)))
	for _, s := range v {
		w.Text(s)
	}
}

// Words appends a length and the words.
func (w *Writer) Words(v []uint32) {
	w.Uint32(uint32(len(v)))
	for _, n := range v {
		w.Uint32(n)
	}
}

// Floats appends a length and the numbers.
func (w *Writer) Floats(v []float64) {
	w.Uint32(uint32(len(v)))
	for _, f := range v {
		w.Bytes = binary.LittleEndian.AppendUint64(w.Bytes, math.Float64bits(f))
	}
}

// Singles appends a length and the numbers.
func (w *Writer) Singles(v []float32) {
	w.Uint32(uint32(len(v)))
	for _, f := range v {
		w.Uint32(math.Float32bits(f))
	}
}

// Ints appends a length and the numbers.
func (w *Writer) Ints(v []int32) {
	w.Uint32(uint32(len(v)))
	for _, n := range v {
		w.Uint32(uint32(n))
	}
}

// Bools appends a length and one byte each.
func (w *Writer) Bools(v []bool) {
	w.Uint32(uint32(len(v)))
	for _, b := range v {
		if b {
			w.Bytes = append(w.Bytes, 1)
		} else {
			w.Bytes = append(w.Bytes, 0)
		}
	}
}

// Reader takes values from the front of its bytes. After the first fault every value is zero and Err tells why.
type Reader struct {
	rest []byte
	err  error
}

// Open reads the opening of a model: the version of the layout and the kind.
func Open(b []byte) (r *Reader, version uint32, kind string, err error) {
	r = &Reader{rest: b}
	if len(b) < len(Magic) || string(b[:len(Magic)]) != Magic {
		return nil, 0, "", fault.New(fault.Corrupt, "these bytes are not a Trimtab model")
	}
	r.rest = b[len(Magic):]
	version = r.Uint32()
	kind = r.Text(64)
	return r, version, kind, r.err
}

// Err is the first fault met.
func (r *Reader) Err() error { return r.err }

// Fail records a fault in what was read, unless there is one already.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, format, args...)
	}
}

// End checks that nothing is left and returns the first fault met.
func (r *Reader) End() error {
	if r.err == nil && len(r.rest) != 0 {
		r.Fail("the model has %d bytes after its end", len(r.rest))
	}
	return r.err
}

func (r *Reader) take(n, size int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.rest)/size {
		r.Fail("the model ends early: %d values of %d bytes do not fit in the %d bytes left", n, size, len(r.rest))
		return nil
	}
	b := r.rest[:n*size]
	r.rest = r.rest[n*size:]
	return b
}

// Uint32 reads one number.
func (r *Reader) Uint32() uint32 {
	if b := r.take(1, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Text reads text of at most limit bytes.
func (r *Reader) Text(limit int) string {
	n := int(r.Uint32())
	if n > limit {
		r.Fail("a name in the model has %d bytes; at most %d are allowed", n, limit)
		return ""
	}
	return string(r.take(n, 1))
}

// longestText is the most bytes of one of many texts.
const longestText = 1 << 16

// Texts reads at most limit texts; nil when there are none.
func (r *Reader) Texts(limit int) []string {
	n := int(r.Uint32())
	if r.err != nil || n == 0 {
		return nil
	}
	if n > limit || n > len(r.rest)/4 {
		r.Fail("the model claims %d texts in the %d bytes left", n, len(r.rest))
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.Text(longestText)
	}
	return out
}

// Words reads words.
func (r *Reader) Words() []uint32 {
	n := int(r.Uint32())
	b := r.take(n, 4)
	if len(b) == 0 {
		return nil
	}
	out := make([]uint32, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}

// Floats reads numbers.
func (r *Reader) Floats() []float64 {
	n := int(r.Uint32())
	b := r.take(n, 8)
	if b == nil {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out
}

// Singles reads float32 numbers.
func (r *Reader) Singles() []float32 {
	n := int(r.Uint32())
	b := r.take(n, 4)
	if b == nil {
		return nil
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// Ints reads int32 numbers.
func (r *Reader) Ints() []int32 {
	n := int(r.Uint32())
	b := r.take(n, 4)
	if len(b) == 0 {
		return nil
	}
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// Bools reads bytes that are 0 or 1.
func (r *Reader) Bools() []bool {
	n := int(r.Uint32())
	b := r.take(n, 1)
	if len(b) == 0 {
		return nil
	}
	out := make([]bool, n)
	for i, v := range b {
		if v > 1 {
			r.Fail("a flag in the model is %d", v)
			return nil
		}
		out[i] = v == 1
	}
	return out
}
