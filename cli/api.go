package cli

import (
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func newAPICommand(f *Factory) *cobra.Command {
	var method, input string
	cmd := &cobra.Command{
		Use:   "api PATH",
		Short: "Send a request to the API and print the answer",
		Long: "Send a request to the API and print the answer as it is. A path without a leading slash is under /api/v1.\n" +
			"The API is described at /api/v1/openapi.json.",
		Example: "  trimtab api projects\n" +
			"  trimtab api /health\n" +
			"  echo '{\"rows\": [{\"distance\": 500}]}' | trimtab api deployments/flight-delays/predict --input -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var body io.Reader
			header := http.Header{}
			if input != "" {
				header.Set("Content-Type", "application/json")
				body = f.IO.In
				if input != "-" {
					file, err := os.Open(input)
					if err != nil {
						return fault.Wrap(err, fault.NotFound, "read the body of the request")
					}
					defer file.Close()
					body = file
				}
			}
			method = strings.ToUpper(method)
			switch {
			case method == "" && body == nil:
				method = http.MethodGet
			case method == "":
				method = http.MethodPost
			case !strings.Contains(" GET POST PUT PATCH DELETE ", " "+method+" "):
				return &term.UsageError{Err: fault.New(fault.Invalid, "--method: %q is not a method of HTTP", method), Command: cmd.CommandPath()}
			}
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return client.Do(cmd.Context(), method, args[0], header, body, f.IO.Out)
		},
	}
	cmd.Flags().StringVarP(&method, "method", "X", "", "GET, POST, PUT, PATCH or DELETE (default GET, or POST with --input)")
	cmd.Flags().StringVar(&input, "input", "", "file with the JSON body; - is standard input")
	return cmd
}
