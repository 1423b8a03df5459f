package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/exec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// lastWords bounds what is told to the server about a program that has ended.
const lastWords = 30 * time.Second

type runOptions struct {
	experiment, name, dataset, project, env string
}

func newRunCommand(f *Factory) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] -- PROGRAM [ARG...]",
		Short: "Run a program of yours on record: code, output, environment, machine",
		Long: "Run a program as a run. It finds the server by MLFLOW_TRACKING_URI and the run by MLFLOW_RUN_ID, so that what it logs\n" +
			"through the MLflow client goes there; a program that logs nothing is recorded all the same. The commit and what\n" +
			"differs from it, the command, the packages, the machine, the output and the use of CPU and memory are kept with\n" +
			"the run. The command ends with the program's exit code; an interrupt ends the program and all processes it made.",
		Example: "  trimtab run -- python train.py --depth 6\n" +
			"  trimtab run --experiment churn --env uv.lock -- python train.py\n" +
			"  trimtab run --dataset flights@3 --env .venv -- python train.py   # rows at $TRIMTAB_DATASET",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runProgram(cmd, f, o, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the program is the program's
	flags.StringVar(&o.experiment, "experiment", "", "the experiment; made when there is none of that name (default $MLFLOW_EXPERIMENT_NAME, else Default)")
	flags.StringVar(&o.name, "name", "", "a name for the run")
	flags.StringVar(&o.dataset, "dataset", "", "NAME or NAME@VERSION: its rows, as Parquet, are at $TRIMTAB_DATASET")
	flags.StringVar(&o.project, "project", "", "the project of the dataset; default the only one")
	flags.StringVar(&o.env, "env", "", "a uv.lock, a Python interpreter, the folder of a virtual environment, or none (default none: as PATH says)")
	return cmd
}

func runProgram(cmd *cobra.Command, f *Factory, o runOptions, argv []string) error {
	ctx := cmd.Context()
	working, err := os.Getwd()
	if err != nil {
		return err
	}
	environment, err := exec.ParseEnvironment(o.env, working)
	if err != nil {
		return err
	}
	if _, err := exec.Find(argv[0], working, os.Environ()); err != nil && o.env == "" {
		return err // before a run is made of a typing mistake
	}
	// A program must not inherit the password of the catalog.
	inherited := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, catalogVariable+"=") })
	prepared, err := environment.Prepare(ctx, inherited, f.IO.Err)
	if err != nil {
		return err
	}
	// The server is needed to the last word, also when the command is interrupted.
	client, err := f.Client(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	rows, err := fetchRows(cmd, client, o)
	if err != nil {
		return err
	}
	defer rows.remove()
	run, err := createRun(ctx, client, o)
	if err != nil {
		return err
	}
	if rows != nil {
		if err := client.Post(ctx, "/api/2.0/mlflow/runs/log-inputs", rows.input(run.ID), nil); err != nil {
			return err
		}
	}
	f.IO.Sayf("%s run %s (%s)\n", f.IO.Dim("·"), run.Name, run.ID)
	prepared.Env = exec.With(prepared.Env, client.variables(run, rows))
	command := exec.Command{Argv: argv, Dir: working, Stdout: f.IO.Out, Stderr: f.IO.Err}
	if in, ok := f.IO.In.(*os.File); ok && !terminal(in) {
		command.Stdin = in
	}
	outcome, err := exec.Record(ctx, exec.Recording{Command: command, Prepared: prepared, To: &recorder{client: client, run: run.ID}, Machine: !samples(prepared.Env)})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err != nil {
		return errors.Join(err, conclude(last, client, run, track.Failed))
	}
	state := track.Finished
	switch {
	case outcome.End == exec.Canceled:
		state = track.Killed
	case outcome.Code != 0:
		state = track.Failed
	}
	err = conclude(last, client, run, state)
	for _, lost := range outcome.Lost {
		f.IO.Sayf("%s not recorded: %v\n", f.IO.Attention("!"), lost)
	}
	if err != nil {
		return err
	}
	if err := showRun(last, f, client, run, outcome); err != nil {
		return err
	}
	switch {
	case outcome.End == exec.Canceled:
		return ctx.Err()
	case outcome.Code != 0:
		return &term.Ended{Code: outcome.Code}
	}
	return nil
}

// terminal tells whether a file is one. A program in a group of its own must not read from it: the system would halt it.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// samples tells whether the MLflow client in the program measures the machine itself.
func samples(env []string) bool {
	on, err := strconv.ParseBool(exec.Lookup(env, "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"))
	return err == nil && on
}

func createRun(ctx context.Context, client *Client, o runOptions) (*track.Run, error) {
	body := map[string]any{}
	if o.experiment == "" {
		o.experiment = os.Getenv("MLFLOW_EXPERIMENT_NAME")
	}
	if o.experiment != "" {
		body["experiment_name"] = o.experiment
	} else if id := os.Getenv("MLFLOW_EXPERIMENT_ID"); id != "" {
		body["experiment"] = id
	}
	if o.name != "" {
		body["name"] = o.name
	}
	if who, err := user.Current(); err == nil {
		body["user"] = who.Username
	}
	body["started_at"] = time.Now().UTC()
	run := &track.Run{}
	return run, client.Post(ctx, "runs", body, run)
}

// variables is what a program needs to know to log to the run.
func (c *Client) variables(run *track.Run, rows *rowsFile) map[string]string {
	set := map[string]string{
		"MLFLOW_TRACKING_URI": c.base, "MLFLOW_RUN_ID": run.ID, "MLFLOW_EXPERIMENT_ID": run.ExperimentID, "TRIMTAB_RUN_ID": run.ID, "TRIMTAB_SERVER": c.base,
	}
	if c.token != "" {
		set["MLFLOW_TRACKING_TOKEN"], set["TRIMTAB_TOKEN"] = c.token, c.token
	}
	if rows != nil {
		set["TRIMTAB_DATASET"] = rows.path
	}
	return set
}

