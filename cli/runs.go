package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

func newRunsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "runs", Short: "Find, compare and follow what was tried"}
	cmd.AddCommand(newRunsListCommand(f), newRunsShowCommand(f), newRunsDiffCommand(f), newRunsTailCommand(f), newRunsRemoveCommand(f), newRunsExportCommand(f))
	return cmd
}

// theProject is the project that is meant when none is named: the only one.
func theProject(cmd *cobra.Command, client *Client, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	var list items[*project.Project]
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

// runsOptions says which runs are meant.
type runsOptions struct {
	experiments []string
	project     string
	filter      string
	order       []string
	view        string
	limit       int
}

func (o *runsOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.experiments, "experiment", nil, "name or id of an experiment; default all of them")
	cmd.Flags().StringVar(&o.project, "project", "", "the experiment of a project")
	cmd.Flags().StringVar(&o.filter, "filter", "", "which runs, for example \"metrics.auc > 0.8 AND params.depth = '6'\"")
	cmd.Flags().StringSliceVar(&o.order, "order", nil, "most important first, for example \"metrics.auc DESC\"; default the newest first")
	cmd.Flags().StringVar(&o.view, "view", "active", "active, deleted or all")
}

// search turns the options into the API's form; names of experiments become their ids.
func (o *runsOptions) search(cmd *cobra.Command, client *Client) (native.RunSearch, error) {
	q := native.RunSearch{Filter: o.filter, OrderBy: o.order, View: o.view}
	wanted := slices.Clone(o.experiments)
	if o.project != "" {
		wanted = append(wanted, o.project)
	}
	for page := ""; ; {
		var list struct {
			Items []*track.Experiment `json:"items"`
			Next  string              `json:"next_page_token"`
		}
		query := url.Values{"view": {"all"}, "limit": {"1000"}}
		if page != "" {
			query.Set("page_token", page)
		}
		if err := client.Get(cmd.Context(), "experiments?"+query.Encode(), &list); err != nil {
			return q, err
		}
		for _, e := range list.Items {
			at := slices.IndexFunc(wanted, func(w string) bool { return w == e.ID || w == e.Name && e.Stage == track.StageActive })
			if at >= 0 {
				wanted = slices.Delete(wanted, at, at+1)
			}
			if at >= 0 || len(o.experiments) == 0 && o.project == "" && e.Stage == track.StageActive {
				q.Experiments = append(q.Experiments, e.ID)
			}
		}
		if page = list.Next; page == "" {
			break
		}
	}
	if len(wanted) > 0 {
		return q, fault.New(fault.NotFound, "there is no experiment %q", wanted[0]).WithHint("trimtab runs ls without --experiment lists the runs of all of them")
	}
	return q, nil
}

func newRunsListCommand(f *Factory) *cobra.Command {
	o := runsOptions{}
	cmd := &cobra.Command{Use: "ls", Short: "List runs, the newest first", Args: cobra.NoArgs,
		Example: "  trimtab runs ls\n  trimtab runs ls --experiment churn --filter \"metrics.auc > 0.8\" --order \"metrics.auc DESC\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			q, err := o.search(cmd, client)
			if err != nil {
				return err
			}
			body := struct {
				native.RunSearch
				Limit int `json:"limit"`
			}{q, o.limit}
			var list items[*track.Run]
			if err := client.Post(cmd.Context(), "runs/search", body, &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := [][]string{}
			for _, r := range list.Items {
				rows = append(rows, []string{r.ID, r.Name, stateText(f.IO, r.State), runStarted(r), runTook(r), runMetrics(r), versionText(r.Version), r.Cause})
			}
			f.IO.Table([]string{"RUN", "NAME", "STATE", "STARTED", "TOOK", "METRICS", "VERSION", "CAUSE"}, rows)
			return nil
		}}
	o.flags(cmd)
	cmd.Flags().IntVar(&o.limit, "limit", 50, "at most this many")
	return cmd
}

