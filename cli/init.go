package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

type initOptions struct {
	data, label, project, file string
	force                      bool
}

func newInitCommand(f *Factory) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init --data FILE",
		Short: "Write a trimtab.yaml for a data file",
		Long: "Look at a CSV, TSV, JSON lines or Parquet file and write a trimtab.yaml that works: types, key, time, contract,\n" +
			"label, inputs without obvious leaks, gates, monitors. It is a proposal with comments: read it, change it.",
		Example: "  trimtab init --data rides.csv\n" +
			"  trimtab init --data customers.parquet --label churned\n" +
			"  trimtab init --data rides.csv --file rides/trimtab.yaml --force",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.data == "" {
				return &term.UsageError{Err: fault.New(fault.Invalid, "--data is missing: which file is the model made of?"), Command: cmd.CommandPath()}
			}
			return runInit(cmd.Context(), f, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "the file to look at")
	flags.StringVar(&o.label, "label", "", "the column to predict (default: a guess, which is told)")
	flags.StringVar(&o.project, "project", "", "name of the project (default: from the file's name)")
	flags.StringVarP(&o.file, "file", "f", ProjectFile, "the file to write")
	flags.BoolVar(&o.force, "force", false, "overwrite a file that is there")
	return cmd
}

func runInit(ctx context.Context, f *Factory, o initOptions) error {
	if _, err := os.Stat(o.file); err == nil && !o.force {
		return fault.New(fault.Conflict, "%s is there already", o.file).WithHint("--force overwrites it")
	}
	look, err := lookAt(ctx, f, o.data)
	if err != nil {
		return err
	}
	if look.Path, err = pathFrom(filepath.Dir(o.file), o.data); err != nil {
		return err
	}
	text, notes, err := project.Draft(look, project.DraftOptions{Project: o.project, Label: o.label})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.file), 0o755); err != nil {
		return fault.Wrap(err, fault.Unavailable, "write %s", o.file)
	}
	if err := os.WriteFile(o.file, text, 0o644); err != nil {
		return fault.Wrap(err, fault.Unavailable, "write %s", o.file)
	}
	if err := ignoreState(filepath.Dir(o.file)); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(map[string]any{"file": o.file, "rows": look.Rows, "columns": len(look.Columns), "notes": notes})
	}
	f.IO.Sayf("%s %s from %s rows and %d columns of %s\n", f.IO.Good("wrote"), o.file, term.Count(look.Rows), len(look.Columns), o.data)
	for _, n := range notes {
		f.IO.Sayf("  %s\n", n)
	}
	where := ""
	if o.file != ProjectFile {
		where = " -f " + o.file
	}
	f.IO.Sayf("%s read it, then `trimtab plan%s` and `trimtab apply%s`\n", f.IO.Dim("next:"), where, where)
	return nil
}

func lookAt(ctx context.Context, f *Factory, path string) (*project.Look, error) {
	progress := f.IO.Progress("looking at " + path)
	defer progress.Done()
	if info, err := os.Stat(path); err != nil {
		return nil, fault.New(fault.NotFound, "there is no file %s", path)
	} else if info.IsDir() {
		return nil, fault.New(fault.Invalid, "%s is a folder", path).WithHint("name one file in it; files: in trimtab.yaml takes a glob later")
	}
	tables, err := duck.Open(duck.Options{})
	if err != nil {
		return nil, err
	}
	look, err := data.LookAt(ctx, tables, path)
	return look, errors.Join(err, tables.Close())
}

// pathFrom is how a file in dir calls path, with slashes: relative when it lies in that folder or below, else absolute.
func pathFrom(dir, path string) (string, error) {
	from, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(from, to)
	if err != nil || !filepath.IsLocal(rel) {
		return filepath.ToSlash(to), nil
	}
	return filepath.ToSlash(rel), nil
}

// ignoreState adds the state directory to the .gitignore beside the file, once.
func ignoreState(dir string) error {
	path := filepath.Join(dir, ".gitignore")
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(err, fault.Unavailable, "read %s", path)
	}
	for line := range strings.Lines(string(before)) {
		switch strings.TrimSpace(line) {
		case StateDir, StateDir + "/", "/" + StateDir, "/" + StateDir + "/":
			return nil
		}
	}
	text := string(before)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text += fmt.Sprintf("%s/\n", StateDir)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fault.Wrap(err, fault.Unavailable, "write %s", path)
	}
	return nil
}
