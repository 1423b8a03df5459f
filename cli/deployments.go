package cli

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
)

func newDeploymentsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "deployments", Aliases: []string{"deployment"}, Short: "See who answers, move traffic, read the log, tell what turned out to be true"}
	cmd.AddCommand(newDeploymentsListCommand(f), newDeploymentsShowCommand(f), newDeploymentsLogCommand(f), newDeploymentsOutcomesCommand(f))
	cmd.AddCommand(newRolloutCommands(f)...)
	cmd.AddCommand(newRoutingCommands(f)...)
	return cmd
}

func newDeploymentsListCommand(f *Factory) *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List deployments",
		Example: "  trimtab deployments ls\n  trimtab deployments ls --json | jq '.items[].route'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			path := "deployments"
			if project != "" {
				path += "?" + url.Values{"project": {project}}.Encode()
			}
			var list struct {
				Items []native.Deployment `json:"items"`
			}
			if err := client.Get(cmd.Context(), path, &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := make([][]string, len(list.Items))
			for i, d := range list.Items {
				rows[i] = []string{d.Name, d.Model, deploymentState(f.IO, &d), trafficText(&d), term.Count(d.Stats.Predictions), coverageText(&d), term.Count(d.Stats.Failed)}
			}
			f.IO.Table([]string{"NAME", "MODEL", "STATE", "TRAFFIC", "PREDICTIONS", "OUTCOMES", "FAILED"}, rows)
			return nil
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "only of this project")
	return cmd
}

func newDeploymentsShowCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a deployment: its route, its versions, what it answered",
		Example: "  trimtab deployments show flight-delays",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var d native.Deployment
			if err := client.Get(cmd.Context(), Path("deployments", args[0]), &d); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(d)
			}
			f.IO.Fields([2]string{"name", d.Name}, [2]string{"project", d.Project}, [2]string{"model", d.Model}, [2]string{"state", deploymentState(f.IO, &d)},
				[2]string{"problem", d.Problem}, [2]string{"traffic", trafficText(&d)}, [2]string{"log level", d.LogLevel}, [2]string{"predictions", term.Count(d.Stats.Predictions)},
				[2]string{"last 24 h", term.Count(d.Stats.DayRequests)}, [2]string{"outcomes", coverageText(&d)}, [2]string{"revised", term.Count(d.Stats.Revised)},
				[2]string{"pending outcomes", term.Count(d.Stats.Pending)}, [2]string{"failed", term.Count(d.Stats.Failed)}, [2]string{"not logged", term.Count(d.Stats.Lost)},
				[2]string{"created", term.Time(d.CreatedAt)}, [2]string{"changed", term.Time(d.UpdatedAt)})
			versions := append([]int(nil), d.Resident...)
			sort.Sort(sort.Reverse(sort.IntSlice(versions)))
			rows := make([][]string, len(versions))
			for i, v := range versions {
				st := d.Versions[strconv.Itoa(v)].Rollout
				role := roleOf(&d.Route, v)
				rows[i] = []string{"v" + strconv.Itoa(v), role, term.Count(st.Requests), term.Count(st.Errors), term.Number(st.P50MS), term.Number(st.P99MS)}
			}
			f.IO.Printf("\n")
			f.IO.Table([]string{"VERSION", "ROLE", "ROWS", "ERRORS", "P50 MS", "P99 MS"}, rows)
			if d.Shadow != nil {
				f.IO.Printf("\n")
				showShadow(f, d.Shadow)
			}
			return nil
		},
	}
}

func deploymentState(io *term.IO, d *native.Deployment) string {
	switch d.State {
	case "ready":
		return io.Good(d.State)
	case "failed":
		return io.Bad(d.State)
	}
	return io.Attention(d.State)
}

func trafficText(d *native.Deployment) string {
	return d.Route.String()
}

func coverageText(d *native.Deployment) string {
	if d.Stats.Predictions == 0 {
		return "-"
	}
	known := d.Stats.Labeled + d.Stats.WithoutLabel
	return fmt.Sprintf("%s, %.1f %%", term.Count(known), 100*float64(known)/float64(d.Stats.Predictions))
}

