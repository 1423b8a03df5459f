package track

import (
	"maps"
	"slices"
	"sync"
)

// What changed about a run.
const (
	ChangeCreated = "created"
	ChangeUpdated = "updated" // a fact, a parameter, a tag, an input
	ChangeMetrics = "metrics" // new points, at most once a second
	ChangeDeleted = "deleted"
	ChangeRemoved = "removed" // for good
)

// Change is what a watcher hears. Run is empty when it is about the experiment itself, What is empty when the watcher was too slow
// and has to look at everything again.
type Change struct {
	Run        string `json:"run,omitempty"`
	Experiment string `json:"experiment"`
	What       string `json:"what"`
}

// watchBuffer is how many different changes a watcher may be behind.
const watchBuffer = 256

// watchers hear of changes on this server, each change once until it is read.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]struct{}
}

type watcher struct {
	experiments []string // none = all
	wake        chan struct{}

	mu      sync.Mutex
	waiting map[Change]struct{}
	lost    bool
}

// Watch gives the changes of experiments and their runs from now on (of all when none is named), and a function that ends the watch and
// closes the channel. Equal changes that nobody has read yet are told once; a watcher that is far behind hears one Change without What for
// each experiment.
func (s *Service) Watch(experiments ...string) (<-chan Change, func()) {
	w := &watcher{experiments: experiments, wake: make(chan struct{}, 1), waiting: map[Change]struct{}{}}
	out, end, ended := make(chan Change), make(chan struct{}), make(chan struct{})
	s.watchers.mu.Lock()
	s.watchers.all[w] = struct{}{}
	s.watchers.mu.Unlock()
	go func() {
		defer close(ended)
		defer close(out)
		for {
			select {
			case <-end:
				return
			case <-w.wake:
			}
			for _, c := range w.take() {
				select {
				case out <- c:
				case <-end:
					return
				}
			}
		}
	}()
	return out, sync.OnceFunc(func() {
		s.watchers.mu.Lock()
		delete(s.watchers.all, w)
		s.watchers.mu.Unlock()
		close(end)
		<-ended
	})
}

func (w *watcher) take() []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost {
		w.lost = false
		if len(w.experiments) == 0 {
			return []Change{{}}
		}
		out := make([]Change, len(w.experiments))
		for i, e := range w.experiments {
			out[i].Experiment = e
		}
		return out
	}
	out := make([]Change, 0, len(w.waiting))
	for c := range maps.Keys(w.waiting) {
		out = append(out, c)
	}
	clear(w.waiting)
	return out
}

func (ws *watchers) tell(c Change) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		if len(w.experiments) > 0 && !slices.Contains(w.experiments, c.Experiment) {
			continue
		}
		w.mu.Lock()
		if w.waiting[c] = struct{}{}; len(w.waiting) > watchBuffer {
			w.lost = true
			clear(w.waiting)
		}
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
