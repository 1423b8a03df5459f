package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// workers is how many runs are moved at once.
const workers = 4

// Options narrow a transfer.
type Options struct {
	Experiments []string // by name; none = all
	Deleted     bool     // deleted experiments and runs too
	DryRun      bool
	Progress    func(done, total int64, what string) // total 0 = not known yet
}

// Copy moves what the sink does not have yet, or has otherwise. When it fails or is stopped, calling it again goes on where it was: a thing
// is marked with a digest of what it was made of only when all of it is there. The report is of what was done, also beside an error.
func Copy(ctx context.Context, from Source, to Sink, o Options) (*Report, error) {
	c := &copier{from: from, to: to, Options: o, report: &Report{Source: from.Address(), Target: to.Address(), DryRun: o.DryRun},
		runs: map[string]Known{}, models: map[string]Known{}, files: map[string]string{}, needed: map[string]bool{}}
	if c.Progress == nil {
		c.Progress = func(int64, int64, string) {}
	}
	err := c.all(ctx)
	slices.SortStableFunc(c.report.Left, func(a, b Left) int { return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Where, b.Where)) })
	if c.report.Left == nil {
		c.report.Left = []Left{}
	}
	return c.report, err
}

type copier struct {
	Options
	from Source
	to   Sink

	mu     sync.Mutex
	report *Report
	runs   map[string]Known  // by the source's id, all that are in the sink
	models map[string]Known  // logged models
	files  map[string]string // artifact URIs of the source's runs and logged models by their id
	needed map[string]bool   // runs that versions point to, wanted even when deleted
	done   int64
	total  int64
}

// work is an experiment and what of it has to be moved.
type work struct {
	Experiment
	to     string // its id in the sink
	runs   []string
	models []LoggedModel

	metrics map[string][]ModelMetric // of all logged models by the run that measured: they travel with the points of the run
}

func (c *copier) all(ctx context.Context) error {
	experiments, err := c.choose(ctx)
	if err != nil {
		return err
	}
	registry, err := c.from.Models(ctx)
	if err != nil {
		return fmt.Errorf("read the registry: %w", err)
	}
	registry = slices.DeleteFunc(registry, func(m Model) bool {
		if m.Tags[tagPrompt] == "true" {
			c.leave(Left{"prompt", m.Name, int64(len(m.Versions)), noPrompt})
			return true
		}
		return false
	})
	for _, m := range registry {
		for _, v := range m.Versions {
			c.needed[v.Run] = true
		}
	}
	var jobs []*work
	for _, e := range experiments {
		w, err := c.compare(ctx, e)
		if err != nil {
			return fmt.Errorf("experiment %s: %w", e.Name, err)
		}
		jobs = append(jobs, w)
		c.total += int64(len(w.runs) + len(w.models))
	}
	for _, m := range registry {
		c.total += int64(len(m.Versions))
	}
	for _, w := range jobs {
		if err := c.experiment(ctx, w); err != nil {
			return fmt.Errorf("experiment %s: %w", w.Name, err)
		}
	}
	if err := c.registry(ctx, registry, jobs); err != nil {
		return err
	}
	if !c.DryRun {
		for _, w := range jobs {
			if err := c.to.EndExperiment(ctx, w.to, &w.Experiment); err != nil {
				return fmt.Errorf("experiment %s: %w", w.Name, err)
			}
		}
	}
	rest, err := c.from.Rest(ctx)
	for _, l := range rest {
		c.leave(l)
	}
	return err
}

func (c *copier) leave(l Left) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, had := range c.report.Left {
		if had.What == l.What && had.Where == l.Where && had.Reason == l.Reason {
			c.report.Left[i].Count += l.Count
			return
		}
	}
	c.report.Left = append(c.report.Left, l)
}

func (c *copier) count(f func(r *Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.report)
}

func (c *copier) step(n int64, what string) {
	c.mu.Lock()
	c.done += n
	done, total := c.done, c.total
	c.mu.Unlock()
	c.Progress(done, total, what)
}

