package learning

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func (c *console) convert() *cobra.Command {
	var format string
	cmd := &cobra.Command{Use: "convert IN OUT", Short: "Write a model in another format",
		Long: "Write a model of any readable format as ONNX (.onnx), LightGBM text (.txt) or Trimtab's own (.tt). The features of a\n" +
			"model of trimtab learn fit are numbers there: categories are the codes that trimtab learn convert prints.",
		Example: "  trimtab learn convert model.tt model.onnx\n  trimtab learn convert xgboost.json model.txt", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := openModel(args[0])
			if err != nil {
				return err
			}
			if format == "" {
				if format, err = formatOf(args[1]); err != nil {
					return err
				}
			}
			inner, names := m.Model.Model, m.names
			if !m.foreign() {
				names, _, _ = m.Schema.Features()
			}
			var b []byte
			if format == exchange.Trimtab && !m.foreign() {
				b, err = m.Model.MarshalBinary()
			} else {
				if format != exchange.Trimtab {
					if inner, err = single(inner); err != nil {
						return err
					}
				}
				b, err = exchange.Write(format, inner, names)
			}
			if err != nil {
				return err
			}
			if err := writeFile(args[1], b); err != nil {
				return err
			}
			if !m.foreign() && format != exchange.Trimtab {
				for _, col := range m.Schema.Columns {
					if col.Role == tabular.Category {
						c.Sayf("%s: %s\n", col.Name, strings.Join(codes(col.Levels), ", "))
					}
				}
			}
			for j, words := range m.words {
				if len(words) > 0 && format != exchange.Trimtab {
					c.Sayf("%s: %s\n", named(names, len(m.words))[j], strings.Join(codes(words), ", "))
				}
			}
			if c.asJSON() {
				return c.JSON(map[string]any{"out": args[1], "format": format, "bytes": len(b), "features": names})
			}
			c.Sayf("%s written, %s\n", args[1], term.Bytes(int64(len(b))))
			return nil
		}}
	cmd.Flags().StringVar(&format, "format", "", "onnx, lightgbm or trimtab (default: what the name says)")
	return cmd
}

func formatOf(path string) (string, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".onnx":
		return exchange.ONNX, nil
	case ".txt", ".lgb":
		return exchange.LightGBM, nil
	case ".tt", ".trimtab", ".model":
		return exchange.Trimtab, nil
	}
	return "", fault.New(fault.Invalid, "%s does not say which format to write", path).WithHint("name it .onnx, .txt (LightGBM) or .tt, or use --format")
}

// single is the only member of a blend, when it reads the rows as they are, under the calibration of the blend; any other
// model is itself.
func single(m learn.Model) (learn.Model, error) {
	if inner, cal, ok := calibrate.Unwrap(m); ok {
		inner, err := single(inner)
		if err != nil {
			return nil, err
		}
		return calibrate.New(inner, cal)
	}
	blend, ok := m.(*preset.Model)
	if !ok {
		return m, nil
	}
	if len(blend.Members) == 1 && blend.Members[0].Encoder == nil {
		return blend.Members[0].Model, nil
	}
	return nil, fault.New(fault.NotSupported, "a blend of %d models has no form in this format", len(blend.Members)).
		WithHint("fit one learner instead: trimtab learn fit --learner gbdt")
}

func codes(levels []string) []string {
	out := make([]string, len(levels))
	for i, l := range levels {
		out[i] = l + "=" + strconv.Itoa(i)
	}
	return shorten(out, 20)
}
