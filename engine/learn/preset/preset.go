// Package preset holds the learners that need no tuning: fast, good and best. Each fits boosted trees on selectively
// encoded categories beside a linear model, and lets rows that none of them was trained on decide how much each counts.
//
//   - fast: one boosting and one linear model, stopped and weighed on a holdout (on five folds when rows are few), then
//     fitted again on all rows.
//   - good: five folds of two boostings and a linear model; the folds' models are kept and averaged, weighed greedily by
//     their out-of-fold loss (Caruana and others, "Ensemble Selection from Libraries of Models", ICML 2004).
//   - best: good with deeper trees, extra trees and a neural network.
//
// It owns what they are made of and the model that holds it, whose margins are weighted means of its members' margins,
// so that contributions to them add up too. It must never know where rows come from.
package preset

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn/encode"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The presets' names.
const (
	Fast = "fast"
	Good = "good"
	Best = "best"
)

// Names are the presets, in the order of their effort.
func Names() []string { return []string{Fast, Good, Best} }

// Maker makes a learner by name; package learn's New is one.
type Maker func(name string, p learner.Params) (learner.Learner, error)

// Learner is a configured preset.
type Learner struct {
	Preset string
	Budget time.Duration // time_budget, in seconds; the fit ends soon after with what it has
	Folds  int
	Seed   uint64

	seedSet bool
	make    Maker
}

// budgets are the default seconds of each preset.
var budgets = map[string]float64{Fast: 300, Good: 1800, Best: 7200}

// New reads the parameters time_budget (seconds; it makes the model depend on the machine's speed when it is reached),
// folds and seed.
func New(name string, p learner.Params, make Maker) (*Learner, error) {
	r := learner.NewReader(name, p)
	l := &Learner{Preset: name, make: make}
	l.Budget = time.Duration(r.Float("time_budget", budgets[name], .1, 1e7) * float64(time.Second))
	l.Folds = r.Int("folds", 5, 2, 20)
	l.Seed, l.seedSet = r.Seed()
	return l, r.Done()
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return l.Preset }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{"time_budget": l.Budget.Seconds(), "folds": l.Folds}
	if l.seedSet {
		p["seed"] = l.Seed
	}
	return p
}

// family is one kind of member.
type family struct {
	name    string
	learner string
	params  learner.Params
	encode  *encode.Options // nil: categories are left to the learner
	boosted bool            // stops on validation rows, and learns how many rounds it needs
}

// families are what a preset is made of for a task, the most useful first. L2, row and column sampling and a slow rate
// with early stopping are what a plain booster's defaults lack most.
func families(preset string, task learner.Task) []family {
	boosting := learner.Params{"rounds": 3000, "learning_rate": .05, "subsample": .8, "colsample": .8, "l2": 3, "early_stopping_rounds": 50}
	with := func(changes learner.Params) learner.Params {
		p := learner.Params{}
		for k, v := range boosting {
			p[k] = v
		}
		for k, v := range changes {
			p[k] = v
		}
		return p
	}
	line := "linear"
	if task == learner.Binary || task == learner.Multiclass {
		line = "logistic"
	}
	out := []family{{name: "boosting", learner: "gbdt", params: boosting, encode: &encode.Options{}, boosted: true}}
	if task == learner.Ranking {
		return out
	}
	out = append(out, family{name: "linear", learner: line, params: learner.Params{}})
	if preset == Fast {
		return out
	}
	out = append(out, family{name: "encoded boosting", learner: "gbdt", boosted: true, encode: &encode.Options{Above: 4},
		params: with(learner.Params{"leaves": 16, "colsample": .6, "learning_rate": .04})})
	if preset == Good {
		return out
	}
	return append(out,
		family{name: "deep boosting", learner: "gbdt", boosted: true, encode: &encode.Options{}, params: with(learner.Params{"leaves": 96, "min_leaf": 10, "subsample": .7, "learning_rate": .03, "l2": 5})},
		family{name: "extra trees", learner: "extra_trees", params: learner.Params{"min_leaf": 2}, encode: &encode.Options{}},
		family{name: "network", learner: "mlp", params: learner.Params{}},
	)
}

// fewRows are so few that fast decides on folds instead of a holdout.
const fewRows = 5000

// run is one fit of a preset.
type run struct {
	*Learner
	ctx      context.Context
	train    learner.Set
	task     learner.Task
	classes  int
	outputs  int
	opt      learner.Options
	deadline time.Time
	folds    []int32 // of each row, from 0
	count    int     // of the folds; one holdout counts as one

	done, total int     // fits
	last        float64 // loss of the last fit on its held-out rows
	notes       []string
}

