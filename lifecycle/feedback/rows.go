package feedback

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// pick is a prediction that a reader wants, and what is known of its truth.
type pick struct {
	position position
	schema   *signed
	truth    revision
	revised  int // how often its truth was contradicted
}

// picks selects the predictions with from <= at < to for which keep holds, in the order of arrival. asOf limits what is known of
// their truth. The caller holds layout until it has followed the positions.
func (l *deploymentLog) picks(from, to, asOf int64, keep func(*entry) bool) []pick {
	l.mu.RLock()
	defer l.mu.RUnlock()
	found := l.ix.between(from, to, keep)
	out := make([]pick, len(found))
	for k, i := range found {
		e := l.ix.entry(i)
		out[k] = pick{position: e.position, schema: l.schemas[e.schema], truth: l.ix.asOf(i, asOf)}
		if h := l.ix.history[i]; h != nil {
			out[k].revised = len(h) - 1
		}
	}
	return out
}

// read follows picks to their records and hands each to f, in the order of the positions. The prediction is f's to keep.
// The caller holds layout.
func (s *Service) read(ctx context.Context, l *deploymentLog, picks []pick, f func(k *pick, p serve.Prediction) error) error {
	slices.SortFunc(picks, func(a, b pick) int { return cmp.Compare(a.position, b.position) })
	segments := window{journal: l.predictions, size: 256 << 10}
	parts := partReader{service: s, log: l}
	for k := range picks {
		at := picks[k].position
		if k%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var p serve.Prediction
		if at&inPart != 0 {
			var err error
			if p, err = parts.read(ctx, at); err != nil {
				return err
			}
		} else {
			payload, err := segments.read(at)
			if err != nil {
				return err
			}
			if p, _, err = decodePrediction(payload); err != nil {
				return err
			}
		}
		p.Deployment, p.Signature = l.name, picks[k].schema.sig
		if err := f(&picks[k], p); err != nil {
			return err
		}
	}
	return nil
}

// Rows gives the predictions of a deployment with from <= at < to, with what is known of their truth now, sorted by (At, Key, ID).
// labeledOnly leaves out those without a label. A deployment that has no log has no rows.
func (s *Service) Rows(ctx context.Context, deployment string, from, to time.Time, labeledOnly bool) ([]Labeled, error) {
	l := s.logOf(deployment)
	if l == nil {
		return nil, nil
	}
	l.layout.RLock()
	defer l.layout.RUnlock()
	if err := l.damaged(from.UnixMicro(), to.UnixMicro()); err != nil {
		return nil, err
	}
	picks := l.picks(from.UnixMicro(), to.UnixMicro(), math.MaxInt64, func(e *entry) bool { return !labeledOnly || e.state == labeled })
	rows := make([]Labeled, 0, len(picks))
	err := s.read(ctx, l, picks, func(k *pick, p serve.Prediction) error {
		rows = append(rows, Labeled{ID: p.ID, Key: p.Key, At: p.At, Version: p.Version, Arm: p.Arm, ChampionVersion: p.ChampionVersion, Scores: p.Scores,
			Champion: p.Champion, Signature: p.Signature, Inputs: p.Inputs, LatencyUS: p.LatencyUS,
			HasLabel: k.truth.state == labeled, NoLabel: k.truth.state == withoutLabel, Label: k.truth.label, LabelKnownAt: k.truth.known})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b Labeled) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID))
	})
	return rows, nil
}

// Coverage counts the predictions with from <= at < to, and those of them whose truth is known: with a label, or known to have none.
func (s *Service) Coverage(_ context.Context, deployment string, from, to time.Time) (predictions, labeledCount int64, err error) {
	l := s.logOf(deployment)
	if l == nil {
		return 0, 0, nil
	}
	if err := l.damaged(from.UnixMicro(), to.UnixMicro()); err != nil {
		return 0, 0, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.ix.between(from.UnixMicro(), to.UnixMicro(), func(e *entry) bool {
		predictions++
		if e.state != unknown {
			labeledCount++
		}
		return false
	})
	return predictions, labeledCount, nil
}

// Counts is what a log holds.
type Counts struct {
	Predictions  int64 `json:"predictions"`
	Labeled      int64 `json:"labeled"`
	WithoutLabel int64 `json:"without_label" doc:"known to have no label"`
	Revised      int64 `json:"revised" doc:"predictions whose truth was contradicted at least once"`
	Pending      int64 `json:"pending" doc:"outcomes whose prediction has not turned up"`
	Dropped      int64 `json:"dropped" doc:"predictions that the log level best_effort did not write, since the server started"`
}

// Counts counts what the log of a deployment holds.
func (s *Service) Counts(deployment string) Counts {
	l := s.logOf(deployment)
	if l == nil {
		return Counts{}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	c := Counts{Predictions: int64(l.ix.n), Revised: int64(len(l.ix.history)), Pending: l.ix.pending, Dropped: l.dropped.Load()}
	for i := range l.ix.chunks {
		for k := range l.ix.chunks[i].entries {
			switch l.ix.chunks[i].entries[k].state {
			case labeled:
				c.Labeled++
			case withoutLabel:
				c.WithoutLabel++
			}
		}
	}
	return c
}

// Latest gives the predictions that arrived last, newest first, at most limit.
func (s *Service) Latest(ctx context.Context, deployment string, limit int) ([]Logged, error) {
	l := s.logOf(deployment)
	if l == nil {
		return nil, nil
	}
	l.layout.RLock()
	defer l.layout.RUnlock()
	l.mu.RLock()
	var newest []int32
	byID := func(a, b int32) int { return bytes.Compare(l.ix.entry(b).id[:], l.ix.entry(a).id[:]) } // ids ascend with time
	for i := l.ix.n - 1; i >= 0; i-- {
		if newest = append(newest, i); len(newest) >= 4*limit+1024 {
			slices.SortFunc(newest, byID)
			newest = newest[:limit]
		}
	}
	slices.SortFunc(newest, byID)
	newest = newest[:min(limit, len(newest))]
	picks := make([]pick, len(newest))
	for k, i := range newest {
		e := l.ix.entry(i)
		picks[k] = pick{position: e.position, schema: l.schemas[e.schema], truth: l.ix.asOf(i, math.MaxInt64)}
	}
	l.mu.RUnlock()
	rows := make([]Logged, 0, len(picks))
	err := s.read(ctx, l, picks, func(k *pick, p serve.Prediction) error {
		rows = append(rows, Logged{Prediction: p, HasLabel: k.truth.state == labeled, NoLabel: k.truth.state == withoutLabel, Label: k.truth.label, LabelKnownAt: k.truth.known})
		return nil
	})
	slices.SortFunc(rows, func(a, b Logged) int { return cmp.Or(cmp.Compare(b.Received, a.Received), cmp.Compare(b.ID, a.ID)) })
	return rows, err
}

// Logged is a whole prediction as it was logged, with what is known of its truth.
type Logged struct {
	serve.Prediction
	HasLabel, NoLabel bool
	Label             float64
	LabelKnownAt      int64
}
