package series

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"sort"
)

// A table is a sorted list of names with a payload each, in pages of some kilobytes. With more than one page there is an index page,
// whose names are the first names of the pages and whose payloads are references to them. A page is its entries (length of the name,
// name, length of the payload, payload) and their CRC-32C.

// pageBytes is the size at which a page ends.
const pageBytes = 8 << 10

// maxPage bounds a page that is read: an index page grows with its table.
const maxPage = 1 << 28

var errPage = errors.New("a page cannot be read")

// tableRef is where a table is.
type tableRef struct {
	offset uint64
	length uint32
	index  bool // the page is an index
}

const tableRefSize = 13

func (r tableRef) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, r.offset)
	b = binary.LittleEndian.AppendUint32(b, r.length)
	if r.index {
		return append(b, 1)
	}
	return append(b, 0)
}

func getTableRef(b []byte) (tableRef, error) {
	if len(b) < tableRefSize || b[12] > 1 {
		return tableRef{}, errPage
	}
	return tableRef{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), b[12] == 1}, nil
}

// tableWriter collects entries, which must come sorted, and gives full pages to emit, which says where they went.
type tableWriter struct {
	emit  func(page []byte) (offset uint64, err error)
	page  []byte
	first []byte
	index []byte
	last  tableRef
	pages int
}

func appendEntry(b []byte, name, payload []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	b = binary.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

func (w *tableWriter) add(name string, payload []byte) error {
	if len(w.page) == 0 {
		w.first = append(w.first[:0], name...)
	}
	w.page = appendEntry(w.page, []byte(name), payload)
	if len(w.page) >= pageBytes {
		return w.endPage()
	}
	return nil
}

func (w *tableWriter) endPage() error {
	page := binary.LittleEndian.AppendUint32(w.page, checksum(w.page))
	offset, err := w.emit(page)
	if err != nil {
		return err
	}
	w.last = tableRef{offset: offset, length: uint32(len(page))}
	w.index = appendEntry(w.index, w.first, w.last.append(nil))
	w.page = page[:0]
	w.pages++
	return nil
}

// end writes what is left and readies w for another table.
func (w *tableWriter) end() (tableRef, error) {
	if len(w.page) > 0 || w.pages == 0 {
		if err := w.endPage(); err != nil {
			return tableRef{}, err
		}
	}
	ref := w.last
	if w.pages > 1 {
		w.page = append(w.page[:0], w.index...)
		if err := w.endPage(); err != nil {
			return tableRef{}, err
		}
		ref = w.last
		ref.index = true
	}
	w.index, w.pages = w.index[:0], 0
	return ref, nil
}

// tableEntry is one line of a page. Its slices are parts of the page.
type tableEntry struct{ name, payload []byte }

// pageEntries lists the entries of a page, whose checksum is right and left out.
func pageEntries(b []byte) ([]tableEntry, error) {
	var entries []tableEntry
	for len(b) > 0 {
		var parts [2][]byte
		for i := range parts {
			n, used := binary.Uvarint(b)
			if used <= 0 || n > uint64(len(b)-used) {
				return nil, errPage
			}
			parts[i], b = b[used:used+int(n)], b[used+int(n):]
		}
		if n := len(entries); n > 0 && bytes.Compare(entries[n-1].name, parts[0]) >= 0 {
			return nil, errPage
		}
		entries = append(entries, tableEntry{parts[0], parts[1]})
	}
	return entries, nil
}

// pageSource reads a page of a file.
type pageSource func(ref tableRef) ([]tableEntry, error)

// lookUp finds the payload of a name. top is the page of ref, if the caller holds it already.
func lookUp(read pageSource, ref tableRef, top []tableEntry, name string) ([]byte, bool, error) {
	if top == nil {
		var err error
		if top, err = read(ref); err != nil {
			return nil, false, err
		}
	}
	i := sort.Search(len(top), func(i int) bool { return string(top[i].name) > name }) - 1
	if i < 0 {
		return nil, false, nil
	}
	if !ref.index {
		return top[i].payload, string(top[i].name) == name, nil
	}
	below, err := getTableRef(top[i].payload)
	if err != nil || below.index {
		return nil, false, errPage
	}
	return lookUp(read, below, nil, name)
}

// walk gives every entry of a table in order. An error ends it.
func walk(read pageSource, ref tableRef) iter.Seq2[tableEntry, error] {
	return func(yield func(tableEntry, error) bool) {
		top, err := read(ref)
		if err != nil {
			yield(tableEntry{}, err)
			return
		}
		for _, e := range top {
			if !ref.index {
				if !yield(e, nil) {
					return
				}
				continue
			}
			below, err := getTableRef(e.payload)
			if err != nil || below.index {
				yield(tableEntry{}, errPage)
				return
			}
			page, err := read(below)
			if err != nil {
				yield(tableEntry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
