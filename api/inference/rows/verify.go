package rows

import (
	"encoding/binary"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// An Arrow stream is messages: four bytes of -1, the length of the metadata, the metadata, the body. Metadata is a flatbuffer, and a reader
// that believes the lengths in it makes room for whatever they say. verify reads them first (format/Message.fbs and Schema.fbs of Apache
// Arrow; numbers are places of fields in tables) and refuses a stream in which any goes beyond the bytes that are there.

const (
	maxFields = 4 * maxColumns // of a schema, with those inside of others
	maxNested = 16             // fields inside of fields

	headerSchema     = 1
	headerDictionary = 2
	headerRecord     = 3

	typeUnion         = 14
	typeRunEndEncoded = 22
	typeListView      = 25
	typeLargeListView = 26
)

func damaged() error {
	return fault.New(fault.Invalid, "the body is no valid Arrow stream: it says that it has more than it has")
}

func verify(body []byte) error {
	le := binary.LittleEndian
	for at := 0; at < len(body); {
		if len(body)-at < 4 {
			return damaged()
		}
		size := int32(le.Uint32(body[at:]))
		at += 4
		if size == -1 { // the mark of a continuation
			if len(body)-at < 4 {
				return damaged()
			}
			size = int32(le.Uint32(body[at:]))
			at += 4
		}
		if size == 0 {
			return nil // the end
		}
		if size < 8 || int64(size) > int64(len(body)-at) {
			return damaged()
		}
		m := flat{b: body[at : at+int(size)]}
		at += int(size)
		length := m.message()
		if m.err != nil {
			return m.err
		}
		if length < 0 || length > int64(len(body)-at) {
			return damaged()
		}
		at += int(length)
	}
	return nil
}

// flat is a flatbuffer that is looked through. Places are offsets into it; 0 is none.
type flat struct {
	b      []byte
	fields int
	err    error
}

func (m *flat) has(at, n int64) bool {
	if m.err == nil && (at < 0 || n < 0 || at > int64(len(m.b)) || n > int64(len(m.b))-at) {
		m.err = damaged()
	}
	return m.err == nil
}

func (m *flat) u32(at int64) int64 {
	if !m.has(at, 4) {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(m.b[at:]))
}

func (m *flat) i64(at int64) int64 {
	if !m.has(at, 8) {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(m.b[at:]))
}

// field is where a field of a table is; 0 when the table has it not.
func (m *flat) field(table int64, number int64) int64 {
	vtable := table - int64(int32(m.u32(table)))
	if !m.has(vtable, 4) {
		return 0
	}
	size := int64(binary.LittleEndian.Uint16(m.b[vtable:]))
	entry := 4 + 2*number
	if entry+2 > size || !m.has(vtable, size) {
		return 0
	}
	offset := int64(binary.LittleEndian.Uint16(m.b[vtable+entry:]))
	if offset == 0 {
		return 0
	}
	return table + offset
}

// table follows a field that refers to a table.
func (m *flat) table(table, number int64) int64 {
	at := m.field(table, number)
	if at == 0 {
		return 0
	}
	to := at + m.u32(at)
	if !m.has(to, 4) {
		return 0
	}
	return to
}

// vector follows a field that refers to a vector of elements of a size: where they begin and how many they are.
func (m *flat) vector(table, number, size int64) (first, n int64) {
	at := m.field(table, number)
	if at == 0 {
		return 0, 0
	}
	to := at + m.u32(at)
	n = m.u32(to)
	if !m.has(to+4, n*size) {
		return 0, 0
	}
	return to + 4, n
}

// tables calls visit for every table of a vector of tables.
func (m *flat) tables(table, number int64, visit func(int64)) {
	first, n := m.vector(table, number, 4)
	for i := int64(0); i < n && m.err == nil; i++ {
		at := first + 4*i
		if to := at + m.u32(at); m.has(to, 4) {
			visit(to)
		}
	}
}

func (m *flat) byteAt(at int64) byte {
	if at == 0 || !m.has(at, 1) {
		return 0
	}
	return m.b[at]
}

// message looks through a message and gives the length of its body.
func (m *flat) message() int64 {
	root := m.u32(0)
	m.pairs(root, 4)
	header := m.table(root, 2)
	switch m.byteAt(m.field(root, 1)) {
	case headerSchema:
		m.tables(header, 1, func(f int64) { m.schemaField(f, 0) })
		m.pairs(header, 2)
		m.vector(header, 3, 8)
	case headerDictionary:
		m.record(m.table(header, 1))
	case headerRecord:
		m.record(header)
	default:
		if m.err == nil {
			m.err = fault.New(fault.Invalid, "the body is no valid Arrow stream: a message is neither schema nor records")
		}
	}
	if at := m.field(root, 3); at != 0 {
		return m.i64(at)
	}
	return 0
}

// pairs looks through custom metadata.
func (m *flat) pairs(table, number int64) {
	m.tables(table, number, func(pair int64) {
		m.vector(pair, 0, 1)
		m.vector(pair, 1, 1)
	})
}

func (m *flat) schemaField(f int64, depth int) {
	if m.fields++; m.fields > maxFields || depth > maxNested {
		m.err = fault.New(fault.TooLarge, "the body has more than %d columns, or columns nested deeper than %d", maxFields, maxNested)
		return
	}
	m.vector(f, 0, 1)
	switch kind := m.byteAt(m.field(f, 2)); kind {
	case typeUnion, typeRunEndEncoded, typeListView, typeLargeListView:
		if m.err == nil {
			m.err = fault.New(fault.Invalid, "a column is a union, run-end encoded or a list view, which are not read").WithHint("send plain columns")
		}
		return
	}
	if of := m.table(f, 3); of != 0 {
		m.field(of, 0)
	}
	if d := m.table(f, 4); d != 0 {
		m.table(d, 1)
	}
	m.tables(f, 5, func(child int64) { m.schemaField(child, depth+1) })
	m.pairs(f, 6)
}

func (m *flat) record(r int64) {
	m.vector(r, 1, 16)
	_, buffers := m.vector(r, 2, 16)
	first, n := m.vector(r, 4, 8)
	for i := range n {
		if count := m.i64(first + 8*i); m.err == nil && (count < 0 || count > buffers) {
			m.err = damaged()
		}
	}
}