// candidate is what a family's fits gave.
type candidate struct {
	family
	margins []float64 // of the rows out of fold, rows x outputs
	members []Member
	rounds  []int
	loss    float64
}

// Fit implements learner.Learner.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	r := &run{Learner: l, ctx: ctx, train: train, task: task, classes: classes, outputs: 1, opt: opt, deadline: time.Now().Add(l.Budget)}
	if task == learner.Multiclass {
		r.outputs = classes
	}
	if !l.seedSet {
		r.Seed = opt.Seed
	}
	kinds := families(l.Preset, task)
	bagged := l.Preset != Fast
	r.split(bagged || train.X.Rows < fewRows)
	r.total = len(kinds)*r.count + 1
	if !bagged {
		r.total += len(kinds) - 1
	}
	if r.count == 0 {
		return r.unjudged(kinds[0])
	}
	var all []*candidate
	for i, f := range kinds {
		c, err := r.candidate(f, len(kinds)-i)
		if err != nil {
			return nil, err
		}
		if c != nil {
			all = append(all, c)
		}
	}
	judged := r.judged()
	weights := r.weigh(all, judged)
	m := &Model{preset: l.Preset, task: task, features: train.X.Cols, outputs: r.outputs}
	for i, c := range all {
		if weights[i] == 0 {
			continue
		}
		members := c.members
		if !bagged {
			member, err := r.refit(c)
			if err != nil {
				return nil, err
			}
			members = []Member{member}
		}
		for _, member := range members {
			member.Weight = weights[i] / float64(len(members))
			m.Members = append(m.Members, member)
		}
	}
	m.Report = r.report(all, weights, judged)
	return m, m.prepare()
}

// unjudged is the model of rows that are too few to keep any of them from training.
func (r *run) unjudged(f family) (learner.Model, error) {
	const rounds = 100
	r.total = 1
	member, err := r.fit(f, r.train, r.opt.Weights, nil, rounds, r.deadline)
	if err != nil {
		return nil, err
	}
	member.Weight = 1
	m := &Model{preset: r.Preset, task: r.task, features: r.train.X.Cols, outputs: r.outputs, Members: []Member{member}}
	m.Report.Notes = []string{"there are too few rows to judge on any"}
	return m, m.prepare()
}

// fit fits one family to a set. valid may be nil; rounds 0 means as many as the validation rows ask for.
func (r *run) fit(f family, set learner.Set, weights []float64, valid *learner.Set, rounds int, end time.Time) (Member, error) {
	out := Member{Name: f.name}
	params := learner.Params{}
	for k, v := range f.params {
		params[k] = v
	}
	if rounds > 0 {
		params["rounds"] = rounds
		delete(params, "early_stopping_rounds")
	}
	made, err := r.make(f.learner, params)
	if err != nil {
		return out, err
	}
	x := set.X
	if f.encode != nil {
		o := *f.encode
		o.Seed = r.Seed
		out.Encoder, x = encode.Fit(set, r.task, r.classes, weights, o)
	}
	opt := learner.Options{Workers: r.opt.Workers, Seed: r.Seed + uint64(r.done), Weights: weights, Enough: func() bool { return time.Now().After(end) }}
	if r.done == 0 {
		opt.Curve = r.opt.Curve
	}
	if valid != nil {
		v := *valid
		if out.Encoder != nil {
			v.X = out.Encoder.Apply(v.X)
		}
		opt.Valid = &v
	}
	out.Model, err = made.Fit(r.ctx, learner.Set{X: x, Y: set.Y, Query: set.Query}, r.task, r.classes, opt)
	if err != nil {
		return out, err
	}
	r.done++
	return out, nil
}

// take is the rows of a set.
func take(set learner.Set, rows []int) learner.Set {
	out := learner.Set{X: set.X.Take(rows), Y: make([]float64, len(rows))}
	for i, row := range rows {
		out.Y[i] = set.Y[row]
	}
	if set.Query != nil {
		out.Query = make([]int32, len(rows))
		for i, row := range rows {
			out.Query[i] = set.Query[row]
		}
	}
	return out
}

func takeWeights(w []float64, rows []int) []float64 {
	if w == nil {
		return nil
	}
	out := make([]float64, len(rows))
	for i, row := range rows {
		out[i] = w[row]
	}
	return out
}

