package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/infra/worker"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// workersFolder is where the server keeps environments, logs and programs of workers, in the state directory.
const workersFolder = "workers"

func newRuntimeCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "runtime", Short: "See and install what runs models that this program cannot run itself"}
	cmd.AddCommand(newRuntimeListCommand(f), newRuntimeInstallCommand(f))
	return cmd
}

// openWorkers makes a manager for looking around; a running server has its own, with the same folder, so that nothing is cleared.
func openWorkers(f *Factory, python string) (*worker.Manager, error) {
	dir, err := f.StateDirectory()
	if err != nil {
		return nil, err
	}
	return worker.NewManager(worker.Options{Dir: filepath.Join(dir, workersFolder), Python: python, Guest: true})
}

func newRuntimeListCommand(f *Factory) *cobra.Command {
	var python string
	cmd := &cobra.Command{Use: "ls", Short: "List interpreters, installers, ONNX Runtime, and the measures of the sandbox that this machine permits",
		Example: "  trimtab runtime ls\n  trimtab runtime ls --python /opt/models/bin/python --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := openWorkers(f, python)
			if err != nil {
				return err
			}
			found := m.Found(cmd.Context())
			rungs, err := m.Rungs()
			if err != nil {
				rungs = []predictor.Rung{{Name: "sandbox", Reason: err.Error()}}
			}
			if f.JSON {
				return f.IO.JSON(map[string]any{"runtimes": found, "sandbox": rungs})
			}
			rows := [][]string{}
			for _, r := range found {
				where := r.Path
				if where == "" {
					where = "-"
				}
				rows = append(rows, []string{r.Name, r.Version, where, r.Missing})
			}
			f.IO.Table([]string{"RUNTIME", "VERSION", "WHERE", "MISSING"}, rows)
			rows = nil
			for _, r := range rungs {
				state := f.IO.Good("holds")
				if !r.Holds {
					state = f.IO.Level("attention", "does not hold")
				}
				rows = append(rows, []string{r.Name, state, r.Reason})
			}
			f.IO.Table([]string{"SANDBOX", "STATE", "REASON"}, rows)
			return nil
		}}
	cmd.Flags().StringVar(&python, "python", "", "look at this Python instead of the one in PATH")
	return cmd
}

func newRuntimeInstallCommand(f *Factory) *cobra.Command {
	var python string
	cmd := &cobra.Command{Use: "install onnxruntime", Short: "Install ONNX Runtime into the state directory, for models with operators that this program does not have",
		Example: "  trimtab runtime install onnxruntime", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != "onnxruntime" {
				return fault.New(fault.Invalid, "there is no runtime %q to install", args[0]).WithHint("onnxruntime is the only one: Python models bring their requirements")
			}
			m, err := openWorkers(f, python)
			if err != nil {
				return err
			}
			what, err := m.InstallONNXRuntime(cmd.Context())
			if err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(map[string]string{"installed": what})
			}
			f.IO.Printf("Installed %s.\n", what)
			return nil
		}}
	cmd.Flags().StringVar(&python, "python", "", "make its environment with this Python instead of the one in PATH")
	return cmd
}