// choose gives the experiments that are asked for.
func (c *copier) choose(ctx context.Context) ([]Experiment, error) {
	all, err := c.from.Experiments(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the experiments: %w", err)
	}
	for _, name := range c.Experiments {
		if !slices.ContainsFunc(all, func(e Experiment) bool { return e.Name == name && (e.Stage != deleted || c.Deleted) }) {
			return nil, fault.New(fault.NotFound, "%s has no experiment %q", c.from.Address(), name).WithHint("names are compared letter by letter")
		}
	}
	var out []Experiment
	for _, e := range all {
		switch {
		case len(c.Experiments) > 0 && !slices.Contains(c.Experiments, e.Name):
		case e.Stage == deleted && !c.Deleted:
			c.leave(Left{"experiment", e.Name, 1, "it is deleted; --deleted takes it too"})
		default:
			e.Tags = mapsWithout(e.Tags)
			out = append(out, e)
		}
	}
	return out, nil
}

// compare looks which runs and logged models of an experiment are new or changed.
func (c *copier) compare(ctx context.Context, e Experiment) (*work, error) {
	w := &work{Experiment: e, metrics: map[string][]ModelMetric{}}
	var err error
	if w.to, err = c.to.FindExperiment(ctx, c.from.Address(), &e); err != nil {
		return nil, err
	}
	known, knownModels := map[string]Known{}, map[string]Known{}
	if w.to != "" {
		if known, err = c.to.KnownRuns(ctx, w.to); err != nil {
			return nil, err
		}
		if knownModels, err = c.to.KnownModels(ctx, w.to); err != nil {
			return nil, err
		}
	}
	maps.Copy(c.runs, known)
	maps.Copy(c.models, knownModels)
	changed := map[string]bool{}
	add := func(id string) {
		if !changed[id] {
			changed[id] = true
			w.runs = append(w.runs, id)
		}
	}
	g := newGroup(ctx, workers)
	seen := int64(0)
	err = c.from.Runs(ctx, e.ID, func(r *Run) error {
		seen++
		c.Progress(seen, 0, "runs compared, "+e.Name)
		c.mu.Lock()
		c.files[r.ID] = r.Files
		c.mu.Unlock()
		if r.Stage == deleted && !c.Deleted && !c.needed[r.ID] {
			c.leave(Left{"deleted runs", "experiment " + e.Name, 1, "--deleted takes them too"})
			return nil
		}
		return g.Do(func(ctx context.Context) error {
			k, there := known[r.ID]
			same := there && k.Own
			if there && k.Digest != "" {
				files, _, err := c.list(ctx, r.Files)
				if err != nil {
					return err
				}
				same = k.Digest == digestRun(r, files)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if same {
				c.report.Present.Runs++
				return nil
			}
			add(r.ID)
			return nil
		})
	})
	if first := g.Wait(); first != nil {
		err = first
	}
	if err != nil {
		return nil, err
	}
	models, err := c.from.LoggedModels(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		c.files[m.ID] = m.Files
		for _, metric := range m.Metrics {
			metric.Model = m.ID
			w.metrics[metric.Run] = append(w.metrics[metric.Run], metric)
		}
		k, there := knownModels[m.ID]
		same := there && k.Own
		if there && k.Digest != "" {
			files, _, err := c.list(ctx, m.Files)
			if err != nil {
				return nil, err
			}
			same = k.Digest == digestModel(&m, files)
		}
		if same {
			c.report.Present.LoggedModels++
			continue
		}
		for _, metric := range m.Metrics {
			if k := known[metric.Run]; metric.Run != "" && !k.Own && k.ID != "" {
				add(metric.Run)
			}
		}
		w.models = append(w.models, m)
	}
	if w.to != "" {
		c.report.Present.Experiments++
	} else {
		c.report.Taken.Experiments++
	}
	return w, nil
}

// list is the files at a URI; the text says why they cannot be read.
func (c *copier) list(ctx context.Context, uri string) ([]File, string, error) {
	place, why := c.from.Place(uri)
	if place == nil {
		return nil, why, nil
	}
	files, err := place.List(ctx)
	if err != nil {
		if ctx.Err() != nil || fault.Is(err, fault.Unavailable) {
			return nil, "", err
		}
		return nil, err.Error(), nil
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, "", nil
}

// experiment moves what compare found.
func (c *copier) experiment(ctx context.Context, w *work) error {
	if c.DryRun {
		c.report.Taken.Runs += int64(len(w.runs))
		c.report.Taken.LoggedModels += int64(len(w.models))
		c.step(int64(len(w.runs)+len(w.models)), w.Name)
		return nil
	}
	var err error
	if w.to, err = c.to.Experiment(ctx, c.from.Address(), &w.Experiment, c.foreign(w.Root)); err != nil {
		return err
	}
	// Every run has its id in the sink before anything points to it.
	err = each(ctx, w.runs, func(ctx context.Context, id string) error { return c.begin(ctx, w, id) })
	if err != nil {
		return err
	}
	for i := range w.models {
		m := &w.models[i]
		if err := c.loggedModel(ctx, w.to, m); err != nil {
			return fmt.Errorf("logged model %s: %w", m.ID, err)
		}
		c.step(1, w.Name)
	}
	return each(ctx, w.runs, func(ctx context.Context, id string) error {
		c.mu.Lock()
		_, begun := c.runs[id]
		c.mu.Unlock()
		if begun {
			err := c.run(ctx, w, id)
			if fault.Is(err, fault.Invalid) { // the target does not take something of it, and will not the next time
				c.leave(Left{"parts of a run", id, 1, err.Error()})
			} else if err != nil {
				return fmt.Errorf("run %s: %w", id, err)
			}
		}
		c.step(1, w.Name)
		return nil
	})
}

// foreign tells that files below a root stay where they are.
func (c *copier) foreign(root string) bool {
	if _, here := localPath(root); here || root == "" {
		return false
	}
	place, _ := c.from.Place(root)
	return place == nil && !strings.HasPrefix(root, artifactScheme)
}

func (c *copier) begin(ctx context.Context, w *work, id string) error {
	r, err := c.from.Run(ctx, w.ID, id)
	if err != nil {
		return err
	}
	r.Tags = map[string]string{TagFrom: c.from.Address(), TagID: id}
	c.mu.Lock()
	known, there := c.runs[id]
	c.mu.Unlock()
	had := &known
	if !there {
		had = nil
	}
	begun, err := c.to.Begin(ctx, w.to, r, had)
	if fault.Is(err, fault.Conflict) {
		c.leave(Left{"run", id, 1, "a run of this id is in another experiment"})
		return nil
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	c.mu.Lock()
	c.runs[id] = begun
	c.mu.Unlock()
	return nil
}

// run moves all that belongs to a run.
func (c *copier) run(ctx context.Context, w *work, id string) error {
	r, err := c.from.Run(ctx, w.ID, id)
	if err != nil {
		return err
	}
	to := c.runs[id]
	files, why, err := c.list(ctx, r.Files)
	if err != nil {
		return err
	}
	digest := digestRun(r, files)
	points, err := c.points(ctx, r, to.ID, w.metrics[id])
	if err != nil {
		return err
	}
	out := *r
	out.ID, out.Tags = to.ID, mapsWithout(r.Tags)
	out.Tags[TagFrom], out.Tags[TagID] = c.from.Address(), id
	whole, err := c.copyFiles(ctx, r.Files, to.Files, files, why, "run "+id, out.Tags)
	if err != nil {
		return err
	}
	if !whole {
		digest = ""
	}
	if parent := out.Tags[tagParent]; parent != "" {
		if p, ok := c.runs[parent]; ok {
			out.Tags[tagParent] = p.ID
		}
	}
	out.ModelInputs, out.ModelOutputs = nil, nil
	for _, m := range r.ModelInputs {
		if k, ok := c.models[m]; ok {
			out.ModelInputs = append(out.ModelInputs, k.ID)
		}
	}
	for _, m := range r.ModelOutputs {
		if k, ok := c.models[m.Model]; ok {
			out.ModelOutputs = append(out.ModelOutputs, ModelOutput{k.ID, m.Step})
		}
	}
	if err := c.to.End(ctx, to.ID, &out, digest); err != nil {
		return err
	}
	c.count(func(r *Report) { r.Taken.Runs++; r.Taken.Points += points })
	return nil
}

type pointKey struct {
	key      string
	at, step int64
	bits     uint64
}

func (p Point) identity() pointKey {
	bits := math.Float64bits(p.Value)
	if math.IsNaN(p.Value) {
		bits = math.Float64bits(math.NaN())
	}
	return pointKey{p.Key, p.At, p.Step, bits}
}

// points moves the histories of all metrics. A point that a logged model was measured by goes out once, with the model's name on it.
func (c *copier) points(ctx context.Context, r *Run, to string, metrics []ModelMetric) (int64, error) {
	measured := map[pointKey][]Point{}
	for _, m := range metrics {
		if k, ok := c.models[m.Model]; ok {
			m.Model = k.ID
			measured[m.identity()] = append(measured[m.identity()], m.Point)
		}
	}
	n := int64(0)
	var batch []Point
	flush := func(least int) error {
		if len(batch) < least || len(batch) == 0 {
			return nil
		}
		err := c.to.Log(ctx, to, batch)
		n += int64(len(batch))
		batch = batch[:0]
		return err
	}
	for _, key := range sortedKeys(r.Latest) {
		err := c.from.History(ctx, r, key, func(points []Point) error {
			for _, p := range points {
				id := p.identity()
				if _, ok := measured[id]; !ok && math.IsNaN(p.Value) { // MLflow's tables of logged models have 0 for NaN
					id.bits = 0
				}
				marked := measured[id]
				if marked == nil {
					batch = append(batch, p)
					continue
				}
				for _, m := range marked {
					m.Value = p.Value
					batch = append(batch, m)
				}
				delete(measured, id)
			}
			return flush(page)
		})
		if err != nil {
			return n, fmt.Errorf("metric %s: %w", key, err)
		}
	}
	for _, marked := range measured { // of models whose runs do not have the point: it is a measure all the same
		batch = append(batch, marked...)
	}
	return n, flush(0)
}

// copyFiles moves files and reports whether all of them are there now.
func (c *copier) copyFiles(ctx context.Context, from, to string, files []File, why, where string, tags map[string]string) (bool, error) {
	if why == "" && len(files) == 0 {
		return true, nil
	}
	if why != "" {
		tags[TagFiles] = from
		c.leave(Left{"files", where + ": " + from, 1, why})
		return true, nil // asking again would find the same; the digest changes when they can be read
	}
	place, _ := c.from.Place(from)
	whole := true
	for _, f := range files {
		body, err := place.Open(ctx, f.Path)
		if err == nil {
			err = errors.Join(c.to.PutFile(ctx, to, f, io.NopCloser(body)), body.Close()) // an HTTP client closes what it sends
		}
		switch {
		case err == nil:
			c.count(func(r *Report) { r.Taken.Files++; r.Taken.Bytes += f.Size })
		case ctx.Err() != nil || fault.Is(err, fault.Unavailable):
			return false, fmt.Errorf("file %s: %w", f.Path, err)
		default:
			whole = false
			c.leave(Left{"file", where + ": " + f.Path, 1, err.Error()})
		}
	}
	return whole, nil
}

func (c *copier) loggedModel(ctx context.Context, experiment string, m *LoggedModel) error {
	files, why, err := c.list(ctx, m.Files)
	if err != nil {
		return err
	}
	digest := digestModel(m, files)
	out := *m
	out.Tags = mapsWithout(m.Tags)
	delete(out.Tags, tagVersions) // the registry writes it
	out.Tags[TagFrom], out.Tags[TagID] = c.from.Address(), m.ID
	out.Run = c.runs[m.Run].ID
	known, there := c.models[m.ID]
	had := &known
	if !there {
		had = nil
	}
	if why != "" {
		out.Tags[TagFiles] = m.Files
	}
	made, err := c.to.PutLoggedModel(ctx, experiment, &out, had)
	if err != nil {
		return err
	}
	c.models[m.ID] = made
	whole, err := c.copyFiles(ctx, m.Files, made.Files, files, why, "logged model "+m.ID, out.Tags)
	if err != nil {
		return err
	}
	if !whole {
		digest = ""
	}
	if err := c.to.EndLoggedModel(ctx, made.ID, &out, digest); err != nil {
		return err
	}
	c.count(func(r *Report) { r.Taken.LoggedModels++ })
	return nil
}
