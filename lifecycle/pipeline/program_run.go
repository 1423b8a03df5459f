package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/infra/exec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// runRecorder keeps what is found about a program with its run.
type runRecorder struct {
	runs *track.Service
	run  string
	root string // of its artifacts in our store
}

func (r *runRecorder) Tags(ctx context.Context, tags map[string]string) error {
	var batch track.Batch
	for key, value := range tags {
		batch.Tags = append(batch.Tags, track.Tag{Key: key, Value: value})
	}
	return r.runs.LogBatch(ctx, r.run, batch)
}

func (r *runRecorder) File(ctx context.Context, name string, content []byte) error {
	_, err := r.runs.PutArtifact(ctx, r.root+"/"+name, bytes.NewReader(content), track.Expect{})
	return err
}

func (r *runRecorder) Sample(ctx context.Context, s exec.Sample, step int64) error {
	var batch track.Batch
	for key, value := range s.Values {
		batch.Metrics = append(batch.Metrics, track.Metric{Key: key, Value: value, At: s.At.UnixMilli(), Step: step})
	}
	return r.runs.LogBatch(ctx, r.run, batch)
}

// artifactRoot is the path in our store of an address in it.
func artifactRoot(uri string) string {
	return strings.Trim(strings.TrimPrefix(uri, artifactScheme), "/")
}

// logged is a model that a program logged.
type logged struct {
	id     string // of a logged model; "" for a folder of the run
	source string
	root   string // path in our store
	files  []registry.File
}

// fileMLmodel is what makes a folder a model of MLflow.
const fileMLmodel = "MLmodel"

// loggedModel finds what the program logged as its model: the newest logged model of the run, or, from clients before
// logged models, the newest folder with an MLmodel among the run's artifacts.
func (b *build) loggedModel(ctx context.Context) (*logged, error) {
	found, _, err := b.runs.SearchLoggedModels(ctx, track.ModelSearch{Experiments: []string{b.run.ExperimentID}, Filter: "source_run_id = '" + b.run.ID + "'", MaxResults: 50})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b *track.LoggedModel) int { return b.CreatedAt.Compare(a.CreatedAt) })
	for _, m := range found {
		if !strings.HasPrefix(m.ArtifactURI, artifactScheme) {
			continue
		}
		l := &logged{id: m.ID, source: "models:/" + m.ID, root: artifactRoot(m.ArtifactURI)}
		if l.files, err = b.tree(ctx, l.root); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(l.files, func(f registry.File) bool { return f.Path == fileMLmodel }) {
			return l, nil
		}
	}
	root := artifactRoot(b.run.ArtifactURI)
	all, err := b.runs.Tree(ctx, root)
	if err != nil {
		return nil, err
	}
	at := -1
	for i, a := range all {
		if path.Base(a.Path) == fileMLmodel && path.Dir(a.Path) != "." && (at < 0 || a.ModifiedAt.After(all[at].ModifiedAt)) {
			at = i
		}
	}
	if at < 0 {
		return nil, fault.New(fault.Invalid, "%s logged no model", b.p.File.Model.Train.Run).
			WithHint("log one through the MLflow client, e.g. mlflow.sklearn.log_model(model, name=\"model\"); see what it printed in logs/output.log of run %s", b.run.ID)
	}
	folder := path.Dir(all[at].Path)
	l := &logged{source: b.run.ArtifactURI + "/" + folder, root: root + "/" + folder}
	l.files, err = b.tree(ctx, l.root)
	return l, err
}

func (b *build) tree(ctx context.Context, root string) ([]registry.File, error) {
	all, err := b.runs.Tree(ctx, root)
	if err != nil {
		return nil, err
	}
	out := make([]registry.File, len(all))
	for i, a := range all {
		out[i] = registry.File{Path: a.Path, Blob: a.Blob, Size: a.Size}
	}
	return out, nil
}

// Bounds of what is read to see whether a program changed.
const (
	maxProgramFiles = 5000
	maxProgramBytes = 64 << 20
)

// programText is a digest of the program: of the Python files and the locks below the file's folder, and of the files that
// the command names. Folders of environments and hidden ones are left out. When it changes, the model is trained again.
func programText(p *project.Project) (string, error) {
	if p.Dir == "" {
		return "", fault.New(fault.Invalid, "the folder of project %s is not known, so its program cannot be run", p.Name).WithHint("apply trimtab.yaml from its folder")
	}
	words, err := exec.Split(p.File.Model.Train.Run)
	if err != nil {
		return "", err
	}
	sum := blake3.New()
	count, size := 0, int64(0)
	err = filepath.WalkDir(p.Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read is no part of the program
		}
		if e.IsDir() {
			if name != p.Dir && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules" || e.Name() == "__pycache__" || exists(filepath.Join(name, "pyvenv.cfg"))) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(p.Dir, name)
		if err != nil {
			return err
		}
		if !e.Type().IsRegular() || !(filepath.Ext(name) == ".py" || e.Name() == "uv.lock" || slices.Contains(words, rel) || slices.Contains(words, "./"+rel)) {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil // as above
		}
		count, size = count+1, size+int64(len(data))
		if count > maxProgramFiles || size > maxProgramBytes {
			return fault.New(fault.TooLarge, "the folder of the program has more than %d files or %d MB of code", maxProgramFiles, maxProgramBytes>>20).
				WithHint("keep trimtab.yaml in a folder with the program alone")
		}
		fmt.Fprintf(sum, "%d %s %d\n", len(rel), rel, len(data))
		_, _ = sum.Write(data) // a hash does not fail
		return nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
