package cli

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/queue"
)

func newJobsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "jobs", Aliases: []string{"job"}, Short: "See, wait for and end long work"}
	cmd.AddCommand(newJobsListCommand(f), newJobsShowCommand(f), newJobsCancelCommand(f), newJobsWaitCommand(f))
	return cmd
}

func newJobsListCommand(f *Factory) *cobra.Command {
	var project, state string
	var limit int
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List jobs, the newest first",
		Example: "  trimtab jobs ls\n  trimtab jobs ls --state active\n  trimtab jobs ls --json | jq '.items[].id'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if project != "" {
				query.Set("project", project)
			}
			if state != "" {
				query.Set("state", state)
			}
			var list struct {
				Items []queue.Job `json:"items"`
			}
			if err := client.Get(cmd.Context(), "jobs?"+query.Encode(), &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := make([][]string, len(list.Items))
			for i, job := range list.Items {
				rows[i] = []string{job.ID, job.Kind, job.Project, stateText(f.IO, job.State), term.Ago(job.CreatedAt, time.Now()), took(job), job.Cause}
			}
			f.IO.Table([]string{"ID", "KIND", "PROJECT", "STATE", "CREATED", "TOOK", "CAUSE"}, rows)
			return nil
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "only of this project")
	cmd.Flags().StringVar(&state, "state", "", "waiting, running, done, failed, canceled, or active")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return cmd
}

func newJobsShowCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one job",
		Example: "  trimtab jobs show 0197f3c2a1b07c3e8f00112233445566",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var job queue.Job
			if err := client.Get(cmd.Context(), Path("jobs", args[0]), &job); err != nil {
				return err
			}
			return printJob(f, job)
		},
	}
}

func newJobsCancelCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID",
		Short:   "End a job; one that is final stays as it is",
		Example: "  trimtab jobs cancel 0197f3c2a1b07c3e8f00112233445566",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var job queue.Job
			if err := client.Post(cmd.Context(), Path("jobs", args[0], "cancel"), nil, &job); err != nil {
				return err
			}
			return printJob(f, job)
		},
	}
}

func newJobsWaitCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "wait ID",
		Short:   "Wait until a job is final; the exit code is that of its outcome",
		Example: "  trimtab jobs wait 0197f3c2a1b07c3e8f00112233445566",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			job, err := client.WaitJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printJob(f, job)
		},
	}
}

func printJob(f *Factory, job queue.Job) error {
	if f.JSON {
		return f.IO.JSON(job)
	}
	fields := [][2]string{{"id", job.ID}, {"kind", job.Kind}, {"project", job.Project}, {"key", job.Key},
		{"state", stateText(f.IO, job.State)}, {"attempt", strconv.Itoa(job.Attempt)}, {"cause", job.Cause},
		{"created", term.Time(job.CreatedAt)}, {"started", term.Time(job.StartedAt)}, {"finished", term.Time(job.FinishedAt)},
		{"took", took(job)}, {"progress", progressText(job.Progress)}, {"arguments", string(job.Args)}}
	if job.Result != nil {
		fields = append(fields, [2]string{"result", string(job.Result)})
	}
	if job.Error != nil {
		fields = append(fields, [2]string{"error", job.Error.Message})
		if job.Error.Hint != "" {
			fields = append(fields, [2]string{"hint", job.Error.Hint})
		}
	}
	f.IO.Fields(fields...)
	return nil
}

func took(job queue.Job) string {
	switch {
	case job.StartedAt.IsZero():
		return "-"
	case job.FinishedAt.IsZero():
		return term.Duration(time.Since(job.StartedAt))
	}
	return term.Duration(job.FinishedAt.Sub(job.StartedAt))
}

func progressText(p queue.Progress) string {
	text := term.Count(p.Done)
	if p.Total > 0 {
		text += " of " + term.Count(p.Total)
	}
	if p.Unit != "" {
		text += " " + p.Unit
	}
	if p.Message != "" {
		text += ", " + p.Message
	}
	return text
}

func stateText(io *term.IO, state string) string {
	switch state {
	case queue.Done:
		return io.Good(state)
	case queue.Failed:
		return io.Bad(state)
	case queue.Canceled:
		return io.Attention(state)
	}
	return state
}
