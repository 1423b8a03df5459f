package tensor

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// FromRaw reads the raw form of a tensor: elements one after the other, little-endian, a BOOL in one byte, a text as its length in four
// bytes and its bytes. The bytes are copied. A size that does not fit the shape is fault.Invalid.
func FromRaw(kind Type, shape []int, raw []byte) (*Tensor, error) {
	n, ok := Volume(shape)
	if !ok {
		return nil, fault.New(fault.Invalid, "%v is no shape", shape)
	}
	if kind == String {
		texts, err := rawTexts(raw, n)
		if err != nil {
			return nil, err
		}
		return &Tensor{Shape: shape, Data: texts}, nil
	}
	size := kind.Size()
	if size == 0 {
		return nil, fault.New(fault.Invalid, "raw data needs a datatype")
	}
	if len(raw)%size != 0 || len(raw)/size != n {
		return nil, fault.New(fault.Invalid, "%d bytes do not hold %d elements of %s", len(raw), n, kind)
	}
	t := Make(kind, shape...)
	switch d := t.Data.(type) {
	case []bool:
		for i, b := range raw {
			d[i] = b != 0
		}
	case []uint8:
		copy(d, raw)
	case []int8:
		for i, b := range raw {
			d[i] = int8(b)
		}
	case []uint16:
		words16(d, raw)
	case []int16:
		words16(d, raw)
	case []Float16:
		words16(d, raw)
	case []BFloat16:
		words16(d, raw)
	case []uint32:
		words32(d, raw)
	case []int32:
		words32(d, raw)
	case []uint64:
		words64(d, raw)
	case []int64:
		words64(d, raw)
	case []float32:
		for i := range d {
			d[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case []float64:
		for i := range d {
			d[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	}
	return t, nil
}

func words16[T ~uint16 | ~int16](d []T, raw []byte) {
	for i := range d {
		d[i] = T(binary.LittleEndian.Uint16(raw[2*i:]))
	}
}

func words32[T ~uint32 | ~int32](d []T, raw []byte) {
	for i := range d {
		d[i] = T(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}

func words64[T ~uint64 | ~int64](d []T, raw []byte) {
	for i := range d {
		d[i] = T(binary.LittleEndian.Uint64(raw[8*i:]))
	}
}

// rawTexts reads n texts that carry their length. The texts share one copy of raw.
func rawTexts(raw []byte, n int) ([]string, error) {
	if n > len(raw)/4 {
		return nil, fault.New(fault.Invalid, "%d bytes do not hold %d texts with their lengths", len(raw), n)
	}
	all := string(raw)
	out := make([]string, n)
	at := 0
	for i := range out {
		if len(raw)-at < 4 {
			return nil, fault.New(fault.Invalid, "the data ends before the length of text %d", i)
		}
		size := int(binary.LittleEndian.Uint32(raw[at:]))
		at += 4
		if size > len(raw)-at {
			return nil, fault.New(fault.Invalid, "text %d says that it has %d bytes, and %d are left", i, size, len(raw)-at)
		}
		out[i] = all[at : at+size]
		at += size
	}
	if at != len(raw) {
		return nil, fault.New(fault.Invalid, "%d bytes are left after %d texts", len(raw)-at, n)
	}
	return out, nil
}

// RawSize is the bytes of the raw form.
func (t *Tensor) RawSize() int {
	texts, ok := t.Data.([]string)
	if !ok {
		return t.Len() * t.Type().Size()
	}
	n := 4 * len(texts)
	for _, s := range texts {
		n += len(s)
	}
	return n
}

// AppendRaw adds the raw form to b.
func (t *Tensor) AppendRaw(b []byte) []byte {
	le := binary.LittleEndian
	switch d := t.Data.(type) {
	case []string:
		for _, s := range d {
			b = append(le.AppendUint32(b, uint32(len(s))), s...)
		}
	case []bool:
		for _, v := range d {
			if v {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
	case []uint8:
		b = append(b, d...)
	case []int8:
		for _, v := range d {
			b = append(b, byte(v))
		}
	case []uint16:
		b = append16(b, d)
	case []int16:
		b = append16(b, d)
	case []Float16:
		b = append16(b, d)
	case []BFloat16:
		b = append16(b, d)
	case []uint32:
		b = append32(b, d)
	case []int32:
		b = append32(b, d)
	case []uint64:
		b = append64(b, d)
	case []int64:
		b = append64(b, d)
	case []float32:
		if little {
			return append(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(d))), 4*len(d))...)
		}
		for _, v := range d {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
	case []float64:
		if little {
			return append(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(d))), 8*len(d))...)
		}
		for _, v := range d {
			b = le.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b
}

// little tells whether this machine keeps numbers as the raw form does.
var little = func() bool {
	v := uint16(1)
	return *(*byte)(unsafe.Pointer(&v)) == 1
}()

func append16[T ~uint16 | ~int16](b []byte, d []T) []byte {
	for _, v := range d {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

func append32[T ~uint32 | ~int32](b []byte, d []T) []byte {
	for _, v := range d {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func append64[T ~uint64 | ~int64](b []byte, d []T) []byte {
	for _, v := range d {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}
