package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/leak"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

const (
	goldenRows = 1200
	// minComparison rows that the champion has not seen are needed to compare with it.
	minComparison = 200
	// engineVersion is part of every build key: it changes when the same input would give other bytes.
	engineVersion = "1"
	defaultSeed   = 1
)

// Build makes a version of the project's model from what was known at req.AsOf: reads the frame, keeps the test rows apart, fits,
// judges, compares with the champion, asks the gates, fits again on all rows when the file says so, and registers the package.
// The version is returned also when its gate refused it; its Gate says so. The same inputs give the same version again.
func (s *Service) Build(ctx context.Context, req BuildRequest, progress Progress) (*registry.Version, error) {
	p, err := s.projects.Get(ctx, req.Project)
	if err != nil {
		return nil, err
	}
	if p.File.Model == nil {
		return nil, fault.New(fault.Invalid, "project %s has no model section", p.Name).WithHint("add model: to trimtab.yaml")
	}
	src, err := s.sources(ctx, p)
	if err != nil {
		return nil, err
	}
	key, err := buildKey(p, src, req)
	if err != nil {
		return nil, err
	}
	if v, err := s.models.ByBuild(ctx, p.File.Model.Name, key); err != nil || v != nil {
		return v, err
	}
	started := time.Now()
	run, err := s.runs.Start(ctx, track.Run{Project: p.Name, Cause: req.Cause, Actor: govern.Actor(ctx), StartedAt: s.projects.Clock(p.Name).Now(),
		Params: runParams(p.File.Model), Inputs: src.read, GitCommit: gitCommit(ctx, p.Dir)})
	if err != nil {
		return nil, err
	}
	b := &build{Service: s, p: p, req: req, src: src, run: run, progress: progress, key: key}
	v, err := b.do(ctx)
	run.Seconds = time.Since(started).Seconds()
	now := s.projects.Clock(p.Name).Now()
	run.FinishedAt, run.State = &now, track.Finished
	if err != nil {
		run.State, run.Error = track.Failed, err.Error()
		if ctx.Err() != nil {
			run.State = track.Killed
		}
		if ferr := s.db.Write(context.WithoutCancel(ctx), func(tx *catalog.Tx) error { return s.runs.Finish(ctx, tx, run) }); ferr != nil {
			return nil, fmt.Errorf("%w; and the run could not be closed: %v", err, ferr)
		}
		return nil, err
	}
	run.Model, run.Metrics = v.Model, v.Metrics
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		if err := s.models.Register(ctx, tx, v, now); err != nil {
			return err
		}
		run.Version = v.Version
		return s.runs.Finish(ctx, tx, run)
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// buildKey is what decides a version: the parts of the file that reach it, the data, and the engine.
// A training by a program depends on the program's text too.
func buildKey(p *project.Project, src *sources, req BuildRequest) (string, error) {
	f := p.File
	zones := map[string]*project.TimeColumn{}
	for name, d := range f.Data {
		zones[name] = d.Time
	}
	facts := map[string]any{"engine": engineVersion, "model": f.Model, "features": f.Features, "evaluate": f.Evaluate, "zones": zones,
		"inputs": src.read, "permute": req.PermuteLabels, "nonce": req.Nonce}
	if f.Model.Train.Run != "" {
		code, err := programText(p)
		if err != nil {
			return "", err
		}
		facts["program"] = code
	}
	doc, err := json.Marshal(facts)
	if err != nil {
		return "", fmt.Errorf("encode build key: %w", err)
	}
	return fmt.Sprintf("%x", blake3.Sum256(doc)), nil
}

// build is one attempt.
type build struct {
	*Service
	p        *project.Project
	req      BuildRequest
	src      *sources
	run      *track.Run
	progress Progress
	key      string
	learner  learn.Learner
	steps    []recipe.Step
	runner   *runner // of programs; made when the first is needed
}

// fit is a recipe and a model fitted on the same rows.
type fit struct {
	fitted *recipe.Fitted
	model  learn.Model
	alarms []leak.Alarm // of the features; of the fit that is judged only
}

// phaseTrain is the fit that is judged.
const phaseTrain = "train"

func (b *build) do(ctx context.Context) (*registry.Version, error) {
	m := b.p.File.Model
	if m.Train.Run != "" {
		return b.doProgram(ctx)
	}
	var err error
	if b.learner, err = m.Train.Configured(); err != nil {
		return nil, err
	}
	if b.steps, err = recipe.ParseSteps(m.Prepare); err != nil {
		return nil, err
	}
	f, train, test, err := b.rows(ctx)
	if err != nil {
		return nil, err
	}
	validated, err := b.crossValidate(ctx, train)
	if err != nil {
		return nil, err
	}
	judged, err := b.fit(ctx, train, phaseTrain)
	if err != nil {
		return nil, err
	}
	held, err := b.hold(judged, test)
	if err != nil {
		return nil, err
	}
	v := b.version(f, train, test, b.threshold())
	ev, err := b.judge(ctx, v, held, test)
	if err != nil {
		return nil, err
	}
	ev.Folds, ev.Alarms = validated, judged.alarms
	trained := judged.model
	if inner, _, ok := calibrate.Unwrap(trained); ok {
		trained = inner
	}
	if blend, ok := trained.(*preset.Model); ok {
		ev.Members = blend.Report.Scores
	}
	if ev.Explanations, err = b.explanations(judged, test); err != nil {
		return nil, err
	}
	released, rows := judged, train
	if m.Split.Refit && v.State != registry.Refused {
		rows = f
		rows.describe()
		if released, err = b.fit(ctx, rows, "refit"); err != nil {
			return nil, err
		}
		v.Training.Refit = true
		ev.Note = fmt.Sprintf("judged on the newest %s of the rows; the released fit was then trained on all %d", m.Split.Test, rows.rows())
	}
	v.Signature, v.Training.FitRows = rows.signature, rows.rows()
	return v, b.pack(ctx, v, released, rows, held, ev)
}

// rows reads the frame as it could be known and keeps the test rows apart.
func (b *build) rows(ctx context.Context) (all, train, test *frame, err error) {
	b.progress(0, 0, "", "reading the training frame")
	if all, err = b.load(ctx, b.p, b.src, b.req.AsOf); err != nil {
		return nil, nil, nil, err
	}
	if train, test, err = b.split(all); err != nil {
		return nil, nil, nil, err
	}
	if b.req.PermuteLabels {
		permute(train.y)
		permute(all.y) // for the refit; the test rows, which judge, are a copy and keep theirs
	}
	train.describe()
	return all, train, test, nil
}

// judge measures the predictions for the test rows, beside the champion's where it can be asked, and asks the gates. It sets
// metrics, gate and state of the version.
func (b *build) judge(ctx context.Context, v *registry.Version, held *registry.Held, test *frame) (*registry.Evaluation, error) {
	ev := registry.Judge(held, v.Threshold, b.p.File.Evaluate.Slices)
	for name, measure := range ev.Metrics {
		v.Metrics[name] = measure.Value
	}
	var err error
	if fairness := b.p.File.Evaluate.Fairness; fairness != nil {
		if ev.Fairness, err = registry.JudgeGroups(held, v.Threshold, fairness.Groups, fairness.Cross, fairness.MinSize); err != nil {
			return nil, err
		}
	}
	if ev.Weak, err = b.weakSlices(ctx, held, test); err != nil {
		return nil, err
	}
	if ev.Comparison, err = b.compare(ctx, held, test, v.Threshold); err != nil {
		return nil, err
	}
	var champion map[string]float64
	metrics := v.Metrics
	if ev.Comparison != nil {
		champion, metrics = ev.Comparison.Incumbent, ev.Comparison.Challenger
	}
	if v.Gate, err = registry.JudgeGates(b.p.File.Evaluate.Gates, metrics, champion); err != nil {
		return nil, err
	}
	v.State = registry.Accepted
	if !v.Gate.Passed {
		v.State = registry.Refused
		if b.req.Force != "" {
			v.State = registry.Forced
			v.Gate.Forced = &registry.Force{Actor: govern.Actor(ctx), Reason: b.req.Force, At: b.projects.Clock(b.p.Name).Now()}
		}
	}
	return ev, nil
}

// split keeps the test rows apart: the newest by time, or a seeded random share.
func (b *build) split(f *frame) (train, test *frame, err error) {
	share, err := project.ParseShare(b.p.File.Model.Split.Test)
	if err != nil {
		return nil, nil, err
	}
	n := f.rows()
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	cut := n - int(math.Round(share*float64(n)))
	by := b.p.File.Model.Split.By
	if by == "time" && f.at == nil {
		return nil, nil, fault.New(fault.Invalid, "split by time needs a time column, and dataset %s has none", b.p.File.Model.From).WithHint("set time: on the dataset, or split: {by: random}")
	}
	if f.at != nil && by != "random" {
		for cut > 0 && cut < n && f.at[cut] == f.at[cut-1] {
			cut-- // rows of one moment stay together
		}
	} else {
		rng := rand.New(rand.NewPCG(defaultSeed, uint64(n)))
		rng.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
		slices.Sort(order[:cut])
		slices.Sort(order[cut:])
	}
	if cut < minRows || n-cut < minRows {
		return nil, nil, fault.New(fault.Invalid, "%d labelled rows give %d to train and %d to test; both need %d", n, cut, n-cut, minRows).WithHint("add data, or change split.test")
	}
	return f.take(order[:cut]), f.take(order[cut:]), nil
}

// minRows on each side of a split; below that no metric means anything.
const minRows = 20

// permute shuffles labels by a fixed seed.
func permute(y []float64) {
	rng := rand.New(rand.NewPCG(defaultSeed, uint64(len(y))))
	rng.Shuffle(len(y), func(i, j int) { y[i], y[j] = y[j], y[i] })
}

// fit fits recipe and learner on f and logs the loss of every round to the run.
func (b *build) fit(ctx context.Context, f *frame, phase string) (*fit, error) {
	sig := &f.signature
	in, err := features(sig, f.inputs)
	if err != nil {
		return nil, err
	}
	b.progress(0, 0, "", phase+": preparing "+fmt.Sprint(f.rows())+" rows")
	spec, err := recipe.Spec{Inputs: registry.RecipeInputs(sig), Steps: b.steps, Seed: defaultSeed}.Expand()
	if err != nil {
		return nil, err
	}
	y := f.y
	kept, err := recipe.KeptRows(spec.Steps, in)
	if err != nil {
		return nil, err
	}
	if len(kept) < in.Rows {
		in, y = in.Take(kept), takeFloats(y, kept)
	}
	fitted, matrix, err := recipe.Fit(spec, in, y, classes(sig))
	if err != nil {
		return nil, err
	}
	model, err := b.learner.Fit(ctx, learn.Set{X: matrix, Y: y}, learn.Task(sig.Task), len(sig.Classes), learn.Options{Workers: b.workers, Seed: defaultSeed,
		Progress: func(done, total int, _ float64) { b.progress(int64(done), int64(total), "rounds", phase) },
		Curve: func(done, _ int, train, valid float64) {
			if phase == phaseTrain {
				b.logCurve(done, train, valid)
			}
		}})
	if err != nil {
		return nil, err
	}
	m := &fit{fitted: fitted, model: model}
	if phase == phaseTrain {
		m.alarms = append(later(f), leak.Check(matrix, y, learn.Task(sig.Task), len(sig.Classes))...)
	}
	return m, nil
}

// classes is what target encoding needs to know: 0 for numbers, 2 for a binary task, the number of classes else.
func classes(sig *registry.Signature) int {
	if learn.Task(sig.Task) == learn.Regression {
		return 0
	}
	return len(sig.Classes)
}

func takeFloats(v []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for i, r := range rows {
		out[i] = v[r]
	}
	return out
}

// hold predicts the test rows.
func (b *build) hold(m *fit, test *frame) (*registry.Held, error) {
	in, err := features(&test.signature, test.inputs)
	if err != nil {
		return nil, err
	}
	p, err := predict(m, in)
	if err != nil {
		return nil, err
	}
	h := &registry.Held{Task: learn.Task(test.signature.Task), Y: test.y, P: p, K: len(test.signature.Classes), Sliced: test.slices}
	h.From, h.To = test.span()
	return h, nil
}

func predict(m *fit, in *table.Table) ([]float64, error) {
	matrix, err := m.fitted.Transform(in)
	if err != nil {
		return nil, err
	}
	out := make([]float64, in.Rows*m.model.Outputs())
	m.model.Predict(matrix, out)
	return out, nil
}

// compare judges the challenger against the champion on the test rows that are later than the champion's training.
// There is none without a champion, and none when fewer than minComparison rows are later.
func (b *build) compare(ctx context.Context, held *registry.Held, test *frame, threshold float64) (*registry.Comparison, error) {
	aliases, err := b.models.Aliases(ctx, b.p.File.Model.Name)
	if err != nil || aliases[registry.Champion] == 0 {
		return nil, err
	}
	champion, err := b.models.Get(ctx, b.p.File.Model.Name, aliases[registry.Champion])
	if err != nil {
		return nil, err
	}
	seen := champion.Training.SplitAt
	if champion.Training.Refit {
		seen = champion.Training.To
	}
	rows := []int{}
	for i := range test.y {
		if test.at == nil || test.at[i] > seen.UnixMicro() {
			rows = append(rows, i)
		}
	}
	if len(rows) < minComparison || champion.Signature.Task != test.signature.Task {
		return nil, nil
	}
	later := test.take(rows)
	theirs, err := b.ask(ctx, champion, later)
	if err != nil || theirs == nil {
		return nil, err
	}
	k := len(held.P) / len(held.Y)
	ours := &registry.Held{Task: held.Task, Y: later.y, K: held.K}
	for _, r := range rows {
		ours.P = append(ours.P, held.P[r*k:(r+1)*k]...)
	}
	return registry.Compare(ours, theirs, champion.Version, threshold, champion.Threshold, seen, defaultSeed), nil
}

// ask has a version predict rows: nil when it reads columns that the file no longer names, or when nothing here can run it.
func (b *build) ask(ctx context.Context, v *registry.Version, rows *frame) ([]float64, error) {
	in, err := features(&v.Signature, rows.inputs)
	if err != nil {
		return nil, nil // not comparable
	}
	if v.Format != registry.FormatTrimtab {
		return b.askProgram(ctx, v, in)
	}
	pkg, err := b.models.LoadPackage(ctx, v.Model, v.Version)
	if err != nil {
		return nil, err
	}
	return predict(&fit{fitted: pkg.Fitted, model: pkg.Learned}, in)
}

func (b *build) threshold() float64 {
	if t := b.p.File.Evaluate.Threshold; t > 0 {
		return t
	}
	return 0.5
}

func (b *build) version(f, train, test *frame, threshold float64) *registry.Version {
	m := b.p.File.Model
	v := &registry.Version{Model: m.Name, Project: b.p.Name, Cause: b.req.Cause, AsOf: b.req.AsOf, RunID: b.run.ID, Actor: b.run.Actor,
		Learner: m.Train.Learner, Params: m.Train.Settings(), Metrics: map[string]float64{}, Threshold: threshold, Datasets: f.read, GitCommit: b.run.GitCommit,
		Built: environment(), BuildKey: b.key}
	v.Training = registry.Training{Rows: train.rows(), TestRows: test.rows(), Unlabeled: f.unlabeled, Served: f.served, Permuted: b.req.PermuteLabels}
	v.Training.From, v.Training.To = f.span()
	if _, last := train.span(); f.at != nil {
		v.Training.SplitAt = last
	}
	return v
}

// pack writes the files of the version: golden rows, reference profile, graph.
func (b *build) pack(ctx context.Context, v *registry.Version, m *fit, rows *frame, held *registry.Held, ev *registry.Evaluation) error {
	b.progress(0, 0, "", "packing")
	in, err := features(&rows.signature, rows.inputs)
	if err != nil {
		return err
	}
	pkg := &registry.Package{Model: v.Model, Signature: rows.signature, Fitted: m.fitted, Learned: m.model, Threshold: v.Threshold}
	pkg.Reference = reference(rows, held, m.model.Outputs())
	sample, err := onnx.GoldenRows(m.fitted, m.model, in, goldenRows, defaultSeed)
	if err != nil {
		return err
	}
	golden, err := registry.NewGolden(pkg, sample)
	if err != nil {
		return err
	}
	if err := golden.Check(pkg); err != nil {
		return err
	}
	v.GoldenRows = len(golden.Rows)
	v.Importance = importance(m, &rows.signature)
	if err := b.keep(ctx, importanceArtifact, v.Importance); err != nil {
		return err
	}
	v.Files, v.Digest, err = b.models.Save(ctx, pkg, golden, ev)
	v.Certificate = pkg.Certificate
	return err
}

// importance adds the shares of the features that come from one input.
func importance(m *fit, sig *registry.Signature) []registry.Importance {
	names, from, shares := m.fitted.FeatureNames(), m.fitted.FeatureInputs(), m.model.Importance()
	out := make([]registry.Importance, 0, len(names))
	for i, name := range names {
		out = append(out, registry.Importance{Feature: name, Input: sig.Features[from[i]], Share: shares[i]})
	}
	slices.SortStableFunc(out, func(a, b registry.Importance) int {
		switch {
		case a.Share > b.Share:
			return -1
		case a.Share < b.Share:
			return 1
		}
		return strings.Compare(a.Feature, b.Feature)
	})
	return out
}

func runParams(m *project.Model) map[string]string {
	if m.Train.Run != "" {
		return map[string]string{"run": m.Train.Run, "env": m.Train.Env}
	}
	out := map[string]string{"learner": m.Train.Learner}
	for name, v := range m.Train.Settings() {
		out[name] = fmt.Sprint(v)
	}
	return out
}

func environment() registry.Environment {
	env := registry.Environment{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Trimtab: "(devel)"}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		env.Trimtab = info.Main.Version
	}
	return env
}
