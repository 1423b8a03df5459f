package transfer

import (
	"context"
	"crypto/md5" // names of folders, as MLflow makes them
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// folderState is what a Folder remembers while it is written to.
type folderState struct {
	mu          sync.Mutex
	experiments map[string]string // of runs and logged models: the folder of their experiment
	begun       map[string]meta
}

// CreateFolder opens a store to write to, and makes it when it is not there.
func CreateFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "make the folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "read the folder")
	}
	if len(entries) > 0 && !IsFolder(dir) {
		return nil, fault.New(fault.Invalid, "%s is neither empty nor MLflow's", dir).WithHint("name a new folder")
	}
	f, err := OpenFolder(dir, "")
	if err != nil {
		return nil, err
	}
	f.write = folderState{experiments: map[string]string{}, begun: map[string]meta{}}
	now := time.Now().UnixMilli()
	if len(entries) == 0 {
		err = f.putExperiment(&Experiment{ID: "0", Name: "Default", Root: f.uri("0"), Stage: active, CreatedAt: now, UpdatedAt: now})
		err = errors.Join(err, f.root.MkdirAll(trashDir, 0o755), f.root.MkdirAll(registryDir, 0o755))
	}
	return f, err
}

func (f *Folder) uri(at string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(f.dir, at))}).String()
}

// put writes a small file whole or not at all.
func (f *Folder) put(name string, content []byte) error {
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return unfit(name, err)
	}
	if err := f.root.WriteFile(name+".new", content, 0o644); err != nil {
		return unfit(name, err)
	}
	return unfit(name, f.root.Rename(name+".new", name))
}

// unfit says which key or path the file system does not take: "a" and "a/b" cannot both be files.
func unfit(name string, err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(err, fault.Invalid, "write %s", name)
}

