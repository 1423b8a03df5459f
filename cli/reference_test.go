package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trimtab-ml/trimtab/cli/term"
)

var updateReference = flag.Bool("update", false, "write docs/cli.md anew")

// TestReferenceIsCurrent writes docs/cli.md from the commands, and fails when it is stale: go test ./cli -run Reference -update.
func TestReferenceIsCurrent(t *testing.T) {
	const path = "../docs/cli.md"
	root := newRootCommand(&Factory{IO: term.Plain(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}), Version: "dev"})
	var b strings.Builder
	b.WriteString("<!-- Generated from the commands: go test ./cli -run Reference -update -->\n# The command line\n\n" +
		"Data goes to standard output, talk to standard error. In a pipe, tables are tab-separated; `--json` prints data as JSON.\n" +
		"Every command speaks the native API: to `--server` or `TRIMTAB_SERVER`; else to the live server of the state directory; else to itself, for the length of\n" +
		"the command. The state directory is `--dir`, else `TRIMTAB_DIR`, else `.trimtab` beside `trimtab.yaml`.\n\n" +
		"| exit code | meaning |\n|---|---|\n| 0 | done |\n| 1 | failed |\n| 2 | wrong usage |\n| 3 | not found |\n| 4 | denied |\n| 5 | conflict |\n| 6 | refused by a gate |\n| 130 | interrupted |\n")
	describeCommand(&b, root)
	if *updateReference {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s is stale: run go test ./cli -run Reference -update", path)
	}
}

func describeCommand(b *strings.Builder, cmd *cobra.Command) {
	if cmd.HasParent() && cmd.Runnable() && !cmd.HasSubCommands() {
		fmt.Fprintf(b, "\n## %s\n\n", cmd.UseLine())
		text := cmd.Long
		if text == "" {
			text = cmd.Short
		}
		fmt.Fprintf(b, "%s\n", strings.TrimSuffix(text, ".")+".")
		if cmd.Example != "" {
			fmt.Fprintf(b, "\n```console\n%s\n```\n", trimIndent(cmd.Example))
		}
		var rows []string
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			name, usage := pflag.UnquoteUsage(f)
			flag := "--" + f.Name
			if f.Shorthand != "" {
				flag = "-" + f.Shorthand + ", " + flag
			}
			if name != "" {
				flag += " " + name
			}
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" && f.DefValue != "0s" {
				usage += " (default `" + f.DefValue + "`)"
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", flag, strings.ReplaceAll(usage, "|", "\\|")))
		})
		if rows != nil {
			fmt.Fprintf(b, "\n| flag | |\n|---|---|\n%s", strings.Join(rows, ""))
		}
	}
	for _, sub := range cmd.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		describeCommand(b, sub)
	}
}

func trimIndent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