func runStarted(r *track.Run) string {
	if r.StartedAt.IsZero() {
		return "-"
	}
	return r.StartedAt.Format("2006-01-02 15:04")
}

// runTook is how long a run worked: machine work where it is known, else from its start to its end.
func runTook(r *track.Run) string {
	switch {
	case r.Seconds > 0:
		return term.Duration(time.Duration(r.Seconds * float64(time.Second)))
	case r.FinishedAt != nil && !r.StartedAt.IsZero():
		return term.Duration(r.FinishedAt.Sub(r.StartedAt))
	}
	return "-"
}

// runMetrics is the few numbers that a line has room for: the well-known first.
func runMetrics(r *track.Run) string {
	usual := []string{"auc", "log_loss", "accuracy", "rmse", "r2", "f1"}
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(r.Metrics)), func(k string) bool { return strings.HasPrefix(k, "system/") || k == "n" })
	slices.SortFunc(keys, func(a, b string) int {
		place := func(k string) int {
			if at := slices.Index(usual, k); at >= 0 {
				return at
			}
			return len(usual)
		}
		return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a, b))
	})
	out := []string{}
	for _, k := range keys[:min(3, len(keys))] {
		out = append(out, fmt.Sprintf("%s %.4g", k, r.Metrics[k]))
	}
	return strings.Join(out, ", ")
}

func newRunsShowCommand(f *Factory) *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show a run: parameters, metrics, inputs, tags", Example: "  trimtab runs show 0197f3c2a1b07c3e8f00112233445566", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, f, client, Path("runs", args[0]), func(r *track.Run) {
				f.IO.Fields([][2]string{{"Run", r.ID}, {"Name", r.Name}, {"Experiment", r.ExperimentID}, {"State", r.State}, {"Cause", r.Cause}, {"User", r.User}, {"Started", runStarted(r)}, {"Took", runTook(r)},
					{"Version", versionText(r.Version)}, {"Artifacts", r.ArtifactURI}, {"Error", r.Error}}...)
				rows := [][]string{}
				for _, l := range runLines(r) {
					rows = append(rows, []string{l.what, l.name, l.value})
				}
				f.IO.Table([]string{"WHAT", "NAME", "VALUE"}, rows)
			})
		}}
}

// runLine is one fact of a run.
type runLine struct{ what, name, value string }

// runLines are the facts of a run that can differ from those of another, in order.
func runLines(r *track.Run) []runLine {
	lines := []runLine{}
	for name, v := range r.Params {
		lines = append(lines, runLine{"parameter", name, v})
	}
	for name, v := range r.Metrics {
		lines = append(lines, runLine{"metric", name, strconv.FormatFloat(v, 'g', 6, 64)})
	}
	for _, in := range r.Inputs {
		lines = append(lines, runLine{"input", in.Dataset, fmt.Sprintf("v%d, %d rows", in.Number, in.Rows)})
	}
	for _, d := range r.Datasets {
		lines = append(lines, runLine{"dataset", d.Dataset.Name, d.Dataset.Digest})
	}
	for name, v := range r.Tags {
		if !strings.HasPrefix(name, "mlflow.") || strings.HasPrefix(name, "mlflow.source.") {
			lines = append(lines, runLine{"tag", name, oneLine(v)})
		}
	}
	if r.GitCommit != "" {
		lines = append(lines, runLine{"code", "commit", r.GitCommit})
	}
	slices.SortFunc(lines, func(a, b runLine) int {
		return cmp.Or(strings.Compare(a.what, b.what), strings.Compare(a.name, b.name))
	})
	return lines
}

// oneLine keeps a long text from breaking a table.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 200 {
		return string(runes[:199]) + "…"
	}
	return text
}

