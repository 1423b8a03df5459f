package cli

import (
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func newRunsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "runs", Aliases: []string{"run"}, Short: "See what was trained, with what, and how it went"}
	cmd.AddCommand(newRunsListCommand(f), newRunsShowCommand(f))
	return cmd
}

// theProject is the project that is meant when none is named: the only one.
func theProject(cmd *cobra.Command, client *Client, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	var list struct {
		Items []*project.Project `json:"items"`
	}
	if err := client.Get(cmd.Context(), "projects", &list); err != nil {
		return "", err
	}
	switch len(list.Items) {
	case 0:
		return "", fault.New(fault.NotFound, "there is no project yet").WithHint("trimtab apply makes one from trimtab.yaml")
	case 1:
		return list.Items[0].Name, nil
	}
	return "", fault.New(fault.Invalid, "there are %d projects", len(list.Items)).WithHint("name one with --project")
}

func newRunsListCommand(f *Factory) *cobra.Command {
	var named string
	var limit int
	cmd := &cobra.Command{Use: "ls", Short: "List runs, the newest first", Example: "  trimtab runs ls --project flight-delays", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			name, err := theProject(cmd, client, named)
			if err != nil {
				return err
			}
			var list struct {
				Items []*track.Run `json:"items"`
			}
			if err := client.Get(cmd.Context(), Path("projects", name, "runs")+"?"+url.Values{"limit": {strconv.Itoa(limit)}}.Encode(), &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := [][]string{}
			for _, r := range list.Items {
				rows = append(rows, []string{r.ID, stateText(f.IO, r.State), r.StartedAt.Format("2006-01-02 15:04"), term.Duration(time.Duration(r.Seconds * float64(time.Second))), versionText(r.Version), r.Cause})
			}
			f.IO.Table([]string{"RUN", "STATE", "STARTED", "TOOK", "VERSION", "CAUSE"}, rows)
			return nil
		}}
	cmd.Flags().StringVar(&named, "project", "", "the project; default the only one")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return cmd
}

func newRunsShowCommand(f *Factory) *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show a run: parameters, metrics, inputs", Example: "  trimtab runs show 0197f3c2a1b07c3e8f00112233445566", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var r track.Run
			if err := client.Get(cmd.Context(), Path("runs", args[0]), &r); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(r)
			}
			f.IO.Fields([][2]string{{"Run", r.ID}, {"State", r.State}, {"Cause", r.Cause}, {"Started", r.StartedAt.Format(time.RFC3339)}, {"Version", versionText(r.Version)}, {"Error", r.Error}}...)
			rows := [][]string{}
			for name, v := range r.Params {
				rows = append(rows, []string{"parameter", name, v})
			}
			for name, v := range r.Metrics {
				rows = append(rows, []string{"metric", name, fmt.Sprintf("%.6g", v)})
			}
			for _, in := range r.Inputs {
				rows = append(rows, []string{"input", in.Dataset, fmt.Sprintf("v%d, %d rows", in.Number, in.Rows)})
			}
			sort.Slice(rows, func(i, j int) bool { return rows[i][0]+rows[i][1] < rows[j][0]+rows[j][1] })
			f.IO.Table([]string{"WHAT", "NAME", "VALUE"}, rows)
			return nil
		}}
}
