package codec

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Exchange is the memory of one request and its answer, reused by later ones. Everything that a parser makes of it lives until Release,
// which is called once the answer is written.
type Exchange struct {
	Body   []byte // the request, inflated
	Answer []byte // what Send sends
	Scan   scan.Scanner
	Batch  serve.Batch

	fields []serve.Field // of all rows, one after the other
	ends   []int         // where each row ends in fields
	packed []byte        // the body as it was sent, when that was compressed
}

var exchanges = sync.Pool{New: func() any { return &Exchange{Body: make([]byte, 0, 4096), Answer: make([]byte, 0, 1024)} }}

// keep is the most memory that an exchange takes back into the pool, in bytes.
const keep = 1 << 20

// Get takes an exchange from the pool.
func Get() *Exchange { return exchanges.Get().(*Exchange) }

// Release gives it back. Nothing of it may be used afterwards.
func (x *Exchange) Release() {
	if cap(x.Body) > keep || cap(x.Answer) > keep || cap(x.packed) > keep || cap(x.fields) > keep/64 {
		return
	}
	clear(x.fields)
	clear(x.Batch.Rows)
	clear(x.Batch.Columns)
	clear(x.Batch.Keys)
	exchanges.Put(x)
}

// Begin prepares for reading the body: an empty batch, and the scanner at the start.
func (x *Exchange) Begin() {
	x.Scan = scan.New(x.Body)
	x.fields, x.ends = x.fields[:0], x.ends[:0]
	x.Batch = serve.Batch{Rows: x.Batch.Rows[:0], Columns: x.Batch.Columns[:0], Keys: x.Batch.Keys[:0], At: x.Batch.At[:0]}
}

// Field adds a cell to the row that is being read.
func (x *Exchange) Field(name string, c serve.Cell) {
	x.fields = append(x.fields, serve.Field{Name: name, Cell: c})
}

// EndRow ends the row that is being read. It is false, and the scanner has its fault, when that is one too many.
func (x *Exchange) EndRow() bool {
	if len(x.ends) >= serve.MaxRows {
		x.Scan.Refuse(TooManyRows())
		return false
	}
	x.ends = append(x.ends, len(x.fields))
	return true
}

// Rows puts the rows that were read into the batch.
func (x *Exchange) Rows() {
	from := 0
	for _, end := range x.ends {
		x.Batch.Rows = append(x.Batch.Rows, x.fields[from:end:end])
		from = end
	}
}

// Read takes the body in, at most limit bytes as sent and inflated: Content-Encoding gzip, deflate and zstd. A larger one is
// fault.TooLarge, one that does not inflate fault.Invalid.
func (x *Exchange) Read(req *http.Request, limit int64) error {
	encoding := req.Header.Get("Content-Encoding")
	if encoding == "" || encoding == "identity" {
		var err error
		x.Body, err = readAll(x.Body[:0], req.Body, req.ContentLength, limit)
		return err
	}
	var err error
	if x.packed, err = readAll(x.packed[:0], req.Body, req.ContentLength, limit); err != nil {
		return err
	}
	x.Body, err = inflate(x.Body[:0], x.packed, encoding, limit)
	return err
}

// readAll adds what r has to b. size is what the caller announced, or -1.
func readAll(b []byte, r io.Reader, size, limit int64) ([]byte, error) {
	if size > int64(cap(b)) && size <= limit {
		b = make([]byte, 0, size+1)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil && int64(len(b)) <= limit {
			continue
		}
		switch {
		case int64(len(b)) > limit:
			return b, tooLarge(limit)
		case err == io.EOF:
			return b, nil
		}
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return b, tooLarge(limit)
		}
		return b, fault.Wrap(err, fault.Invalid, "the request ended early")
	}
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "the request has more than %d bytes", limit).WithHint("send the rows in several requests").With("limit_bytes", limit)
}

var (
	gunzips = sync.Pool{New: func() any { return new(gzip.Reader) }}
	unzstds = sync.Pool{New: func() any {
		d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20)) // the options are valid
		return d
	}}
)

// inflate adds the plain bytes to b, at most limit of them. Several encodings are undone from the last to the first.
func inflate(b, packed []byte, encoding string, limit int64) ([]byte, error) {
	names := strings.Split(encoding, ",")
	if len(names) > 3 {
		return b, fault.New(fault.Invalid, "the request has %d encodings", len(names))
	}
	for i := len(names) - 1; i >= 0; i-- {
		var err error
		if b, err = inflateOnce(b[:0], packed, strings.ToLower(strings.TrimSpace(names[i])), limit); err != nil {
			return b, err
		}
		if i > 0 {
			packed = append([]byte(nil), b...)
		}
	}
	return b, nil
}