// putMeta writes a meta.yaml. Every text is quoted, so that no reader takes one for a number or a date.
func (f *Folder) putMeta(at string, m meta) error {
	var b strings.Builder
	for _, key := range sortedKeys(m) {
		value, err := plainJSON(m[key])
		if err != nil {
			return fmt.Errorf("encode %s: %w", key, err)
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return f.put(path.Join(at, metaFile), []byte(b.String()))
}

// plainJSON is JSON without the escapes for web pages: a subset of YAML.
func plainJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func (f *Folder) putValues(at string, values map[string]string) error {
	for _, key := range sortedKeys(values) {
		if err := f.put(path.Join(at, key), []byte(values[key])); err != nil {
			return err
		}
	}
	return nil
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// FindExperiment looks for what was made of e before, and else for its name.
func (f *Folder) FindExperiment(ctx context.Context, from string, e *Experiment) (string, error) {
	all, err := f.Experiments(ctx)
	if err != nil {
		return "", err
	}
	if x := match(all, from, e); x != nil {
		return x.ID, nil
	}
	return "", nil
}

// Experiment finds or makes one; it keeps its id unless that is taken.
func (f *Folder) Experiment(ctx context.Context, from string, e *Experiment, foreign bool) (string, error) {
	all, err := f.Experiments(ctx)
	if err != nil {
		return "", err
	}
	out := *e
	out.Stage, out.Tags = active, mapsWithout(e.Tags)
	out.Tags[TagFrom], out.Tags[TagID] = from, e.ID
	if found := match(all, from, e); found != nil {
		if found.Stage == deleted {
			if err := f.root.Rename(path.Join(trashDir, found.ID), found.ID); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		out.ID, out.Root = found.ID, found.Root
		return out.ID, f.putExperiment(&out)
	}
	taken := func(id string) bool {
		return id == registryDir || id == trashDir || slices.ContainsFunc(all, func(x Experiment) bool { return x.ID == id })
	}
	for n := len(all); taken(out.ID) || !fs.ValidPath(out.ID) || strings.Contains(out.ID, "/"); n++ {
		out.ID = strconv.Itoa(n)
	}
	if !foreign {
		out.Root = f.uri(out.ID)
	}
	return out.ID, f.putExperiment(&out)
}

func (f *Folder) putExperiment(e *Experiment) error {
	if err := f.putValues(path.Join(e.ID, "tags"), e.Tags); err != nil {
		return err
	}
	return f.putMeta(e.ID, meta{"artifact_location": e.Root, "creation_time": e.CreatedAt, "experiment_id": e.ID, "last_update_time": e.UpdatedAt,
		"lifecycle_stage": e.Stage, "name": e.Name})
}

// EndExperiment moves it to the trash when it is deleted in the source.
func (f *Folder) EndExperiment(_ context.Context, id string, e *Experiment) error {
	if e.Stage != deleted {
		return nil
	}
	m, err := f.meta(id)
	if err != nil {
		return err
	}
	m["lifecycle_stage"] = deleted
	if err := f.putMeta(id, m); err != nil {
		return err
	}
	if err := f.root.MkdirAll(trashDir, 0o755); err != nil {
		return err
	}
	return f.root.Rename(id, path.Join(trashDir, id))
}

// KnownRuns are all: a run keeps its id here.
func (f *Folder) KnownRuns(ctx context.Context, experiment string) (map[string]Known, error) {
	known := map[string]Known{}
	err := f.Runs(ctx, experiment, func(r *Run) error {
		known[r.ID] = Known{r.ID, r.Tags[TagDigest], r.Stage, r.Files, r.Tags[TagID] == ""}
		return nil
	})
	return known, err
}

// KnownModels is KnownRuns for logged models.
func (f *Folder) KnownModels(ctx context.Context, experiment string) (map[string]Known, error) {
	known := map[string]Known{}
	models, err := f.LoggedModels(ctx, experiment)
	for _, m := range models {
		known[m.ID] = Known{m.ID, m.Tags[TagDigest], active, m.Files, m.Tags[TagID] == ""}
	}
	return known, err
}

// Begin makes the folder of a run. One that is known gets its metrics anew.
func (f *Folder) Begin(_ context.Context, experiment string, r *Run, known *Known) (Known, error) {
	if !fs.ValidPath(r.ID) || strings.Contains(r.ID, "/") {
		return Known{}, fault.New(fault.Invalid, "%q cannot be the name of a folder", r.ID)
	}
	at := path.Join(experiment, r.ID)
	files := ""
	if known != nil {
		files = known.Files
	} else {
		m, err := f.meta(experiment)
		if err != nil {
			return Known{}, err
		}
		files = strings.TrimRight(m.text("artifact_location"), "/") + "/" + r.ID + "/" + runArtifacts
	}
	if err := f.root.RemoveAll(path.Join(at, "metrics")); err != nil {
		return Known{}, err
	}
	for _, name := range []string{"metrics", "params", "tags", runArtifacts} { // without them MLflow takes it for no run
		if err := f.root.MkdirAll(path.Join(at, name), 0o755); err != nil {
			return Known{}, err
		}
	}
	m := meta{"artifact_uri": files, "end_time": nil, "entry_point_name": "", "experiment_id": experiment, "lifecycle_stage": active, "run_id": r.ID,
		"run_name": r.Name, "run_uuid": r.ID, "source_name": "", "source_type": 4, "source_version": "", "start_time": r.StartedAt, "status": 1, "tags": []string{}, "user_id": r.User}
	f.write.mu.Lock()
	f.write.experiments[r.ID], f.write.begun[r.ID] = experiment, m
	f.write.mu.Unlock()
	return Known{ID: r.ID, Stage: active, Files: files}, errors.Join(f.putValues(path.Join(at, "tags"), r.Tags), f.putMeta(at, m))
}

// home is the folder of a run or logged model that was begun.
func (f *Folder) home(id string) string {
	f.write.mu.Lock()
	defer f.write.mu.Unlock()
	return f.write.experiments[id]
}

func pyFloat(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Log appends to the files of metrics, of the run and of the logged models that were measured.
func (f *Folder) Log(_ context.Context, run string, points []Point) error {
	experiment := f.home(run)
	files := map[string]*strings.Builder{}
	add := func(name, line string) {
		if files[name] == nil {
			files[name] = &strings.Builder{}
		}
		files[name].WriteString(line + "\n")
	}
	for i, p := range points {
		line := fmt.Sprintf("%d %s %d", p.At, pyFloat(p.Value), p.Step)
		if i == 0 || points[i-1].identity() != p.identity() { // two models may be measured by one point
			add(path.Join(experiment, run, "metrics", p.Key), line)
		}
		if p.Model != "" {
			line += " " + run
			if p.DatasetName != "" && p.DatasetDigest != "" {
				line += " " + p.DatasetName + " " + p.DatasetDigest
			}
			add(path.Join(experiment, "models", p.Model, "metrics", p.Key), line)
		}
	}
	for _, name := range sortedKeys(files) {
		if err := f.appendTo(name, files[name].String()); err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) appendTo(name, text string) error {
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return unfit(name, err)
	}
	file, err := f.root.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return unfit(name, err)
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// End writes what is left of a run; the digest is the last.
func (f *Folder) End(_ context.Context, run string, r *Run, digest string) error {
	experiment := f.home(run)
	at := path.Join(experiment, run)
	if err := f.putValues(path.Join(at, "params"), r.Params); err != nil {
		return err
	}
	if err := f.putValues(path.Join(at, "tags"), r.Tags); err != nil {
		return err
	}
	hash := func(parts ...string) string { return fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(parts, "")))) }
	for _, d := range r.Datasets {
		id := hash(d.Name, d.Digest)
		err := f.putMeta(path.Join(experiment, "datasets", id), meta{"digest": d.Digest, "name": d.Name, "profile": orNull(d.Profile), "schema": orNull(d.Schema),
			"source": d.Source, "source_type": d.SourceType})
		if err != nil {
			return err
		}
		tags := d.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		err = f.putMeta(path.Join(at, "inputs", hash(id, run)), meta{"destination_id": id, "destination_type": "RUN", "source_id": id, "source_type": "DATASET", "tags": tags})
		if err != nil {
			return err
		}
	}
	for _, id := range r.ModelInputs {
		err := f.putMeta(path.Join(at, "inputs", hash(id, run)), meta{"destination_id": id, "destination_type": "RUN", "source_id": id, "source_type": "MODEL", "tags": map[string]string{}})
		if err != nil {
			return err
		}
	}
	for _, o := range r.ModelOutputs {
		err := f.putMeta(path.Join(at, "outputs", o.Model), meta{"destination_id": o.Model, "destination_type": "MODEL_OUTPUT", "source_id": o.Model, "source_type": "RUN_OUTPUT",
			"step": o.Step, "tags": map[string]string{}})
		if err != nil {
			return err
		}
	}
	f.write.mu.Lock()
	m := f.write.begun[run]
	f.write.mu.Unlock()
	for code, status := range runStatus {
		if status == r.Status {
			m["status"], _ = strconv.Atoi(code)
		}
	}
	if r.EndedAt != 0 {
		m["end_time"] = r.EndedAt
	}
	m["run_name"], m["user_id"], m["lifecycle_stage"], m["start_time"] = r.Name, r.User, r.Stage, r.StartedAt
	if r.Stage == deleted {
		m["deleted_time"] = time.Now().UnixMilli()
	}
	if err := f.putMeta(at, m); err != nil || digest == "" {
		return err
	}
	return f.put(path.Join(at, "tags", TagDigest), []byte(digest))
}

// PutLoggedModel makes the folder of a logged model.
func (f *Folder) PutLoggedModel(_ context.Context, experiment string, m *LoggedModel, known *Known) (Known, error) {
	at := path.Join(experiment, "models", m.ID)
	files := ""
	if known != nil {
		files = known.Files
	} else {
		e, err := f.meta(experiment)
		if err != nil {
			return Known{}, err
		}
		files = strings.TrimRight(e.text("artifact_location"), "/") + "/models/" + m.ID + "/" + runArtifacts
	}
	if err := f.root.RemoveAll(path.Join(at, "metrics")); err != nil {
		return Known{}, err
	}
	f.write.mu.Lock()
	f.write.experiments[m.ID] = experiment
	f.write.mu.Unlock()
	err := errors.Join(f.putValues(path.Join(at, "tags"), m.Tags), f.putValues(path.Join(at, "params"), m.Params), f.root.MkdirAll(path.Join(at, "metrics"), 0o755))
	if err != nil {
		return Known{}, err
	}
	made := meta{"artifact_location": files, "creation_timestamp": m.CreatedAt, "experiment_id": experiment, "last_updated_timestamp": m.UpdatedAt, "lifecycle_stage": active,
		"model_id": m.ID, "model_type": orNull(m.Type), "name": m.Name, "source_run_id": orNull(m.Run), "status": 1, "status_message": orNull(m.Message)}
	return Known{ID: m.ID, Stage: active, Files: files}, f.putMeta(at, made)
}

// EndLoggedModel sets its state, and the digest when all of it is there.
func (f *Folder) EndLoggedModel(_ context.Context, id string, m *LoggedModel, digest string) error {
	at := path.Join(f.home(id), "models", id)
	made, err := f.meta(at)
	if err != nil {
		return err
	}
	for code, status := range loggedStatus {
		if status == m.Status {
			made["status"] = code
		}
	}
	if err := f.putMeta(at, made); err != nil || digest == "" {
		return err
	}
	return f.put(path.Join(at, "tags", TagDigest), []byte(digest))
}

// PutFile writes a file below a URI in the folder.
func (f *Folder) PutFile(_ context.Context, uri string, file File, body io.Reader) (err error) {
	at, here := localPath(uri)
	within, ok := strings.CutPrefix(at, f.dir+"/")
	if !here || !ok {
		return fault.New(fault.NotSupported, "%s is not in %s", uri, f.dir)
	}
	name := path.Join(within, file.Path)
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return unfit(name, err)
	}
	out, err := f.root.Create(name + ".new")
	if err != nil {
		return unfit(name, err)
	}
	_, err = io.Copy(out, body)
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, f.root.Remove(name+".new"))
	}
	return unfit(name, f.root.Rename(name+".new", name))
}

