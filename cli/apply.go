package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/pipeline"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// applyBody is what plan and apply send.
type applyBody struct {
	File  string      `json:"file"`
	Name  string      `json:"name"`
	Dir   string      `json:"dir"`
	Cause string      `json:"cause,omitempty"`
	At    *time.Time  `json:"at,omitempty"`
	Force *applyForce `json:"force,omitempty"`
}

type applyForce struct {
	Reason string `json:"reason"`
}

// readProject reads and checks the project's file, so that a mistake is told with the path that was typed, and gives the
// request and the project's name. With a file named, the state directory lies beside that file.
func readProject(f *Factory, path string) (applyBody, string, error) {
	if path == "" {
		found, err := findProject()
		if err != nil {
			return applyBody{}, "", err
		}
		path = found
	} else if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, ProjectFile)
	}
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return applyBody{}, "", fault.New(fault.NotFound, "there is no file %s", path).WithHint("trimtab init --data FILE writes one")
	}
	if err != nil {
		return applyBody{}, "", fault.Wrap(err, fault.Unavailable, "read %s", path)
	}
	file, err := project.ParseFile(path, src)
	if err != nil {
		return applyBody{}, "", err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return applyBody{}, "", err
	}
	if f.Dir == "" && os.Getenv("TRIMTAB_DIR") == "" {
		f.Dir = filepath.Join(dir, StateDir)
	}
	return applyBody{File: string(src), Name: path, Dir: dir}, file.Project, nil
}

// findProject is the nearest trimtab.yaml, looking in the working directory and upward.
func findProject() (string, error) {
	working, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := working; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ProjectFile)
		if _, err := os.Stat(path); err == nil {
			if rel, err := filepath.Rel(working, path); err == nil {
				return rel, nil
			}
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fault.New(fault.NotFound, "there is no %s here or above", ProjectFile).
				WithHint("trimtab init --data FILE writes one; -f names one elsewhere")
		}
	}
}

func newPlanCommand(f *Factory) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "plan",
		Short:   "Show what applying trimtab.yaml would change",
		Example: "  trimtab plan\n  trimtab plan -f examples/flights/trimtab.yaml\n  trimtab plan --json | jq '.changes[] | select(.action != \"keep\")'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, name, err := readProject(f, path)
			if err != nil {
				return err
			}
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var plan pipeline.Plan
			if err := client.Post(cmd.Context(), Path("projects", name, "plan"), body, &plan); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(plan)
			}
			printPlan(f.IO, plan)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "the file, or its folder (default: the nearest trimtab.yaml, here or above)")
	return cmd
}

func printPlan(io *term.IO, plan pipeline.Plan) {
	rows := make([][]string, len(plan.Changes))
	changes := 0
	for i, c := range plan.Changes {
		action := c.Action
		switch c.Action {
		case "create":
			action = io.Good(action)
		case "update":
			action = io.Attention(action)
		default:
			action = io.Dim(action)
		}
		if c.Action != "keep" {
			changes++
		}
		rows[i] = []string{action, c.Subject, c.Detail}
	}
	io.Table([]string{"ACTION", "SUBJECT", "DETAIL"}, rows)
	if changes == 0 {
		io.Sayf("nothing to do: everything is as the file says\n")
		return
	}
	io.Sayf("%s `trimtab apply` makes %d change(s)\n", io.Dim("next:"), changes)
}

type applyOptions struct {
	path, cause, reason, at string
	force, noWait           bool
}

func newApplyCommand(f *Factory) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make trimtab.yaml true: ingest, train, gate, deploy",
		Long: "Make trimtab.yaml true. Applying it again changes nothing: the same files make no new dataset version, and the\n" +
			"same file with the same data makes no new model version. A gate that is not met ends with exit code 6.",
		Example: "  trimtab apply\n" +
			"  trimtab apply -f examples/flights/trimtab.yaml\n" +
			"  trimtab apply --force --reason \"known regression, agreed with ops\"\n" +
			"  trimtab apply --json --no-wait",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runApply(cmd.Context(), f, o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.path, "file", "f", "", "the file, or its folder (default: the nearest trimtab.yaml, here or above)")
	flags.StringVar(&o.cause, "cause", "", "why, for the history")
	flags.BoolVar(&o.force, "force", false, "release past a refusing gate; needs --reason, is recorded and shown")
	flags.StringVar(&o.reason, "reason", "", "why the gate is passed over")
	flags.StringVar(&o.at, "at", "", "move a replay's clock to this time first (RFC 3339)")
	flags.BoolVar(&o.noWait, "no-wait", false, "print the job and leave it to a running server")
	return cmd
}

func runApply(ctx context.Context, f *Factory, o applyOptions) error {
	body, name, err := readProject(f, o.path)
	if err != nil {
		return err
	}
	body.Cause = o.cause
	if o.force != (o.reason != "") {
		return &term.UsageError{Err: fault.New(fault.Invalid, "--force and --reason TEXT go together"), Command: "trimtab apply"}
	}
	if o.force {
		body.Force = &applyForce{Reason: o.reason}
	}
	if o.at != "" {
		at, err := time.Parse(time.RFC3339, o.at)
		if err != nil {
			return &term.UsageError{Err: fault.New(fault.Invalid, "--at: %q is not a time like 2013-04-01T00:00:00Z", o.at), Command: "trimtab apply"}
		}
		body.At = &at
	}
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	if o.noWait && client.Local() {
		return fault.New(fault.Invalid, "--no-wait needs a running server to leave the job to").WithHint("start one with `trimtab server`")
	}
	var job queue.Job
	if err := client.Post(ctx, Path("projects", name, "apply"), body, &job); err != nil {
		return err
	}
	if o.noWait {
		return printJob(f, job)
	}
	if job, err = client.WaitJob(ctx, job.ID); err != nil {
		return err
	}
	var done pipeline.Applied
	if err := json.Unmarshal(job.Result, &done); err != nil {
		return fmt.Errorf("reading what the apply did: %w", err)
	}
	if f.JSON {
		return f.IO.JSON(done)
	}
	printApplied(f, name, done)
	return nil
}

func printApplied(f *Factory, name string, done pipeline.Applied) {
	io := f.IO
	for _, d := range done.Datasets {
		state := "unchanged"
		if d.New {
			state = "new"
		}
		text := fmt.Sprintf("dataset %s v%d, %s rows, %s", d.Dataset, d.Number, term.Count(d.Rows), state)
		if d.Quarantined > 0 {
			text += ", " + io.Attention(term.Count(d.Quarantined)+" in quarantine")
		}
		io.Sayf("%s %s\n", io.Good("✓"), text)
	}
	if done.Model == "" {
		return
	}
	state := "stands"
	if done.Trained {
		state = "trained"
	}
	io.Sayf("%s model %s v%d %s: %s\n", io.Good("✓"), done.Model, done.Version, state, done.Gate)
	switch {
	case done.Note != "":
		io.Sayf("%s not deployed: %s\n", io.Attention("!"), done.Note)
	case done.Released:
		io.Sayf("%s released: `trimtab server` answers for it\n", io.Good("✓"))
	case done.Trained:
		io.Sayf("%s not deployed: the file of %s has no deploy section\n", io.Dim("·"), name)
	}
}
