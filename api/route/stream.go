package route

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// heartbeat is how often a silent stream says that it is alive, so that proxies keep it and dead readers are noticed.
const heartbeat = 15 * time.Second

// Stream is a server-sent event stream to one reader. It is safe for concurrent use.
type Stream struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// Open sends the head of the answer, so that the reader knows it is connected before the first event. Once the stream
// is open it does nothing.
func (s *Stream) Open() error {
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if begun {
		return nil
	}
	return s.send(": open\n\n")
}

// Send sends one event: data as JSON; event and id may be empty. An error means that the reader is gone.
func (s *Stream) Send(event, id string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	if event != "" {
		fmt.Fprintf(&b, "event: %s\n", event)
	}
	fmt.Fprintf(&b, "data: %s\n\n", body)
	return s.send(b.String())
}

func (s *Stream) send(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
	}
	// A reader that takes nothing for this long is gone; not every writer knows deadlines.
	_ = s.control.SetWriteDeadline(time.Now().Add(2 * heartbeat))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// beat keeps the stream alive until ctx ends, and ends it when the server drains or the reader is gone.
func (s *Stream) beat(ctx context.Context, cancel func(), drain <-chan struct{}) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-drain:
			cancel()
			return
		case <-ticker.C:
			s.mu.Lock()
			begun := s.begun
			s.mu.Unlock()
			if begun && s.send(": alive\n\n") != nil {
				cancel()
				return
			}
		}
	}
}

// HandleStream adds a server-sent event stream. The context ends when the reader leaves or the server drains.
// An error before the first byte is answered as a problem; later ones end the stream.
func (r *Router) HandleStream(pattern string, a Access, h func(ctx context.Context, req *http.Request, s *Stream) error) {
	r.Handle(http.MethodGet, pattern, a, func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithCancel(req.Context())
		s := &Stream{w: w, control: http.NewResponseController(w)}
		var beats sync.WaitGroup
		beats.Go(func() { s.beat(ctx, cancel, r.drain) })
		err := h(ctx, req, s)
		left := ctx.Err() != nil
		cancel()
		beats.Wait()
		if !s.begun && err != nil && !left {
			r.Error(w, req, err)
		}
		_ = s.control.SetWriteDeadline(time.Time{})
	})
}