// PutModel makes the folder of a registered model.
func (f *Folder) PutModel(_ context.Context, m *Model, _ *Model) error {
	if strings.ContainsAny(m.Name, `/\%:`) || !fs.ValidPath(m.Name) {
		return fault.New(fault.Invalid, "%q cannot be the name of a folder", m.Name)
	}
	at := path.Join(registryDir, m.Name)
	if err := f.putValues(path.Join(at, "tags"), m.Tags); err != nil {
		return err
	}
	return f.putMeta(at, meta{"creation_timestamp": m.CreatedAt, "description": orNull(m.Description), "last_updated_timestamp": m.UpdatedAt, "name": m.Name})
}

func (f *Folder) versionDir(model string, number int) string {
	return path.Join(registryDir, model, "version-"+strconv.Itoa(number))
}

// PutVersion writes a version under its own number.
func (f *Folder) PutVersion(ctx context.Context, m *Model, v *Version, _ int) error {
	files := v.Source
	if v.LoggedModel != "" {
		home := f.home(v.LoggedModel)
		if home == "" {
			found, err := f.findLogged(ctx, v.LoggedModel)
			if err != nil {
				return err
			}
			home = found
		}
		at := path.Join(home, "models", v.LoggedModel)
		logged, err := f.meta(at)
		if err != nil {
			return err
		}
		files = logged.text("artifact_location")
		if err := f.nameOnModel(at, m.Name, v.Number); err != nil {
			return err
		}
	}
	at := f.versionDir(m.Name, v.Number)
	if err := f.putValues(path.Join(at, "tags"), v.Tags); err != nil {
		return err
	}
	return f.putMeta(at, meta{"creation_timestamp": v.CreatedAt, "current_stage": v.Stage, "description": orNull(v.Description), "last_updated_timestamp": v.UpdatedAt,
		"model_id": orNull(v.LoggedModel), "name": m.Name, "run_id": orNull(v.Run), "run_link": orNull(v.RunLink), "source": v.Source, "status": "READY", "status_message": nil,
		"storage_location": files, "user_id": orNull(v.User), "version": v.Number})
}

