package port

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// chunk is what is read of a connection at a time until it is known. Most requests of HTTP/1.1 fit.
type chunk [4096]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// lookPlain tells HTTP/1.1 from HTTP/2 by the first bytes: HTTP/2 begins with its preface.
func (p *Port) lookPlain(raw net.Conn) (net.Conn, *queue) {
	buf := chunks.Get().(*chunk)
	n := 0
	for {
		m, err := raw.Read(buf[n:])
		n += m
		if !strings.HasPrefix(http2.ClientPreface, string(buf[:min(n, len(http2.ClientPreface))])) {
			return &replay{Conn: raw, pending: buf[:n], buf: buf}, p.http
		}
		if n >= len(http2.ClientPreface) {
			break
		}
		if err != nil {
			chunks.Put(buf)
			return nil, nil
		}
	}
	have := append([]byte(nil), buf[:n]...)
	chunks.Put(buf)
	return p.lookHTTP2(raw, nil, have)
}

// Bounds of what is read of an HTTP/2 connection before its first request is known.
const (
	maxFrame = 16 << 10 // what SETTINGS_MAX_FRAME_SIZE begins with
	maxHello = 64 << 10
)

var (
	emptySettings = []byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}
	// goAway says: no stream was answered, and nothing went wrong.
	goAway = []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
)

// lookHTTP2 reads frames up to the end of the first HEADERS. Its content type says who the connection is for.
//
// Some clients (those of gRPC among them) send no request before they have the server's SETTINGS. So an empty SETTINGS frame goes out at
// once; the server that gets the connection sends its own as a second one, which HTTP/2 allows at any time. The client acknowledges both
// in their order: the first acknowledgement is ours and is taken out of what the server reads, now or later.
func (p *Port) lookHTTP2(conn net.Conn, secure *tls.Conn, have []byte) (net.Conn, *queue) {
	h := &hello{conn: conn, have: have}
	if !h.fill(len(http2.ClientPreface)) {
		return nil, nil
	}
	out := &secured{filter: filter{Conn: conn}, secure: secure}
	if string(h.have[:len(http2.ClientPreface)]) != http2.ClientPreface {
		out.pending, out.plain = h.have, true
		return out, p.http // which says what is wrong
	}
	if _, err := conn.Write(emptySettings); err != nil {
		return nil, nil
	}
	h.at = len(http2.ClientPreface)
	grpc, err := h.first()
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) && h.settings {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write(goAway) // clients make a new connection when they need one
		}
		return nil, nil
	}
	out.pending, out.plain = h.have, h.acked
	out.skip = len(http2.ClientPreface) // no frame
	if grpc {
		return out, p.grpc
	}
	return out, p.http
}

// hello is the beginning of an HTTP/2 connection.
type hello struct {
	conn     net.Conn
	have     []byte // what the server will read: all bytes but those that were for us
	at       int    // where the next frame begins in have
	acked    bool   // our SETTINGS are acknowledged
	settings bool   // the client's SETTINGS are there
	err      error  // that ended the reading
}

var errNotHTTP2 = errors.New("not HTTP/2")

// fill reads until n bytes are there.
func (h *hello) fill(n int) bool {
	for len(h.have) < n {
		if cap(h.have)-len(h.have) < 512 {
			h.have = append(make([]byte, 0, max(2*cap(h.have), 2048)), h.have...)
		}
		m, err := h.conn.Read(h.have[len(h.have):cap(h.have)])
		h.have = h.have[:len(h.have)+m]
		if err != nil && len(h.have) < n {
			h.err = err
			return false
		}
	}
	return true
}

// first tells whether the first request is one of gRPC. A connection that cannot be understood is not: the HTTP server ends it in the
// form that HTTP/2 asks for. An error is a connection that ended or said nothing.
func (h *hello) first() (grpc bool, err error) {
	var block []byte
	for {
		f, payload, err := h.frame()
		if errors.Is(err, errNotHTTP2) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		from, to := h.at, h.at+frameHeader+len(payload)
		switch f.kind {
		case http2.FrameSettings:
			if f.flags.Has(http2.FlagSettingsAck) && len(payload) == 0 {
				if !h.acked {
					h.acked = true
					h.cut(from, to)
					continue
				}
				break
			}
			if !h.settings {
				h.settings = true
				if err := h.conn.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
					return false, err
				}
			}
		case http2.FramePing:
			if len(payload) == 8 && !f.flags.Has(http2.FlagPingAck) {
				pong := append([]byte{0, 0, 8, byte(http2.FramePing), byte(http2.FlagPingAck), 0, 0, 0, 0}, payload...)
				if _, err := h.conn.Write(pong); err != nil {
					return false, err
				}
				h.cut(from, to)
				continue
			}
		case http2.FrameHeaders:
			part, ok := fragment(f, payload)
			if !ok {
				return false, nil
			}
			if block = append(block, part...); f.flags.Has(http2.FlagHeadersEndHeaders) {
				return isGRPC(block), nil
			}
		case http2.FrameContinuation:
			if block = append(block, payload...); f.flags.Has(http2.FlagContinuationEndHeaders) {
				return isGRPC(block), nil
			}
		case http2.FrameData, http2.FrameRSTStream, http2.FrameGoAway:
			return false, nil
		}
		h.at = to
		if to > maxHello {
			return false, nil
		}
	}
}

// cut takes a frame that was for us out of what the server will read.
func (h *hello) cut(from, to int) { h.have = append(h.have[:from], h.have[to:]...) }

const frameHeader = 9

type frame struct {
	kind  http2.FrameType
	flags http2.Flags
}

// frame reads the frame at h.at.
func (h *hello) frame() (f frame, payload []byte, err error) {
	if !h.fill(h.at + frameHeader) {
		return f, nil, h.err
	}
	b := h.have[h.at:]
	size := int(b[0])<<16 | int(binary.BigEndian.Uint16(b[1:]))
	f = frame{http2.FrameType(b[3]), http2.Flags(b[4])}
	if size > maxFrame || !h.settings && f.kind != http2.FrameSettings {
		return f, nil, errNotHTTP2
	}
	if !h.fill(h.at + frameHeader + size) {
		return f, nil, h.err
	}
	return f, h.have[h.at+frameHeader : h.at+frameHeader+size], nil
}

// fragment is the part of the header block in a HEADERS frame, without padding and priority.
func fragment(f frame, payload []byte) ([]byte, bool) {
	pad := 0
	if f.flags.Has(http2.FlagHeadersPadded) {
		if len(payload) < 1 {
			return nil, false
		}
		pad, payload = int(payload[0]), payload[1:]
	}
	if f.flags.Has(http2.FlagHeadersPriority) {
		if len(payload) < 5 {
			return nil, false
		}
		payload = payload[5:]
	}
	if pad > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-pad], true
}

// isGRPC looks for the content type in a header block. The server that gets the connection reads the block again, from the same state.
func isGRPC(block []byte) bool {
	found := false
	d := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "content-type" {
			rest, ok := strings.CutPrefix(f.Value, "application/grpc")
			found = found || ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
		}
	})
	d.SetMaxStringLength(maxHello)
	if _, err := d.Write(block); err != nil {
		return false
	}
	return found
}
