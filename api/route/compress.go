package route

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

// smallest is the size in bytes below which compressing costs more than it saves.
const smallest = 1024

var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
	return z
}}

// compressor is an answer that is sent with gzip when its type is text and it is not small.
type compressor struct {
	http.ResponseWriter
	status  int
	held    []byte // the start of the body, until it is decided
	decided bool
	zip     *gzip.Writer // nil = plain
}

// WriteHeader waits for the decision. An interim answer (1xx) passes at once.
func (c *compressor) WriteHeader(status int) {
	if status < 200 {
		c.ResponseWriter.WriteHeader(status)
		return
	}
	if c.status == 0 {
		c.status = status
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		c.decide(false)
	}
}

// Write holds the first bytes back until it is known whether there are enough of them.
func (c *compressor) Write(b []byte) (int, error) {
	if !c.decided {
		if !c.compressible() {
			c.decide(false)
		} else if len(c.held)+len(b) < smallest {
			c.held = append(c.held, b...)
			return len(b), nil
		} else {
			c.decide(true)
		}
	}
	if c.zip != nil {
		return c.zip.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

func (c *compressor) compressible() bool {
	h := c.Header()
	if h.Get("Content-Encoding") != "" || h.Get("Content-Range") != "" || c.status == http.StatusPartialContent {
		return false
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	switch kind {
	case "text/event-stream":
		return false
	case "application/json", "application/problem+json", "application/openapi+json", "application/openapi+yaml",
		"application/javascript", "application/wasm", "image/svg+xml", "application/x-ndjson":
		return true
	}
	return strings.HasPrefix(kind, "text/")
}

func (c *compressor) decide(zip bool) {
	if c.decided {
		return
	}
	c.decided = true
	h := c.Header()
	if zip {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		h.Del("Content-Length")
		if tag := h.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
			h.Set("Etag", "W/"+tag) // the same answer in other bytes
		}
		c.zip = gzips.Get().(*gzip.Writer)
		c.zip.Reset(c.ResponseWriter)
	}
	if c.status != 0 {
		c.ResponseWriter.WriteHeader(c.status)
	}
	if len(c.held) > 0 {
		held := c.held
		c.held = nil
		// A client that went away is noticed by the next Write.
		if c.zip != nil {
			_, _ = c.zip.Write(held)
		} else {
			_, _ = c.ResponseWriter.Write(held)
		}
	}
}

// Flush sends what there is; small answers that are flushed stay plain.
func (c *compressor) Flush() {
	c.decide(false)
	if c.zip != nil {
		_ = c.zip.Flush()
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// close sends what is held and ends the compressed stream.
func (c *compressor) close() {
	if !c.decided && c.status == 0 && len(c.held) == 0 {
		return
	}
	c.decide(false)
	if c.zip != nil {
		_ = c.zip.Close()
		c.zip.Reset(io.Discard)
		gzips.Put(c.zip)
		c.zip = nil
	}
}
