package term

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// redraw is how often a bar is drawn anew, and how soon the first one shows.
	redraw = 100 * time.Millisecond
	// lineEvery is how often progress is told where there is no terminal.
	lineEvery = 5 * time.Second
	barWidth  = 24
)

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Progress shows how far long work is, on standard error. It is safe for concurrent use; end it with Done.
type Progress struct {
	io    *IO
	title string
	start time.Time

	mu       sync.Mutex
	done     int64
	total    int64 // 0 = unknown
	unit     string
	message  string
	frame    int
	lastLine time.Time
	drawn    bool
	ended    bool

	stop    chan struct{}
	stopped sync.WaitGroup
}

// Progress starts to show progress under a title.
func (s *IO) Progress(title string) *Progress {
	if s.now == nil {
		s.now = time.Now
	}
	p := &Progress{io: s, title: title, start: s.now(), stop: make(chan struct{})}
	p.lastLine = p.start
	p.stopped.Go(func() {
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-ticker.C:
				p.draw()
			}
		}
	})
	return p
}

// Update tells how much is done of total (0 = unknown), in what unit, and what is going on.
func (p *Progress) Update(done, total int64, unit, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total, p.unit, p.message = done, total, unit, message
}

// Title changes the title.
func (p *Progress) Title(title string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.title = title
}

// Done ends the display: the bar is wiped, and the line below belongs to whoever writes next. Calling it again does nothing.
func (p *Progress) Done() {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.ended = true
	p.mu.Unlock()
	close(p.stop)
	p.stopped.Wait()
	if p.drawn {
		fmt.Fprint(p.io.Err, "\r\x1b[K")
	}
}

// draw shows the state once: as a bar on a terminal, as a line when it is time elsewhere.
func (p *Progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.io.now()
	if p.io.ErrTTY {
		p.frame++
		p.drawn = true
		fmt.Fprint(p.io.Err, "\r"+cut(p.bar(now), max(20, p.io.Width-1))+"\x1b[K")
		return
	}
	if now.Sub(p.lastLine) >= lineEvery {
		p.lastLine = now
		fmt.Fprintf(p.io.Err, "%s: %s\n", p.title, p.state(now))
	}
}

func (p *Progress) bar(now time.Time) string {
	if p.total <= 0 {
		return spinner[p.frame%len(spinner)] + " " + p.title + "  " + p.state(now)
	}
	full := int(float64(barWidth) * p.share())
	return p.title + "  " + strings.Repeat("█", full) + strings.Repeat("░", barWidth-full) + "  " + p.state(now)
}

func (p *Progress) share() float64 { return min(1, max(0, float64(p.done)/float64(p.total))) }

// state is the part of the display in words: 45 %, 450 of 1,000 rows, 90/s, 6.1 s left, message.
func (p *Progress) state(now time.Time) string {
	elapsed := now.Sub(p.start)
	var parts []string
	say := func(n int64) string {
		if p.unit == "bytes" {
			return Bytes(n)
		}
		return Count(n)
	}
	unit := strings.TrimSpace(" " + strings.TrimPrefix(p.unit, "bytes"))
	if unit != "" {
		unit = " " + unit
	}
	switch {
	case p.total > 0:
		parts = append(parts, fmt.Sprintf("%.0f %%", 100*p.share()), say(p.done)+" of "+say(p.total)+unit)
	case p.done > 0:
		parts = append(parts, say(p.done)+unit)
	}
	if rate := float64(p.done) / elapsed.Seconds(); p.done > 0 && elapsed >= time.Second {
		if p.unit == "bytes" {
			parts = append(parts, Bytes(int64(rate))+"/s")
		} else {
			parts = append(parts, Rate(rate))
		}
		if p.total > p.done {
			parts = append(parts, Duration(time.Duration(float64(p.total-p.done)/rate*float64(time.Second)))+" left")
		}
	}
	if len(parts) == 0 {
		parts = append(parts, Duration(elapsed.Truncate(redraw)))
	}
	if p.message != "" {
		parts = append(parts, p.message)
	}
	return strings.Join(parts, ", ")
}
