package feedback

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// ServedParts makes training data of what a deployment answered: one part per UTC month of the predicted events, with the logged
// inputs, the key and time columns of the dataset, and the label under its own name, as far as it was known by asOf. Predictions
// without a label by then are left out, and so are earlier predictions of a key that was answered again.
//
// The same predictions and truth give the same bytes. A month of which nothing changed is the same blob as before; while labels ripen,
// the part of its month is replaced under the same Source. A deployment without a log is fault.NotFound.
func (s *Service) ServedParts(ctx context.Context, deployment string, asOf time.Time) ([]data.ServedPart, error) {
	l := s.logOf(deployment)
	if l == nil {
		return nil, fault.New(fault.NotFound, "nothing was logged for %q yet", deployment)
	}
	l.layout.RLock()
	defer l.layout.RUnlock()
	if err := l.damaged(math.MinInt64, math.MaxInt64); err != nil {
		return nil, err
	}
	known := asOf.UnixMicro()
	l.mu.RLock()
	months := map[int64]bool{}
	l.ix.between(math.MinInt64, math.MaxInt64, func(e *entry) bool {
		if e.state != unknown {
			months[monthOf(e.at)] = true
		}
		return false
	})
	l.mu.RUnlock()
	order := make([]int64, 0, len(months))
	for m := range months {
		order = append(order, m)
	}
	slices.Sort(order)
	work, err := os.MkdirTemp(s.cfg.Dir, "work-")
	if err != nil {
		return nil, fmt.Errorf("make training data of %q: %w", deployment, err)
	}
	defer os.RemoveAll(work)
	var out []data.ServedPart
	for _, month := range order {
		from := time.UnixMicro(month).UTC()
		source := "served/" + deployment + "/" + from.Format("2006-01")
		print := l.print(month, from.AddDate(0, 1, 0).UnixMicro(), known)
		if part, ok, err := s.madeBefore(ctx, source, print); err != nil {
			return nil, err
		} else if ok {
			out = append(out, part)
			continue
		}
		picks := l.picks(month, from.AddDate(0, 1, 0).UnixMicro(), known, func(e *entry) bool { return e.state != unknown })
		picks = slices.DeleteFunc(picks, func(k pick) bool { return k.truth.state != labeled })
		rows := make([]servedRow, 0, len(picks))
		err := s.read(ctx, l, picks, func(k *pick, p serve.Prediction) error {
			rows = append(rows, servedRow{p: p, label: k.truth.label})
			return nil
		})
		if err != nil {
			return nil, err
		}
		t, personal := servedTable(rows)
		if t.Rows == 0 {
			continue
		}
		path := filepath.Join(work, "served.parquet")
		if err := s.cfg.Duck.WriteParquet(ctx, t, path); err != nil {
			return nil, fmt.Errorf("make training data of %q: %w", deployment, err)
		}
		hash, _, err := s.cfg.Blobs.PutFile(ctx, path)
		if err != nil {
			return nil, err
		}
		part := data.ServedPart{Blob: hash, Source: source, Personal: personal}
		s.made.Store(source, madePart{print: print, part: part})
		out = append(out, part)
	}
	return out, nil
}

// madePart is the part of a month as it was made last, and what it was made from.
type madePart struct {
	print uint64
	part  data.ServedPart
}

// madeBefore finds the part of a month of which nothing changed since, so that a training reads the months that did.
func (s *Service) madeBefore(ctx context.Context, source string, print uint64) (data.ServedPart, bool, error) {
	v, ok := s.made.Load(source)
	if !ok || v.(madePart).print != print {
		return data.ServedPart{}, false, nil
	}
	there, err := s.cfg.Blobs.Has(ctx, v.(madePart).part.Blob)
	return v.(madePart).part, there, err
}

