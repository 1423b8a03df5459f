package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// kinds in the order in which windows that are due at the same time are judged: an alert about broken data comes before what it causes.
var kinds = []string{Quality, Sudden, Drift, Performance}

const day = int64(24 * time.Hour / time.Microsecond)

// recheck is how many judged windows of each kind are looked at for late rows and truth.
const recheck = 8

// grace is how long after it is due a window is judged, so that requests that were on their way are in it.
func grace(width int64) int64 { return min(micros(time.Hour), width/24) }

// due is when the window that begins at from is complete: at its end; for performance, when its last truth should be known.
func due(p *Plan, kind string, from int64) int64 {
	at := from + widthOf(p, kind)
	if kind == Performance {
		at += micros(p.KnownAfter)
	}
	return at
}

// ready says whether a window that is due at that time is judged now. A clock that stands exactly there was set there, by somebody who
// has sent all that comes before.
func ready(at, width, now int64) bool { return now == at || now >= at+grace(width) }

// tickState is the progress of a project. The lock makes the ticks of a project one after another.
type tickState struct {
	mu      sync.Mutex
	next    int64 // nothing is due before
	checked int64 // the last day whose end was used to look for late rows and truth
}

// Tick judges every window that the project's clock, moving from one time to the other, has completed. It does nothing, fast, when
// none is due. Several windows are judged in the order of the times they became due.
func (s *Service) Tick(ctx context.Context, project string, from, to time.Time) error {
	s.mu.Lock()
	t := s.ticks[project]
	if t == nil {
		t = &tickState{}
		s.ticks[project] = t
	}
	s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()

	now := to.UnixMicro()
	if now < t.next && !s.unknown.Swap(false) {
		return nil
	}
	plans, err := s.Plans.Plans(ctx, project)
	if err != nil {
		return fmt.Errorf("monitor %s: %w", project, err)
	}
	slices.SortFunc(plans, func(a, b Plan) int { return cmp.Compare(a.Deployment, b.Deployment) })
	s.adopt(plans)
	if len(plans) == 0 {
		t.next = now + micros(time.Minute) // Refresh, or a deployment that is observed, asks sooner
		return nil
	}
	judged := map[string]int64{} // start of the next window, by deployment and kind
	for i := range plans {
		if err := s.progress(ctx, &plans[i], from.UnixMicro(), judged); err != nil {
			return err
		}
	}
	if today := align(now-micros(time.Hour), day); today > t.checked {
		// The windows of yesterday may have got rows and truth since they were judged.
		if t.checked > 0 {
			for i := range plans {
				if err := s.revise(ctx, &plans[i], now); err != nil {
					return err
				}
			}
		}
		t.checked = today
	}
	for {
		p, kind, at := earliest(plans, judged, now)
		if p == nil {
			break
		}
		key := p.Deployment + "\x00" + kind
		if err := s.judge(ctx, p, kind, judged[key], at, 0); err != nil {
			t.next = 0
			return err
		}
		judged[key] += widthOf(p, kind)
		if err := s.setProgress(ctx, p.Deployment, kind, judged[key]); err != nil {
			return err
		}
	}
	t.next = wake(plans, judged, now)
	t.next = min(t.next, t.checked+day+micros(time.Hour))
	for i := range plans {
		s.trim(&plans[i], judged)
	}
	return nil
}

// earliest is the window that is ready and was due first, nil when there is none; ties go by kind, then by deployment.
func earliest(plans []Plan, judged map[string]int64, now int64) (best *Plan, kind string, at int64) {
	for _, k := range kinds {
		for i := range plans {
			p := &plans[i]
			width := widthOf(p, k)
			if width == 0 {
				continue
			}
			if d := due(p, k, judged[p.Deployment+"\x00"+k]); ready(d, width, now) && (best == nil || d < at) {
				best, kind, at = p, k, d
			}
		}
	}
	return best, kind, at
}

