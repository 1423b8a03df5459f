package grpcdoor

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec of all other messages
	"google.golang.org/grpc/mem"
)

// wireCodec reads and writes the messages of inference by hand and leaves the others to protobuf.
type wireCodec struct{ proto encoding.CodecV2 }

func newWireCodec() wireCodec { return wireCodec{encoding.GetCodecV2("proto")} }

// Name is the content subtype.
func (wireCodec) Name() string { return "proto" }

// Marshal hands out what the handler has written.
func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*inferResponse); ok {
		return mem.BufferSlice{r.message}, nil
	}
	return c.proto.Marshal(v)
}

// Unmarshal keeps the message of an inference and takes it apart. It never refuses one: the handler answers with what is wrong, because
// grpc-go would say that the server failed.
func (c wireCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if q, ok := v.(*inferRequest); ok {
		q.message = data.MaterializeToBuffer(mem.DefaultBufferPool())
		q.err = q.read(q.message.ReadOnlyData())
		return nil
	}
	return c.proto.Unmarshal(data, v)
}

// gzipped is gRPC's compressor "gzip". A message that does not inflate becomes one that no reader takes, so that the caller hears of a
// broken message: grpc-go's own says that the server failed.
type gzipped struct {
	limit   atomic.Int64 // bytes of a message that is inflated
	readers sync.Pool
	writers sync.Pool
}

// compressor is registered once for the process, as grpc-go has it; its bound is the greatest of all servers.
var compressor = new(gzipped)

func init() { encoding.RegisterCompressor(compressor) }

func (z *gzipped) raise(limit int64) {
	for {
		if now := z.limit.Load(); now >= limit || z.limit.CompareAndSwap(now, limit) {
			return
		}
	}
}

// Name is the value of grpc-encoding.

func (*gzipped) Name() string { return "gzip" }

// unreadable is the start of a field number that never ends: no message of protobuf.
var unreadable = []byte{0xff}

// Decompress inflates all at once, up to a byte more than a message may have: grpc-go refuses that one as too large.
func (z *gzipped) Decompress(r io.Reader) (io.Reader, error) {
	inflater, _ := z.readers.Get().(*gzip.Reader)
	var err error
	if inflater == nil {
		inflater, err = gzip.NewReader(r)
	} else {
		err = inflater.Reset(r)
	}
	if err != nil {
		return bytes.NewReader(unreadable), nil
	}
	b, err := io.ReadAll(io.LimitReader(inflater, z.limit.Load()+1))
	if err != nil {
		b = unreadable
	}
	z.readers.Put(inflater)
	return bytes.NewReader(b), nil
}

// Compress deflates into w.
func (z *gzipped) Compress(w io.Writer) (io.WriteCloser, error) {
	deflater, _ := z.writers.Get().(*gzip.Writer)
	if deflater == nil {
		deflater, _ = gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
	} else {
		deflater.Reset(w)
	}
	return &deflating{deflater, z}, nil
}

type deflating struct {
	*gzip.Writer
	from *gzipped
}

// Close ends the message and gives the memory back.
func (d *deflating) Close() error {
	err := d.Writer.Close()
	d.Writer.Reset(io.Discard)
	d.from.writers.Put(d.Writer)
	return err
}
