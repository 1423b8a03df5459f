package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var nanValue = math.NaN()

// Folder is MLflow's store of files, usually named mlruns: a folder per experiment, in it one per run, and models/ for the registry.
// It is read and written without leaving it, whatever links lie in it.
type Folder struct {
	dir    string
	root   *os.Root
	places *Places

	write folderState
}

const (
	metaFile     = "meta.yaml"
	trashDir     = ".trash"
	registryDir  = "models"
	runArtifacts = "artifacts"
)

// OpenFolder opens an existing store. artifacts is where mlflow-artifacts: leads to, as in OpenDatabase.
func OpenFolder(dir, artifacts string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "open the folder")
	}
	f := &Folder{dir: dir, root: root, places: &Places{bases: []string{filepath.Dir(dir), dir}, moved: map[string]string{}}}
	if beside := filepath.Join(filepath.Dir(dir), "mlartifacts"); artifacts == "" {
		if info, err := os.Stat(beside); err == nil && info.IsDir() {
			artifacts = beside
		}
	}
	if err := f.places.behind(artifacts); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	experiments, err := f.Experiments(context.Background())
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	for _, e := range experiments { // the folder may have been copied from another machine
		if at, ok := localPath(e.Root); ok && at != "" {
			if _, err := os.Stat(at); err != nil {
				f.places.moved[strings.TrimRight(at, "/")] = filepath.Join(dir, f.experimentDir(e.ID))
			}
		}
	}
	return f, nil
}

// IsFolder reports whether a folder is such a store.
func IsFolder(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "*", metaFile))
	return err == nil && len(found) > 0
}

// Address is the absolute path.
func (f *Folder) Address() string { return f.dir }

// Close lets go of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Place finds the files of a URI.
func (f *Folder) Place(uri string) (Place, string) { return f.places.At(uri) }

// dirs are the names of the folders in a folder; none when it is not there.
func (f *Folder) dirs(at string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// values reads the small files below a folder: a tag, a parameter or a metric each, its name the path.
func (f *Folder) values(at string) (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(f.root.FS(), at, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == at {
			return fs.SkipAll
		}
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		b, err := f.root.ReadFile(name)
		out[strings.TrimPrefix(name, at+"/")] = string(b)
		return err
	})
	return out, err
}

// meta is a meta.yaml.
type meta map[string]any

func (f *Folder) meta(at string) (meta, error) {
	b, err := f.root.ReadFile(path.Join(at, metaFile))
	if err != nil {
		return nil, err
	}
	m := meta{}
	if err := yaml.Unmarshal(b, &m); err != nil {
		return nil, fault.New(fault.Invalid, "%s cannot be read: %v", filepath.Join(f.dir, at, metaFile), err)
	}
	return m, nil
}

