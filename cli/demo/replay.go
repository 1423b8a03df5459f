package demo

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// firstDay is midnight in New York on 1 April: where the project's own data ends and the replay begins.
var firstDay = time.Date(2013, 4, 1, 4, 0, 0, 0, time.UTC)

// outcomeDelay is how long after departure the truth is known.
const outcomeDelay = 24 * time.Hour

// outcomeBatch is how many outcomes one request carries.
const outcomeBatch = 1000

// replay is the state of one run through the year.
type replay struct {
	*Demo
	connections []*connection
	requests    atomic.Int64
	failed      atomic.Int64
	mu          sync.Mutex
	answered    []string // ids of predictions
	waiting     []truth  // outcomes that are not known yet
	lastID      string   // of the newest event told
	firstErr    error
}

type truth struct {
	PredictionID string         `json:"prediction_id,omitempty"`
	Key          string         `json:"key,omitempty"`
	At           *time.Time     `json:"at,omitempty"`
	KnownAt      time.Time      `json:"known_at"`
	Values       map[string]any `json:"values"`
}

func (d *Demo) apply(ctx context.Context) error {
	source, err := os.ReadFile(filepath.Join(d.Project(), "trimtab.yaml"))
	if err != nil {
		return err
	}
	var job struct {
		ID string `json:"id"`
	}
	in := map[string]any{"file": string(source), "dir": d.Project(), "at": firstDay, "cause": "first version"}
	if err := d.client.call(ctx, http.MethodPost, "/api/v1/projects/"+projectName+"/apply", in, &job); err != nil {
		return err
	}
	return d.waitJob(ctx, job.ID)
}