func newRunsDiffCommand(f *Factory) *cobra.Command {
	var all bool
	cmd := &cobra.Command{Use: "diff RUN RUN...", Short: "Show what differs between runs", Example: "  trimtab runs diff 0197f3c2a1b0… 0197f3c2b2c1…", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			runs := make([]*track.Run, len(args))
			for i, id := range args {
				runs[i] = &track.Run{}
				if err := client.Get(cmd.Context(), Path("runs", id), runs[i]); err != nil {
					return err
				}
			}
			rows := diffRuns(runs, all)
			if f.JSON {
				type line struct {
					What   string    `json:"what"`
					Name   string    `json:"name"`
					Values []*string `json:"values"` // null where a run does not have it
				}
				out := items[line]{Items: []line{}}
				for _, row := range rows {
					out.Items = append(out.Items, line{row.what, row.name, row.values})
				}
				return f.IO.JSON(out)
			}
			head := []string{"WHAT", "NAME"}
			for _, r := range runs {
				head = append(head, r.Name)
			}
			table := [][]string{}
			for _, row := range rows {
				cells := []string{row.what, row.name}
				for _, v := range row.values {
					if v == nil {
						cells = append(cells, "-")
					} else {
						cells = append(cells, *v)
					}
				}
				table = append(table, cells)
			}
			f.IO.Table(head, table)
			return nil
		}}
	cmd.Flags().BoolVar(&all, "all", false, "what is the same in all of them as well")
	return cmd
}

// diffLine is one fact of several runs.
type diffLine struct {
	what, name string
	values     []*string
}

func diffRuns(runs []*track.Run, all bool) []diffLine {
	byFact := map[[2]string][]*string{}
	for i, r := range runs {
		for _, l := range runLines(r) {
			fact := [2]string{l.what, l.name}
			if byFact[fact] == nil {
				byFact[fact] = make([]*string, len(runs))
			}
			byFact[fact][i] = &l.value
		}
	}
	out := []diffLine{}
	for fact, values := range byFact {
		same := !slices.ContainsFunc(values, func(v *string) bool { return v == nil || values[0] == nil || *v != *values[0] })
		if all || !same {
			out = append(out, diffLine{fact[0], fact[1], values})
		}
	}
	slices.SortFunc(out, func(a, b diffLine) int {
		return cmp.Or(strings.Compare(a.what, b.what), strings.Compare(a.name, b.name))
	})
	return out
}

func newRunsTailCommand(f *Factory) *cobra.Command {
	return &cobra.Command{Use: "tail RUN", Short: "Follow a run to its end: its metrics as they come", Example: "  trimtab runs tail 0197f3c2a1b07c3e8f00112233445566", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			last := track.Values{}
			look := func() (done bool, err error) {
				var r track.Run
				if err := client.Get(cmd.Context(), Path("runs", args[0]), &r); err != nil {
					return false, err
				}
				if f.JSON {
					if err := f.IO.JSON(r); err != nil {
						return false, err
					}
				} else {
					changed := []string{}
					for _, k := range slices.Sorted(maps.Keys(r.Metrics)) {
						if was, known := last[k]; !known || math.Float64bits(was) != math.Float64bits(r.Metrics[k]) {
							changed = append(changed, fmt.Sprintf("%s %.6g", k, r.Metrics[k]))
						}
					}
					if len(changed) > 0 {
						f.IO.Printf("%s  %s\n", time.Now().Format("15:04:05"), strings.Join(changed, "  "))
					}
				}
				last = r.Metrics
				if r.State == track.Running || r.State == "scheduled" {
					return false, nil
				}
				f.IO.Sayf("%s %s\n", r.Name, r.State)
				return true, nil
			}
			ended := errors.New("the run ended")
			done, err := look()
			if err != nil || done {
				return err
			}
			err = client.Stream(cmd.Context(), Path("runs", args[0], "stream"), func(Event) error {
				done, err := look()
				if err == nil && done {
					return ended
				}
				return err
			})
			if errors.Is(err, ended) {
				return nil
			}
			return err
		}}
}

