package cli

import (
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func newOpenCommand(f *Factory) *cobra.Command {
	var printOnly bool
	cmd := &cobra.Command{
		Use:   "open [PAGE]",
		Short: "Open the web page of the running server",
		Example: "  trimtab open\n" +
			"  trimtab open models/flight-delays\n" +
			"  trimtab open --print",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			if client.Local() {
				return fault.New(fault.Unavailable, "no server is running").WithHint("start one with `trimtab server`, then open the page")
			}
			page := client.URL() + "/ui/"
			if len(args) == 1 {
				page += strings.TrimPrefix(args[0], "/")
			}
			if f.JSON {
				return f.IO.JSON(map[string]string{"url": page})
			}
			f.IO.Printf("%s\n", page)
			if printOnly {
				return nil
			}
			return browse(page)
		},
	}
	cmd.Flags().BoolVar(&printOnly, "print", false, "print the address only")
	return cmd
}

// browse asks the desktop to show a page.
func browse(page string) error {
	program := "xdg-open"
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program = "explorer"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return fault.New(fault.Unavailable, "there is no %s here to open a browser", program).WithHint("open the address above yourself")
	}
	return exec.Command(path, page).Start()
}