// candidate fits a family to every fold's training rows. It is nil, with a note, when a family that is not the first
// cannot be fitted in the time left, or cannot be fitted to these rows at all.
func (r *run) candidate(f family, left int) (*candidate, error) {
	c := &candidate{family: f, margins: make([]float64, len(r.train.Y)*r.outputs)}
	first := r.done == 0
	for fold := range r.count {
		remaining := time.Until(r.deadline)
		if remaining <= 0 && !first {
			r.notes = append(r.notes, fmt.Sprintf("%s was left out: the time budget of %s was used up", f.name, r.Budget))
			return nil, nil
		}
		var in, out []int
		for i, k := range r.folds {
			if int(k) == fold {
				out = append(out, i)
			} else {
				in = append(in, i)
			}
		}
		// Half of the time is for what follows the first family, and for fitting again.
		share := remaining / time.Duration((r.count-fold)*2)
		if !first {
			share = remaining / time.Duration((r.count-fold)*left)
		}
		var valid *learner.Set
		held := take(r.train, out)
		if f.boosted || f.learner == "mlp" {
			valid = &held
		}
		member, err := r.fit(f, take(r.train, in), takeWeights(r.opt.Weights, in), valid, 0, time.Now().Add(share))
		switch {
		case err == nil:
		case first || fault.Is(err, fault.Canceled) || r.ctx.Err() != nil:
			return nil, err
		default:
			r.notes = append(r.notes, fmt.Sprintf("%s was left out: %v", f.name, err))
			return nil, nil
		}
		if rounds, ok := member.Model.(interface{ Rounds() int }); ok {
			c.rounds = append(c.rounds, rounds.Rounds())
		}
		margins := member.margins(held.X, r.task)
		for i, row := range out {
			copy(c.margins[row*r.outputs:(row+1)*r.outputs], margins[i*r.outputs:])
		}
		c.members = append(c.members, member)
		r.last = 0 // a ranking's loss is not of single rows
		if r.task != learner.Ranking {
			link(r.task, margins, r.outputs)
			r.last = learner.MeanLoss(r.task, held.Y, margins)
		}
		r.progress()
	}
	return c, nil
}

// refit fits a family to all rows, a boosting for a tenth more rounds than it needed on a part of them.
func (r *run) refit(c *candidate) (Member, error) {
	rounds := 0
	if c.boosted {
		for _, n := range c.rounds {
			rounds += n
		}
		rounds = max(1, int(math.Round(1.1*float64(rounds)/float64(len(c.rounds)))))
	}
	m, err := r.fit(c.family, r.train, r.opt.Weights, nil, rounds, r.deadline.Add(r.Budget))
	if err == nil {
		r.progress()
	}
	return m, err
}

// progress tells the fits done and the loss of the last one on rows it was not trained on.
func (r *run) progress() {
	if r.opt.Progress != nil {
		r.opt.Progress(r.done, r.total, r.last)
	}
}

// split numbers the folds of the rows: Folds of them, or a holdout of a tenth as fold 0 and the rest in none (-1).
// Classes, and queries, are spread evenly. Rows too few to hold any out leave the count of folds at 0.
func (r *run) split(folds bool) {
	n := len(r.train.Y)
	r.folds = make([]int32, n)
	k := r.Folds
	if !folds {
		k = 10
	}
	if n < fewest || r.rarest() < 2 {
		return
	}
	k = min(k, r.rarest())
	// Rows are dealt in the order of a hash, class by class.
	order := shuffled(n, r.Seed)
	next := map[float64]int{}
	query := map[int32]int32{}
	for _, i := range order {
		switch {
		case r.train.Query != nil:
			q := r.train.Query[i]
			if _, ok := query[q]; !ok {
				query[q] = int32(len(query) % k)
			}
			r.folds[i] = query[q]
		case r.task == learner.Regression:
			r.folds[i] = int32(next[0] % k)
			next[0]++
		default:
			r.folds[i] = int32(next[r.train.Y[i]] % k)
			next[r.train.Y[i]]++
		}
	}
	r.count = k
	if folds {
		return
	}
	r.count = 1
	for i, f := range r.folds {
		if f > 0 {
			r.folds[i] = -1
		}
	}
}

// fewest are the rows below which none is held out.
const fewest = 10

