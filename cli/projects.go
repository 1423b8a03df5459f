package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
)

// projectView is a project as the API tells it.
type projectView struct {
	Name       string     `json:"name"`
	Deployment string     `json:"deployment,omitempty"`
	File       any        `json:"file"`
	Source     string     `json:"source"`
	Dir        string     `json:"dir"`
	Hash       string     `json:"hash"`
	Clock      string     `json:"clock"`
	Now        *time.Time `json:"now,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	AppliedAt  time.Time  `json:"applied_at"`
}

func (p projectView) now() string {
	if p.Now == nil {
		return "not begun"
	}
	return term.Time(*p.Now)
}

func newProjectsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "projects", Aliases: []string{"project"}, Short: "See applied projects and their clocks"}
	cmd.AddCommand(newProjectsListCommand(f), newProjectsShowCommand(f), newProjectsClockCommand(f))
	return cmd
}

func newProjectsListCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List projects",
		Example: "  trimtab projects ls\n  trimtab projects ls --json | jq -r '.items[].name'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var list struct {
				Items []projectView `json:"items"`
			}
			if err := client.Get(cmd.Context(), "projects", &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := make([][]string, len(list.Items))
			for i, p := range list.Items {
				rows[i] = []string{p.Name, p.Deployment, p.Clock, p.now(), term.Ago(p.AppliedAt, time.Now()), p.Dir}
			}
			f.IO.Table([]string{"NAME", "DEPLOYMENT", "CLOCK", "NOW", "APPLIED", "FOLDER"}, rows)
			return nil
		},
	}
}

func newProjectsShowCommand(f *Factory) *cobra.Command {
	var source bool
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show one project",
		Example: "  trimtab projects show flight-delays\n  trimtab projects show flight-delays --source > trimtab.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var p projectView
			if err := client.Get(cmd.Context(), Path("projects", args[0]), &p); err != nil {
				return err
			}
			switch {
			case f.JSON:
				return f.IO.JSON(p)
			case source:
				f.IO.Printf("%s", p.Source)
				return nil
			}
			f.IO.Fields([2]string{"name", p.Name}, [2]string{"deployment", p.Deployment}, [2]string{"clock", p.Clock}, [2]string{"now", p.now()},
				[2]string{"applied", term.Time(p.AppliedAt)}, [2]string{"folder", p.Dir}, [2]string{"hash", p.Hash})
			return nil
		},
	}
	cmd.Flags().BoolVar(&source, "source", false, "print the file as it was applied")
	return cmd
}

func newProjectsClockCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "clock NAME TIME",
		Short:   "Move a replay's clock; its periodic work is done when the command ends",
		Example: "  trimtab projects clock flight-delays 2013-04-02T00:00:00Z",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var answer struct {
				Clock string    `json:"clock"`
				Now   time.Time `json:"now"`
			}
			if err := client.Post(cmd.Context(), Path("projects", args[0], "clock"), map[string]string{"at": args[1]}, &answer); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(answer)
			}
			f.IO.Printf("%s\n", answer.Now.Format(time.RFC3339))
			return nil
		},
	}
}
