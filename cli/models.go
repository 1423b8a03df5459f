package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/retrain"
)

func newModelsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "models", Aliases: []string{"model"}, Short: "See, compare, release and package model versions"}
	cmd.AddCommand(newModelsListCommand(f), newModelsShowCommand(f), newModelsDiffCommand(f), newModelsTrainCommand(f), newModelsImportCommand(f), newModelsExamineCommand(f), newModelsPromoteCommand(f),
		newModelsRollbackCommand(f), newModelsPackageCommand(f))
	return cmd
}

func newModelsListCommand(f *Factory) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "List models", Example: "  trimtab models ls", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, f, client, "models", func(list *items[*registry.Model]) {
				rows := [][]string{}
				for _, m := range list.Items {
					rows = append(rows, []string{m.Name, m.Project, strconv.Itoa(m.LastVersion), versionText(m.Aliases[registry.Champion]), versionText(m.Aliases[registry.Candidate])})
				}
				f.IO.Table([]string{"MODEL", "PROJECT", "VERSIONS", "CHAMPION", "CANDIDATE"}, rows)
			})
		}}
}

func versionText(v int) string {
	if v == 0 {
		return "-"
	}
	return "v" + strconv.Itoa(v)
}

func newModelsShowCommand(f *Factory) *cobra.Command {
	var version int
	cmd := &cobra.Command{Use: "show MODEL", Short: "Show a model's versions, or one version whole",
		Example: "  trimtab models show flight-delays\n  trimtab models show flight-delays --version 2", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			if version > 0 {
				return show(cmd, f, client, versionPath(args[0], version), func(v *native.VersionDetail) { printVersion(f, v) })
			}
			return show(cmd, f, client, Path("models", args[0], "versions"), func(list *items[*registry.Version]) {
				rows := [][]string{}
				for _, v := range list.Items {
					rows = append(rows, []string{versionText(v.Version), v.State, strings.Join(v.Aliases, ","), v.CreatedAt.Format("2006-01-02 15:04"), strconv.Itoa(v.Training.FitRows), mainMetrics(v), v.Cause})
				}
				f.IO.Table([]string{"VERSION", "STATE", "ALIASES", "CREATED", "ROWS", "HELD-OUT METRICS", "CAUSE"}, rows)
			})
		}}
	cmd.Flags().IntVar(&version, "version", 0, "show this version")
	return cmd
}

func versionPath(model string, version int) string {
	return Path("models", model, "versions", strconv.Itoa(version))
}

func getVersion(cmd *cobra.Command, client *Client, model string, version int) (*native.VersionDetail, error) {
	v := &native.VersionDetail{}
	return v, client.Get(cmd.Context(), versionPath(model, version), v)
}

// mainMetrics is the few numbers that a line has room for.
func mainMetrics(v *registry.Version) string {
	var out []string
	for _, name := range []string{"auc", "log_loss", "accuracy", "rmse", "r2"} {
		if m, ok := v.Metrics[name]; ok && len(out) < 3 {
			out = append(out, fmt.Sprintf("%s %.4f", name, m))
		}
	}
	return strings.Join(out, ", ")
}

func printVersion(f *Factory, v *native.VersionDetail) {
	f.IO.Fields([][2]string{
		{"Version", fmt.Sprintf("%s v%d %s", v.Model, v.Version.Version, strings.Join(v.Aliases, ", "))},
		{"State", v.State},
		{"Digest", v.Digest},
		{"Cause", v.Cause},
		{"Known by", v.AsOf.Format("2006-01-02 15:04 MST")},
		{"Learner", fmt.Sprintf("%s %v", v.Learner, v.Params)},
		{"Rows", fmt.Sprintf("%d in the released fit, %d judged on, %d without a label, %d from the inference log", v.Training.FitRows, v.Training.TestRows, v.Training.Unlabeled, v.Training.Served)},
		{"Golden rows", strconv.Itoa(v.GoldenRows)},
		{"Gate", v.Gate.Sentence()},
		{"Served by", servedBy(v.Version)},
		{"Certificate", v.Certificate.Sentence()},
	}...)
	rows := [][]string{}
	if v.Evaluation != nil {
		for name, m := range v.Evaluation.Metrics {
			rows = append(rows, []string{name, fmt.Sprintf("%.4f", m.Value), interval(m), strconv.FormatInt(m.N, 10)})
		}
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i][0] < rows[j][0] })
	f.IO.Table([]string{"METRIC", "VALUE", "95 %", "N"}, rows)
	if v.Certificate != nil {
		rows = nil
		for _, a := range v.Certificate.Engines {
			rows = append(rows, agreementRow(&a))
		}
		f.IO.Table([]string{"ENGINE", "SERVES", "HOLDS", "MAX ABS", "MAX REL", "FLIPS", "NOTE"}, rows)
	}
	rows = nil
	for _, c := range v.Gate.Clauses {
		rows = append(rows, []string{c.State, c.String()})
	}
	f.IO.Table([]string{"GATE", "CLAUSE"}, rows)
}

