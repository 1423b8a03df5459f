package port

import (
	"crypto/tls"
	"io"
	"net"
)

// replay is a connection whose first bytes have been read already.
type replay struct {
	net.Conn
	pending []byte
	buf     *chunk // holds pending; goes back to its pool
}

// Read gives what was read before, then what comes.
func (c *replay) Read(b []byte) (int, error) {
	if c.buf == nil {
		return c.Conn.Read(b)
	}
	n := copy(b, c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		chunks.Put(c.buf)
		c.buf, c.pending = nil, nil
	}
	return n, nil
}

// ReadFrom lets the system send files by itself.
func (c *replay) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite tells the other side that nothing more comes.
func (c *replay) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// filter is an HTTP/2 connection whose first bytes have been read, and out of which the acknowledgement of our SETTINGS is taken.
type filter struct {
	net.Conn
	pending []byte // read already
	skip    int    // bytes of pending, or to come, up to the next frame
	plain   bool   // the acknowledgement is out: nothing to look for
}

// Read gives whole parts of frames, without the one frame that was for us.
func (c *filter) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if c.plain {
			if len(c.pending) == 0 {
				c.pending = nil
				return c.Conn.Read(b)
			}
			n := copy(b, c.pending)
			c.pending = c.pending[n:]
			return n, nil
		}
		if c.skip > 0 {
			if len(c.pending) == 0 {
				n, err := c.Conn.Read(b[:min(len(b), c.skip)])
				c.skip -= n
				return n, err
			}
			n := copy(b, c.pending[:min(len(c.pending), c.skip)])
			c.pending, c.skip = c.pending[n:], c.skip-n
			return n, nil
		}
		for len(c.pending) < frameHeader {
			more := make([]byte, 512)
			n, err := c.Conn.Read(more)
			c.pending = append(c.pending, more[:n]...)
			if err != nil && len(c.pending) < frameHeader {
				if len(c.pending) > 0 {
					c.plain = true // what is left is no frame
					break
				}
				return 0, err
			}
		}
		if c.plain {
			continue
		}
		h := c.pending
		if h[0]|h[1]|h[2] == 0 && h[3] == 4 && h[4]&1 == 1 { // SETTINGS, ACK
			c.pending, c.plain = h[frameHeader:], true
			continue
		}
		c.skip = frameHeader + int(h[0])<<16 + int(h[1])<<8 + int(h[2])
	}
}

// secured is a filter that remembers what TLS it came by.
type secured struct {
	filter
	secure *tls.Conn
}

// TLSOf is the state of TLS of a connection of HTTP/2 from Port.HTTP; nil when it has none or net/http knows it itself.
func TLSOf(conn net.Conn) *tls.ConnectionState {
	if c, ok := conn.(*secured); ok && c.secure != nil {
		state := c.secure.ConnectionState()
		return &state
	}
	return nil
}
