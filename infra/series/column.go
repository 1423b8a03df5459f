package series

import (
	"encoding/binary"
)

// A column is the points of a key in one order. It is written as blocks of blockPoints, then an array that says where they are, then
// the levels of the pyramid, the coarsest first. An array has records of one size in pages of 256 with a CRC-32C each, so that a part of it
// can be read. Where everything lies follows from the number of points and the offset of the first array.

// arrayPage is the number of records in a page of an array.
const arrayPage = 256

// Pyramid: the finest chunks, how many of them make one of the next level, and when a level is coarse enough to be the top.
const (
	finest    = 256
	fan       = 4
	topChunks = 1024
)

// blockRecord is the first point of a block, its offset and its length.
const blockRecord = pointSize + 12

// chunk is a stretch of a column: its first, least, greatest and last point. The least and the greatest are numbers if there are any;
// of equal ones the first counts.
type chunk struct{ first, min, max, last Point }

const chunkRecord = 4 * pointSize

func (c chunk) append(b []byte) []byte {
	return appendPoint(appendPoint(appendPoint(appendPoint(b, c.first), c.min), c.max), c.last)
}

func getChunk(b []byte) chunk {
	return chunk{getPoint(b), getPoint(b[pointSize:]), getPoint(b[2*pointSize:]), getPoint(b[3*pointSize:])}
}

func chunkOf(p Point) chunk { return chunk{p, p, p, p} }

// join adds the chunk that follows c.
func (c *chunk) join(next chunk) {
	if below(next.min.Value, c.min.Value) {
		c.min = next.min
	}
	if above(next.max.Value, c.max.Value) {
		c.max = next.max
	}
	c.last = next.last
}

func ceil(n, by int64) int64 { return (n + by - 1) / by }

// levels lists the sizes of the chunks of a column's pyramid, coarsest first. A single block needs none.
func levels(count int64) []int64 {
	if count <= blockPoints {
		return nil
	}
	sizes := []int64{finest}
	for ceil(count, sizes[0]) > topChunks {
		sizes = append([]int64{sizes[0] * fan}, sizes...)
	}
	return sizes
}

// arrayBytes is the length of an array of n records.
func arrayBytes(n int64, record int) int64 { return n*int64(record) + 4*ceil(n, arrayPage) }

// columnBytes is the length of a column's arrays.
func columnBytes(count int64) int64 {
	size := arrayBytes(ceil(count, blockPoints), blockRecord)
	for _, l := range levels(count) {
		size += arrayBytes(ceil(count, l), chunkRecord)
	}
	return size
}

// columnWriter takes the points of a column in order.
type columnWriter struct {
	emit   func([]byte) (offset uint64, err error)
	count  int64
	points []Point // of the block that is being filled
	chunk  chunk
	filled int
	chunks []chunk // of finest
	blocks []byte  // block records
	buf    []byte
}

func (w *columnWriter) add(p Point) error {
	if w.filled == 0 {
		w.chunk = chunkOf(p)
	} else {
		w.chunk.join(chunkOf(p))
	}
	w.count++
	w.filled++
	if w.filled == finest {
		w.chunks, w.filled = append(w.chunks, w.chunk), 0
	}
	w.points = append(w.points, p)
	if len(w.points) == blockPoints {
		return w.endBlock()
	}
	return nil
}

func (w *columnWriter) endBlock() error {
	w.buf = appendBlock(w.buf[:0], w.points)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, checksum(w.buf))
	offset, err := w.emit(w.buf)
	if err != nil {
		return err
	}
	w.blocks = appendPoint(w.blocks, w.points[0])
	w.blocks = binary.LittleEndian.AppendUint64(w.blocks, offset)
	w.blocks = binary.LittleEndian.AppendUint32(w.blocks, uint32(len(w.buf)))
	w.points = w.points[:0]
	return nil
}

// end writes the arrays, returns where they begin, and readies w for another column.
func (w *columnWriter) end() (base uint64, err error) {
	if len(w.points) > 0 {
		if err := w.endBlock(); err != nil {
			return 0, err
		}
	}
	if w.filled > 0 {
		w.chunks = append(w.chunks, w.chunk)
	}
	out := appendArray(w.buf[:0], w.blocks, blockRecord)
	if sizes := levels(w.count); len(sizes) > 0 {
		pyramid := make([][]chunk, len(sizes))
		pyramid[len(sizes)-1] = w.chunks
		for i := len(sizes) - 2; i >= 0; i-- {
			pyramid[i] = coarser(pyramid[i+1])
		}
		var records []byte
		for _, level := range pyramid {
			records = records[:0]
			for _, c := range level {
				records = c.append(records)
			}
			out = appendArray(out, records, chunkRecord)
		}
	}
	base, err = w.emit(out)
	w.buf = out[:0]
	if cap(w.buf) > 1<<20 {
		w.buf = nil
	}
	w.count, w.filled, w.chunks, w.blocks, w.points = 0, 0, w.chunks[:0], w.blocks[:0], w.points[:0]
	return base, err
}

