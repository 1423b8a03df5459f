package pipeline

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/exec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Training by a program of the user's: it gets the training rows as a file and logs a model through the MLflow client; the
// rows that judge it are predicted by a script in the same environment, since nothing of a model runs in this process.

//go:embed predict.py
var predictScript []byte

const (
	learnerProgram = "program" // Version.Learner of what a program trained
	predictTime    = 10 * time.Minute
	artifactScheme = "mlflow-artifacts:/"
)

// secretVariables do not reach a program.
var secretVariables = []string{"TRIMTAB_CATALOG", "TRIMTAB_TOKEN"}

// runner is a prepared environment and a folder to work in.
type runner struct {
	dir      string // of this build; removed at its end
	prepared exec.Prepared
}

// doProgram is do for a training by a program.
func (b *build) doProgram(ctx context.Context) (*registry.Version, error) {
	all, train, test, err := b.rows(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.runner.dir) // a temporary folder
	path, err := b.writeRows(ctx, "train.parquet", train, true)
	if err != nil {
		return nil, err
	}
	if err := b.runProgram(ctx, path, train); err != nil {
		return nil, err
	}
	logged, err := b.loggedModel(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := b.fetch(ctx, "model", logged.files, func(f registry.File) (io.ReadCloser, error) { return b.runs.OpenArtifact(ctx, logged.root+"/"+f.Path) })
	if err != nil {
		return nil, err
	}
	b.progress(0, 0, "", fmt.Sprintf("predicting %d rows that the program did not see", test.rows()))
	in, err := features(&test.signature, test.inputs)
	if err != nil {
		return nil, err
	}
	p, err := b.predictBy(ctx, folder, in, &test.signature)
	if err != nil {
		return nil, err
	}
	held := &registry.Held{Task: learn.Task(test.signature.Task), Y: test.y, P: p, K: len(test.signature.Classes), Sliced: test.slices}
	held.From, held.To = test.span()
	v := b.version(all, train, test, b.threshold())
	v.Learner, v.Params = learnerProgram, map[string]any{"run": b.p.File.Model.Train.Run, "env": b.p.File.Model.Train.Env}
	ev, err := b.judge(ctx, v, held, test)
	if err != nil {
		return nil, err
	}
	v.Signature, v.Training.FitRows, v.Importance = train.signature, train.rows(), []registry.Importance{}
	v.Source, v.ModelID = logged.source, logged.id
	if python := b.runner.prepared.Python; filepath.IsAbs(python) {
		v.Options = &registry.RunOptions{Python: python} // it is served where it was trained
	}
	return v, b.models.Adopt(ctx, v, logged.files, ev)
}

// prepare makes the environment of the file's program and a folder, once.
func (b *build) prepare(ctx context.Context) error {
	if b.runner != nil {
		return nil
	}
	env, err := exec.ParseEnvironment(b.p.File.Model.Train.Env, b.p.Dir)
	if err != nil {
		return err
	}
	b.progress(0, 0, "", "preparing the program's environment")
	base := slices.DeleteFunc(os.Environ(), func(e string) bool {
		key, _, _ := strings.Cut(e, "=")
		return slices.Contains(secretVariables, key)
	})
	prepared, err := env.Prepare(ctx, base, nil)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "trimtab-program-")
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "make a folder for the rows of the program")
	}
	b.runner = &runner{dir: dir, prepared: prepared}
	return nil
}

// writeRows writes the features of a frame, and its labels if asked, as Parquet.
func (b *build) writeRows(ctx context.Context, name string, f *frame, labels bool) (string, error) {
	in, err := features(&f.signature, f.inputs)
	if err != nil {
		return "", err
	}
	out := &table.Table{Rows: in.Rows, Columns: slices.Clone(in.Columns)}
	if labels {
		if in.Column(f.signature.Label) != nil {
			return "", fault.New(fault.Invalid, "the label and an input are both called %q", f.signature.Label).WithHint("rename the label")
		}
		out.Add(labelsOf(f))
	}
	path := filepath.Join(b.runner.dir, name)
	return path, b.duck.WriteParquet(ctx, out, path)
}

