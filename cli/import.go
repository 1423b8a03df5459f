package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/cli/transfer"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func newImportCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Take in what another system has kept"}
	cmd.AddCommand(newImportMLflowCommand(f))
	return cmd
}

// transferOptions are those of both directions.
type transferOptions struct {
	transfer.Options
	artifacts string
}

func (o *transferOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.Experiments, "experiment", nil, "only the experiment of this name; can be given several times")
	cmd.Flags().BoolVar(&o.Deleted, "deleted", false, "deleted experiments and runs too")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say what would be taken")
}

func newImportMLflowCommand(f *Factory) *cobra.Command {
	o := transferOptions{}
	cmd := &cobra.Command{
		Use:   "mlflow SOURCE",
		Short: "Take in the experiments, runs, files and models of MLflow",
		Long: "Take in the experiments, runs, metrics, files, logged models and registered models of MLflow. SOURCE is the URL of an MLflow\n" +
			"server, an mlruns folder, an SQLite file (sqlite:///path or the path) or a postgresql:// URL; it is only read. Runs and logged\n" +
			"models keep their ids. What was taken is marked: doing it again takes only what is new or has changed, also after the command was\n" +
			"stopped in the middle. MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN, open a server that wants to know who asks.",
		Example: "  trimtab import mlflow http://mlflow.example:5000\n" +
			"  trimtab import mlflow ./mlruns --experiment churn\n" +
			"  trimtab import mlflow sqlite:///mlflow.db --artifacts ./mlartifacts --dry-run",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := mlflowSource(cmd.Context(), args[0], o.artifacts)
			if err != nil {
				return err
			}
			defer source.Close()
			target, err := f.transferServer(cmd.Context())
			if err != nil {
				return err
			}
			defer target.Close()
			return runTransfer(cmd.Context(), f, "import", source, target, o.Options)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.artifacts, "artifacts", "", "folder or MLflow server behind mlflow-artifacts: addresses in a database or folder (default mlartifacts beside it)")
	return cmd
}

// transferServer is the server of this command as one end of a transfer. That of a state directory is named by the directory.
func (f *Factory) transferServer(ctx context.Context) (*transfer.Server, error) {
	client, err := f.Client(ctx)
	if err != nil {
		return nil, err
	}
	name := ""
	if f.Server == "" && os.Getenv("TRIMTAB_SERVER") == "" {
		if name, err = f.StateDirectory(); err != nil {
			return nil, err
		}
	}
	return transfer.NewTrimtab(client.base, client.token, name), nil
}

// mlflowSource finds out what a source is.
func mlflowSource(ctx context.Context, source, artifacts string) (transfer.Source, error) {
	scheme, _, ok := strings.Cut(source, "://")
	switch {
	case ok && (scheme == "http" || scheme == "https"):
		if artifacts != "" {
			return nil, fault.New(fault.Invalid, "--artifacts is for databases and folders: a server gives its files itself")
		}
		return transfer.NewServer(source)
	case ok && (strings.HasPrefix(scheme, "postgres") || scheme == "sqlite"):
		return transfer.OpenDatabase(ctx, source, artifacts)
	case ok && scheme == "file":
		source = strings.TrimPrefix(source, "file://")
	case ok:
		return nil, fault.New(fault.NotSupported, "a source of %s:// is not read", scheme).WithHint("give the URL of the MLflow server in front of it")
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "read the source").WithHint("give the URL of an MLflow server, an mlruns folder, an SQLite file or a postgresql:// URL")
	}
	if !info.IsDir() {
		return transfer.OpenDatabase(ctx, source, artifacts)
	}
	if !transfer.IsFolder(source) {
		return nil, fault.New(fault.Invalid, "%s is no mlruns folder: no folder in it has a meta.yaml", source)
	}
	return transfer.OpenFolder(source, artifacts)
}

// runTransfer moves everything, shows how far it is, and prints the report, also of a transfer that ended early.
func runTransfer(ctx context.Context, f *Factory, title string, from transfer.Source, to transfer.Sink, o transfer.Options) error {
	progress := f.IO.Progress(title)
	defer progress.Done()
	o.Progress = func(done, total int64, what string) { progress.Update(done, total, "", what) }
	report, err := transfer.Copy(ctx, from, to, o)
	progress.Done()
	if f.JSON {
		if problem := f.IO.JSON(report); err == nil {
			err = problem
		}
		return err
	}
	printReport(f.IO, report)
	if err != nil {
		f.IO.Sayf("%s\n", f.IO.Attention("it ended early; the same command goes on where it was"))
	}
	return err
}

func printReport(io *term.IO, r *transfer.Report) {
	verb := "taken"
	if r.DryRun {
		verb = "would be taken"
	}
	io.Printf("%s → %s\n", r.Source, r.Target)
	var rows [][]string
	for _, line := range []struct {
		what           string
		taken, present int64
	}{
		{"experiments", r.Taken.Experiments, r.Present.Experiments}, {"runs", r.Taken.Runs, r.Present.Runs}, {"points of metrics", r.Taken.Points, r.Present.Points},
		{"logged models", r.Taken.LoggedModels, r.Present.LoggedModels}, {"registered models", r.Taken.Models, r.Present.Models},
		{"versions", r.Taken.Versions, r.Present.Versions}, {"aliases", r.Taken.Aliases, r.Present.Aliases}, {"files", r.Taken.Files, r.Present.Files},
	} {
		if line.taken+line.present == 0 {
			continue
		}
		taken := term.Count(line.taken)
		if line.what == "files" {
			taken += ", " + term.Bytes(r.Taken.Bytes)
		}
		rows = append(rows, []string{line.what, taken, term.Count(line.present)})
	}
	io.Table([]string{"", verb, "there already"}, rows)
	if len(r.Left) == 0 {
		return
	}
	rows = nil
	things := int64(0)
	for _, l := range r.Left {
		rows = append(rows, []string{l.What, l.Where, term.Count(l.Count), l.Reason})
		things += l.Count
	}
	io.Printf("\n")
	io.Table([]string{"not taken", "where", "count", "why"}, rows)
	io.Sayf("%s\n", io.Attention(fmt.Sprintf("%s not taken: %s in the table above", plural(things, "thing was", "things were"), "see why")))
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return term.Count(n) + " " + many
}
