package feedback

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// signed is a signature with its number in this process and what reads labels by it.
type signed struct {
	number  uint16
	sig     *registry.Signature
	labels  *labeler
	problem error // why labels cannot be read
}

// deploymentLog is everything remembered of one deployment.
type deploymentLog struct {
	name        string
	predictions *journal
	outcomes    *journal

	// layout is held for reading while positions are followed, and for writing while compaction moves them.
	layout sync.RWMutex
	// compacting lets one compaction run.
	compacting sync.Mutex
	// add is held while an outcome is judged and written, so that a batch has one order.
	add sync.Mutex

	mu       sync.RWMutex // of everything below
	ix       *index
	schemas  []*signed
	bySig    map[*registry.Signature]*signed
	byDigest map[[32]byte]*signed
	parts    map[int]*part

	dropped  atomic.Int64 // predictions that best_effort could not write
	unsynced atomic.Bool
}

// folder is the directory of a deployment's segments: made of a hash, because names come from outside.
func folder(name string) string {
	sum := blake3.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// schemaOf gives a signature its number. Signatures that say the same share one.
func (l *deploymentLog) schemaOf(sig *registry.Signature) (*signed, error) {
	l.mu.RLock()
	s := l.bySig[sig]
	l.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	raw, err := appendSchema(nil, 0, sig)
	if err != nil {
		return nil, err
	}
	digest := blake3.Sum256(raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s = l.byDigest[digest]; s == nil {
		if len(l.schemas) > math.MaxUint16 {
			return nil, fmt.Errorf("the log of %q has seen %d signatures", l.name, len(l.schemas))
		}
		s = &signed{number: uint16(len(l.schemas)), sig: sig}
		s.labels, s.problem = newLabeler(sig)
		l.schemas = append(l.schemas, s)
		l.byDigest[digest] = s
	}
	l.bySig[sig] = s
	return s, nil
}

// entryOf is what memory holds of p. Its position is set when it is known.
func (l *deploymentLog) entryOf(p *serve.Prediction, schema uint16) entry {
	e := entry{id: idBytes(p.ID), key: l.ix.hash(p.Key), at: p.At, label: math.NaN(), score: math.NaN(), champion: math.NaN(),
		version: uint32(p.Version), schema: schema, arm: p.Arm, own: p.Key == p.ID}
	if len(p.Scores) > 0 {
		e.score = p.Scores[0]
	}
	if len(p.Champion) > 0 {
		e.champion = p.Champion[0]
	}
	return e
}

// index takes written predictions in and joins them with the truths that wait for them.
func (l *deploymentLog) index(entries []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		i := l.ix.add(e)
		if len(l.ix.truths) > 0 {
			l.join(i)
		}
	}
}

// join applies to entry i what was received about it before, in that order. The caller holds mu.
func (l *deploymentLog) join(i int32) {
	for _, t := range l.ix.waiting(i) {
		// A record that cannot be read any more, or that says nothing to this signature, leaves the truth waiting.
		o, _, err := l.readOutcome(l.ix.truths[t].position)
		if err != nil {
			continue
		}
		r, err := l.revision(i, o)
		if err != nil {
			continue
		}
		l.ix.set(i, r)
		l.ix.met(t)
	}
	delete(l.ix.truthByID, l.ix.entry(i).id)
}

// revision is what o says of entry i. The caller holds mu.
func (l *deploymentLog) revision(i int32, o *Outcome) (revision, error) {
	s := l.schemas[l.ix.entry(i).schema]
	if s.problem != nil {
		return revision{}, s.problem
	}
	return s.labels.label(o)
}

func (l *deploymentLog) readOutcome(p position) (*Outcome, int64, error) {
	payload, err := l.outcomes.read(p)
	if err != nil {
		return nil, 0, err
	}
	o, received, err := decodeOutcome(payload)
	return &o, received, err
}

// judgement is what an outcome would do.
type judgement struct {
	answer  Answer
	keep    bool // it says something, about the predictions that are there or about those that may turn up
	targets []int32
	says    []revision
	truth   truth
	byKey   uint64
}

// judge finds what o is about and what it would change. The caller holds mu.
func (l *deploymentLog) judge(o *Outcome) (j judgement) {
	j.truth = truth{at: anyTime, known: o.KnownAt.UnixMicro()}
	repeated := false
	if o.PredictionID != "" {
		id := idBytes(o.PredictionID)
		if i := l.ix.find(id); i >= 0 {
			j.targets = []int32{i}
			repeated = true // its prediction is there: no other can turn up
		} else {
			before := l.ix.lastByID(id)
			repeated = before >= 0 && l.saidBefore(before, o)
		}
	} else {
		j.byKey = l.ix.hash(o.Key)
		if !o.At.IsZero() {
			j.truth.at = o.At.UnixMicro()
		}
		j.targets = l.ix.matches(j.byKey, o.Key, &j.truth)
		before := l.ix.lastByKey(j.byKey, &j.truth)
		repeated = before >= 0 && l.saidBefore(before, o)
	}
	j.keep = !repeated
	if len(j.targets) == 0 {
		j.answer = Answer{Status: Pending, Why: "no such prediction yet"}
		switch {
		case repeated:
			j.answer = Answer{Status: Duplicate, Why: "no such prediction yet; this was received before"}
		case o.PredictionID == "" && o.At.IsZero() && l.ix.newest(j.byKey, o.Key) != anyTime:
			j.answer.Why = "the predictions of this key are for times after known_at"
		}
		return j
	}
	j.truth.matched = true
	j.answer = Answer{Status: Duplicate, Predictions: len(j.targets)}
	for _, i := range j.targets {
		r, err := l.revision(i, o)
		if err != nil {
			j.answer, j.keep = Answer{Status: Rejected, Why: whyOf(err)}, false
			return j
		}
		j.says = append(j.says, r)
		switch {
		case l.ix.says(i, r):
		case l.ix.entry(i).state != unknown:
			j.answer.Status = Revised
		case j.answer.Status == Duplicate:
			j.answer.Status = Accepted
		}
	}
	j.keep = j.keep || j.answer.Status != Duplicate
	return j
}

// saidBefore reports whether the truth t says the same as o. What cannot be read again is said again.
func (l *deploymentLog) saidBefore(t int32, o *Outcome) bool {
	before, _, err := l.readOutcome(l.ix.truths[t].position)
	return err == nil && sameTruth(before, o)
}

// sameTruth reports whether two outcomes about one target say the same.
func sameTruth(a, b *Outcome) bool {
	if a.NoLabel != b.NoLabel || (a.Label == nil) != (b.Label == nil) || a.Label != nil && *a.Label != *b.Label || len(a.Values) != len(b.Values) {
		return false
	}
	for name, v := range a.Values {
		if w, ok := b.Values[name]; !ok || v != w {
			return false
		}
	}
	return true
}

// apply makes a judged outcome, written at p, hold. The caller holds mu.
func (l *deploymentLog) apply(o *Outcome, j judgement, p position) {
	for k, i := range j.targets {
		l.ix.set(i, j.says[k])
	}
	j.truth.position = p
	switch {
	case o.PredictionID == "":
		l.ix.keepByKey(j.byKey, j.truth)
	case len(j.targets) == 0:
		l.ix.keepByID(idBytes(o.PredictionID), j.truth)
	}
}

// clean checks an outcome as far as that goes without its prediction, and fills in when it was known.
func (l *deploymentLog) clean(o *Outcome, now time.Time) error {
	switch {
	case o.PredictionID == "" && o.Key == "":
		return fault.New(fault.Invalid, "the outcome names neither a prediction_id nor a key")
	case o.PredictionID != "" && (o.Key != "" || !o.At.IsZero()):
		return fault.New(fault.Invalid, "the outcome names a prediction_id and a key; one of them says it")
	case len(o.PredictionID) > maxName || len(o.Key) > maxName || len(o.Source) > maxName:
		return fault.New(fault.Invalid, "prediction_id, key and source take at most %d bytes", maxName)
	case o.Label == nil && !o.NoLabel && len(o.Values) == 0:
		return fault.New(fault.Invalid, "the outcome says nothing: it has neither label nor values")
	case o.NoLabel && (o.Label != nil || len(o.Values) > 0), o.Label != nil && len(o.Values) > 0:
		return fault.New(fault.Invalid, "the outcome gives its truth twice: one of label and values says it")
	case o.Label != nil && (math.IsNaN(*o.Label) || math.IsInf(*o.Label, 0)):
		return fault.New(fault.Invalid, "the label is not a finite number")
	case len(o.Values) > maxValues:
		return fault.New(fault.Invalid, "an outcome takes at most %d values", maxValues)
	}
	values := make(map[string]any, len(o.Values))
	for name, v := range o.Values {
		switch v := v.(type) {
		case nil, string:
			values[name] = v
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fault.New(fault.Invalid, "the value %q is not a finite number", name)
			}
			values[name] = v
		case bool:
			values[name] = 0.0
			if v {
				values[name] = 1.0
			}
		case int:
			values[name] = float64(v)
		default:
			return fault.New(fault.Invalid, "the value %q is neither a number, a text, a boolean nor null", name)
		}
	}
	if len(values) > 0 {
		o.Values = values
	}
	if !o.At.IsZero() && (o.At.Before(earliest) || o.At.After(latest)) || !o.KnownAt.IsZero() && (o.KnownAt.Before(earliest) || o.KnownAt.After(latest)) {
		return fault.New(fault.Invalid, "at and known_at lie between %d and %d", earliest.Year(), latest.Year())
	}
	if o.KnownAt.IsZero() {
		o.KnownAt = now
		if o.PredictionID == "" && o.At.IsZero() {
			// Clocks differ a little: what the caller says now is about everything this key has been answered so far.
			l.mu.RLock()
			if at := l.ix.newest(l.ix.hash(o.Key), o.Key); at > now.UnixMicro() {
				o.KnownAt = time.UnixMicro(at).UTC()
			}
			l.mu.RUnlock()
		}
	}
	return nil
}

// Bounds of an outcome.
const (
	maxName   = 1024
	maxValues = 256
)

// Times outside of these do not fit the microseconds of an int64 everywhere they go.
var (
	earliest = time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func whyOf(err error) string {
	if hint := fault.HintOf(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}

// close ends both journals.
func (l *deploymentLog) close() error { return errors.Join(l.predictions.close(), l.outcomes.close()) }