// numbered tells whether the labels of a classification are 0 and 1, and not texts.
func numbered(sig *registry.Signature) bool {
	return learn.Task(sig.Task) == learn.Binary && sig.Positive == sig.Label
}

// labelsOf is the labels as the data has them: texts, 0 and 1, or numbers.
func labelsOf(f *frame) *table.Column {
	sig := &f.signature
	c := &table.Column{Name: sig.Label}
	switch {
	case learn.Task(sig.Task) == learn.Regression:
		c.Kind, c.Floats = table.Double, f.y
	case numbered(sig):
		c.Kind, c.Floats = table.Long, f.y
	default:
		c.Kind = table.String
		for _, y := range f.y {
			c.Strings = append(c.Strings, sig.Classes[int(y)])
		}
	}
	return c
}

// runProgram runs the file's program as the run of this build.
func (b *build) runProgram(ctx context.Context, rows string, train *frame) error {
	argv, err := exec.Split(b.p.File.Model.Train.Run)
	if err != nil {
		return err
	}
	names, err := json.Marshal(train.signature.Features)
	if err != nil {
		return fmt.Errorf("encode the names of the features: %w", err)
	}
	set := map[string]string{
		"MLFLOW_TRACKING_URI": b.address, "MLFLOW_RUN_ID": b.run.ID, "MLFLOW_EXPERIMENT_ID": b.run.ExperimentID,
		"TRIMTAB_SERVER": b.address, "TRIMTAB_RUN_ID": b.run.ID, "TRIMTAB_PROJECT": b.p.Name, "TRIMTAB_MODEL": b.p.File.Model.Name,
		"TRIMTAB_DATASET": rows, "TRIMTAB_LABEL": train.signature.Label, "TRIMTAB_FEATURES": string(names), "TRIMTAB_TASK": train.signature.Task,
		"TRIMTAB_AS_OF": b.req.AsOf.UTC().Format(time.RFC3339),
	}
	if b.token != "" {
		set["MLFLOW_TRACKING_TOKEN"], set["TRIMTAB_TOKEN"] = b.token, b.token
	}
	prepared := b.runner.prepared
	prepared.Env = exec.With(prepared.Env, set)
	b.progress(0, 0, "", "running "+b.p.File.Model.Train.Run)
	out, err := exec.Record(ctx, exec.Recording{Command: exec.Command{Argv: argv, Dir: b.p.Dir}, Prepared: prepared, Machine: true,
		To: &runRecorder{runs: b.runs, run: b.run.ID, root: artifactRoot(b.run.ArtifactURI)}})
	switch {
	case err != nil:
		return err
	case out.End == exec.Canceled:
		return ctx.Err()
	case out.Code != 0:
		return fault.New(fault.Invalid, "%s ended with code %d:\n%s", b.p.File.Model.Train.Run, out.Code, out.Log.Last(12)).
			WithHint("all it printed is in logs/output.log of run %s", b.run.ID)
	}
	return nil
}

