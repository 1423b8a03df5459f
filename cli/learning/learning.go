// Package learning is the commands of trimtab learn, for people who only want to fit and judge models on files: they
// read CSV and Parquet, write models and answers, and need neither a server nor a project. It owns how these commands
// are spelled and what they print; what they do is in engine/learn, engine/evaluate and engine/explain.
package learning

import (
	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
)

// Command is trimtab learn. asJSON is asked when a command runs.
func Command(io *term.IO, asJSON func() bool) *cobra.Command {
	c := &console{IO: io, asJSON: asJSON}
	cmd := &cobra.Command{Use: "learn", Short: "Fit, judge and convert models of tables, from files, without a server",
		Long: "Fit models to CSV or Parquet files, predict, judge, compare, explain and convert them. Nothing is stored but the\n" +
			"files you name: no project, no server, no Python. Texts are categories, empty cells are missing, dates become parts;\n" +
			"what was inferred is printed.",
		Example: "  trimtab learn fit --data train.csv --label y --out model.tt\n" +
			"  trimtab learn predict --model model.tt --data test.csv --out pred.csv\n" +
			"  trimtab learn compare model.tt lightgbm.txt --data test.csv --label y"}
	cmd.AddCommand(c.fit(), c.predict(), c.evaluate(), c.compare(), c.explain(), c.convert(), c.metrics())
	return cmd
}

// console is where commands print.
type console struct {
	*term.IO
	asJSON func() bool
}