// wake is the next time at which a window may be ready.
func wake(plans []Plan, judged map[string]int64, now int64) int64 {
	next := int64(math.MaxInt64)
	for _, k := range kinds {
		for i := range plans {
			width := widthOf(&plans[i], k)
			if width == 0 {
				continue
			}
			d := due(&plans[i], k, judged[plans[i].Deployment+"\x00"+k])
			if d <= now {
				d += grace(width)
			}
			next = min(next, d)
		}
	}
	return next
}

// progress reads where judging stands; a deployment seen for the first time begins with the windows that hold from.
func (s *Service) progress(ctx context.Context, p *Plan, from int64, judged map[string]int64) error {
	stored, err := s.storedProgress(ctx, p.Deployment)
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		width := widthOf(p, kind)
		if width == 0 {
			continue
		}
		start, ok := stored[kind]
		if !ok {
			start = from
		}
		start = align(start, width)
		judged[p.Deployment+"\x00"+kind] = start
		if !ok {
			if err := s.setProgress(ctx, p.Deployment, kind, start); err != nil {
				return err
			}
		}
	}
	return nil
}

// trim forgets the counts that no open window needs.
func (s *Service) trim(p *Plan, judged map[string]int64) {
	found, ok := s.watches.Load(p.Deployment)
	if !ok {
		return
	}
	before := int64(math.MaxInt64)
	for _, kind := range []string{Quality, Sudden, Drift} {
		if widthOf(p, kind) > 0 {
			before = min(before, judged[p.Deployment+"\x00"+kind])
		}
	}
	if before < math.MaxInt64 {
		found.(*watch).forget(before)
	}
}

// Late tells that outcomes changed the truth of predictions with from <= at <= to. Windows of theirs that are judged already are judged
// again at the next end of a day. It fits feedback's OnLabels. Without it, only truth that is new is noticed, not truth that changed.
func (s *Service) Late(_ context.Context, deployment string, from, to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	days := s.late[deployment]
	if days == nil {
		days = map[int64]bool{}
		s.late[deployment] = days
	}
	for d := align(from.UnixMicro(), day); d <= to.UnixMicro() && len(days) < 10_000; d += day {
		days[d] = true
	}
}

// takeLate reports whether truth changed in [from, to) since the last time it was asked.
func (s *Service) takeLate(deployment string, from, to int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for d := align(from, day); d < to; d += day {
		if s.late[deployment][d] {
			found = true
			delete(s.late[deployment], d)
		}
	}
	return found
}

