package series

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// blockPoints is how many points a block holds at most. All blocks of a column but the last are full.
const blockPoints = 4096

// A block is the points of one column in its order: their number, how the rest is packed, and then three columns. Times and steps are
// differences of differences as zigzag varints (T. Pelkonen et al., Gorilla, VLDB 2015, §4.1.1, on bytes instead of bits); values are
// cut into eight planes of bytes, the most significant first, and packed by zstd: 6.2 bytes a value for a noisy loss, 5.4 for a smooth one, 4.1
// for float32 noise, where the XOR bits of Gorilla take 8.1, 6.4 and 4.6. Differences wrap around, so that all of int64 comes back.
const (
	packedNot  = 0
	packedZstd = 1
)

// packFrom is the number of bytes below which zstd has nothing to find.
const packFrom = 128

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// The packers are made when they are first needed: a store that is only opened holds none of their memory.
var packer = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<17),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxBody), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// maxBody is the longest that the three columns of a block can be.
const maxBody = blockPoints * (2*binary.MaxVarintLen64 + 8)

var errBlock = errors.New("a block cannot be read")

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 1<<16); return &b }}

// appendBlock adds the points as a block, without a checksum.
func appendBlock(dst []byte, points []Point) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(points)))
	scratch := bodies.Get().(*[]byte)
	defer bodies.Put(scratch)
	body := (*scratch)[:0]
	var last, delta int64
	for _, p := range points {
		d := p.At - last
		body = binary.AppendVarint(body, d-delta)
		last, delta = p.At, d
	}
	last, delta = 0, 0
	for _, p := range points {
		d := p.Step - last
		body = binary.AppendVarint(body, d-delta)
		last, delta = p.Step, d
	}
	body = appendPlanes(body, points)
	*scratch = body
	if len(body) >= packFrom {
		start := len(dst)
		dst = packer().EncodeAll(body, append(dst, packedZstd))
		if len(dst)-start <= len(body) {
			return dst
		}
		dst = dst[:start]
	}
	return append(append(dst, packedNot), body...)
}

func appendPlanes(body []byte, points []Point) []byte {
	start, n := len(body), len(points)
	body = append(body, make([]byte, 8*n)...)
	planes := body[start:]
	for i, p := range points {
		bits := math.Float64bits(p.Value)
		planes[i] = byte(bits >> 56)
		planes[n+i] = byte(bits >> 48)
		planes[2*n+i] = byte(bits >> 40)
		planes[3*n+i] = byte(bits >> 32)
		planes[4*n+i] = byte(bits >> 24)
		planes[5*n+i] = byte(bits >> 16)
		planes[6*n+i] = byte(bits >> 8)
		planes[7*n+i] = byte(bits)
	}
	return body
}

// readBlock appends the points of a block to dst. Bytes that are no block give errBlock and cost at most what a full block does.
func readBlock(dst []Point, b []byte) ([]Point, error) {
	count, used := binary.Uvarint(b)
	if used <= 0 || count > blockPoints || len(b) <= used {
		return nil, errBlock
	}
	n := int(count)
	body, kind := b[used+1:], b[used]
	switch kind {
	case packedNot:
	case packedZstd:
		scratch := bodies.Get().(*[]byte)
		defer bodies.Put(scratch)
		unpacked, err := unpacker().DecodeAll(body, (*scratch)[:0])
		if err != nil || len(unpacked) > maxBody {
			return nil, errBlock
		}
		*scratch, body = unpacked, unpacked
	default:
		return nil, errBlock
	}
	if len(body) < 10*n {
		return nil, errBlock
	}
	start := len(dst)
	for range n {
		dst = append(dst, Point{})
	}
	points := dst[start:]
	var last, delta int64
	for i := range points {
		d, used := varint(body)
		if used <= 0 {
			return nil, errBlock
		}
		body = body[used:]
		delta += d
		last += delta
		points[i].At = last
	}
	last, delta = 0, 0
	for i := range points {
		d, used := varint(body)
		if used <= 0 {
			return nil, errBlock
		}
		body = body[used:]
		delta += d
		last += delta
		points[i].Step = last
	}
	if len(body) != 8*n {
		return nil, errBlock
	}
	p0, p1, p2, p3 := body[:n], body[n:2*n], body[2*n:3*n], body[3*n:4*n]
	p4, p5, p6, p7 := body[4*n:5*n], body[5*n:6*n], body[6*n:7*n], body[7*n:]
	for i := range points {
		points[i].Value = math.Float64frombits(uint64(p0[i])<<56 | uint64(p1[i])<<48 | uint64(p2[i])<<40 | uint64(p3[i])<<32 |
			uint64(p4[i])<<24 | uint64(p5[i])<<16 | uint64(p6[i])<<8 | uint64(p7[i]))
	}
	return dst, nil
}

// varint is binary.Varint with the one byte that most differences take first.
func varint(b []byte) (int64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		u := b[0]
		return int64(u>>1) ^ -int64(u&1), 1
	}
	return binary.Varint(b)
}