// conclude ends the run. A program that logged through MLflow may have ended it already; its exit code is what counts.
func conclude(ctx context.Context, client *Client, run *track.Run, state string) error {
	now := track.Run{}
	if err := client.Get(ctx, Path("runs", run.ID), &now); err != nil {
		return err
	}
	if state == track.Finished && now.State != track.Running && now.State != track.Scheduled {
		*run = now
		return nil
	}
	return client.json(ctx, http.MethodPatch, Path("runs", run.ID), map[string]any{"state": state, "finished_at": time.Now().UTC()}, run)
}

func showRun(ctx context.Context, f *Factory, client *Client, run *track.Run, outcome exec.Outcome) error {
	if f.JSON {
		return f.IO.JSON(run)
	}
	out := f.IO
	mark := out.Good("✓")
	if run.State != track.Finished {
		mark = out.Bad("✗")
	}
	out.Sayf("%s run %s (%s) %s after %s\n", mark, run.Name, run.ID, run.State, term.Duration(outcome.Elapsed))
	names := make([]string, 0, len(run.Metrics))
	for name := range run.Metrics {
		if !strings.HasPrefix(name, "system/") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	const shown = 12
	for i, name := range names {
		if i == shown {
			out.Sayf("  … and %d more: trimtab runs show %s\n", len(names)-shown, run.ID)
			break
		}
		out.Sayf("  %s %.6g\n", name, run.Metrics[name])
	}
	if !client.Local() {
		out.Sayf("  %s/ui/runs/%s\n", client.URL(), run.ID)
	}
	return nil
}

// rowsFile is the rows of a dataset version in a file of this command.
type rowsFile struct {
	version *data.Version
	path    string
	dir     string
}

func (r *rowsFile) remove() {
	if r != nil {
		_ = os.RemoveAll(r.dir) // a temporary folder
	}
}

// fetchRows gets the rows of --dataset; nil without one.
func fetchRows(cmd *cobra.Command, client *Client, o runOptions) (*rowsFile, error) {
	if o.dataset == "" {
		return nil, nil
	}
	ctx := cmd.Context()
	name, number, pinned := strings.Cut(o.dataset, "@")
	projectName, err := theProject(cmd, client, o.project)
	if err != nil {
		return nil, err
	}
	where := Path("projects", projectName, "datasets", name)
	if pinned {
		where += "/versions/" + url.PathEscape(strings.TrimPrefix(number, "v"))
	}
	r := &rowsFile{version: &data.Version{}}
	if err := client.Get(ctx, where, r.version); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "trimtab-rows-"); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "make a folder for the rows of %s", o.dataset)
	}
	r.path = filepath.Join(r.dir, fmt.Sprintf("%s-v%d.parquet", name, r.version.Number))
	if err := r.fetch(ctx, client, Path("projects", projectName, "datasets", name, "versions", strconv.Itoa(r.version.Number), "rows.parquet")); err != nil {
		r.remove()
		return nil, err
	}
	return r, nil
}

func (r *rowsFile) fetch(ctx context.Context, client *Client, from string) error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "keep the rows of %s", r.version.Dataset)
	}
	if err := client.Do(ctx, http.MethodGet, from, nil, nil, f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// input is the version as MLflow describes a dataset that a run read.
func (r *rowsFile) input(run string) map[string]any {
	v := r.version
	source, _ := json.Marshal(map[string]any{"project": v.Project, "dataset": v.Dataset, "version": v.Number, "id": v.ID})
	profile, _ := json.Marshal(map[string]any{"num_rows": v.Rows, "num_elements": v.Rows * int64(len(v.Schema))})
	return map[string]any{"run_id": run, "datasets": []any{map[string]any{
		"dataset": map[string]string{"name": v.Dataset, "digest": v.ID[:min(16, len(v.ID))], "source_type": "trimtab", "source": string(source), "profile": string(profile)},
		"tags":    []map[string]string{{"key": "mlflow.data.context", "value": "training"}},
	}}}
}

// recorder keeps what is found about a program with its run, by the server's API.
type recorder struct {
	client *Client
	run    string
}

func (r *recorder) Tags(ctx context.Context, tags map[string]string) error {
	return r.client.json(ctx, http.MethodPatch, Path("runs", r.run), map[string]any{"tags": tags}, nil)
}

func (r *recorder) File(ctx context.Context, path string, content []byte) error {
	where := Path("runs", r.run, "artifacts", "files") + "/" + Path(strings.Split(path, "/")...)
	return r.client.Do(ctx, http.MethodPut, where, http.Header{"Content-Type": {"application/octet-stream"}}, bytes.NewReader(content), io.Discard)
}

func (r *recorder) Sample(ctx context.Context, s exec.Sample, step int64) error {
	type metric struct {
		Key       string  `json:"key"`
		Value     float64 `json:"value"`
		Timestamp int64   `json:"timestamp"`
		Step      int64   `json:"step"`
	}
	batch := struct {
		Run     string   `json:"run_id"`
		Metrics []metric `json:"metrics"`
	}{Run: r.run}
	for key, value := range s.Values {
		batch.Metrics = append(batch.Metrics, metric{Key: key, Value: value, Timestamp: s.At.UnixMilli(), Step: step})
	}
	return r.client.Post(ctx, "/api/2.0/mlflow/runs/log-batch", batch, nil)
}
