package cli

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandText is what a command says about itself.
type commandText struct {
	short, example string
	runs           bool
	flags          [][2]string
}

// visit walks the commands that we made.
func visit(cmd *cobra.Command, see func(path string, c commandText)) {
	if cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	c := commandText{short: cmd.Short, example: cmd.Example, runs: cmd.Runnable() && !cmd.HasSubCommands()}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { c.flags = append(c.flags, [2]string{f.Name, f.Usage}) })
	see(cmd.CommandPath(), c)
	for _, sub := range cmd.Commands() {
		visit(sub, see)
	}
}

// TestEdits: distances by hand; "sate" and "state" differ by one letter, "stat" and "tsat" by two swaps.
func TestEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"sate", "state", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