func inflateOnce(b, packed []byte, encoding string, limit int64) ([]byte, error) {
	in := bytes.NewReader(packed)
	var r io.Reader
	switch encoding {
	case "gzip", "x-gzip":
		z := gunzips.Get().(*gzip.Reader)
		defer gunzips.Put(z)
		if err := z.Reset(in); err != nil {
			return b, fault.Wrap(err, fault.Invalid, "the request is not %s", encoding)
		}
		r = z
	case "deflate":
		// RFC 9110 means zlib; some clients send what it wraps.
		if z, err := zlib.NewReader(in); err == nil {
			defer z.Close()
			r = z
		} else {
			r = flate.NewReader(bytes.NewReader(packed))
		}
	case "zstd":
		z := unzstds.Get().(*zstd.Decoder)
		defer unzstds.Put(z)
		if err := z.Reset(in); err != nil {
			return b, fault.Wrap(err, fault.Invalid, "the request is not %s", encoding)
		}
		defer func() { _ = z.Reset(nil) }() // lets go of the body; nil is always taken
		r = z
	case "identity", "":
		r = in
	default:
		return b, fault.New(fault.Invalid, "the encoding %q is not served", Clip(encoding)).WithHint("send gzip, deflate, zstd or plain bytes")
	}
	b, err := readAll(b, r, -1, limit)
	if err != nil && fault.CodeOf(err) == fault.Invalid {
		return b, fault.Wrap(errors.Unwrap(err), fault.Invalid, "the request does not inflate as %s", encoding)
	}
	return b, err
}

// JSON is the content type of most answers. It is shared: do not change it.
var JSON = []string{"application/json"}

// Send sends Answer with status 200 as JSON.
func (x *Exchange) Send(w http.ResponseWriter, req *http.Request) { Send(w, req, JSON, x.Answer) }

// smallest is the size in bytes below which compressing costs more than it saves.
const smallest = 1024

// Send sends an answer, compressed when it is not small and the caller accepts that. Other headers are set before.
func Send(w http.ResponseWriter, req *http.Request, contentType []string, answer []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	if len(answer) >= smallest {
		if accept := req.Header["Accept-Encoding"]; len(accept) > 0 {
			if name := accepted(accept[0]); name != "" {
				sendPacked(w, name, answer)
				return
			}
		}
	}
	if len(answer) > 2048 { // below, net/http knows the length by itself
		h.Set("Content-Length", strconv.Itoa(len(answer)))
	}
	_, _ = w.Write(answer) // a caller that left is not there to be told
}

// accepted chooses an encoding: zstd before gzip before deflate, among those that are not refused with q=0.
func accepted(accept string) string {
	best, rank := "", 0
	for part := range strings.SplitSeq(accept, ",") {
		name, q, _ := strings.Cut(part, ";")
		if q = strings.ReplaceAll(q, " ", ""); q == "q=0" || strings.HasPrefix(q, "q=0.") && strings.Trim(q[4:], "0") == "" {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "zstd":
			best, rank = "zstd", 3
		case "gzip", "x-gzip":
			if rank < 2 {
				best, rank = "gzip", 2
			}
		case "deflate":
			if rank < 1 {
				best, rank = "deflate", 1
			}
		}
	}
	return best
}

var (
	gzips = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
		return z
	}}
	zlibs = sync.Pool{New: func() any {
		z, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // the level is valid
		return z
	}}
	zstds = sync.Pool{New: func() any {
		z, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10)) // the options are valid
		return z
	}}
)

// sendPacked compresses an answer; a caller that left is not there to be told.
func sendPacked(w http.ResponseWriter, name string, answer []byte) {
	h := w.Header()
	h.Set("Content-Encoding", name)
	h.Add("Vary", "Accept-Encoding")
	switch name {
	case "zstd":
		z := zstds.Get().(*zstd.Encoder)
		defer zstds.Put(z)
		_, _ = w.Write(z.EncodeAll(answer, nil))
	case "gzip":
		z := gzips.Get().(*gzip.Writer)
		defer gzips.Put(z)
		z.Reset(w)
		_, _ = z.Write(answer)
		_ = z.Close()
		z.Reset(io.Discard)
	default:
		z := zlibs.Get().(*zlib.Writer)
		defer zlibs.Put(z)
		z.Reset(w)
		_, _ = z.Write(answer)
		_ = z.Close()
		z.Reset(io.Discard)
	}
}