// rarest is how many rows, or queries, the folds can spread: those of the rarest class that occurs.
func (r *run) rarest() int {
	if r.train.Query != nil {
		seen := map[int32]bool{}
		for _, q := range r.train.Query {
			seen[q] = true
		}
		return len(seen)
	}
	if r.task == learner.Regression {
		return len(r.train.Y)
	}
	count := map[float64]int{}
	for _, y := range r.train.Y {
		count[y]++
	}
	out := len(r.train.Y)
	for _, n := range count {
		// A class of one row cannot be in every fold's training rows; only a binary task needs both.
		if r.task == learner.Binary || n > 1 {
			out = min(out, n)
		}
	}
	return out
}

// judged are the rows that have out-of-fold margins.
func (r *run) judged() []int {
	var rows []int
	for i, f := range r.folds {
		if f >= 0 {
			rows = append(rows, i)
		}
	}
	return rows
}

// loss is the mean loss of margins on the judged rows.
func (r *run) loss(margins []float64, judged []int) float64 {
	k := r.outputs
	p := make([]float64, len(judged)*k)
	y := make([]float64, len(judged))
	for i, row := range judged {
		copy(p[i*k:(i+1)*k], margins[row*k:])
		y[i] = r.train.Y[row]
	}
	if r.task == learner.Ranking {
		return math.NaN()
	}
	link(r.task, p, k)
	return learner.MeanLoss(r.task, y, p)
}

// weigh is the weight of every candidate: the one with the least loss, then again and again the one whose addition
// lowers the loss of the mean most, until none does or there are enough.
func (r *run) weigh(all []*candidate, judged []int) []float64 {
	const steps, least = 25, 1e-6
	weights := make([]float64, len(all))
	if len(all) == 1 {
		weights[0] = 1
		all[0].loss = r.loss(all[0].margins, judged)
		return weights
	}
	sum := make([]float64, len(all[0].margins))
	trial := make([]float64, len(sum))
	best, picked := math.Inf(1), 0
	for step := range steps {
		at := -1
		for i, c := range all {
			for j := range sum {
				trial[j] = (sum[j] + c.margins[j]) / float64(step+1)
			}
			l := r.loss(trial, judged)
			if step == 0 {
				c.loss = l
			}
			if l < best*(1-least) || at < 0 && step == 0 && !math.IsNaN(l) && l <= best {
				best, at = l, i
			}
		}
		if at < 0 {
			break
		}
		for j := range sum {
			sum[j] += all[at].margins[j]
		}
		weights[at]++
		picked++
	}
	if picked == 0 {
		weights[0], picked = 1, 1
	}
	for i := range weights {
		weights[i] /= float64(picked)
	}
	return weights
}

// shuffled is the numbers below n in an order drawn by the seed.
func shuffled(n int, seed uint64) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	state := seed
	for i := n - 1; i > 0; i-- {
		state += 0x9e3779b97f4a7c15 // SplitMix64 (Steele, Lea and Flood 2014)
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		j := int(z % uint64(i+1))
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// report tells how the members and the baselines did on rows they were not trained on.
func (r *run) report(all []*candidate, weights []float64, judged []int) Report {
	out := Report{Rows: len(judged), Notes: r.notes}
	if r.task == learner.Ranking {
		return out
	}
	blend := make([]float64, len(all[0].margins))
	for i, c := range all {
		for j, v := range c.margins {
			blend[j] += weights[i] * v
		}
		out.Scores = append(out.Scores, Score{Name: c.name, Loss: c.loss, Weight: weights[i]})
	}
	out.Loss = r.loss(blend, judged)
	out.Scores = append(out.Scores, Score{Name: "dummy", Loss: r.loss(r.constant(), judged)})
	return out
}

// constant is the margins of the best constant prediction.
func (r *run) constant() []float64 {
	k := r.outputs
	sum := make([]float64, k)
	var total float64
	for i, y := range r.train.Y {
		w := 1.0
		if r.opt.Weights != nil {
			w = r.opt.Weights[i]
		}
		total += w
		if r.task == learner.Multiclass {
			sum[int(y)] += w
		} else {
			sum[0] += w * y
		}
	}
	for j := range sum {
		sum[j] /= total
	}
	unlink(r.task, sum)
	out := make([]float64, len(r.train.Y)*k)
	for i := range r.train.Y {
		copy(out[i*k:], sum)
	}
	return out
}

// margins are a member's margins of rows as they come.
func (m *Member) margins(x *table.Matrix, task learner.Task) []float64 {
	if m.Encoder != nil {
		x = m.Encoder.Apply(x)
	}
	k := m.Model.Outputs()
	out := make([]float64, x.Rows*k)
	m.Model.Predict(x, out)
	unlink(task, out)
	return out
}
