package cli

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// version is set by the linker: -X github.com/trimtab-ml/trimtab/cli.version=...
var version = ""

// commands are the nouns and verbs of the program, in the order of the help.
var commands = []func(*Factory) *cobra.Command{
	newDemoCommand,
	newInitCommand,
	newPlanCommand,
	newApplyCommand,
	newServerCommand,
	newProjectsCommand,
	newDataCommand,
	newRunCommand,
	newRunsCommand,
	newModelsCommand,
	newDeploymentsCommand,
	newPredictCommand,
	newLearnCommand,
	newRuntimeCommand,
	newONNXCommand,
	newMonitorsCommand,
	newAlertsCommand,
	newJobsCommand,
	newEventsCommand,
	newWebhooksCommand,
	newOpenCommand,
	newDoctorCommand,
	newCollectCommand,
	newRetentionCommand,
	newBackupCommand,
	newRestoreCommand,
	newImportCommand,
	newExportCommand,
	newSchemaCommand,
	newAPICommand,
	newVersionCommand,
}

// Main runs the program with the arguments of the process and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a second signal ends the program at once: the handler is gone after the first
		<-ctx.Done()
		stop()
	}()
	return Run(ctx, term.System(), os.Args[1:])
}

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, io *term.IO, args []string) int {
	f := &Factory{IO: io, Version: programVersion()}
	root := newRootCommand(f)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if closing := f.Close(); err == nil {
		err = closing
	}
	io.Error(err)
	return term.ExitCode(err)
}

func newRootCommand(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "trimtab",
		Short: "Keep machine-learning models on course",
		Long: "Trimtab takes a model from raw data to production, watches it there, and brings it back for retraining:\n" +
			"one program, one file (trimtab.yaml).",
		Example: "  trimtab demo                       # the whole life of a model, on real data, in a minute and a half\n" +
			"  trimtab init --data rides.csv      # write a trimtab.yaml for a file of yours\n" +
			"  trimtab apply                      # make it so: ingest, train, gate, deploy\n" +
			"  trimtab server                     # serve it, with the web page",
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Version:                    f.Version,
	}
	root.SetOut(f.IO.Out)
	root.SetErr(f.IO.Err)
	root.SetIn(f.IO.In)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &term.UsageError{Err: nearFlag(cmd, err), Command: cmd.CommandPath()}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&f.Server, "server", "", "address of the server (default $TRIMTAB_SERVER, else the server of --dir, else this program)")
	flags.StringVar(&f.Dir, "dir", "", "state directory (default $TRIMTAB_DIR, else .trimtab beside trimtab.yaml)")
	flags.BoolVar(&f.JSON, "json", false, "print data as JSON")
	for _, command := range commands {
		root.AddCommand(command(f))
	}
	askForUsage(root)
	return root
}

// askForUsage makes usage errors of wrong arguments, on every command, and gives groups of commands an answer to an
// unknown word with suggestions.
func askForUsage(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil && cmd.HasSubCommands() {
		cmd.SuggestionsMinimumDistance = 2
		check = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fault.New(fault.Invalid, "there is no command %q", cmd.CommandPath()+" "+args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return err.WithHint("did you mean `%s %s`?", cmd.CommandPath(), strings.Join(near, "` or `"+cmd.CommandPath()+" "))
			}
			return err
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &term.UsageError{Err: err, Command: cmd.CommandPath()}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		askForUsage(sub)
	}
}

// nearFlag adds the flag that was probably meant to the error about an unknown one.
func nearFlag(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	best, distance := "", 3
	consider := func(flag *pflag.Flag) {
		if d := edits(name, flag.Name); d < distance && !flag.Hidden {
			best, distance = flag.Name, d
		}
	}
	cmd.Flags().VisitAll(consider)
	cmd.InheritedFlags().VisitAll(consider)
	if best == "" {
		return err
	}
	return fault.New(fault.Invalid, "%v", err).WithHint("did you mean --%s?", best)
}

// edits is the number of letters to change, add or remove to make b of a, or to swap with their neighbours
// (Damerau-Levenshtein, restricted).
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// programVersion is what the linker said, else what the module or the revision says, else "dev".
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "dev"
}

func newVersionCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if f.JSON {
				return f.IO.JSON(map[string]string{"version": f.Version})
			}
			f.IO.Printf("%s\n", f.Version)
			return nil
		},
	}
}
