package cli

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/port"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

// drainTime is how long requests and jobs may take to end after the signal to stop.
const drainTime = 20 * time.Second

// catalogVariable names the environment variable with the address of the catalog: a password has no place on a command
// line, which other users of the machine can read.
const catalogVariable = "TRIMTAB_CATALOG"

func newServerCommand(f *Factory) *cobra.Command {
	var listen, catalog, logFormat, logLevel string
	var hosts, webhooks []string
	var certificate port.Files
	var modelMemory int64
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the server: API, web page, jobs, monitoring",
		Long: "Run the server on a state directory. On a loopback address it asks for no token; on any other one every\n" +
			"request needs the token in the directory's file `token`, which is made on the first start.",
		Example: "  trimtab server\n" +
			"  trimtab server --dir /var/lib/trimtab --listen 0.0.0.0:7070\n" +
			"  trimtab server --listen 127.0.0.1:0 --log-format json\n" +
			"  trimtab server --listen 0.0.0.0:7443 --tls-cert server.crt --tls-key server.key\n" +
			"  TRIMTAB_CATALOG=postgres://trimtab:secret@db.example/trimtab trimtab server",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(f.IO, logFormat, logLevel)
			if err != nil {
				return err
			}
			dir, err := f.StateDirectory()
			if err != nil {
				return err
			}
			address := cmp.Or(catalog, os.Getenv(catalogVariable))
			// The programs that the server starts, such as a training script, must not inherit the password.
			if err := os.Unsetenv(catalogVariable); err != nil {
				return err
			}
			return runServer(cmd.Context(), f.IO, server.Config{Dir: dir, Catalog: address, Listen: listen, Hosts: hosts, Webhooks: webhooks, ModelMemory: modelMemory << 20, Version: f.Version, Log: log})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", server.DefaultListen, "host:port to listen on; port 0 takes a free one")
	flags.StringVar(&catalog, "catalog", "", "postgres:// URL that keeps the catalog (default: "+catalogVariable+", or a file in the state directory)")
	flags.StringVar(&certificate.Cert, "tls-cert", "", "file with the certificate to speak TLS with, in PEM, read again when it changes")
	flags.StringVar(&certificate.Key, "tls-key", "", "file with its private key")
	flags.StringVar(&certificate.ClientCA, "tls-client-ca", "", "file with the certificates that sign those of clients, which every client then needs (mTLS)")
	flags.StringSliceVar(&hosts, "host", nil, "further Host names that a loopback server answers to, for a proxy in front of it")
	flags.StringSliceVar(&webhooks, "webhook-allow", nil, "what webhooks may call although it is not public or not encrypted: host[:port], address[:port] or prefix like 10.0.0.0/8")
	flags.Int64Var(&modelMemory, "model-memory", 0, "MiB that loaded models may hold together; those asked longest ago make room (default: no bound)")
	flags.StringVar(&logFormat, "log-format", "text", "text or json")
	flags.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func newLogger(io *term.IO, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, &term.UsageError{Err: fault.New(fault.Invalid, "--log-level: %q is not debug, info, warn or error", level), Command: "trimtab server"}
	}
	options := &slog.HandlerOptions{Level: l}
	switch strings.ToLower(format) {
	case "text":
		return slog.New(slog.NewTextHandler(io.Err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(io.Err, options)), nil
	}
	return nil, &term.UsageError{Err: fault.New(fault.Invalid, "--log-format: %q is not text or json", format), Command: "trimtab server"}
}

// runServer runs until ctx ends, then drains. A stop on a signal is a success.
func runServer(ctx context.Context, io *term.IO, cfg server.Config) error {
	s := server.New(cfg)
	if err := s.Start(ctx); err != nil {
		return err
	}
	io.Sayf("%s at %s\n", io.Bold("Trimtab"), s.URL())
	var failed error
	select {
	case <-ctx.Done():
		io.Sayf("stopping; again to stop at once\n")
	case failed = <-s.Failed():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := s.Stop(last); failed == nil {
		failed = err
	}
	return failed
}
