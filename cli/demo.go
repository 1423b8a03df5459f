package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/demo"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

func newDemoCommand(f *Factory) *cobra.Command {
	opt := demo.Options{IO: f.IO}
	var exit bool
	var from, until string
	cmd := &cobra.Command{Use: "demo", Short: "Watch the whole life of a model on a year of real flights",
		Long: "Starts a server, trains on January to March 2013, and replays April to December through the public API: real predictions, real drift, real\n" +
			"retraining. Two incidents are injected: two days of temperatures in Celsius, and a release trained on shuffled labels.",
		Example: "  trimtab demo\n  trimtab demo --exit --json\n  trimtab demo --without celsius --seed 7", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opt.From, err = dayOf(from); err != nil {
				return err
			}
			if opt.Until, err = dayOf(until); err != nil {
				return err
			}
			if !opt.Until.IsZero() {
				opt.Until = opt.Until.AddDate(0, 0, 1)
			}
			for _, w := range opt.Without {
				if w != demo.Celsius && w != demo.BadRelease {
					return fault.New(fault.Invalid, "there is no incident %q", w).WithHint("incidents are %s and %s", demo.Celsius, demo.BadRelease)
				}
			}
			opt.Dir = f.Dir
			d, err := demo.Start(cmd.Context(), opt)
			if err != nil {
				return err
			}
			defer d.Stop()
			summary, err := d.Run(cmd.Context())
			if err != nil {
				return err
			}
			if f.JSON {
				if err := f.IO.JSON(summary); err != nil {
					return err
				}
			} else {
				summary.Print(f.IO)
			}
			if exit {
				return nil
			}
			f.IO.Sayf("\nThe page stays at %s/ui/ until Ctrl-C.\n", d.URL())
			d.Wait(cmd.Context())
			return nil
		}}
	cmd.Flags().StringVar(&opt.Listen, "listen", server.DefaultListen, "where the server listens; a free port is taken when this one is not free")
	cmd.Flags().Uint64Var(&opt.Seed, "seed", 1, "of the order of flights and the days of the incidents")
	cmd.Flags().StringVar(&from, "from", "", "replay from this day, such as 2013-08-01")
	cmd.Flags().StringVar(&until, "until", "", "replay up to and including this day, such as 2013-06-30")
	cmd.Flags().StringSliceVar(&opt.Without, "without", nil, "incidents to leave out: celsius, bad-release")
	cmd.Flags().IntVar(&opt.Connections, "connections", 8, "connections that send flights")
	cmd.Flags().BoolVar(&exit, "exit", false, "end after the summary")
	return cmd
}

// dayOf reads a day of a flag; the zero time when it is not given.
func dayOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return day, fault.New(fault.Invalid, "%q is not a day", text).WithHint("write it like 2013-06-30")
	}
	return day, nil
}
