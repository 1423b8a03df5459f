package cli

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
)

func newDataCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "data", Aliases: []string{"datasets"}, Short: "See datasets: versions, profiles, rows in quarantine"}
	cmd.AddCommand(newDataListCommand(f), newDataShowCommand(f), newDataDiffCommand(f), newDataProfileCommand(f), newDataQuarantineCommand(f), newDataSuggestCommand(f))
	return cmd
}

// dataOptions is what the commands about one dataset share.
type dataOptions struct {
	project string
	version int
}

func (o *dataOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.project, "project", "", "the project; default the only one")
	cmd.Flags().IntVar(&o.version, "version", 0, "the version; default the newest")
}

// find is the client, the version that is meant, and its path.
func (o *dataOptions) find(ctx context.Context, cmd *cobra.Command, f *Factory, dataset string) (*Client, *data.Version, string, error) {
	client, err := f.Client(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	project, err := theProject(cmd, client, o.project)
	if err != nil {
		return nil, nil, "", err
	}
	path := Path("projects", project, "datasets", dataset)
	if o.version > 0 {
		path = Path("projects", project, "datasets", dataset, "versions", strconv.Itoa(o.version))
	}
	v := &data.Version{}
	if err := client.Get(ctx, path, v); err != nil {
		return nil, nil, "", err
	}
	return client, v, Path("projects", project, "datasets", dataset, "versions", strconv.Itoa(v.Number)), nil
}

func newDataListCommand(f *Factory) *cobra.Command {
	var named string
	cmd := &cobra.Command{Use: "ls", Short: "List a project's datasets", Example: "  trimtab data ls\n  trimtab data ls --json | jq '.items[].rows'", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			project, err := theProject(cmd, client, named)
			if err != nil {
				return err
			}
			return show(cmd, f, client, Path("projects", project, "datasets"), func(list *items[*data.Version]) {
				rows := [][]string{}
				for _, v := range list.Items {
					rows = append(rows, []string{v.Dataset, strconv.Itoa(v.Number), term.Count(v.Rows), strconv.Itoa(len(v.Schema)), quarantinedText(f, v.Quarantined),
						strconv.Itoa(len(v.Parts)), term.Bytes(v.Bytes), term.Ago(v.CreatedAt, time.Now())})
				}
				f.IO.Table([]string{"DATASET", "VERSION", "ROWS", "COLUMNS", "QUARANTINED", "PARTS", "STORED", "CREATED"}, rows)
			})
		}}
	cmd.Flags().StringVar(&named, "project", "", "the project; default the only one")
	return cmd
}

func quarantinedText(f *Factory, n int64) string {
	if n > 0 {
		return f.IO.Attention(term.Count(n))
	}
	return "0"
}

func newDataShowCommand(f *Factory) *cobra.Command {
	var o dataOptions
	cmd := &cobra.Command{Use: "show DATASET", Short: "Show a dataset: a version with its columns and parts, and all versions",
		Example: "  trimtab data show flights\n  trimtab data show flights --version 1 --json", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, v, path, err := o.find(cmd.Context(), cmd, f, args[0])
			if err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(v)
			}
			f.IO.Fields([2]string{"dataset", v.Dataset}, [2]string{"version", strconv.Itoa(v.Number)}, [2]string{"id", v.ID}, [2]string{"rows", term.Count(v.Rows)},
				[2]string{"quarantined", quarantinedText(f, v.Quarantined)}, [2]string{"stored", term.Bytes(v.Bytes)}, [2]string{"as of", term.Time(v.AsOf)},
				[2]string{"created", term.Time(v.CreatedAt)}, [2]string{"cause", v.Cause}, [2]string{"sources", strings.Join(v.Sources, ", ")})
			columns := make([][]string, len(v.Schema))
			for i, field := range v.Schema {
				missing := "no"
				if field.Nullable {
					missing = "yes"
				}
				columns[i] = []string{field.Name, string(field.Kind), missing, field.Unit, field.Zone, field.Personal}
			}
			f.IO.Printf("\n")
			f.IO.Table([]string{"COLUMN", "TYPE", "MISSING", "UNIT", "ZONE", "PERSONAL"}, columns)
			parts := make([][]string, len(v.Parts))
			for i, p := range v.Parts {
				parts[i] = []string{p.Source, p.Kind, term.Count(p.Rows), term.Bytes(p.Bytes), p.Blob[:min(12, len(p.Blob))]}
			}
			f.IO.Printf("\n")
			f.IO.Table([]string{"PART", "KIND", "ROWS", "STORED", "BLOB"}, parts)
			var list items[*data.Version]
			if err := client.Get(cmd.Context(), strings.TrimSuffix(path, "/"+strconv.Itoa(v.Number)), &list); err != nil {
				return err
			}
			versions := make([][]string, len(list.Items))
			for i, w := range list.Items {
				versions[i] = []string{strconv.Itoa(w.Number), term.Count(w.Rows), quarantinedText(f, w.Quarantined), term.Time(w.AsOf), w.Cause}
			}
			f.IO.Printf("\n")
			f.IO.Table([]string{"VERSION", "ROWS", "QUARANTINED", "AS OF", "CAUSE"}, versions)
			return nil
		}}
	o.flags(cmd)
	return cmd
}