func coarser(fine []chunk) []chunk {
	coarse := make([]chunk, 0, ceil(int64(len(fine)), fan))
	for i, c := range fine {
		if i%fan == 0 {
			coarse = append(coarse, c)
		} else {
			coarse[len(coarse)-1].join(c)
		}
	}
	return coarse
}

func appendArray(b, records []byte, record int) []byte {
	for len(records) > 0 {
		n := min(len(records), arrayPage*record)
		b = append(b, records[:n]...)
		b = binary.LittleEndian.AppendUint32(b, checksum(records[:n]))
		records = records[n:]
	}
	return b
}

// array reads an array of a segment. It keeps the page that it read last.
type array struct {
	file   *segmentFile
	base   int64
	n      int64
	record int
	page   int64
	held   []byte
	buf    []byte
}

func (a *array) at(i int64) ([]byte, error) {
	page := i / arrayPage
	if a.held == nil || a.page != page {
		records := min(arrayPage, a.n-page*arrayPage)
		size := int(records) * a.record
		if cap(a.buf) < size+4 {
			a.buf = make([]byte, size+4)
		}
		b := a.buf[:size+4]
		a.held = nil
		if err := a.file.read(b, a.base+page*int64(arrayPage*a.record+4)); err != nil {
			return nil, err
		}
		if !a.file.intact(b[:size], b[size:]) {
			return nil, a.file.corrupt("the checksum of an index page is wrong")
		}
		a.page, a.held = page, b[:size]
	}
	from := int(i%arrayPage) * a.record
	return a.held[from : from+a.record], nil
}

// column reads a column of a segment. It belongs to one goroutine.
type column struct {
	file   *segmentFile
	order  order
	count  int64
	inline []Point // all points, where there are no blocks
	blocks array
	sizes  []int64 // of chunks, by level
	level  []array
	buf    []byte
}

func newColumn(f *segmentFile, o order, count, base int64) *column {
	c := &column{file: f, order: o, count: count, sizes: levels(count)}
	c.blocks = array{file: f, base: base, n: ceil(count, blockPoints), record: blockRecord}
	base += arrayBytes(c.blocks.n, blockRecord)
	for _, size := range c.sizes {
		a := array{file: f, base: base, n: ceil(count, size), record: chunkRecord}
		base += arrayBytes(a.n, chunkRecord)
		c.level = append(c.level, a)
	}
	return c
}

// firstOf is the first point of a block.
func (c *column) firstOf(block int64) (Point, error) {
	r, err := c.blocks.at(block)
	if err != nil {
		return Point{}, err
	}
	return getPoint(r), nil
}

// load appends the points of a block to dst.
func (c *column) load(dst []Point, block int64) ([]Point, error) {
	if c.inline != nil {
		return append(dst, c.inline...), nil
	}
	r, err := c.blocks.at(block)
	if err != nil {
		return nil, err
	}
	offset, length := int64(binary.LittleEndian.Uint64(r[pointSize:])), int(binary.LittleEndian.Uint32(r[pointSize+8:]))
	if length < 6 || length > maxBody+64 {
		return nil, c.file.corrupt("a block of %d bytes cannot be", length)
	}
	if cap(c.buf) < length {
		c.buf = make([]byte, length)
	}
	b := c.buf[:length]
	if err := c.file.read(b, offset); err != nil {
		return nil, err
	}
	if !c.file.intact(b[:length-4], b[length-4:]) {
		return nil, c.file.corrupt("the checksum of the block at %d is wrong", offset)
	}
	before := len(dst)
	if dst, err = readBlock(dst, b[:length-4]); err != nil {
		return nil, c.file.corrupt("the block at %d cannot be read", offset)
	}
	if want := min(blockPoints, c.count-block*blockPoints); int64(len(dst)-before) != want {
		return nil, c.file.corrupt("the block at %d has %d points, not %d", offset, len(dst)-before, want)
	}
	for i := before + 1; i < len(dst); i++ {
		if c.order.compare(dst[i-1], dst[i]) >= 0 {
			return nil, c.file.corrupt("the points of the block at %d are not sorted", offset)
		}
	}
	return dst, nil
}

// blockFor is the last block whose first point is not after p, or the first block.
func (c *column) blockFor(p Point) (int64, error) {
	low, high := int64(0), c.blocks.n // the answer is in [low, high)
	for high-low > 1 {
		mid := (low + high) / 2
		first, err := c.firstOf(mid)
		if err != nil {
			return 0, err
		}
		if c.order.compare(first, p) > 0 {
			high = mid
		} else {
			low = mid
		}
	}
	return low, nil
}