// askProgram has a version that somebody's program made predict rows; nil when the file names no environment to do it in, or
// when the version does not load there: then there is no comparison.
func (b *build) askProgram(ctx context.Context, v *registry.Version, in *table.Table) ([]float64, error) {
	if b.runner == nil || len(v.Files) == 0 {
		return nil, nil
	}
	folder, err := b.fetch(ctx, "champion", v.Files, func(f registry.File) (io.ReadCloser, error) {
		r, _, err := b.models.OpenFile(ctx, v.Model, v.Version, f.Path)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	p, err := b.predictBy(ctx, folder, in, &v.Signature)
	if err != nil && ctx.Err() == nil {
		b.progress(0, 0, "", fmt.Sprintf("v%d cannot be compared with: %v", v.Version, err))
		return nil, nil
	}
	return p, err
}

// fetch writes the files of a model into a folder.
func (b *build) fetch(ctx context.Context, name string, files []registry.File, open func(registry.File) (io.ReadCloser, error)) (string, error) {
	folder := filepath.Join(b.runner.dir, name)
	for _, f := range files {
		if !filepath.IsLocal(f.Path) {
			return "", fault.New(fault.Corrupt, "%q is no path of a file in a model", f.Path)
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := copyOut(filepath.Join(folder, f.Path), func() (io.ReadCloser, error) { return open(f) }); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func copyOut(path string, open func() (io.ReadCloser, error)) error {
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write a file of the model: %w", err)
	}
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write a file of the model: %w", err)
	}
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		return fmt.Errorf("write a file of the model: %w", err)
	}
	return to.Close()
}

// predictBy has the model in a folder predict rows, in the program's environment: rows x outputs, as learn.Model.Predict gives them.
func (b *build) predictBy(ctx context.Context, folder string, in *table.Table, sig *registry.Signature) ([]float64, error) {
	classes := slices.Clone(sig.Classes)
	if numbered(sig) {
		classes = []string{"0", "1"}
	}
	if classes == nil {
		classes = []string{}
	}
	list, err := json.Marshal(classes)
	if err != nil {
		return nil, fmt.Errorf("encode classes: %w", err)
	}
	script, rows, answers := filepath.Join(b.runner.dir, "predict.py"), folder+".rows.parquet", folder+".predictions"
	if err := os.WriteFile(script, predictScript, 0o600); err != nil {
		return nil, fmt.Errorf("write the script that predicts: %w", err)
	}
	if err := b.duck.WriteParquet(ctx, in, rows); err != nil {
		return nil, err
	}
	if b.runner.prepared.Python == "" {
		return nil, fault.New(fault.Invalid, "there is no Python to load the model with").WithHint("name one with env: under model.train")
	}
	log := exec.NewLog(64 << 10)
	// It must not log to the run; code that the program kept beside itself may be needed to load the model.
	env := exec.With(b.runner.prepared.Env, map[string]string{"MLFLOW_TRACKING_URI": "file://" + filepath.Join(b.runner.dir, "none"),
		"PYTHONPATH": strings.TrimSuffix(b.p.Dir+string(filepath.ListSeparator)+exec.Lookup(b.runner.prepared.Env, "PYTHONPATH"), string(filepath.ListSeparator))})
	result, err := exec.Run(ctx, exec.Command{Argv: []string{b.runner.prepared.Python, script, folder, rows, answers, string(list)}, Dir: b.p.Dir, Env: env, Log: log, Timeout: predictTime})
	if err != nil {
		return nil, err
	}
	if result.End == exec.Canceled {
		return nil, ctx.Err()
	}
	if result.Code != 0 {
		return nil, fault.New(fault.Invalid, "the model that was logged does not predict the rows that judge it:\n%s", log.Last(8)).
			WithHint("it is given the columns %s, and needs mlflow, pandas and pyarrow in its environment", strings.Join(sig.Features, ", "))
	}
	return readPredictions(answers, in.Rows, max(1, len(classes)), learn.Task(sig.Task) == learn.Binary)
}

// readPredictions reads rows x outputs; of a binary task only the probability of the positive class stays.
func readPredictions(path string, rows, outputs int, positive bool) ([]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read predictions: %w", err)
	}
	if len(data) != 8*rows*outputs {
		return nil, fault.New(fault.Invalid, "the model gives %d predictions for %d rows of %d outputs", len(data)/8, rows, outputs)
	}
	out := make([]float64, 0, rows*outputs)
	for i := range rows * outputs {
		v := math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fault.New(fault.Invalid, "the model predicts %v for row %d", v, i/outputs)
		}
		if !positive || i%2 == 1 {
			out = append(out, v)
		}
	}
	return out, nil
}
