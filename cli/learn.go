package cli

import (
	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/learning"
)

func newLearnCommand(f *Factory) *cobra.Command {
	return learning.Command(f.IO, func() bool { return f.JSON })
}