// servedBy says which engine answers with a version, and why.
func servedBy(v *registry.Version) string {
	switch {
	case v.Serving != nil:
		return fmt.Sprintf("%s: %s", v.Serving.Engine, v.Serving.Reason)
	case v.Format == registry.FormatTrimtab:
		return "native: it was trained here"
	}
	return "not examined yet: trimtab models examine " + v.Model + " --version " + strconv.Itoa(v.Version)
}

func interval(m registry.Measure) string {
	if m.Lo == nil || m.Hi == nil {
		return ""
	}
	return fmt.Sprintf("%.4f to %.4f", *m.Lo, *m.Hi)
}

func newModelsDiffCommand(f *Factory) *cobra.Command {
	return &cobra.Command{Use: "diff MODEL FROM TO", Short: "Compare two versions: metrics, parameters, data",
		Example: "  trimtab models diff flight-delays 1 2", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var v [2]*native.VersionDetail
			for i, text := range args[1:] {
				n, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
				if err != nil {
					return fault.New(fault.Invalid, "%q is no version", text).WithHint("write it like 2 or v2")
				}
				if v[i], err = getVersion(cmd, client, args[0], n); err != nil {
					return err
				}
			}
			rows := versionDiff(v[0].Version, v[1].Version)
			if f.JSON {
				return f.IO.JSON(map[string]any{"from": v[0].Version, "to": v[1].Version, "rows": rows})
			}
			f.IO.Table([]string{"WHAT", args[1], args[2], "CHANGE"}, rows)
			return nil
		}}
}

func versionDiff(a, b *registry.Version) [][]string {
	rows := [][]string{{"rows", strconv.Itoa(a.Training.FitRows), strconv.Itoa(b.Training.FitRows), strconv.Itoa(b.Training.FitRows - a.Training.FitRows)}}
	names := map[string]bool{}
	for name := range a.Metrics {
		names[name] = true
	}
	for name := range b.Metrics {
		names[name] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		x, inA := a.Metrics[name]
		y, inB := b.Metrics[name]
		row := []string{name, "-", "-", ""}
		if inA {
			row[1] = fmt.Sprintf("%.4f", x)
		}
		if inB {
			row[2] = fmt.Sprintf("%.4f", y)
		}
		if inA && inB {
			row[3] = fmt.Sprintf("%+.4f", y-x)
		}
		rows = append(rows, row)
	}
	for _, in := range a.Datasets {
		for _, other := range b.Datasets {
			if in.Dataset == other.Dataset && in.ID != other.ID {
				rows = append(rows, []string{"dataset " + in.Dataset, fmt.Sprintf("v%d", in.Number), fmt.Sprintf("v%d", other.Number), fmt.Sprintf("%+d rows", other.Rows-in.Rows)})
			}
		}
	}
	return rows
}

func newModelsTrainCommand(f *Factory) *cobra.Command {
	var cause, force string
	var permute bool
	cmd := &cobra.Command{Use: "train MODEL", Short: "Train a new version on what is known now, and release it if its gate passes",
		Example: "  trimtab models train flight-delays --cause \"new routes\"\n  trimtab models train flight-delays --permute-labels   # an alarm test: gate and canary must notice", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			body := map[string]any{"cause": cause, "permute_labels": permute}
			if force != "" {
				body["force"] = map[string]string{"reason": force}
			}
			var t retrain.Trigger
			if err := client.Post(cmd.Context(), Path("models", args[0], "versions"), body, &t); err != nil {
				return err
			}
			if _, err := client.WaitJob(cmd.Context(), t.JobID); err != nil {
				return err
			}
			var list struct {
				Items []retrain.Trigger `json:"items"`
			}
			if err := client.Get(cmd.Context(), Path("projects", t.Project, "retrain"), &list); err != nil {
				return err
			}
			for _, done := range list.Items {
				if done.ID != t.ID {
					continue
				}
				if done.State == retrain.Refused {
					return fault.New(fault.GateRefused, "%s", done.Note).WithHint("trimtab models show %s --version %d shows every clause", args[0], done.Version)
				}
				if f.JSON {
					return f.IO.JSON(done)
				}
				f.IO.Printf("%s v%d %s\n", args[0], done.Version, done.State)
			}
			return nil
		}}
	cmd.Flags().StringVar(&cause, "cause", "by hand", "why; shown with the version")
	cmd.Flags().StringVar(&force, "force", "", "release past a refusing gate, for this `REASON`; audited")
	cmd.Flags().BoolVar(&permute, "permute-labels", false, "train on shuffled labels")
	return cmd
}

