package rows

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The footer of a Parquet file and the headers of its pages are structures in Thrift's compact protocol, and a reader makes room for what
// they say. What is below looks at them first: no list is longer than the bytes that follow, no page inflates to more than it says, and
// none has more values than its row group has rows.

// thrift is bytes in the compact protocol. After the first fault every read gives zeros.
type thrift struct {
	b    []byte
	at   int
	bad  bool
	deep int
}

func (t *thrift) byte() byte {
	if t.bad || t.at >= len(t.b) {
		t.bad = true
		return 0
	}
	t.at++
	return t.b[t.at-1]
}

func (t *thrift) uvarint() uint64 {
	if t.bad {
		return 0
	}
	v, n := binary.Uvarint(t.b[t.at:])
	if n <= 0 {
		t.bad = true
		return 0
	}
	t.at += n
	return v
}

func (t *thrift) varint() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (t *thrift) pass(n uint64) {
	if t.bad || n > uint64(len(t.b)-t.at) {
		t.bad = true
		return
	}
	t.at += int(n)
}

// Types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// structure reads a structure and hands its fields to visit, which reads those that it wants (true) and leaves the others.
func (t *thrift) structure(visit func(number int16, kind byte) bool) {
	if t.deep++; t.deep > 32 {
		t.bad = true
	}
	number := int16(0)
	for !t.bad {
		head := t.byte()
		if head == 0 {
			break
		}
		if delta := head >> 4; delta != 0 {
			number += int16(delta)
		} else {
			number = int16(t.varint())
		}
		if kind := head & 15; visit == nil || !visit(number, kind) {
			t.skip(kind, true)
		}
	}
	t.deep--
}

// skip passes over a value; a boolean is in its field's head, and a byte inside of a list.
func (t *thrift) skip(kind byte, field bool) {
	switch {
	case t.bad:
	case kind == thriftTrue || kind == thriftFalse:
		if !field {
			t.byte()
		}
	case kind == thriftByte:
		t.byte()
	case kind > thriftByte && kind <= thriftI64:
		t.uvarint()
	case kind == thriftDouble:
		t.pass(8)
	case kind == thriftBinary:
		t.pass(t.uvarint())
	case kind == thriftList || kind == thriftSet:
		head := t.byte()
		n := uint64(head >> 4)
		if n == 15 {
			n = t.uvarint()
		}
		t.some(n, func() { t.skip(head&15, false) })
	case kind == thriftMap:
		if n := t.uvarint(); n > 0 {
			kinds := t.byte()
			t.some(n, func() { t.skip(kinds>>4, false); t.skip(kinds&15, false) })
		}
	case kind == thriftStruct:
		t.structure(nil)
	default:
		t.bad = true
	}
}

func (t *thrift) some(n uint64, element func()) {
	if t.deep++; n > uint64(len(t.b)-t.at) || t.deep > 32 {
		t.bad = true
	}
	for ; n > 0 && !t.bad; n-- {
		element()
	}
	t.deep--
}

func damagedParquet() error {
	return fault.New(fault.Invalid, "the body is no valid Parquet file: it says that it has more than it has")
}

// verifyFooter looks at the metadata at the end of a file.
func verifyFooter(body []byte) error {
	if len(body) < 12 || string(body[len(body)-4:]) != "PAR1" {
		return fault.New(fault.Invalid, "the body is no Parquet file, or it is encrypted")
	}
	size := int64(binary.LittleEndian.Uint32(body[len(body)-8:]))
	if size > int64(len(body)-8) {
		return damagedParquet()
	}
	t := thrift{b: body[int64(len(body)-8)-size : len(body)-8]}
	if t.structure(nil); t.bad {
		return damagedParquet()
	}
	return nil
}

// page is what a page's header says.
type page struct{ kind, plain, packed, values, encoding, levels, unpacked int64 }

func (t *thrift) page() page {
	p := page{kind: -1}
	whole := func(to *int64, kind byte) bool {
		if kind < thriftByte || kind > thriftI64 {
			return false
		}
		*to = t.varint()
		return true
	}
	t.structure(func(number int16, kind byte) bool {
		switch number {
		case 1:
			return whole(&p.kind, kind)
		case 2:
			return whole(&p.plain, kind)
		case 3:
			return whole(&p.packed, kind)
		case 5, 7, 8: // headers of a data page, a dictionary, and a data page of the second version
			if kind != thriftStruct {
				return false
			}
			second := number == 8
			t.structure(func(inner int16, kind byte) bool {
				switch {
				case inner == 1:
					return whole(&p.values, kind)
				case inner == 2 && !second || inner == 4 && second:
					return whole(&p.encoding, kind)
				case (inner == 5 || inner == 6) && second:
					n := int64(0)
					ok := whole(&n, kind)
					if p.levels += n; n < 0 {
						t.bad = true
					}
					return ok
				case inner == 7 && second && kind == thriftFalse:
					p.unpacked = 1
				}
				return false
			})
			return true
		}
		return false
	})
	return p
}

const (
	pageData       = 0
	pageDictionary = 2
	pageData2      = 3
)

// Encodings that are read.
const (
	encodingPlain         = 0
	encodingOldDictionary = 2
	encodingRLE           = 3 // of booleans
	encodingDictionary    = 8
)

// inflated is the plain bytes of a page, as many as its header says.
func inflated(data []byte, packing compress.Compression, size int64) ([]byte, error) {
	var r io.Reader
	switch packing {
	case compress.Codecs.Uncompressed:
		if int64(len(data)) != size {
			return nil, damagedParquet()
		}
		return data, nil
	case compress.Codecs.Snappy:
		if n, err := snappy.DecodedLen(data); err != nil || int64(n) != size {
			if len(data) == 0 && size == 0 {
				return nil, nil
			}
			return nil, damagedParquet()
		}
		out, err := snappy.Decode(make([]byte, size), data)
		if err != nil {
			return nil, damagedParquet()
		}
		return out, nil
	case compress.Codecs.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, damagedParquet()
		}
		r = z
	case compress.Codecs.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, damagedParquet()
		}
		defer z.Close()
		r = z
	default:
		return nil, fault.New(fault.Invalid, "a column is compressed with %s, which is not read", packing).WithHint("compress with snappy, gzip or zstd")
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, damagedParquet()
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != nil && !errors.Is(err, io.EOF) {
		return nil, damagedParquet()
	}
	return out, nil
}

// hybrid reads n numbers of width bits in Parquet's hybrid of runs and packed bits.
func hybrid(b []byte, width, n int) ([]uint32, bool) {
	if width > 32 {
		return nil, false
	}
	out := make([]uint32, 0, n)
	for len(out) < n {
		head, used := binary.Uvarint(b)
		if used <= 0 {
			return nil, false
		}
		b = b[used:]
		if head&1 == 0 {
			size := (width + 7) / 8
			if len(b) < size || head == 0 {
				return nil, false
			}
			v := uint32(0)
			for i := range size {
				v |= uint32(b[i]) << (8 * i)
			}
			b = b[size:]
			for k := head >> 1; k > 0 && len(out) < n; k-- {
				out = append(out, v)
			}
			continue
		}
		groups := head >> 1
		if groups == 0 || width > 0 && groups > uint64(len(b)/width) {
			return nil, false
		}
		for i := 0; uint64(i) < groups*8 && len(out) < n; i++ {
			v := uint32(0)
			for k := range width {
				bit := i*width + k
				v |= uint32(b[bit/8]>>(bit%8)&1) << k
			}
			out = append(out, v)
		}
		b = b[int(groups)*width:]
	}
	return out, true
}
