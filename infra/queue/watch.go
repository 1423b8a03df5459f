package queue

import "sync"

// watchBuffer is how many changes a watcher may be behind before the oldest are dropped for it.
const watchBuffer = 256

type watcher struct{ jobs chan Job }

// Watch gives every change of a job from now on, progress at most ten times a second, and a function that ends the
// watch and closes the channel. A watcher that is more than 256 changes behind loses the oldest; Follow does not.
func (q *Queue) Watch() (<-chan Job, func()) {
	w := &watcher{jobs: make(chan Job, watchBuffer)}
	q.mu.Lock()
	q.watchers[w] = struct{}{}
	q.mu.Unlock()
	return w.jobs, sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.watchers, w)
		close(w.jobs)
	})
}

func (q *Queue) broadcast(job Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := range q.watchers {
		for sent := false; !sent; {
			select {
			case w.jobs <- job:
				sent = true
			default:
				select {
				case <-w.jobs:
				default:
				}
			}
		}
	}
}
