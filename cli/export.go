package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/transfer"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func newExportCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Give what is kept to another system"}
	cmd.AddCommand(newExportMLflowCommand(f))
	return cmd
}

func newExportMLflowCommand(f *Factory) *cobra.Command {
	o := transferOptions{}
	cmd := &cobra.Command{
		Use:   "mlflow TARGET",
		Short: "Give experiments, runs, files and models to MLflow",
		Long: "Give experiments, runs, metrics, files, logged models and registered models to MLflow. TARGET is a folder, which becomes an mlruns\n" +
			"folder that MLflow opens (and in which runs and logged models keep their ids), or the URL of an MLflow server, which gives new ids.\n" +
			"Doing it again gives only what is new or has changed.",
		Example: "  trimtab export mlflow ./mlruns\n" +
			"  trimtab export mlflow http://mlflow.example:5000 --experiment churn",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := mlflowTarget(args[0])
			if err != nil {
				return err
			}
			defer target.Close()
			source, err := f.transferServer(cmd.Context())
			if err != nil {
				return err
			}
			defer source.Close()
			return runTransfer(cmd.Context(), f, "export", source, target, o.Options)
		},
	}
	o.flags(cmd)
	return cmd
}

func mlflowTarget(target string) (transfer.Sink, error) {
	scheme, rest, ok := strings.Cut(target, "://")
	switch {
	case ok && (scheme == "http" || scheme == "https"):
		return transfer.NewServer(target)
	case ok && scheme == "file":
		target = rest
	case ok:
		return nil, fault.New(fault.NotSupported, "nothing is written to %s://", scheme).WithHint("give a folder, or the URL of the MLflow server in front of it")
	}
	return transfer.CreateFolder(target)
}