func (m meta) text(key string) string {
	switch v := m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func (m meta) int(key string) int64 {
	n, _ := strconv.ParseInt(m.text(key), 10, 64) // what is missing or null is 0
	return n
}

func (f *Folder) experimentDir(id string) string {
	if _, err := f.root.Stat(path.Join(id, metaFile)); err != nil {
		if _, err := f.root.Stat(path.Join(trashDir, id, metaFile)); err == nil {
			return path.Join(trashDir, id)
		}
	}
	return id
}

// Experiments lists all, those in the trash too. A folder without meta.yaml is none.
func (f *Folder) Experiments(context.Context) ([]Experiment, error) {
	var out []Experiment
	for _, parent := range []string{".", trashDir} {
		names, err := f.dirs(parent)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			at := path.Join(parent, name)
			if parent == "." && (name == trashDir || name == registryDir) {
				continue
			}
			m, err := f.meta(at)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			e := Experiment{ID: name, Name: m.text("name"), Root: m.text("artifact_location"), Stage: active, CreatedAt: m.int("creation_time"), UpdatedAt: m.int("last_update_time")}
			if parent == trashDir || m.text("lifecycle_stage") == deleted {
				e.Stage = deleted
			}
			if e.Tags, err = f.values(path.Join(at, "tags")); err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// Runs reads run after run.
func (f *Folder) Runs(ctx context.Context, experiment string, do func(*Run) error) error {
	at := f.experimentDir(experiment)
	names, err := f.dirs(at)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains([]string{"tags", "datasets", "traces", "models"}, name) {
			continue
		}
		r, err := f.run(at, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), do(r)); err != nil {
			return err
		}
	}
	return nil
}

// Run reads one run.
func (f *Folder) Run(_ context.Context, experiment, id string) (*Run, error) {
	return f.run(f.experimentDir(experiment), id)
}

var runStatus = map[string]string{"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}

func (f *Folder) run(at, id string) (*Run, error) {
	dir := path.Join(at, id)
	m, err := f.meta(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{ID: id, Experiment: path.Base(at), Name: m.text("run_name"), User: m.text("user_id"), Status: m.text("status"), Stage: m.text("lifecycle_stage"),
		Files: m.text("artifact_uri"), StartedAt: m.int("start_time"), EndedAt: m.int("end_time"), Latest: map[string]Point{}}
	if status := runStatus[r.Status]; status != "" {
		r.Status = status
	}
	if r.Status == "" {
		r.Status = "RUNNING"
	}
	if r.Stage == "" {
		r.Stage = active
	}
	if r.Tags, err = f.values(path.Join(dir, "tags")); err != nil {
		return nil, err
	}
	if r.Params, err = f.values(path.Join(dir, "params")); err != nil {
		return nil, err
	}
	if r.Name == "" {
		if r.Name = r.Tags[tagRunName]; r.Name == "" {
			r.Name = m.text("name")
		}
	}
	metrics := path.Join(dir, "metrics")
	err = fs.WalkDir(f.root.FS(), metrics, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == metrics {
			return fs.SkipAll
		}
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		key := strings.TrimPrefix(name, metrics+"/")
		return f.lines(name, func(fields []string) error {
			p, err := point(key, fields)
			if had, ok := r.Latest[key]; err == nil && (!ok || later(p, had)) {
				r.Latest[key] = p
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return r, f.links(at, dir, r)
}

// later is MLflow's order of points: step, time, value.
func later(a, b Point) bool {
	if a.Step != b.Step {
		return a.Step > b.Step
	}
	if a.At != b.At {
		return a.At > b.At
	}
	return a.Value > b.Value
}

// lines calls do with the words of every line of a file.
func (f *Folder) lines(name string, do func(words []string) error) error {
	file, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		words := strings.Fields(scan.Text())
		if len(words) == 0 {
			continue
		}
		if err := do(words); err != nil {
			return fault.Wrap(err, fault.Invalid, "%s: the line %q cannot be read", filepath.Join(f.dir, name), scan.Text())
		}
	}
	return scan.Err()
}

// point reads "time value [step [dataset digest]]".
func point(key string, words []string) (Point, error) {
	if len(words) < 2 {
		return Point{}, errors.New("it has no value")
	}
	p := Point{Key: key}
	var err error
	if p.At, err = strconv.ParseInt(words[0], 10, 64); err != nil {
		return p, err
	}
	if p.Value, err = strconv.ParseFloat(words[1], 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		return p, err
	}
	if len(words) > 2 {
		p.Step, err = strconv.ParseInt(words[2], 10, 64)
		return p, err
	}
	return p, nil
}

func (f *Folder) links(experiment, dir string, r *Run) error {
	inputs, err := f.dirs(path.Join(dir, "inputs"))
	if err != nil {
		return err
	}
	for _, name := range inputs {
		m, err := f.meta(path.Join(dir, "inputs", name))
		if err != nil {
			return err
		}
		if m.text("source_type") == "MODEL" {
			r.ModelInputs = append(r.ModelInputs, m.text("source_id"))
			continue
		}
		d, err := f.meta(path.Join(experiment, "datasets", m.text("source_id")))
		if errors.Is(err, fs.ErrNotExist) {
			continue // MLflow does not show it either
		}
		if err != nil {
			return err
		}
		s := Dataset{d.text("name"), d.text("digest"), d.text("source_type"), d.text("source"), d.text("schema"), d.text("profile"), map[string]string{}}
		if tags, ok := m["tags"].(map[string]any); ok {
			for key := range tags {
				s.Tags[key] = meta(tags).text(key)
			}
		}
		r.Datasets = append(r.Datasets, s)
	}
	outputs, err := f.dirs(path.Join(dir, "outputs"))
	if err != nil {
		return err
	}
	for _, name := range outputs {
		m, err := f.meta(path.Join(dir, "outputs", name))
		if err != nil {
			return err
		}
		r.ModelOutputs = append(r.ModelOutputs, ModelOutput{name, m.int("step")})
	}
	return nil
}

// History reads the file of a metric.
func (f *Folder) History(_ context.Context, r *Run, key string, do func([]Point) error) error {
	var points []Point
	err := f.lines(path.Join(f.experimentDir(r.Experiment), r.ID, "metrics", key), func(words []string) error {
		p, err := point(key, words)
		if points = append(points, p); err != nil || len(points) < 10*page {
			return err
		}
		err = do(points)
		points = points[:0]
		return err
	})
	if err != nil || len(points) == 0 {
		return err
	}
	return do(points)
}

// LoggedModels reads models/m-… of an experiment.
func (f *Folder) LoggedModels(_ context.Context, experiment string) ([]LoggedModel, error) {
	at := path.Join(f.experimentDir(experiment), "models")
	names, err := f.dirs(at)
	if err != nil {
		return nil, err
	}
	var out []LoggedModel
	for _, id := range names {
		dir := path.Join(at, id)
		m, err := f.meta(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.text("lifecycle_stage") == deleted {
			continue
		}
		l := LoggedModel{ID: id, Experiment: experiment, Name: m.text("name"), Type: m.text("model_type"), Run: m.text("source_run_id"), Status: loggedStatus[m.int("status")],
			Message: m.text("status_message"), Files: m.text("artifact_location"), CreatedAt: m.int("creation_timestamp"), UpdatedAt: m.int("last_updated_timestamp")}
		if l.Tags, err = f.values(path.Join(dir, "tags")); err != nil {
			return nil, err
		}
		if l.Params, err = f.values(path.Join(dir, "params")); err != nil {
			return nil, err
		}
		if l.Metrics, err = f.modelMetrics(path.Join(dir, "metrics")); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// modelMetrics reads lines of "time value step run [dataset digest]" and keeps the latest of every run and dataset.
func (f *Folder) modelMetrics(at string) ([]ModelMetric, error) {
	keys, err := f.values(at)
	if err != nil {
		return nil, err
	}
	var out []ModelMetric
	for _, key := range sortedKeys(keys) {
		latest := map[string]ModelMetric{}
		for line := range strings.Lines(keys[key]) {
			words := strings.Fields(line)
			if len(words) < 4 {
				continue
			}
			p, err := point(key, words)
			if err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "%s: the line %q cannot be read", filepath.Join(f.dir, at, key), line)
			}
			m := ModelMetric{words[3], p}
			if len(words) > 5 {
				m.DatasetName, m.DatasetDigest = strings.Join(words[4:len(words)-1], " "), words[len(words)-1]
			}
			id := m.Run + "\n" + m.DatasetName + "\n" + m.DatasetDigest
			if had, ok := latest[id]; !ok || !later(had.Point, p) {
				latest[id] = m
			}
		}
		for _, id := range sortedKeys(latest) {
			out = append(out, latest[id])
		}
	}
	return out, nil
}

// Models reads the registry.
func (f *Folder) Models(context.Context) ([]Model, error) {
	names, err := f.dirs(registryDir)
	if err != nil {
		return nil, err
	}
	var out []Model
	for _, name := range names {
		dir := path.Join(registryDir, name)
		m, err := f.meta(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		model := Model{Name: m.text("name"), Description: m.text("description"), CreatedAt: m.int("creation_timestamp"), UpdatedAt: m.int("last_updated_timestamp"), Aliases: map[string]int{}}
		if model.Tags, err = f.values(path.Join(dir, "tags")); err != nil {
			return nil, err
		}
		aliases, err := f.values(path.Join(dir, "aliases"))
		if err != nil {
			return nil, err
		}
		for alias, version := range aliases {
			if model.Aliases[alias], err = strconv.Atoi(strings.TrimSpace(version)); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "alias %s of model %s", alias, name)
			}
		}
		if model.Versions, err = f.versions(dir); err != nil {
			return nil, err
		}
		out = append(out, model)
	}
	return out, nil
}

func (f *Folder) versions(model string) ([]Version, error) {
	names, err := f.dirs(model)
	if err != nil {
		return nil, err
	}
	var out []Version
	for _, name := range names {
		number, err := strconv.Atoi(strings.TrimPrefix(name, "version-"))
		if err != nil || !strings.HasPrefix(name, "version-") {
			continue
		}
		dir := path.Join(model, name)
		m, err := f.meta(dir)
		if err != nil {
			return nil, err
		}
		if m.text("current_stage") == "Deleted_Internal" {
			continue
		}
		v := Version{Number: number, Description: m.text("description"), Source: m.text("source"), Files: m.text("storage_location"), Run: m.text("run_id"),
			RunLink: m.text("run_link"), LoggedModel: m.text("model_id"), Stage: m.text("current_stage"), User: m.text("user_id"),
			CreatedAt: m.int("creation_timestamp"), UpdatedAt: m.int("last_updated_timestamp")}
		if v.Tags, err = f.values(path.Join(dir, "tags")); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Version) int { return a.Number - b.Number })
	return out, nil
}

// Rest counts traces.
func (f *Folder) Rest(ctx context.Context) ([]Left, error) {
	experiments, err := f.Experiments(ctx)
	if err != nil {
		return nil, err
	}
	var left []Left
	for _, e := range experiments {
		traces, err := f.dirs(path.Join(f.experimentDir(e.ID), "traces"))
		if err != nil {
			return left, err
		}
		if len(traces) > 0 {
			left = append(left, Left{"traces", "experiment " + e.Name, int64(len(traces)), noTraces})
		}
	}
	return left, nil
}