func newDataDiffCommand(f *Factory) *cobra.Command {
	var o dataOptions
	cmd := &cobra.Command{Use: "diff DATASET FROM TO", Short: "Compare two versions: columns, parts, values", Example: "  trimtab data diff flights 1 2", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args[1:] {
				if n, err := strconv.Atoi(arg); err != nil || n < 1 {
					return fault.New(fault.Invalid, "%q is not the number of a version", arg).WithHint("trimtab data show %s lists them", args[0])
				}
			}
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			project, err := theProject(cmd, client, o.project)
			if err != nil {
				return err
			}
			path := Path("projects", project, "datasets", args[0], "diff") + "?" + url.Values{"from": {args[1]}, "to": {args[2]}}.Encode()
			return show(cmd, f, client, path, func(d *data.Diff) { printDataDiff(f, d) })
		}}
	cmd.Flags().StringVar(&o.project, "project", "", "the project; default the only one")
	return cmd
}

func printDataDiff(f *Factory, d *data.Diff) {
	f.IO.Fields([2]string{"rows", term.Count(d.RowsFrom) + " → " + term.Count(d.RowsTo)},
		[2]string{"quarantined", term.Count(d.Quarantined[0]) + " → " + term.Count(d.Quarantined[1])},
		[2]string{"parts", fmt.Sprintf("%d shared, %d added, %d removed", d.PartsShared, len(d.PartsAdded), len(d.PartsRemoved))})
	var rows [][]string
	for _, c := range d.Added {
		rows = append(rows, []string{c.Name, "added", "-", string(c.Kind)})
	}
	for _, c := range d.Removed {
		rows = append(rows, []string{c.Name, "removed", string(c.Kind), "-"})
	}
	for _, c := range d.Retyped {
		rows = append(rows, []string{c.Name, "type", string(c.From), string(c.To)})
	}
	show := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return term.Number(*x)
	}
	for _, c := range d.Columns {
		if c.NullShareFrom != c.NullShareTo {
			rows = append(rows, []string{c.Name, "missing", term.Number(100*c.NullShareFrom) + " %", term.Number(100*c.NullShareTo) + " %"})
		}
		if c.DistinctFrom != c.DistinctTo {
			rows = append(rows, []string{c.Name, "distinct", term.Count(c.DistinctFrom), term.Count(c.DistinctTo)})
		}
		if a, b := show(c.MeanFrom), show(c.MeanTo); a != b && c.Shift != nil {
			rows = append(rows, []string{c.Name, fmt.Sprintf("mean (%+.2f sd)", *c.Shift), a, b})
		}
	}
	if len(rows) > 0 {
		f.IO.Printf("\n")
		f.IO.Table([]string{"COLUMN", "CHANGE", "FROM", "TO"}, rows)
	}
}

func newDataProfileCommand(f *Factory) *cobra.Command {
	var o dataOptions
	var html string
	cmd := &cobra.Command{Use: "profile DATASET", Short: "Describe a version's rows, column by column",
		Example: "  trimtab data profile flights\n  trimtab data profile flights --html flights.html", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, v, path, err := o.find(cmd.Context(), cmd, f, args[0])
			if err != nil {
				return err
			}
			if html != "" {
				if err := download(cmd, client, path+"/profile.html", html); err != nil {
					return err
				}
				f.IO.Sayf("profile of %s version %d in %s\n", v.Dataset, v.Number, html)
				return nil
			}
			return show(cmd, f, client, path+"/profile", func(p *data.Profile) {
				rows := make([][]string, len(p.Columns))
				for i := range p.Columns {
					rows[i] = profileRow(&p.Columns[i], p.Rows)
				}
				f.IO.Sayf("%s version %d, %s rows\n", v.Dataset, v.Number, term.Count(p.Rows))
				f.IO.Table([]string{"COLUMN", "TYPE", "UNIT", "MISSING %", "DISTINCT", "MEAN", "SD", "MIN", "MEDIAN", "MAX", "MOST FREQUENT"}, rows)
			})
		}}
	o.flags(cmd)
	cmd.Flags().StringVar(&html, "html", "", "write a report to this file instead: one page, no raw rows")
	return cmd
}