// findLogged is the folder of the experiment of a logged model that an earlier transfer wrote.
func (f *Folder) findLogged(ctx context.Context, id string) (string, error) {
	experiments, err := f.Experiments(ctx)
	if err != nil {
		return "", err
	}
	for _, e := range experiments {
		at := f.experimentDir(e.ID)
		if _, err := f.root.Stat(path.Join(at, "models", id, metaFile)); err == nil {
			return at, nil
		}
	}
	return "", fault.New(fault.NotFound, "logged model %s is not in %s", id, f.dir)
}

// nameOnModel adds a version to the tag in which MLflow keeps the versions of a logged model.
func (f *Folder) nameOnModel(at, model string, number int) error {
	type named struct {
		Name    string `json:"name"`
		Version int    `json:"version"`
	}
	var list []named
	name := path.Join(at, "tags", tagVersions)
	if b, err := f.root.ReadFile(name); err == nil && json.Unmarshal(b, &list) != nil {
		list = nil // it is replaced
	}
	if slices.Contains(list, named{model, number}) {
		return nil
	}
	b, err := json.Marshal(append(list, named{model, number}))
	if err != nil {
		return fmt.Errorf("encode versions: %w", err)
	}
	return f.put(name, b)
}

// ChangeVersion writes a version's description, tags and stage.
func (f *Folder) ChangeVersion(_ context.Context, m *Model, v, _ *Version) error {
	at := f.versionDir(m.Name, v.Number)
	made, err := f.meta(at)
	if err != nil {
		return err
	}
	made["description"], made["current_stage"] = orNull(v.Description), v.Stage
	return errors.Join(f.putMeta(at, made), f.putValues(path.Join(at, "tags"), v.Tags))
}

// DeleteVersion removes a version.
func (f *Folder) DeleteVersion(_ context.Context, model string, number int) error {
	return f.root.RemoveAll(f.versionDir(model, number))
}

// SetAlias points an alias at a version.
func (f *Folder) SetAlias(_ context.Context, model, alias string, version int) error {
	return f.put(path.Join(registryDir, model, "aliases", alias), []byte(strconv.Itoa(version)))
}

// EndModel has nothing to do: times and users were written with the rest.
func (f *Folder) EndModel(context.Context, *Model) error { return nil }
