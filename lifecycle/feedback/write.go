package feedback

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// scratch is what Record reuses between calls.
type scratch struct {
	buf     []byte
	entries []entry
	schemas []schema
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// Record writes predictions of one deployment and returns when the promise of the level holds for all of them: one system call and
// no fsync for required, one shared fsync for strict, a place in a bounded queue or a counted drop for best_effort. When they cannot
// be written the error is fault.Unavailable, and none of them is kept.
func (s *Service) Record(_ context.Context, level string, recs []serve.Prediction) error {
	if len(recs) == 0 {
		return nil
	}
	select {
	case <-s.ended:
		return fault.New(fault.Unavailable, "the inference log is closed")
	default:
	}
	l, err := s.need(recs[0].Deployment)
	if err != nil {
		return s.failed(err)
	}
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	sc.buf, sc.entries, sc.schemas = sc.buf[:0], sc.entries[:0], sc.schemas[:0]
	for i := range recs {
		p := &recs[i]
		if p.Signature == nil || p.Deployment != l.name {
			return errors.New("a prediction without a signature, or of another deployment, was given to the log")
		}
		signed, err := l.schemaOf(p.Signature)
		if err != nil {
			return s.failed(err)
		}
		sc.schemas = withSchema(sc.schemas, schema{signed.number, signed.sig})
		e := l.entryOf(p, signed.number)
		e.position = position(len(sc.buf))
		sc.entries = append(sc.entries, e)
		sc.buf = appendPrediction(sc.buf, p, signed.number)
	}
	if level == serve.LogBestEffort {
		s.enqueue(l, sc)
		return nil
	}
	if err := s.commit(l, sc.buf, sc.entries, sc.schemas); err != nil {
		return s.failed(err)
	}
	if level == serve.LogStrict {
		if err := l.predictions.sync(); err != nil {
			return s.failed(err)
		}
		return nil
	}
	s.syncSoon(l)
	return nil
}

func withSchema(list []schema, s schema) []schema {
	for _, have := range list {
		if have.number == s.number {
			return list
		}
	}
	return append(list, s)
}

// commit writes records and takes them into the index. The positions of entries are offsets in buf.
func (s *Service) commit(l *deploymentLog, buf []byte, entries []entry, schemas []schema) error {
	number, base, err := l.predictions.append(buf, schemas)
	if err != nil {
		return err
	}
	for i := range entries {
		entries[i].position = segmentPosition(number, base+uint32(entries[i].position))
	}
	l.index(entries)
	s.metrics.recorded.Add(int64(len(entries)))
	return nil
}

// failed counts a failure to record and makes it a fault.
func (s *Service) failed(err error) error {
	s.metrics.failures.Add(1)
	return fault.Wrap(err, fault.Unavailable, "the prediction could not be logged, so it is not answered").
		WithHint("the disk may be full; the server goes on by itself when it can write again")
}

// syncSoon asks the sync loop for l.
func (s *Service) syncSoon(l *deploymentLog) {
	if l.unsynced.Swap(true) {
		return
	}
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// syncLoop brings what was written to the disk soon after.
func (s *Service) syncLoop() {
	defer s.workers.Done()
	timer := time.NewTimer(syncEvery)
	defer timer.Stop()
	for {
		select {
		case <-s.dirty:
		case <-s.stop:
			return // Close syncs every log
		}
		timer.Reset(syncEvery)
		select {
		case <-timer.C:
		case <-s.stop:
			return
		}
		s.mu.RLock()
		logs := make([]*deploymentLog, 0, len(s.logs))
		for _, l := range s.logs {
			if l.unsynced.Swap(false) {
				logs = append(logs, l)
			}
		}
		s.mu.RUnlock()
		for _, l := range logs {
			if err := errors.Join(l.predictions.sync(), l.outcomes.sync()); err != nil {
				s.metrics.syncFailures.Add(1)
				s.log.Error("the inference log could not be synced", "deployment", l.name, "error", err)
			}
		}
	}
}

// enqueue hands predictions to the writer, or drops and counts them.
func (s *Service) enqueue(l *deploymentLog, sc *scratch) {
	q := queued{l: l, buf: append([]byte(nil), sc.buf...), entries: append([]entry(nil), sc.entries...), schemas: append([]schema(nil), sc.schemas...)}
	select {
	case s.queue <- q:
	default:
		l.dropped.Add(int64(len(q.entries)))
	}
}

// writeLoop writes what best_effort has queued. Close waits until the queue is empty.
func (s *Service) writeLoop() {
	defer s.workers.Done()
	write := func(q queued) {
		if err := s.commit(q.l, q.buf, q.entries, q.schemas); err != nil {
			q.l.dropped.Add(int64(len(q.entries)))
			s.metrics.failures.Add(1)
			return
		}
		s.syncSoon(q.l)
	}
	for {
		select {
		case q := <-s.queue:
			write(q)
		case <-s.stop:
			for {
				select {
				case q := <-s.queue:
					write(q)
				default:
					return
				}
			}
		}
	}
}

// Add takes a batch of outcomes of a deployment and answers item by item, in order. Items are written before Add returns (and are on
// the disk within 50 ms). An error means that the log could not be written: the items before the one that failed are kept, and the
// same batch may be sent again, because what was received already has no effect.
func (s *Service) Add(ctx context.Context, deployment string, outcomes []Outcome) ([]Answer, error) {
	select {
	case <-s.ended:
		return nil, fault.New(fault.Unavailable, "the log of outcomes is closed")
	default:
	}
	l, err := s.need(deployment)
	if err != nil {
		return nil, err
	}
	now := time.Time{}
	answers := make([]Answer, 0, len(outcomes))
	var from, to int64
	changed := false
	l.add.Lock()
	for i := range outcomes {
		o := outcomes[i]
		if o.KnownAt.IsZero() && now.IsZero() {
			now = s.cfg.Now(deployment)
		}
		a := Answer{Status: Rejected}
		if err := l.clean(&o, now); err != nil {
			a.Why = whyOf(err)
		} else {
			var j judgement
			if j, err = s.accept(l, &o); err != nil {
				l.add.Unlock()
				s.metrics.failures.Add(1)
				return nil, fault.Wrap(err, fault.Unavailable, "outcome %d of %d could not be logged", i+1, len(outcomes)).
					WithHint("send the batch again when the disk has room; what was received already has no effect")
			}
			a = j.answer
			if a.Status == Accepted || a.Status == Revised {
				l.mu.RLock()
				for _, t := range j.targets {
					at := l.ix.entry(t).at
					if !changed {
						from, to, changed = at, at, true
					}
					from, to = min(from, at), max(to, at)
				}
				l.mu.RUnlock()
			}
		}
		s.metrics.answered(a.Status)
		answers = append(answers, a)
	}
	l.add.Unlock()
	s.syncSoon(l)
	if changed {
		for _, f := range s.labels {
			f(ctx, deployment, time.UnixMicro(from).UTC(), time.UnixMicro(to).UTC())
		}
	}
	return answers, nil
}

// accept judges a clean outcome, writes it when it says something new, and makes it hold. The caller holds l.add.
func (s *Service) accept(l *deploymentLog, o *Outcome) (judgement, error) {
	l.mu.RLock()
	j := l.judge(o)
	l.mu.RUnlock()
	if !j.keep {
		return j, nil
	}
	buf, err := appendOutcome(nil, o, time.Now())
	if err != nil {
		return j, err
	}
	number, offset, err := l.outcomes.append(buf, nil)
	if err != nil {
		return j, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// A prediction of this key may have been recorded since it was judged.
	answer := j.answer
	j = l.judge(o)
	if j.answer.Status == Rejected {
		j.answer = answer
		return j, nil
	}
	l.apply(o, j, segmentPosition(number, offset))
	if j.answer.Status == Duplicate {
		j.answer = answer
	}
	return j, nil
}
