package learning

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/engine/learn/leak"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// validated is the outcome of a cross-validation.
type validated struct {
	task   learn.Task
	scores map[string]score
	folds  int
}

// score is a metric over the folds.
type score struct {
	Mean  float64   `json:"mean"`
	SD    float64   `json:"sd"`
	Folds []float64 `json:"folds"`
}

// crossValidate fits the learner to each fold's training rows and measures it on the others.
func (c *console) crossValidate(ctx context.Context, o fitOptions, l learn.Learner, p *prepared) (*validated, error) {
	splits, err := o.split(c, p)
	if err != nil {
		return nil, err
	}
	v := &validated{task: p.schema.Task, scores: map[string]score{}, folds: len(splits)}
	progress := c.Progress(fmt.Sprintf("%d folds", len(splits)))
	defer progress.Done()
	for i, s := range splits {
		progress.Update(int64(i), int64(len(splits)), "fold", "")
		train, held := subset(p.set, s.train), subset(p.set, s.test)
		opt := learn.Options{Workers: o.workers, Seed: o.seed, Weights: takeFloats(p.weights, s.train)}
		m, err := l.Fit(ctx, train, p.schema.Task, p.classes, opt)
		if err != nil {
			return nil, fmt.Errorf("fold %d: %w", i+1, err)
		}
		predictions := make([]float64, held.X.Rows*m.Outputs())
		m.Predict(held.X, predictions)
		for name, value := range measure(p.schema.Task, held.Y, predictions, held.Query) {
			one := v.scores[name]
			one.Folds = append(one.Folds, value)
			v.scores[name] = one
		}
	}
	for name, s := range v.scores {
		var sum, square float64
		n := float64(len(s.Folds))
		for _, x := range s.Folds {
			sum += x
		}
		s.Mean = sum / n
		for _, x := range s.Folds {
			square += (x - s.Mean) * (x - s.Mean)
		}
		if n > 1 {
			s.SD = math.Sqrt(square / (n - 1))
		}
		v.scores[name] = s
	}
	return v, nil
}

// split is one fold's rows.
type split struct{ train, test []int }

// split cuts the rows into folds and warns of rows that are in both parts of one.
func (o *fitOptions) split(c *console, p *prepared) ([]split, error) {
	spec, err := folds.Parse(o.cv)
	if err != nil {
		return nil, err
	}
	if _, err := strconv.Atoi(o.cv); err == nil { // the task and the flags say which kind
		spec = folds.Spec{Kind: folds.KFold, K: spec.K, Shuffle: true, Seed: uint32(o.seed)}
		classes := p.schema.Task == learn.Binary || p.schema.Task == learn.Multiclass
		switch {
		case o.time != "":
			spec = folds.Spec{Kind: folds.TimeSeries, K: spec.K, Time: o.time}
		case p.set.Query != nil:
			spec = folds.Spec{Kind: folds.Group, K: spec.K, Groups: p.schema.Query}
		case o.group != "" && classes:
			spec = folds.Spec{Kind: folds.StratifiedGroup, K: spec.K, Groups: o.group}
		case o.group != "":
			spec = folds.Spec{Kind: folds.Group, K: spec.K, Groups: o.group}
		case classes:
			spec.Kind = folds.Stratified
		}
	}
	splitter, err := folds.New(spec)
	if err != nil {
		return nil, err
	}
	d := folds.Data{Rows: len(p.set.Y), Y: p.set.Y}
	if spec.Groups != "" {
		if d.Groups, err = tabular.Groups(p.table, spec.Groups); err != nil {
			return nil, err
		}
	}
	for name, to := range map[string]*[]float64{spec.Time: &d.Time, spec.End: &d.End} {
		if name == "" {
			continue
		}
		col := p.table.Column(name)
		if col == nil || col.Kind == table.String {
			return nil, fault.New(fault.Invalid, "--cv: %q is no column of times or numbers", name)
		}
		*to = make([]float64, col.Len())
		for i, v := range col.Floats {
			if col.Kind == table.Datetime {
				v /= 1e6 // lengths of time are in seconds
			}
			(*to)[i] = v
		}
	}
	if spec.Fold != "" {
		col := p.table.Column(spec.Fold)
		if col == nil || col.Kind == table.String {
			return nil, fault.New(fault.Invalid, "--cv: %q is no column of fold numbers", spec.Fold)
		}
		for _, v := range col.Floats {
			d.Fold = append(d.Fold, int32(v))
		}
	}
	f, err := splitter.Split(d)
	if err != nil {
		return nil, err
	}
	for _, w := range f.Warnings {
		c.Sayf("%s\n", c.Attention(w))
	}
	copies, _ := folds.Duplicates(p.set.X)
	leaks := folds.Leaks(f, folds.LeakData{Duplicates: copies})
	if leaks.Duplicates.Rows > 0 {
		c.Sayf("%s\n", c.Attention(fmt.Sprintf("%d of %d judged rows have a copy among their training rows: scores are too good by what that tells", leaks.Duplicates.Rows, leaks.Duplicates.Of)))
	}
	var out []split
	for _, s := range f.All() {
		out = append(out, split{whole(s.Train), whole(s.Test)})
	}
	return out, nil
}

func whole(rows []int32) []int {
	out := make([]int, len(rows))
	for i, r := range rows {
		out[i] = int(r)
	}
	return out
}

// print shows mean and spread of each metric.
func (v *validated) print(c *console) {
	var rows [][]string
	for _, name := range metricNames(v.task) {
		s, ok := v.scores[name]
		if !ok || !judges(name) {
			continue
		}
		each := make([]string, len(s.Folds))
		for i, x := range s.Folds {
			each[i] = term.Number(x)
		}
		rows = append(rows, []string{name, term.Number(s.Mean), term.Number(s.SD), strings.Join(shorten(each, 10), " ")})
	}
	c.Sayf("\n%d folds, measured on the rows left out of each\n", v.folds)
	c.Table([]string{"METRIC", "MEAN", "SD", "FOLDS"}, rows)
}

// metricNames are the metrics of a task in the order to show them.
func metricNames(task learn.Task) []string {
	if task == learn.Ranking {
		return []string{"ndcg@5", "ndcg@10", "ndcg", "map", "mrr", "queries", "n"}
	}
	return evaluate.MetricNames(task)
}

// suspect warns of columns that know the label too well.
func (c *console) suspect(o fitOptions, p *prepared) {
	if at := p.table.Column(o.time); at != nil && at.Kind == table.Datetime {
		for _, col := range p.schema.Columns {
			if from := p.table.Column(col.Name); col.Role == tabular.Date && col.Name != o.time {
				if a, ok := leak.Later(col.Name, from.Floats, at.Floats); ok {
					c.Sayf("%s\n", c.Attention(a.Message))
				}
			}
		}
	}
	for _, a := range leak.Check(p.set.X, p.set.Y, p.schema.Task, p.classes) {
		c.Sayf("%s\n", c.Attention(a.Message))
	}
}

// subset is the rows of a set.
func subset(set learn.Set, rows []int) learn.Set {
	out := learn.Set{X: set.X.Take(rows), Y: takeFloats(set.Y, rows)}
	if set.Query != nil {
		out.Query = make([]int32, len(rows))
		for i, r := range rows {
			out.Query[i] = set.Query[r]
		}
	}
	return out
}

func takeFloats(v []float64, rows []int) []float64 {
	if v == nil {
		return nil
	}
	out := make([]float64, len(rows))
	for i, r := range rows {
		out[i] = v[r]
	}
	return out
}