func newDeploymentsLogCommand(f *Factory) *cobra.Command {
	var out string
	var limit int
	cmd := &cobra.Command{
		Use:   "log NAME",
		Short: "Show the newest predictions, or write the whole log to a Parquet file",
		Long: "Show the newest predictions, or write the whole log to a Parquet file: prediction id, key, time, version, arm, every input as its own\n" +
			"typed column, scores, the champion's score where a canary answered, the label that turned out to be true, when it was known, and latency.",
		Example: "  trimtab deployments log flight-delays\n  trimtab deployments log flight-delays --out log.parquet",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			if out != "" {
				return downloadLog(cmd, f, client, args[0], out)
			}
			var list struct {
				Items []native.LogRow `json:"items"`
			}
			if err := client.Get(cmd.Context(), Path("deployments", args[0], "log")+"?limit="+strconv.Itoa(limit), &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := make([][]string, len(list.Items))
			for i, r := range list.Items {
				scores := make([]string, len(r.Scores))
				for k, s := range r.Scores {
					scores[k] = strconv.FormatFloat(s, 'f', 3, 64)
				}
				truth := "-"
				if r.NoOutcome {
					truth = "none"
				} else if r.Outcome != nil {
					truth = term.Number(*r.Outcome)
				}
				rows[i] = []string{r.ID, term.Time(r.At), r.Key, "v" + strconv.Itoa(r.Version), r.Arm, strings.Join(scores, " "), r.Label, truth, strconv.Itoa(int(r.LatencyUS))}
			}
			f.IO.Table([]string{"ID", "AT", "KEY", "VERSION", "ARM", "SCORE", "DECISION", "OUTCOME", "µS"}, rows)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the whole log to this Parquet file")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most this many, up to 1000")
	return cmd
}

// downloadLog writes the exported log beside its place and moves it there, so that a broken download leaves no file.
func downloadLog(cmd *cobra.Command, f *Factory, client *Client, name, out string) error {
	temp, err := os.CreateTemp(filepath.Dir(out), ".log-*.parquet")
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "write %s", out)
	}
	defer os.Remove(temp.Name())
	err = client.Do(cmd.Context(), http.MethodGet, Path("deployments", name, "log.parquet"), nil, nil, temp)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	info, err := os.Stat(temp.Name())
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), out); err != nil {
		return fault.Wrap(err, fault.Invalid, "write %s", out)
	}
	if f.JSON {
		return f.IO.JSON(map[string]any{"deployment": name, "file": out, "bytes": info.Size()})
	}
	f.IO.Sayf("%s: %s\n", out, term.Bytes(info.Size()))
	return nil
}

// outcomesPerRequest is how many outcomes a request carries.
const outcomesPerRequest = 1000

func newDeploymentsOutcomesCommand(f *Factory) *cobra.Command {
	var in string
	cmd := &cobra.Command{
		Use:   "outcomes NAME --in FILE",
		Short: "Tell what turned out to be true",
		Long: "Tell what turned out to be true. FILE is JSON lines, one outcome each, or CSV with a header; - is standard input.\n\n" +
			"An outcome names its prediction by prediction_id, or by key and perhaps at, and carries label, or values: the columns that the\n" +
			"label's expression reads. In CSV every column that is not prediction_id, key, at, known_at, source or label is a value, and an\n" +
			"empty cell is null. What was sent before has no effect, so a file may be sent again.",
		Example: "  trimtab deployments outcomes flight-delays --in landed.csv\n" +
			"  echo '{\"prediction_id\": \"0197f3c2a1b07c3e8f00112233445566\", \"label\": true}' | trimtab deployments outcomes flight-delays --in -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return sendOutcomes(cmd, f, client, args[0], in)
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "JSON lines or CSV; - is standard input")
	_ = cmd.MarkFlagRequired("in") // the flag exists
	return cmd
}

