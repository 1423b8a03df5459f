package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
)

func newMonitorsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "monitors", Aliases: []string{"monitor"}, Short: "See how deployments do: data quality, drift, performance"}
	cmd.AddCommand(newMonitorsListCommand(f), newMonitorsShowCommand(f), newMonitorsDriftCommand(f))
	return cmd
}

func newMonitorsListCommand(f *Factory) *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List monitored deployments with their state",
		Example: "  trimtab monitors ls\n  trimtab monitors ls --json | jq '.items[].state'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listMonitors(cmd.Context(), f, project) },
	}
	cmd.Flags().StringVar(&project, "project", "", "only of this project")
	return cmd
}

func listMonitors(ctx context.Context, f *Factory, project string) error {
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	path := "monitors"
	if project != "" {
		path += "?" + url.Values{"project": {project}}.Encode()
	}
	var list struct {
		Items []monitor.State `json:"items"`
	}
	if err := client.Get(ctx, path, &list); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(list)
	}
	rows := make([][]string, len(list.Items))
	for i, m := range list.Items {
		rows[i] = []string{m.Deployment, m.Project, verdictText(f.IO, m.State), fmt.Sprint(len(m.Alerts)), m.Summary}
	}
	f.IO.Table([]string{"NAME", "PROJECT", "STATE", "ALERTS", "WHY"}, rows)
	return nil
}

func newMonitorsShowCommand(f *Factory) *cobra.Command {
	var kind string
	var limit int
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show the state of a deployment and its last verdicts",
		Example: "  trimtab monitors show flight-delays\n  trimtab monitors show flight-delays --kind performance --limit 40",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showMonitor(cmd.Context(), f, args[0], kind, limit)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "only quality, sudden, drift or performance")
	cmd.Flags().IntVar(&limit, "limit", 12, "at most this many verdicts")
	return cmd
}

func showMonitor(ctx context.Context, f *Factory, name, kind string, limit int) error {
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	var shown struct {
		State    monitor.State     `json:"state"`
		Verdicts []monitor.Verdict `json:"verdicts"`
	}
	if err := client.Get(ctx, Path("monitors", name), &shown.State); err != nil {
		return err
	}
	var list struct {
		Items []monitor.Verdict `json:"items"`
	}
	query := url.Values{"limit": {fmt.Sprint(limit)}, "kind": {kind}}
	if err := client.Get(ctx, Path("monitors", name, "verdicts")+"?"+query.Encode(), &list); err != nil {
		return err
	}
	shown.Verdicts = list.Items
	if f.JSON {
		return f.IO.JSON(shown)
	}
	s := shown.State
	fields := [][2]string{{"Deployment", s.Deployment}, {"State", verdictText(f.IO, s.State)}, {"Why", s.Summary}}
	for _, w := range s.Windows {
		text := fmt.Sprintf("window %s, alert at %s", w.Width, w.Times)
		if w.When != "" {
			text += ", bad when " + w.When
		}
		if w.OpenFrom != nil {
			text += fmt.Sprintf("; open since %s, %s rows", term.Time(*w.OpenFrom), term.Count(w.Rows))
		}
		fields = append(fields, [2]string{strings.ToUpper(w.Kind[:1]) + w.Kind[1:], text})
	}
	for _, a := range s.Alerts {
		fields = append(fields, [2]string{"Alert", f.IO.Bad(a.Message)})
	}
	f.IO.Fields(fields...)
	rows := make([][]string, len(list.Items))
	for i, v := range list.Items {
		rows[i] = []string{v.Kind, v.From.Format("2006-01-02"), fmt.Sprintf("v%d", v.Version), verdictText(f.IO, v.State), term.Count(v.N), v.Summary}
	}
	f.IO.Printf("\n")
	f.IO.Table([]string{"KIND", "FROM", "VERSION", "STATE", "N", "SUMMARY"}, rows)
	return nil
}

func newMonitorsDriftCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "drift NAME",
		Short:   "Show the latest drift window, column by column",
		Example: "  trimtab monitors drift flight-delays\n  trimtab monitors drift flight-delays --json | jq '.columns[] | {name, psi, state}'",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return showDrift(cmd.Context(), f, args[0]) },
	}
}

func showDrift(ctx context.Context, f *Factory, name string) error {
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	var view monitor.DriftView
	if err := client.Get(ctx, Path("monitors", name, "drift"), &view); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(view)
	}
	v := view.Verdict
	f.IO.Fields([2]string{"Window", v.From.Format("2006-01-02") + " to " + v.To.Format("2006-01-02")}, [2]string{"Against", fmt.Sprintf("training of v%d", v.Version)},
		[2]string{"State", verdictText(f.IO, v.State)}, [2]string{"Why", v.Summary})
	sudden := map[string]string{}
	if r := view.Recent; r != nil {
		f.IO.Fields([2]string{"Sudden", fmt.Sprintf("%s in %s to %s, against the windows before", verdictText(f.IO, r.State), r.From.Format("2006-01-02 15:04"), r.To.Format("2006-01-02 15:04"))},
			[2]string{"Why", r.Summary})
		for _, c := range r.Columns {
			sudden[c.Name] = monitor.Inconclusive
			if c.Shift != nil && c.State != monitor.Inconclusive {
				sudden[c.Name] = strings.TrimSpace(fmt.Sprintf("%s of %s %s", term.Number(c.Shift.Value), term.Number(c.Bar), c.Unit))
			}
		}
	}
	number := func(x *float64) string {
		if x == nil {
			return ""
		}
		return term.Number(*x)
	}
	rows := make([][]string, len(view.Columns))
	for i, c := range view.Columns {
		mean := ""
		if c.Mean != nil {
			mean = strings.TrimSpace(number(c.ReferenceMean) + " → " + number(c.Mean) + " " + c.Unit)
		}
		importance := ""
		if c.Importance != nil {
			importance = fmt.Sprintf("%.0f %%", 100**c.Importance)
		}
		rows[i] = []string{c.Name, fmt.Sprintf("%.2f", c.PSI), fmt.Sprintf("%.2f", c.Bar), fmt.Sprintf("%d of %d", c.OverIn, c.OverOf), term.Count(int64(c.NEff)),
			mean, fmt.Sprintf("%.1f %%", 100*c.Missing), importance, verdictText(f.IO, c.State), sudden[c.Name]}
	}
	f.IO.Printf("\n")
	f.IO.Table([]string{"INPUT", "PSI", "BAR", "OVER", "N EFFECTIVE", "MEAN", "MISSING", "IMPORTANCE", "STATE", "MOVED SUDDENLY"}, rows)
	return nil
}

// verdictText colours a state of a verdict, a column or an alert; the word alone says all.
func verdictText(io *term.IO, state string) string {
	switch state {
	case monitor.OK, monitor.Resolved:
		return io.Good(state)
	case monitor.Attention, "watch":
		return io.Attention(state)
	case monitor.Off, "drift", monitor.Firing:
		return io.Bad(state)
	}
	return state
}
