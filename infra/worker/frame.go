package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A frame is u32 length | u8 type | u64 id | u32 header length | header (JSON) | raw tensors, all little-endian. The length counts what
// follows it. worker.py, worker.R and worker.mjs have the other end.
const (
	prefix    = 4         // the length
	fixed     = 1 + 8 + 4 // type, id, header length
	maxHeader = 4 << 20
	maxFrame  = 1 << 30
	keep      = 1 << 20 // a buffer that grew beyond this is not kept
)

// frameType is what a frame is for.
type frameType uint8

const (
	frameHello  frameType = 1 + iota // from the child: it runs; also from the launcher: what holds it in
	frameLoad                        // to the child: load this model
	frameReady                       // from it: the model is there, and takes and gives this
	frameInfer                       // to it
	frameResult                      // from it
	frameError                       // from it: why there is no READY or RESULT
	frameLog                         // from it, at any time: a line for the log
	frameMetric                      // from it, at any time: a number by name
	framePing                        // to it, and back
	frameDrain                       // to it: end
)

// frame is one message. Header and raw lie in the buffer of the connection until the next receive.
type frame struct {
	kind   frameType
	id     uint64
	header []byte
	raw    []byte
}

// errGarbage is bytes on the pipe that are no frame.
var errGarbage = errors.New("it wrote bytes on its pipe that are no answer")

// wire is the pipe to one child. Its user holds the worker; it has no lock of its own.
type wire struct {
	in, out *os.File // the same for a socket
	buffer  []byte   // what was received
	from    int      // buffer[from:to] was not read yet
	to      int
	sent    []byte // reused
}

// begin starts a frame in the buffer for sending.
func (w *wire) begin(kind frameType, id uint64) {
	b := append(w.sent[:0], 0, 0, 0, 0, byte(kind))
	b = binary.LittleEndian.AppendUint64(b, id)
	w.sent = append(b, 0, 0, 0, 0)
}

// headerEnds notes that the header was appended to sent; what follows is raw.
func (w *wire) headerEnds() {
	binary.LittleEndian.PutUint32(w.sent[prefix+1+8:], uint32(len(w.sent)-prefix-fixed))
}

// send writes the frame that was begun, until the deadline; none if it is zero.
func (w *wire) send(deadline time.Time) error {
	binary.LittleEndian.PutUint32(w.sent, uint32(len(w.sent)-prefix))
	if err := w.out.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err := w.out.Write(w.sent)
	if cap(w.sent) > keep {
		w.sent = nil
	}
	return err
}

// receive reads the next frame, until the read deadline that was set. io.EOF means that the child closed its end.
func (w *wire) receive() (frame, error) {
	if w.from == w.to {
		w.from, w.to = 0, 0
		if cap(w.buffer) > keep {
			w.buffer = nil
		}
	}
	if err := w.fill(prefix + fixed); err != nil {
		return frame{}, err
	}
	head := w.buffer[w.from:]
	size, headerSize := int(binary.LittleEndian.Uint32(head)), int(binary.LittleEndian.Uint32(head[prefix+9:]))
	f := frame{kind: frameType(head[prefix]), id: binary.LittleEndian.Uint64(head[prefix+1:])}
	if size < fixed || size > maxFrame || headerSize > min(maxHeader, size-fixed) || f.kind < frameHello || f.kind > frameDrain {
		return frame{}, errGarbage
	}
	if err := w.fill(prefix + size); err != nil {
		return frame{}, err
	}
	body := w.buffer[w.from+prefix+fixed : w.from+prefix+size]
	f.header, f.raw = body[:headerSize], body[headerSize:]
	w.from += prefix + size
	return f, nil
}

// fill reads until n bytes are there.
func (w *wire) fill(n int) error {
	if w.to-w.from >= n {
		return nil
	}
	if len(w.buffer)-w.from < n {
		b := make([]byte, max(n, 32<<10))
		w.to = copy(b, w.buffer[w.from:w.to])
		w.buffer, w.from = b, 0
	}
	for w.to-w.from < n {
		got, err := w.in.Read(w.buffer[w.to:])
		w.to += got
		if err != nil && w.to-w.from < n {
			if errors.Is(err, io.EOF) && w.to > w.from {
				return fmt.Errorf("in the middle of an answer: %w", io.ErrUnexpectedEOF)
			}
			return err
		}
	}
	return nil
}

func (w *wire) close() {
	_ = w.in.Close() // a pipe loses nothing by that
	if w.out != w.in {
		_ = w.out.Close()
	}
}
