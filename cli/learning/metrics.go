package learning

import (
	"bytes"
	"os"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/engine/evaluate/cases"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func (c *console) metrics() *cobra.Command {
	var in, out string
	cmd := &cobra.Command{Use: "metrics", Short: "Compute metrics, tests and calibrations of a file of cases, for scripts",
		Long: `Compute the cases of a JSON file: {"cases": [{"id", "metric", "input": {...}, "params": {...}}, ...]}. The answer is
{"answers": {"<id>": value, ...}}. A case that cannot be answered is left out, its reason is printed, and the command
ends with code 1.`,
		Example: "  trimtab learn metrics --cases cases.json --out answers.json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := os.Open(in)
			if err != nil {
				return fault.Wrap(err, fault.NotFound, "%s can't be read", in)
			}
			defer f.Close()
			var answers bytes.Buffer
			unanswered := cases.Run(f, &answers, c.Err)
			if answers.Len() > 0 {
				if err := writeFile(out, answers.Bytes()); err != nil {
					return err
				}
			}
			return unanswered
		}}
	cmd.Flags().StringVar(&in, "cases", "", "JSON file of cases")
	cmd.Flags().StringVar(&out, "out", "", "JSON file to write")
	for _, name := range []string{"cases", "out"} {
		_ = cmd.MarkFlagRequired(name) // the flags exist
	}
	return cmd
}
