package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func newCollectCommand(f *Factory) *cobra.Command {
	var dry bool
	var older, grace string
	cmd := &cobra.Command{Use: "gc", Short: "Remove what was deleted long enough ago, and bytes that nothing holds", Args: cobra.NoArgs,
		Example: "  trimtab gc --dry-run\n  trimtab gc --older-than 30d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var job queue.Job
			if err := client.Post(cmd.Context(), "gc", map[string]any{"dry_run": dry, "older_than": older, "grace": grace}, &job); err != nil {
				return err
			}
			if job, err = client.WaitJob(cmd.Context(), job.ID); err != nil {
				return err
			}
			var report track.CollectReport
			if err := json.Unmarshal(job.Result, &report); err != nil {
				return fmt.Errorf("read the report: %w", err)
			}
			if f.JSON {
				return f.IO.JSON(report)
			}
			word := "removed"
			if report.DryRun {
				word = "would be removed"
			}
			rows := [][]string{}
			for _, line := range []struct {
				what string
				n    int64
				size int64
			}{{"runs", report.Runs, -1}, {"experiments", report.Experiments, -1}, {"logged models", report.LoggedModels, -1}, {"points of runs that are gone", report.Points, -1},
				{"file lists of deleted versions", report.Snapshots, -1}, {"unfinished uploads", report.Uploads, report.UploadBytes}, {"files", report.Blobs, report.Bytes}, {"files that wait for the grace period", report.WaitingBlobs, report.WaitingBytes}} {
				size := ""
				if line.size >= 0 {
					size = term.Bytes(line.size)
				}
				rows = append(rows, []string{line.what, term.Count(line.n), size})
			}
			f.IO.Table([]string{"WHAT", "N", "SIZE"}, rows)
			f.IO.Sayf("%s %s\n", term.Bytes(report.Bytes+report.UploadBytes), word)
			return nil
		}}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count what would go, and remove nothing")
	cmd.Flags().StringVar(&older, "older-than", "", "what was deleted longer ago, for example 30d, whatever its experiment's retention says")
	cmd.Flags().StringVar(&grace, "grace", "", "how long bytes stay that nothing holds; default a day")
	return cmd
}

func newRetentionCommand(f *Factory) *cobra.Command {
	var days, runs int64
	cmd := &cobra.Command{Use: "retention [EXPERIMENT]", Short: "Show or set how long experiments keep what was deleted", Args: cobra.MaximumNArgs(1),
		Example: "  trimtab retention --deleted-days 30\n  trimtab retention 3 --max-runs 1000 --deleted-days 7",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			path := "retention"
			if len(args) > 0 {
				path = Path("experiments", args[0], "retention")
			}
			var kept track.Retention
			if err := client.Get(cmd.Context(), path, &kept); err != nil {
				return err
			}
			bound := func(flag string, value int64, to **int64) {
				switch {
				case !cmd.Flags().Changed(flag):
				case value < 0:
					*to = nil
				default:
					*to = &value
				}
			}
			bound("deleted-days", days, &kept.DeletedDays)
			bound("max-runs", runs, &kept.MaxRuns)
			if cmd.Flags().Changed("deleted-days") || cmd.Flags().Changed("max-runs") {
				if runs == 0 && cmd.Flags().Changed("max-runs") {
					return fault.New(fault.Invalid, "--max-runs 0 would keep no run").WithHint("-1 takes the bound away")
				}
				if err := client.json(cmd.Context(), http.MethodPut, path, kept, &kept); err != nil {
					return err
				}
			}
			if f.JSON {
				return f.IO.JSON(kept)
			}
			text := func(v *int64, unit string) string {
				if v == nil {
					return "without a bound"
				}
				return strconv.FormatInt(*v, 10) + unit
			}
			f.IO.Fields([2]string{"Deleted things stay", text(kept.DeletedDays, " days")}, [2]string{"Ended runs kept", text(kept.MaxRuns, "")})
			return nil
		}}
	cmd.Flags().Int64Var(&days, "deleted-days", 0, "deleted things are removed for good after so many days; -1 takes the bound away")
	cmd.Flags().Int64Var(&runs, "max-runs", 0, "of runs that have ended the newest so many are kept; -1 takes the bound away")
	return cmd
}
