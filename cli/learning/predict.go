package learning

import (
	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
)

func (c *console) predict() *cobra.Command {
	var path, in, out, label string
	cmd := &cobra.Command{Use: "predict", Short: "Predict the rows of a file",
		Long: "Predict the rows of a file: one row per input row, a column per class with its probability, or the column prediction.\n" +
			"The model is one of trimtab learn fit, or a file of LightGBM, XGBoost, CatBoost or ONNX.",
		Example: "  trimtab learn predict --model model.tt --data test.csv --out pred.csv", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := openModel(path)
			if err != nil {
				return err
			}
			t, err := m.load(cmd.Context(), in, "")
			if err != nil {
				return err
			}
			p, err := m.predict(t, label)
			if err != nil {
				return err
			}
			answers := tabular.Answers(m.Model.Model.Task(), m.classes(), p, t.Rows)
			if err := writeTable(cmd.Context(), answers, out); err != nil {
				return err
			}
			if c.asJSON() {
				return c.JSON(map[string]any{"out": out, "rows": t.Rows})
			}
			c.Sayf("%s: %s rows predicted by %s\n", out, term.Count(int64(t.Rows)), path)
			return nil
		}}
	cmd.Flags().StringVar(&path, "model", "", "model file")
	cmd.Flags().StringVar(&in, "data", "", "file of rows, .csv or .parquet")
	cmd.Flags().StringVar(&out, "out", "", "file to write, .csv or .parquet")
	cmd.Flags().StringVar(&label, "label", "", "column to leave out when a foreign model's features have no names")
	for _, name := range []string{"model", "data", "out"} {
		_ = cmd.MarkFlagRequired(name) // the flags exist
	}
	return cmd
}