func profileRow(c *data.ColumnProfile, rows int64) []string {
	show := func(x *float64) string {
		if x == nil {
			return "-"
		}
		if c.Kind == "datetime" {
			return time.UnixMicro(int64(*x)).UTC().Format("2006-01-02 15:04")
		}
		return term.Number(*x)
	}
	at := map[float64]string{0: "-", 0.5: "-", 1: "-"}
	for _, q := range c.Quantiles {
		at[q.P] = show(&q.Value)
	}
	mean, sd := show(c.Mean), "-"
	if c.Kind != "datetime" {
		sd = show(c.SD)
	}
	distinct := term.Count(c.Distinct)
	if !c.DistinctExact {
		distinct = "~" + distinct
	}
	most := "-"
	if len(c.Top) > 0 {
		most = fmt.Sprintf("%s (%s)", c.Top[0].Value, term.Count(c.Top[0].Count))
	}
	missing := "0"
	if rows > 0 && c.Nulls > 0 {
		missing = term.Number(100 * float64(c.Nulls) / float64(rows))
	}
	return []string{c.Name, string(c.Kind), c.Unit, missing, distinct, mean, sd, at[0], at[0.5], at[1], most}
}

// quarantined is the API's answer about rows in quarantine.
type quarantined struct {
	Total   int64                   `json:"total"`
	Reasons []data.QuarantineReason `json:"reasons"`
	Items   []data.QuarantinedRow   `json:"items"`
}

func newDataQuarantineCommand(f *Factory) *cobra.Command {
	var o dataOptions
	var out string
	var limit int
	cmd := &cobra.Command{Use: "quarantine DATASET", Short: "Show rows that failed the contract, with the reasons",
		Example: "  trimtab data quarantine flights\n  trimtab data quarantine flights --out quarantine.parquet", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, v, path, err := o.find(cmd.Context(), cmd, f, args[0])
			if err != nil {
				return err
			}
			if out != "" {
				if err := download(cmd, client, path+"/quarantine.parquet", out); err != nil {
					return err
				}
				f.IO.Sayf("%s rows of %s version %d in %s\n", term.Count(v.Quarantined), v.Dataset, v.Number, out)
				return nil
			}
			return show(cmd, f, client, path+"/quarantine?limit="+strconv.Itoa(limit), func(list *quarantined) {
				rows := make([][]string, len(list.Items))
				for i, r := range list.Items {
					at := fmt.Sprintf("line %d", r.Line)
					if r.Line == 0 {
						at = fmt.Sprintf("row %d", r.Record)
					}
					rows[i] = []string{r.Source, at, r.Reason}
				}
				f.IO.Sayf("%s of %s rows in quarantine of %s version %d\n", term.Count(int64(len(rows))), term.Count(list.Total), v.Dataset, v.Number)
				f.IO.Table([]string{"SOURCE", "AT", "REASON"}, rows)
			})
		}}
	o.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "write all of them to this Parquet file instead")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return cmd
}

func newDataSuggestCommand(f *Factory) *cobra.Command {
	var o dataOptions
	cmd := &cobra.Command{Use: "suggest DATASET", Short: "Suggest a contract from what a version holds", Example: "  trimtab data suggest flights", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, v, path, err := o.find(cmd.Context(), cmd, f, args[0])
			if err != nil {
				return err
			}
			return show(cmd, f, client, path+"/suggest", func(s *native.SuggestedContract) {
				f.IO.Sayf("what %s version %d would pass; correct it, then put it under data.%s of trimtab.yaml\n", v.Dataset, v.Number, v.Dataset)
				f.IO.Printf("%s", s.YAML)
			})
		}}
	o.flags(cmd)
	return cmd
}