// revise judges anew the last windows whose rows or truth changed since.
func (s *Service) revise(ctx context.Context, p *Plan, now int64) error {
	for _, kind := range kinds {
		if widthOf(p, kind) == 0 {
			continue
		}
		last, err := s.Verdicts(ctx, p.Deployment, kind, recheck)
		if err != nil {
			return err
		}
		for _, v := range slices.Backward(last) { // oldest first
			rows, known, err := s.Log.Coverage(ctx, p.Deployment, v.From, v.To)
			if err != nil {
				return fmt.Errorf("coverage of %s: %w", p.Deployment, err)
			}
			changed := rows != v.Rows
			if kind == Performance {
				changed = s.takeLate(p.Deployment, v.From.UnixMicro(), v.To.UnixMicro()) || changed || known != v.Known
			}
			if !changed {
				continue
			}
			if err := s.judge(ctx, p, kind, v.From.UnixMicro(), now, v.Revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge makes the verdict of the window that begins at from, stores it with what it does to alerts, and tells the subscribers.
// revision is that of the verdict it replaces, 0 for none.
func (s *Service) judge(ctx context.Context, p *Plan, kind string, from, at int64, revision int) error {
	v := Verdict{
		ID: id.New(), Project: p.Project, Deployment: p.Deployment, Kind: kind, From: instant(from), To: instant(from + widthOf(p, kind)),
		Revision: revision + 1, MadeAt: instant(at),
	}
	var err error
	if v.Rows, v.Known, err = s.Log.Coverage(ctx, p.Deployment, v.From, v.To); err != nil {
		return fmt.Errorf("coverage of %s: %w", p.Deployment, err)
	}
	if kind != Performance {
		v.Known = 0 // truth has no part in it
	} else if v.Rows > 0 {
		v.Coverage = float64(v.Known) / float64(v.Rows)
	}
	past, err := s.past(ctx, p.Deployment, kind, v.From, lookBack(p, kind))
	if err != nil {
		return err
	}
	if v.Rows == 0 {
		if kind != Quality || quiet(past) {
			return nil // there was nothing to judge, and nothing was expected
		}
		if p.Replay {
			later, _, err := s.Log.Coverage(ctx, p.Deployment, v.To, v.To.Add(100*365*24*time.Hour))
			if err != nil || later == 0 {
				return err
			}
		}
	}
	var window *tally
	switch kind {
	case Performance:
		s.takeLate(p.Deployment, from, from+widthOf(p, kind)) // what comes from now on is late
		err = s.judgePerformance(ctx, p, &v, past)
	case Sudden:
		v.Baseline = Recent
		if window, err = s.suddenCounts(ctx, p, &v); err == nil {
			err = s.judgeSudden(ctx, p, &v, window, past)
		}
	default:
		if window, _, err = s.counts(ctx, p, &v); err == nil {
			if kind == Quality {
				judgeQuality(p, &v, window, past)
			} else {
				v.Baseline = Reference
				judgeDrift(p, &v, window, past)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("judge the %s of %s from %s: %w", kind, p.Deployment, v.From.Format(time.DateOnly), err)
	}
	err = s.DB.Write(ctx, func(tx *catalog.Tx) error {
		if err := s.insertVerdict(ctx, tx, &v); err != nil {
			return err
		}
		if window != nil {
			if err := insertWindow(ctx, tx, &v, window); err != nil {
				return err
			}
		}
		return s.alert(ctx, tx, p, &v)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	hooks := slices.Clone(s.hooks)
	s.mu.Unlock()
	for _, hook := range hooks {
		if err := hook(ctx, v); err != nil {
			return fmt.Errorf("after the %s verdict of %s: %w", kind, p.Deployment, err)
		}
	}
	return nil
}

// lookBack is how many windows before a judgement reads.
func lookBack(p *Plan, kind string) int {
	switch kind {
	case Quality:
		_, n := p.Monitor.Quality.KofN()
		return max(n, missingHistory)
	case Sudden:
		_, n := suddenTimes(p)
		return max(n, suddenHistory+suddenBase)
	case Drift:
		_, n := p.Monitor.Drift.KofN()
		return n
	}
	_, n := p.Monitor.Performance.KofN()
	return n
}

// counts is the window's rows for its leading version, nil when there are none, and how many versions have rows in it.
func (s *Service) counts(ctx context.Context, p *Plan, v *Verdict) (t *tally, versions int, err error) {
	found, ok := s.watches.Load(p.Deployment)
	if !ok {
		found = newWatch(*p)
	}
	cells, err := s.gather(ctx, found.(*watch), v.From.UnixMicro(), v.To.UnixMicro())
	if err != nil {
		return nil, 0, err
	}
	if t = leading(cells); t != nil {
		v.Version, v.N = t.layout.version, t.profile.Rows
	}
	return t, len(cells), nil
}

// quiet says that the last three windows had no rows either.
func quiet(past []Verdict) bool {
	n := 0
	for _, v := range past[:min(3, len(past))] {
		if v.Rows > 0 {
			n++
		}
	}
	return n < 3
}

// overIn counts how many of this and the n-1 windows before hold, by test.
func overIn(past []Verdict, n int, now bool, test func(*Verdict) bool) int {
	k := 0
	if now {
		k++
	}
	for i := range past[:min(n-1, len(past))] {
		if test(&past[i]) {
			k++
		}
	}
	return k
}
