package cli

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
)

func newAlertsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "alerts", Aliases: []string{"alert"}, Short: "See what monitors alert about"}
	cmd.AddCommand(newAlertsListCommand(f), newAlertsShowCommand(f))
	return cmd
}

func newAlertsListCommand(f *Factory) *cobra.Command {
	var project, state string
	var limit int
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List alerts, the newest first",
		Example: "  trimtab alerts ls\n  trimtab alerts ls --state firing\n  trimtab alerts ls --json | jq '.items[].message'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {fmt.Sprint(limit)}, "project": {project}, "state": {state}}
			return listAlerts(cmd.Context(), f, query)
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "only of this project")
	cmd.Flags().StringVar(&state, "state", "", "firing or resolved")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return cmd
}

func listAlerts(ctx context.Context, f *Factory, query url.Values) error {
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	var list struct {
		Items []monitor.Alert `json:"items"`
	}
	if err := client.Get(ctx, "alerts?"+query.Encode(), &list); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(list)
	}
	rows := make([][]string, len(list.Items))
	for i, a := range list.Items {
		rows[i] = []string{a.ID, a.Deployment, alertKind(&a), verdictText(f.IO, a.State), term.Time(a.OpenedAt), term.Time(a.LastSeen), fmt.Sprint(a.Count), a.Message}
	}
	f.IO.Table([]string{"ID", "DEPLOYMENT", "KIND", "STATE", "OPENED", "LAST SEEN", "WINDOWS", "MESSAGE"}, rows)
	return nil
}

// alertKind tells sudden drift and notices apart from what their kind alone says.
func alertKind(a *monitor.Alert) string {
	switch {
	case a.Baseline == monitor.Recent:
		return "sudden " + a.Kind
	case a.Level == monitor.Notice:
		return a.Kind + " (notice)"
	}
	return a.Kind
}

func newAlertsShowCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one alert with its cause",
		Example: "  trimtab alerts show 0197f3c2a1b07c3e8f00112233445566",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return showAlert(cmd.Context(), f, args[0]) },
	}
}

func showAlert(ctx context.Context, f *Factory, id string) error {
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	var a monitor.Alert
	if err := client.Get(ctx, Path("alerts", id), &a); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(a)
	}
	fields := [][2]string{{"Alert", a.Message}, {"State", verdictText(f.IO, a.State)}, {"Cause", a.Cause}, {"Deployment", a.Deployment}, {"Kind", alertKind(&a)},
		{"Opened", term.Time(a.OpenedAt)}, {"Last seen", term.Time(a.LastSeen)}, {"Windows", fmt.Sprint(a.Count)}}
	if a.ResolvedAt != nil {
		fields = append(fields, [2]string{"Resolved", term.Time(*a.ResolvedAt)})
	}
	f.IO.Fields(append(fields, [2]string{"Page", client.URL() + a.Link})...)
	return nil
}