func newModelsPromoteCommand(f *Factory) *cobra.Command {
	var version int
	var reason string
	var force bool
	cmd := &cobra.Command{Use: "promote MODEL", Short: "Bring a version to traffic as the project's file says",
		Example: "  trimtab models promote flight-delays --version 3 --reason \"reviewed\"", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			name, err := deploymentOf(cmd, client, args[0])
			if fault.Is(err, fault.NotFound) {
				return postRollout(cmd, f, client, versionPath(args[0], version)+"/deploy", map[string]any{"reason": reason, "force": force})
			}
			if err != nil {
				return err
			}
			return postRollout(cmd, f, client, Path("deployments", name, "rollout"), map[string]any{"version": version, "reason": reason, "force": force})
		}}
	cmd.Flags().IntVar(&version, "version", 0, "the version")
	cmd.Flags().StringVar(&reason, "reason", "", "why; audited")
	cmd.Flags().BoolVar(&force, "force", false, "release a version that its gate refused")
	_ = cmd.MarkFlagRequired("version") // the flag exists
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func newModelsRollbackCommand(f *Factory) *cobra.Command {
	var version int
	var reason string
	cmd := &cobra.Command{Use: "rollback MODEL", Short: "Give all traffic to an earlier champion at once",
		Example: "  trimtab models rollback flight-delays --reason \"complaints\"", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			name, err := deploymentOf(cmd, client, args[0])
			if err != nil {
				return err
			}
			return printRoute(cmd, f, client, Path("deployments", name, "rollback"), map[string]any{"version": version, "reason": reason})
		}}
	cmd.Flags().IntVar(&version, "version", 0, "the version; default the champion before this one")
	cmd.Flags().StringVar(&reason, "reason", "", "why; audited")
	_ = cmd.MarkFlagRequired("reason") // the flag exists
	return cmd
}

func newModelsPackageCommand(f *Factory) *cobra.Command {
	var version int
	var out string
	cmd := &cobra.Command{Use: "package MODEL", Short: "Write a version's files to a folder: MLmodel, ONNX, recipe, signature, golden rows",
		Example: "  trimtab models package flight-delays --version 1 --out flight-delays-v1", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			v, err := getVersion(cmd, client, args[0], version)
			if err != nil {
				return err
			}
			if out == "" {
				out = fmt.Sprintf("%s-v%d", args[0], version)
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return fault.Wrap(err, fault.Invalid, "the folder %s can't be made", out)
			}
			for _, file := range v.Files {
				if !filepath.IsLocal(file.Path) {
					return fault.New(fault.Corrupt, "the version names a file outside of its folder: %q", file.Path)
				}
				if err := download(cmd, client, Path("models", args[0], "versions", strconv.Itoa(version), "files", file.Path), filepath.Join(out, file.Path)); err != nil {
					return err
				}
			}
			f.IO.Sayf("%d files in %s\n", len(v.Files), out)
			return nil
		}}
	cmd.Flags().IntVar(&version, "version", 0, "the version")
	cmd.Flags().StringVar(&out, "out", "", "folder to write; default MODEL-vN")
	_ = cmd.MarkFlagRequired("version") // the flag exists
	return cmd
}

// download writes the answer of a GET into a new file, whole or not at all.
func download(cmd *cobra.Command, client *Client, path, to string) error {
	temp := to + ".part"
	file, err := os.Create(temp)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%s can't be written", to)
	}
	err = client.Do(cmd.Context(), http.MethodGet, path, nil, nil, file)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, to)
	}
	if err != nil {
		_ = os.Remove(temp) // what is left is not whole
	}
	return err
}
