package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

func newSchemaCommand(f *Factory) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of trimtab.yaml",
		Long: "Print the JSON Schema of trimtab.yaml. An editor with YAML support completes and checks the file when its first\n" +
			"line is:  # yaml-language-server: $schema=trimtab.schema.json",
		Example: "  trimtab schema --out trimtab.schema.json\n  trimtab schema | jq '.properties | keys'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := project.JSONSchema()
			if err != nil {
				return err
			}
			if out == "" {
				f.IO.Printf("%s", schema)
				return nil
			}
			if err := os.WriteFile(out, schema, 0o644); err != nil {
				return fault.Wrap(err, fault.Unavailable, "write %s", out)
			}
			f.IO.Sayf("%s %s\n", f.IO.Good("wrote"), out)
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to a file instead")
	return cmd
}
