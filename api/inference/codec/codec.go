// Package codec is what the dialects of the data plane share: the memory of a request and its answer, bodies in and out with their
// compression, cells, and the tensors that a version with scores answers with.
//
// It owns pooled buffers and the bounds of what is read. It must never know a dialect, and it holds no rule about rows: serve does.
package codec

import (
	"context"
	"log/slog"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// DefaultMaxBody bounds a request when Options do not.
const DefaultMaxBody = 8 << 20

// Options are what the doors say about the program, and what they take.
type Options struct {
	Version string       // of the program
	Log     *slog.Logger // nil = slog.Default()
	MaxBody int64        // bytes of a request, as sent and inflated; 0 = DefaultMaxBody
	Started time.Time    // of the program; zero = not told

	// Champion makes a loaded version the one that answers, for a reason that is audited; nil = the route alone changes.
	Champion func(ctx context.Context, deployment string, version int, reason string) error
}

// Limit is the bytes that a request may have, as sent and inflated.
func (o Options) Limit() int64 {
	if o.MaxBody > 0 {
		return o.MaxBody
	}
	return DefaultMaxBody
}

// Logger is the log of the doors.
func (o Options) Logger() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.Default()
}

// TooManyRows is the fault of a request with more rows than are taken; parsers refuse with it before they have read them all.
func TooManyRows() error {
	return fault.New(fault.TooLarge, "the request has more than %d rows", serve.MaxRows).WithHint("send them in several requests")
}

// Clip keeps an error short, whatever a caller sent.
func Clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
