package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

func newPredictCommand(f *Factory) *cobra.Command {
	var model, alias, in, out string
	var version int
	cmd := &cobra.Command{Use: "predict", Short: "Score a CSV or Parquet file with a model version; nothing is logged",
		Example: "  trimtab predict --model flight-delays --in flights.parquet --out scored.csv", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			media, err := mediaOf(in)
			if err != nil {
				return err
			}
			accept, err := mediaOf(out)
			if err != nil {
				return err
			}
			rows, err := os.Open(in)
			if err != nil {
				return fault.Wrap(err, fault.NotFound, "the rows can't be read")
			}
			defer rows.Close()
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			if version == 0 {
				var m registry.Model
				if err := client.Get(cmd.Context(), Path("models", model), &m); err != nil {
					return err
				}
				if version = m.Aliases[alias]; version == 0 {
					return fault.New(fault.NotFound, "the model %s has no %s", model, alias).WithHint("trimtab models show %s lists its versions; take one with --version", model)
				}
			}
			temp := out + ".part"
			file, err := os.Create(temp)
			if err != nil {
				return fault.Wrap(err, fault.Invalid, "%s can't be written", out)
			}
			header := http.Header{"Content-Type": {media}, "Accept": {accept}}
			err = client.Do(cmd.Context(), http.MethodPost, Path("models", model, "versions", strconv.Itoa(version), "score"), header, rows, file)
			if cerr := file.Close(); err == nil {
				err = cerr
			}
			if err == nil {
				err = os.Rename(temp, out)
			}
			if err != nil {
				_ = os.Remove(temp) // what is left is not whole
				return err
			}
			f.IO.Sayf("%s scored by %s v%d\n", out, model, version)
			return nil
		}}
	cmd.Flags().StringVar(&model, "model", "", "the model")
	cmd.Flags().IntVar(&version, "version", 0, "the version; default what --alias names")
	cmd.Flags().StringVar(&alias, "alias", registry.Champion, "the alias")
	cmd.Flags().StringVar(&in, "in", "", "file of rows, .csv or .parquet")
	cmd.Flags().StringVar(&out, "out", "", "file to write, .csv or .parquet")
	for _, name := range []string{"model", "in", "out"} {
		_ = cmd.MarkFlagRequired(name) // the flags exist
	}
	return cmd
}

func mediaOf(path string) (string, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".parquet", ".pq":
		return "application/vnd.apache.parquet", nil
	case ".csv":
		return "text/csv", nil
	}
	return "", fault.New(fault.Invalid, "%s is neither .csv nor .parquet", path).WithHint("name it after its format")
}