// print is a fingerprint of the labelled predictions with from <= at < to, and of their labels as known by asOf: FNV-1a over
// 64-bit words. It lives as long as the process.
func (l *deploymentLog) print(from, to, asOf int64) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	h := uint64(14695981039346656037)
	add := func(word uint64) { h = (h ^ word) * 1099511628211 }
	for _, i := range l.ix.between(from, to, func(e *entry) bool { return e.state != unknown }) {
		if truth := l.ix.asOf(i, asOf); truth.state == labeled {
			e := l.ix.entry(i)
			add(binary.LittleEndian.Uint64(e.id[:8]))
			add(binary.LittleEndian.Uint64(e.id[8:]))
			add(math.Float64bits(truth.label))
		}
	}
	return h
}

func monthOf(at int64) int64 {
	t := time.UnixMicro(at).UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
}

// servedRow is a prediction with its label.
type servedRow struct {
	p     serve.Prediction
	label float64
}

// servedTable is rows as training data, in an order that does not depend on ids.
func servedTable(rows []servedRow) (t *table.Table, personal map[string]string) {
	slices.SortFunc(rows, func(a, b servedRow) int {
		return cmp.Or(cmp.Compare(a.p.At, b.p.At), cmp.Compare(a.p.Key, b.p.Key), cmp.Compare(a.p.Received, b.p.Received), cmp.Compare(a.p.ID, b.p.ID))
	})
	last := map[string]int{} // of keys that name a row of the dataset
	for i := range rows {
		if p := &rows[i].p; p.Key != p.ID && len(p.Signature.Key) > 0 {
			last[p.Key] = i
		}
	}
	kept := rows[:0]
	for i, r := range rows {
		if k, ok := last[r.p.Key]; !ok || k == i {
			kept = append(kept, r)
		}
	}
	rows = kept

	personal = map[string]string{}
	var columns []*table.Column
	place := map[string]int{}
	add := func(name string, kind table.Kind) {
		if i, ok := place[name]; ok {
			columns[i].Kind = wider(columns[i].Kind, kind)
			return
		}
		place[name] = len(columns)
		columns = append(columns, &table.Column{Name: name, Kind: kind})
	}
	var sigs []*registry.Signature
	for i := range rows {
		if sig := rows[i].p.Signature; !slices.Contains(sigs, sig) {
			sigs = append(sigs, sig)
		}
	}
	for _, sig := range sigs {
		for _, in := range sig.Inputs {
			add(in.Name, in.Kind)
			if in.Personal != "" {
				personal[in.Name] = in.Personal
			}
		}
	}
	for _, sig := range sigs {
		for _, key := range sig.Key {
			if in, _ := sig.Input(key); in == nil {
				add(key, table.String)
			}
		}
		if in, _ := sig.Input(sig.Time); in == nil && sig.Time != "" {
			add(sig.Time, table.Datetime)
		}
		add(sig.Label, labelKind(sig))
	}
	for i := range rows {
		for _, c := range columns {
			c.Append(servedCell(&rows[i], c))
		}
	}
	return table.New(columns...), personal
}

func labelKind(sig *registry.Signature) table.Kind {
	switch sig.Task {
	case taskBinary:
		return table.Boolean
	case taskMulticlass:
		return table.String
	default:
		return table.Double
	}
}

// servedCell is the cell of a column: an input, the label, the time, or a piece of the key.
func servedCell(r *servedRow, c *table.Column) table.Value {
	sig := r.p.Signature
	if in, i := sig.Input(c.Name); in != nil && i < len(r.p.Inputs) {
		v := r.p.Inputs[i]
		if v.Null && c.Name == sig.Time && c.Kind == table.Datetime {
			return table.Number(float64(r.p.At))
		}
		if c.Kind == table.String && in.Kind != table.String && !v.Null {
			return table.Text(textOf(v, in.Kind))
		}
		return v
	}
	switch c.Name {
	case sig.Label:
		if sig.Task == taskMulticlass {
			if i := int(r.label); i >= 0 && i < len(sig.Classes) {
				return table.Text(sig.Classes[i])
			}
			return table.Null
		}
		return table.Number(r.label)
	case sig.Time:
		return table.Number(float64(r.p.At))
	}
	for i, key := range sig.Key {
		if key == c.Name {
			if parts := serve.SplitKey(r.p.Key); len(parts) == len(sig.Key) {
				return table.Text(parts[i])
			}
		}
	}
	return table.Null
}
