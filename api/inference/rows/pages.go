package rows

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// The footer of a Parquet file and the headers of its pages are structures in Thrift's compact protocol, and a reader makes room for what
// they say. What is below looks at them first: no list is longer than the bytes that follow, no page inflates to more than it says, and
// none has more values than a request may have rows.

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

// encodings that are read: PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY and BYTE_STREAM_SPLIT.
var encodings = map[int64]bool{0: true, 2: true, 3: true, 8: true, 9: true}

// verifyPages looks at every page of a file whose footer is read. left is the bytes that all pages may inflate to.
func verifyPages(r *file.Reader, body []byte, left int64) error {
	for g := range r.NumRowGroups() {
		group := r.MetaData().RowGroup(g)
		for i := range group.NumColumns() {
			chunk, err := group.ColumnChunk(i)
			if err != nil {
				return err
			}
			from := chunk.DataPageOffset()
			if d := chunk.DictionaryPageOffset(); chunk.HasDictionaryPage() && d > 0 && d < from {
				from = d
			}
			size := chunk.TotalCompressedSize()
			if from < 0 || size < 0 || from > int64(len(body)) || size > int64(len(body))-from {
				return damagedParquet()
			}
			if left, err = verifyChunk(body[from:from+size], chunk.Compression(), left); err != nil {
				return err
			}
		}
	}
	return nil
}

func verifyChunk(b []byte, packing compress.Compression, left int64) (int64, error) {
	for len(b) > 0 {
		t := thrift{b: b}
		p := t.page()
		switch {
		case t.bad || p.plain < 0 || p.packed < 0 || p.packed > int64(len(b)-t.at) || p.values < 0 || p.levels > p.packed || p.levels > p.plain:
			return left, damagedParquet()
		case p.kind == pageDictionary && p.values > p.plain:
			return left, damagedParquet()
		case p.kind != pageDictionary && p.values > serve.MaxRows*64: // lists have more values than rows
			return left, codec.TooManyRows()
		}
		if left -= p.plain; left < 0 {
			return left, errMemory
		}
		data := b[t.at : t.at+int(p.packed)]
		b = b[t.at+int(p.packed):]
		if p.kind != pageData && p.kind != pageDictionary && p.kind != pageData2 {
			continue
		}
		if !encodings[p.encoding] {
			return left, fault.New(fault.Invalid, "a column is written with the encoding %d, which is not read", p.encoding).WithHint("write it plain or with a dictionary, as pandas and DuckDB do")
		}
		if p.unpacked == 0 {
			if err := inflates(data[p.levels:], packing, p.plain-p.levels); err != nil {
				return left, err
			}
		}
	}
	return left, nil
}

// inflates checks that a page is as large as it says, without keeping it.
func inflates(data []byte, packing compress.Compression, size int64) error {
	var r io.Reader
	switch packing {
	case compress.Codecs.Uncompressed:
		return nil
	case compress.Codecs.Snappy:
		if n, err := snappy.DecodedLen(data); len(data) > 0 && (err != nil || int64(n) != size) {
			return damagedParquet()
		}
		return nil
	case compress.Codecs.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return damagedParquet()
		}
		r = z
	case compress.Codecs.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return damagedParquet()
		}
		defer z.Close()
		r = z
	default:
		return fault.New(fault.Invalid, "a column is compressed with %s, which is not read", packing).WithHint("compress with snappy, gzip or zstd")
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(r, size+1)); err != nil || n != size {
		return damagedParquet()
	}
	return nil
}