func (d *Demo) waitJob(ctx context.Context, id string) error {
	for {
		var job struct {
			State string `json:"state"`
			Error *struct {
				Code    fault.Code `json:"code"`
				Message string     `json:"message"`
				Hint    string     `json:"hint"`
			} `json:"error"`
		}
		if err := d.client.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, nil, &job); err != nil {
			return err
		}
		switch job.State {
		case "done":
			return nil
		case "failed", "canceled":
			if job.Error != nil {
				return fault.New(job.Error.Code, "%s", job.Error.Message).WithHint("%s", job.Error.Hint)
			}
			return fault.New(fault.Internal, "job %s %s", id, job.State)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Run replays April to December and returns the summary. It is called once.
func (d *Demo) Run(ctx context.Context) (*Summary, error) {
	read := <-d.replay
	days, err := read.days, read.err
	if err != nil {
		return nil, err
	}
	r := &replay{Demo: d, lastID: strings.Repeat("0", 32)} // before every event
	for range d.opt.Connections {
		c, err := newConnection(d.URL())
		if err != nil {
			return nil, err
		}
		defer c.close()
		r.connections = append(r.connections, c)
	}
	if err := r.tell(ctx); err != nil {
		return nil, err
	}
	inc := d.incidents()
	released := d.without(BadRelease)
	bar := d.opt.IO.Progress("Replaying 2013")
	defer bar.Done()
	for i, day := range days {
		today := day[0].at.Truncate(24 * time.Hour)
		if !d.without(Celsius) && !today.Before(inc.celsiusFrom) && today.Before(inc.celsiusTo) {
			breakSensors(day, d.opt.Seed)
			if today.Equal(inc.celsiusFrom) {
				d.say("%s  incident: temperatures arrive in Celsius for two days, a tenth of them missing", today.Format("2 Jan"))
			}
		}
		if !released && !today.Before(inc.release) {
			if released, err = r.badRelease(ctx, today); err != nil {
				return nil, err
			}
		}
		if err := r.send(ctx, day); err != nil {
			return nil, err
		}
		if err := r.settle(ctx, today.Add(24*time.Hour)); err != nil {
			return nil, err
		}
		bar.Update(int64(i+1), int64(len(days)), "days", today.Format("2 January"))
	}
	if last := r.lastOutcome(); !last.IsZero() {
		if err := r.settle(ctx, last); err != nil {
			return nil, err
		}
	}
	bar.Done()
	return r.summary(ctx)
}

// lastOutcome is when everything that waits is known; zero when nothing waits.
func (r *replay) lastOutcome() (last time.Time) {
	for _, t := range r.waiting {
		if t.KnownAt.After(last) {
			last = t.KnownAt
		}
	}
	return last
}

// send posts a day's flights over the connections, each flight one request.
func (r *replay) send(ctx context.Context, day []departure) error {
	work := make(chan *departure)
	var workers sync.WaitGroup
	for _, c := range r.connections {
		workers.Go(func() {
			for f := range work {
				r.one(ctx, c, f)
			}
		})
	}
	for i := range day {
		work <- &day[i]
	}
	close(work)
	workers.Wait()
	return ctx.Err()
}

func (r *replay) one(ctx context.Context, c *connection, f *departure) {
	r.requests.Add(1)
	c.body = f.body(c.body[:0])
	id, err := c.predict(ctx, c.body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed.Add(1)
		if r.firstErr == nil {
			r.firstErr = err
			r.say("a request failed: %v", err)
		}
		return
	}
	r.answered = append(r.answered, id)
	t := truth{PredictionID: id, KnownAt: f.at.Add(outcomeDelay), Values: map[string]any{"arr_delay": nil}}
	if !math.IsNaN(f.delay) {
		t.Values["arr_delay"] = f.delay
	}
	if f.at.YearDay()%2 == 0 { // every other day the truth names the flight and not the prediction
		at := f.at
		t.PredictionID, t.Key, t.At = "", f.key, &at
	}
	r.waiting = append(r.waiting, t)
}

// settle sends the outcomes known by now, moves the clock, and waits until the project's jobs are done.
func (r *replay) settle(ctx context.Context, now time.Time) error {
	var due, later []truth
	for _, t := range r.waiting {
		if t.KnownAt.After(now) {
			later = append(later, t)
		} else {
			due = append(due, t)
		}
	}
	r.waiting = later
	for len(due) > 0 {
		n := min(outcomeBatch, len(due))
		if err := r.client.call(ctx, http.MethodPost, "/api/v1/deployments/"+deployment+"/outcomes", map[string]any{"outcomes": due[:n]}, nil); err != nil {
			return err
		}
		due = due[n:]
	}
	if err := r.client.call(ctx, http.MethodPost, "/api/v1/projects/"+projectName+"/clock", map[string]any{"at": now}, nil); err != nil {
		return err
	}
	for {
		var idle struct {
			Idle bool `json:"idle"`
		}
		if err := r.client.call(ctx, http.MethodGet, "/api/v1/projects/"+projectName+"/idle", nil, &idle); err != nil {
			return err
		}
		if idle.Idle {
			return r.tell(ctx)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// badRelease trains on shuffled labels and forces the result past its gate. While a rollout is under way it waits for another day.
func (r *replay) badRelease(ctx context.Context, today time.Time) (bool, error) {
	var last struct {
		State string `json:"state"`
	}
	if err := r.client.call(ctx, http.MethodGet, "/api/v1/deployments/"+deployment+"/rollout", nil, &last); err != nil {
		return false, err
	}
	if last.State == "running" || last.State == "paused" {
		return false, nil
	}
	r.say("%s  incident: somebody trains on shuffled labels and forces the release", today.Format("2 Jan"))
	in := map[string]any{"cause": "hotfix, labels not checked", "permute_labels": true, "force": map[string]any{"reason": "we know what we are doing"}}
	if err := r.client.call(ctx, http.MethodPost, "/api/v1/models/"+model+"/versions", in, nil); err != nil {
		return false, err
	}
	return true, r.settle(ctx, today)
}

// event is a line of the server's audit log.
type event struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
}

// tell prints what happened since the last time.
func (r *replay) tell(ctx context.Context) error {
	for {
		var page struct {
			Items []event `json:"items"`
		}
		if err := r.client.call(ctx, http.MethodGet, fmt.Sprintf("/api/v1/events?project=%s&after=%s&limit=500", projectName, r.lastID), nil, &page); err != nil {
			return err
		}
		for _, e := range page.Items {
			r.lastID = e.ID
			r.say("%s  %s", e.At.Format("_2 Jan"), r.opt.IO.Level(e.Level, e.Message))
		}
		if len(page.Items) < 500 {
			return nil
		}
	}
}
