package learning

import (
	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/table"
)

func (c *console) explain() *cobra.Command {
	var path, in, out, label string
	cmd := &cobra.Command{Use: "explain", Short: "Write what each feature contributed to each prediction (SHAP values)",
		Long: "Write what each feature contributed to the prediction of each row: a column per feature and expected_value; they add up\n" +
			"to the margin, which is the log odds of two classes, the score of each of more, and the number itself of a regression.\n" +
			"Several classes have a set of columns each, named class: feature.",
		Example: "  trimtab learn explain --model model.tt --data test.csv --out contributions.csv", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := openModel(path)
			if err != nil {
				return err
			}
			e, err := explain.New(m.Model.Model)
			if err != nil {
				return err
			}
			t, err := m.load(cmd.Context(), in, "")
			if err != nil {
				return err
			}
			k, n := e.Outputs(), e.Features()
			values := make([]float64, t.Rows*k*n)
			var names []string
			if m.foreign() {
				x, err := m.wide(t, label)
				if err != nil {
					return err
				}
				names = named(m.names, n)
				e.RowsWide(x, t.Rows, values, 0)
			} else {
				x, err := m.Schema.Matrix(t)
				if err != nil {
					return err
				}
				names = x.Names
				e.Rows(x, values, 0)
			}
			if err := writeTable(cmd.Context(), contributions(names, m.classes(), e.Expected(), values, t.Rows), out); err != nil {
				return err
			}
			if c.asJSON() {
				return c.JSON(map[string]any{"out": out, "rows": t.Rows, "features": names, "expected_value": e.Expected()})
			}
			c.Sayf("%s: contributions of %s features to %s rows\n", out, term.Count(int64(n)), term.Count(int64(t.Rows)))
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

// contributions is rows x outputs x features values as columns.
func contributions(names, classes []string, expected, values []float64, rows int) *table.Table {
	k, n := len(expected), len(names)
	t := &table.Table{Rows: rows}
	for out := range k {
		prefix := ""
		if k > 1 {
			prefix = classes[out] + ": "
		}
		for j, name := range names {
			c := &table.Column{Name: prefix + name, Kind: table.Double, Floats: make([]float64, rows)}
			for i := range c.Floats {
				c.Floats[i] = values[(i*k+out)*n+j]
			}
			t.Add(c)
		}
		c := &table.Column{Name: prefix + "expected_value", Kind: table.Double, Floats: make([]float64, rows)}
		for i := range c.Floats {
			c.Floats[i] = expected[out]
		}
		t.Add(c)
	}
	return t
}
