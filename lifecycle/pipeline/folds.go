package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/engine/learn/leak"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Names of what a cross-validation leaves with the run.
const (
	foldsArtifact      = "folds.json"
	importanceArtifact = "importance.json"
	foldMetricPrefix   = "cv_"
)

// crossValidate fits recipe and learner to the training rows of each fold and measures them on the others. The fold of
// every row becomes an artifact of the run, and each metric of each fold a point of the run, the fold being the step.
func (b *build) crossValidate(ctx context.Context, f *frame) (*registry.Folds, error) {
	line := b.p.File.Evaluate.CV
	if line == "" {
		return nil, nil
	}
	spec, err := folds.Parse(line)
	if err != nil {
		return nil, err
	}
	splitter, err := folds.New(spec)
	if err != nil {
		return nil, err
	}
	d, err := foldData(spec, f)
	if err != nil {
		return nil, err
	}
	splits, err := splitter.Split(d)
	if err != nil {
		return nil, err
	}
	record, err := splits.Record()
	if err != nil {
		return nil, err
	}
	out := &registry.Folds{Split: line, Count: splits.Len(), Digest: record.Digest, Artifact: foldsArtifact, Metrics: map[string]registry.Spread{}, Notes: splits.Warnings}
	if err := b.keep(ctx, foldsArtifact, record); err != nil {
		return nil, err
	}
	copies, _ := folds.Duplicates(coded(f.inputs))
	if l := folds.Leaks(splits, folds.LeakData{Duplicates: copies}).Duplicates; l.Rows > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d of %d judged rows have a copy among their training rows", l.Rows, l.Of))
	}
	for i, s := range splits.All() {
		train, test := f.take(whole(s.Train)), f.take(whole(s.Test))
		train.describe()
		m, err := b.fit(ctx, train, fmt.Sprintf("fold %d of %d", i+1, splits.Len()))
		if err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "fold %d", i+1)
		}
		held, err := b.hold(m, test)
		if err != nil {
			return nil, err
		}
		for name, v := range held.Metrics(b.threshold()) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			one := out.Metrics[name]
			one.Values = append(one.Values, v)
			out.Metrics[name] = one
			// A point that can't be written must not end the training: the evaluation has it too.
			_ = b.runs.Log(b.run.ID, foldMetricPrefix+name, int64(i+1), time.Now(), v)
		}
	}
	for name, s := range out.Metrics {
		s.Mean, s.SD = meanAndSD(s.Values)
		out.Metrics[name] = s
	}
	return out, nil
}

// foldData is what a split looks at, from the columns that the frame keeps beside its inputs.
func foldData(spec folds.Spec, f *frame) (folds.Data, error) {
	d := folds.Data{Rows: f.rows(), Y: f.y}
	column := func(name string) (*table.Column, error) {
		c := f.slices.Column(name)
		if c == nil {
			return nil, fault.New(fault.Invalid, "the rows have no column %q to split by", name).WithHint("check evaluate.cv")
		}
		for i := range c.Len() {
			if c.IsNull(i) {
				return nil, fault.New(fault.Invalid, "row %d of %q is empty, and the rows are split by it", i+1, name)
			}
		}
		return c, nil
	}
	numbers := func(name string, micros bool, to *[]float64) error {
		if name == "" {
			return nil
		}
		c, err := column(name)
		if err != nil {
			return err
		}
		if c.Kind == table.String {
			return fault.New(fault.Invalid, "%q holds texts; a split by time needs times or numbers", name)
		}
		*to = make([]float64, c.Len())
		for i, v := range c.Floats {
			(*to)[i] = v
			if micros && c.Kind == table.Datetime {
				(*to)[i] = v / 1e6
			}
		}
		return nil
	}
	if spec.Groups != "" {
		c, err := column(spec.Groups)
		if err != nil {
			return d, err
		}
		if c.Kind == table.String {
			d.Groups = folds.Codes(c.Strings)
		} else {
			d.Groups = folds.Codes(c.Floats)
		}
	}
	if spec.Fold != "" {
		var v []float64
		if err := numbers(spec.Fold, false, &v); err != nil {
			return d, err
		}
		d.Fold = make([]int32, len(v))
		for i, k := range v {
			d.Fold[i] = int32(k)
		}
	}
	if err := numbers(spec.Time, true, &d.Time); err != nil {
		return d, err
	}
	return d, numbers(spec.End, true, &d.End)
}

// coded is a table as numbers, equal cells being equal: numbers as they are, texts by their first appearance.
func coded(t *table.Table) *table.Matrix {
	names := make([]string, 2*len(t.Columns))
	m := table.NewMatrix(t.Rows, names)
	for j, c := range t.Columns {
		codes := map[string]int{}
		for i := range t.Rows {
			v := math.NaN()
			if !c.IsNull(i) {
				if c.Kind == table.String {
					k, ok := codes[c.Strings[i]]
					if !ok {
						k = len(codes)
						codes[c.Strings[i]] = k
					}
					v = float64(k)
				} else {
					v = c.Floats[i]
				}
			}
			// What float32 cannot hold stands in a second column.
			row := m.Row(i)
			row[2*j] = float32(v)
			row[2*j+1] = float32(v - float64(float32(v)))
		}
	}
	return m
}

// later are alarms of inputs that are times after the row's own.
func later(f *frame) []leak.Alarm {
	if f.at == nil {
		return nil
	}
	at := make([]float64, len(f.at))
	for i, v := range f.at {
		at[i] = float64(v)
	}
	var out []leak.Alarm
	for _, c := range f.inputs.Columns {
		if c.Kind == table.Datetime && c.Name != f.signature.Time {
			if a, ok := leak.Later(c.Name, c.Floats, at); ok {
				out = append(out, a)
			}
		}
	}
	return out
}

// keep writes a value as an artifact of the run.
func (b *build) keep(ctx context.Context, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if _, err := b.runs.PutArtifact(ctx, artifactRoot(b.run.ArtifactURI)+"/"+name, bytes.NewReader(text), track.Expect{}); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

func whole(rows []int32) []int {
	out := make([]int, len(rows))
	for i, r := range rows {
		out[i] = int(r)
	}
	return out
}

func meanAndSD(v []float64) (mean, sd float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	if len(v) < 2 {
		return mean, 0
	}
	for _, x := range v {
		sd += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(sd / float64(len(v)-1))
}

// logCurve logs the losses of a round; a loss that is not known is no point.
func (b *build) logCurve(done int, train, valid float64) {
	for key, v := range map[string]float64{"train_loss": train, "valid_loss": valid} {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			// A point that can't be written must not end the training; the run's final metrics are stored apart.
			_ = b.runs.Log(b.run.ID, key, int64(done), time.Now(), v)
		}
	}
}