func newRunsRemoveCommand(f *Factory) *cobra.Command {
	var hard, restore bool
	cmd := &cobra.Command{Use: "rm RUN...", Short: "Delete runs; they can be restored unless it is for good", Args: cobra.MinimumNArgs(1),
		Example: "  trimtab runs rm 0197f3c2a1b07c3e8f00112233445566\n  trimtab runs rm --restore 0197f3c2a1b07c3e8f00112233445566\n  trimtab runs rm --hard 0197f3c2a1b07c3e8f00112233445566",
		RunE: func(cmd *cobra.Command, args []string) error {
			if hard && restore {
				return fault.New(fault.Invalid, "--hard and --restore are opposites")
			}
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			path, word := "runs/delete", "deleted; bring them back with --restore"
			switch {
			case restore:
				path, word = "runs/restore", "restored"
			case hard:
				word = "removed for good; their files go with the next garbage collection"
			}
			var out struct {
				Done int `json:"done"`
			}
			if err := client.Post(cmd.Context(), path, map[string]any{"ids": args, "hard": hard}, &out); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(out)
			}
			f.IO.Printf("%d %s\n", out.Done, word)
			return nil
		}}
	cmd.Flags().BoolVar(&hard, "hard", false, "for good, with points and artifacts")
	cmd.Flags().BoolVar(&restore, "restore", false, "bring deleted runs back")
	return cmd
}

func newRunsExportCommand(f *Factory) *cobra.Command {
	o := runsOptions{}
	var out, run string
	var columns []string
	cmd := &cobra.Command{Use: "export", Short: "Write runs as CSV, or every point of one run as CSV, Arrow or Parquet", Args: cobra.NoArgs,
		Example: "  trimtab runs export --experiment churn --columns metrics.auc,params.depth --out runs.csv\n  trimtab runs export --run 0197f3c2a1b07c3e8f00112233445566 --out points.parquet",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			method, path, header := http.MethodPost, "runs/export", http.Header{"Content-Type": {"application/json"}}
			var body io.Reader
			if run != "" {
				format, ok := map[string]string{"": "csv", "csv": "csv", "arrow": "arrow", "arrows": "arrow", "parquet": "parquet"}[extension(out)]
				if !ok {
					return fault.New(fault.Invalid, "--out %s: points are written as .csv, .arrow or .parquet", out)
				}
				method, path, header = http.MethodGet, Path("runs", run, "metrics", "export")+"?format="+format, http.Header{}
			} else {
				q, err := o.search(cmd, client)
				if err != nil {
					return err
				}
				if len(columns) == 0 {
					var keys track.Keys
					if err := client.Post(cmd.Context(), "runs/keys", map[string]any{"experiments": q.Experiments}, &keys); err != nil {
						return err
					}
					columns = append(columns, "attributes.name", "attributes.status", "attributes.start_time", "attributes.end_time")
					for _, k := range keys.Params {
						columns = append(columns, "params.`"+k+"`")
					}
					for _, k := range keys.Metrics {
						columns = append(columns, "metrics.`"+k+"`")
					}
				}
				encoded, err := json.Marshal(native.TableRequest{RunSearch: q, Columns: columns})
				if err != nil {
					return fmt.Errorf("encode request: %w", err)
				}
				body = bytes.NewReader(encoded)
			}
			if out == "" {
				return client.Do(cmd.Context(), method, path, header, body, f.IO.Out)
			}
			return writeWhole(out, func(file io.Writer) error { return client.Do(cmd.Context(), method, path, header, body, file) })
		}}
	o.flags(cmd)
	cmd.Flags().StringSliceVar(&columns, "columns", nil, "what to write, for example metrics.auc,params.depth,tags.team; default parameters and metrics")
	cmd.Flags().StringVar(&run, "run", "", "every point of this run instead")
	cmd.Flags().StringVar(&out, "out", "", "the file; default standard output")
	return cmd
}

// writeWhole writes a file beside its place and moves it there when all of it is written.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	temp := path + ".partial"
	file, err := os.Create(temp)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "write %s", path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if err := errors.Join(write(file), file.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func extension(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return ""
	}
	return strings.ToLower(name[at+1:])
}