func sendOutcomes(cmd *cobra.Command, f *Factory, client *Client, name, in string) error {
	var source io.Reader = f.IO.In
	if in != "-" {
		file, err := os.Open(in)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "read the outcomes")
		}
		defer file.Close()
		source = file
	}
	next := jsonOutcomes(source, in)
	if strings.EqualFold(filepath.Ext(in), ".csv") {
		var err error
		if next, err = csvOutcomes(source, in); err != nil {
			return err
		}
	}
	counts := map[string]int{}
	refused := [][]string{}
	var batch []any
	sent := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		var out struct {
			Items []feedback.Answer `json:"items"`
		}
		if err := client.Post(cmd.Context(), Path("deployments", name, "outcomes"), map[string]any{"outcomes": batch}, &out); err != nil {
			return fmt.Errorf("after %d outcomes: %w", sent, err)
		}
		for i, a := range out.Items {
			counts[a.Status]++
			if a.Status == feedback.Rejected {
				refused = append(refused, []string{strconv.Itoa(sent + i + 1), a.Why})
			}
		}
		sent += len(batch)
		batch = batch[:0]
		return nil
	}
	for {
		o, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if batch = append(batch, o); len(batch) == outcomesPerRequest {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	statuses := []string{feedback.Accepted, feedback.Pending, feedback.Duplicate, feedback.Revised, feedback.Rejected}
	if f.JSON {
		out := map[string]any{"deployment": name, "sent": sent}
		for _, s := range statuses {
			out[s] = counts[s]
		}
		if err := f.IO.JSON(out); err != nil {
			return err
		}
	} else {
		fields := [][2]string{{"sent", term.Count(int64(sent))}}
		for _, s := range statuses {
			fields = append(fields, [2]string{s, term.Count(int64(counts[s]))})
		}
		f.IO.Fields(fields...)
	}
	if len(refused) > 0 {
		shown := refused[:min(len(refused), 10)]
		var why strings.Builder
		for _, r := range shown {
			why.WriteString("\n  outcome " + r[0] + ": " + r[1])
		}
		return fault.New(fault.Invalid, "%d of %d outcomes were rejected:%s", len(refused), sent, why.String()).WithHint("the others are kept; mend these and send the file again")
	}
	return nil
}

// jsonOutcomes reads one JSON object per line, or objects that follow each other.
func jsonOutcomes(r io.Reader, name string) func() (any, error) {
	decoder := json.NewDecoder(bufio.NewReader(r))
	n := 0
	return func() (any, error) {
		var o map[string]any
		err := decoder.Decode(&o)
		if err == nil || errors.Is(err, io.EOF) {
			n++
			return o, err
		}
		return nil, fault.Wrap(err, fault.Invalid, "%s: outcome %d is not a JSON object", name, n+1)
	}
}

// csvOutcomes reads a CSV file with a header.
func csvOutcomes(r io.Reader, name string) (func() (any, error), error) {
	reader := csv.NewReader(bufio.NewReader(r))
	head, err := reader.Read()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s: read the header", name)
	}
	head[0] = strings.TrimPrefix(head[0], "\uFEFF")
	return func() (any, error) {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "read %s", name)
		}
		o, values := map[string]any{}, map[string]any{}
		for i, cell := range cells {
			switch head[i] {
			case "prediction_id", "key", "source":
				if cell != "" {
					o[head[i]] = cell
				}
			case "at", "known_at":
				if cell == "" {
					continue
				}
				at, err := csvTime(cell)
				if err != nil {
					line, _ := reader.FieldPos(i)
					return nil, fault.New(fault.Invalid, "%s is no time: %q", head[i], cell).At(fault.Position{File: name, Line: line}).WithHint("write it as 2013-04-01T10:00:00Z")
				}
				o[head[i]] = at
			case "label":
				o["label"] = csvValue(cell)
			default:
				values[head[i]] = csvValue(cell)
			}
		}
		if len(values) > 0 {
			o["values"] = values
		}
		return o, nil
	}, nil
}

func csvTime(text string) (time.Time, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("no time")
}

// csvValue is a cell as JSON would have it: null, a number, a boolean or a text.
func csvValue(cell string) any {
	if cell == "" {
		return nil
	}
	if n, err := strconv.ParseFloat(cell, 64); err == nil {
		return n
	}
	switch strings.ToLower(cell) {
	case "true":
		return true
	case "false":
		return false
	}
	return cell
}
