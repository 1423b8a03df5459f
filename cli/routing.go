package cli

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// newRoutingCommands is the verbs that change a route by hand, under trimtab deployments.
func newRoutingCommands(f *Factory) []*cobra.Command {
	return []*cobra.Command{newRouteCommand(f), newSwapCommand(f), newBackCommand(f), newShadowCommand(f)}
}

// routeFlags is a change of a route as flags say it.
type routeFlags struct {
	champion, standby, shadow, share, ab, reason string
	rules, labels                                []string
}

func newRouteCommand(f *Factory) *cobra.Command {
	var flags routeFlags
	cmd := &cobra.Command{
		Use:   "route NAME",
		Short: "Change who answers: champion, standby, shadow, A/B test, rules by header, labels",
		Long: "Change who answers: champion, standby, shadow, A/B test, rules by header, labels. What no flag names stays as it is, and none ends\n" +
			"a part. The change is at once, all versions are loaded before it, and it is audited with its reason.",
		Example: "  trimtab deployments route flight-delays --shadow 4 --reason \"a look at v4\"\n" +
			"  trimtab deployments route flight-delays --ab v3=50,v4=50 --reason \"test of v4\"\n" +
			"  trimtab deployments route flight-delays --rule 'x-tier=gold:4' --label beta=4 --reason \"v4 for some\"\n" +
			"  trimtab deployments route flight-delays --ab none --champion 4 --reason \"v4 won\"",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := flags.change()
			if err != nil {
				return err
			}
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return postRoute(cmd, f, client, Path("deployments", args[0], "route"), struct {
				rollout.Change
				Reason string `json:"reason"`
			}{change, flags.reason})
		},
	}
	cmd.Flags().StringVar(&flags.champion, "champion", "", "version that answers from now on")
	cmd.Flags().StringVar(&flags.standby, "standby", "", "version that a swap makes champion, or none")
	cmd.Flags().StringVar(&flags.shadow, "shadow", "", "version that is asked what the champion was asked, or none; nobody sees its answers")
	cmd.Flags().StringVar(&flags.share, "shadow-share", "", "part of the requests that the shadow is asked, e.g. 25%; all when left out")
	cmd.Flags().StringVar(&flags.ab, "ab", "", "versions of an A/B test with their percent of the keys, e.g. v3=50,v4=50, or none; the champion answers what is left")
	cmd.Flags().StringArrayVar(&flags.rules, "rule", nil, "requests with a header go to a version: 'x-tier=gold:4', * for any value; or none. May be repeated; the first that matches counts")
	cmd.Flags().StringArrayVar(&flags.labels, "label", nil, "a name that requests may ask for: beta=4, or beta=none. May be repeated")
	cmd.Flags().StringVar(&flags.reason, "reason", "", "why; audited")
	_ = cmd.MarkFlagRequired("reason") // the flag exists
	return cmd
}

const none = "none"

// change reads the flags.
func (r *routeFlags) change() (rollout.Change, error) {
	var c rollout.Change
	part := func(flag, text, name string, to *int) error {
		switch text {
		case "":
			return nil
		case none:
			c.Clear = append(c.Clear, name)
			return nil
		}
		v, err := versionOf("--"+flag, text)
		*to = v
		return err
	}
	if r.champion != "" {
		v, err := versionOf("--champion", r.champion)
		if err != nil {
			return c, err
		}
		c.Champion = v
	}
	if err := part("standby", r.standby, "standby", &c.Standby); err != nil {
		return c, err
	}
	if err := part("shadow", r.shadow, "shadow", &c.Shadow); err != nil {
		return c, err
	}
	if r.share != "" {
		share, err := percent("--shadow-share", r.share)
		if err != nil {
			return c, err
		}
		if c.Shadow == 0 {
			return c, fault.New(fault.Invalid, "--shadow-share belongs to --shadow VERSION")
		}
		c.ShadowShare = share
	}
	if r.ab == none {
		c.Clear = append(c.Clear, "variants")
	} else if r.ab != "" {
		for _, text := range strings.Split(r.ab, ",") {
			version, share, ok := strings.Cut(strings.TrimSpace(text), "=")
			if !ok {
				return c, fault.New(fault.Invalid, "--ab has %q, which is no VERSION=PERCENT", text).WithHint("write --ab v3=50,v4=50")
			}
			v, err := versionOf("--ab", version)
			if err != nil {
				return c, err
			}
			part, err := percent("--ab", share)
			if err != nil {
				return c, err
			}
			c.Variants = append(c.Variants, serve.Variant{Version: v, Share: part})
		}
	}
	for _, text := range r.rules {
		if text == none {
			c.Clear = append(c.Clear, "rules")
			continue
		}
		at := strings.LastIndexByte(text, ':')
		header, value, ok := strings.Cut(text[:max(at, 0)], "=")
		if !ok {
			return c, fault.New(fault.Invalid, "--rule %q is no HEADER=VALUE:VERSION", text).WithHint("write --rule 'x-tier=gold:4'")
		}
		v, err := versionOf("--rule", text[at+1:])
		if err != nil {
			return c, err
		}
		c.Rules = append(c.Rules, serve.Rule{Header: header, Value: value, Version: v})
	}
	for _, text := range r.labels {
		label, version, ok := strings.Cut(text, "=")
		if !ok {
			return c, fault.New(fault.Invalid, "--label %q is no NAME=VERSION", text).WithHint("write --label beta=4")
		}
		if c.Labels == nil {
			c.Labels = map[string]int{}
		}
		if c.Labels[label] = 0; version != none {
			v, err := versionOf("--label", version)
			if err != nil {
				return c, err
			}
			c.Labels[label] = v
		}
	}
	return c, nil
}

// versionOf reads 3 or v3.
func versionOf(flag, text string) (int, error) {
	v, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
	if err != nil || v <= 0 {
		return 0, fault.New(fault.Invalid, "%s: %q is no version", flag, text).WithHint("versions are 1, 2, 3 or v1, v2, v3")
	}
	return v, nil
}

// percent reads 25 or 25% as a quarter.
func percent(flag, text string) (float64, error) {
	p, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(p > 0 && p <= 100) {
		return 0, fault.New(fault.Invalid, "%s: %q is no percentage above 0 and up to 100", flag, text)
	}
	return p / 100, nil
}

func newSwapCommand(f *Factory) *cobra.Command {
	var to int
	var reason string
	cmd := &cobra.Command{
		Use:     "swap NAME",
		Short:   "Let the champion and the standby change places at once",
		Example: "  trimtab deployments swap flight-delays --reason \"green is good\"\n  trimtab deployments swap flight-delays --to 4 --reason \"straight to v4\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			body := map[string]any{"reason": reason}
			if to != 0 {
				body["to"] = to
			}
			return postRoute(cmd, f, client, Path("deployments", args[0], "swap"), body)
		},
	}
	cmd.Flags().IntVar(&to, "to", 0, "version; the standby when left out")
	cmd.Flags().StringVar(&reason, "reason", "", "why; audited")
	_ = cmd.MarkFlagRequired("reason") // the flag exists
	return cmd
}

func newBackCommand(f *Factory) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "back NAME",
		Short:   "Undo a swap, a release or a rollout under way at once",
		Example: "  trimtab deployments back flight-delays --reason \"complaints\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return postRoute(cmd, f, client, Path("deployments", args[0], "back"), map[string]any{"reason": reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; audited")
	_ = cmd.MarkFlagRequired("reason") // the flag exists
	return cmd
}

func newShadowCommand(f *Factory) *cobra.Command {
	var version int
	cmd := &cobra.Command{
		Use:     "shadow NAME",
		Short:   "Show how a shadow differs from the champion on the same rows",
		Example: "  trimtab deployments shadow flight-delays",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			path := Path("deployments", args[0], "shadow")
			if version != 0 {
				path += "?version=" + strconv.Itoa(version)
			}
			var st serve.ShadowStats
			if err := client.Get(cmd.Context(), path, &st); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(st)
			}
			showShadow(f, &st)
			if len(st.Disagreements) > 0 {
				rows := make([][]string, len(st.Disagreements))
				for i, d := range st.Disagreements {
					rows[i] = []string{d.PredictionID, d.Key, term.Number(d.Champion), term.Number(d.Shadow), d.Label, d.ShadowLabel}
				}
				f.IO.Printf("\n")
				f.IO.Table([]string{"PREDICTION", "KEY", "CHAMPION", "SHADOW", "DECISION", "SHADOW'S"}, rows)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&version, "version", 0, "one that was the shadow before; the shadow of now when left out")
	return cmd
}

// showShadow prints the comparison of a shadow with the champion.
func showShadow(f *Factory, st *serve.ShadowStats) {
	share := func(n, of int64) string {
		if of == 0 {
			return term.Count(n)
		}
		return fmt.Sprintf("%s, %g %%", term.Count(n), math.Round(1e4*float64(n)/float64(of))/100)
	}
	fields := [][2]string{{"shadow", fmt.Sprintf("v%d against v%d", st.Version, st.Against)}, {"rows compared", term.Count(st.Rows)}, {"other decisions", share(st.Flips, st.Rows)}}
	if st.Scored > 0 {
		fields = append(fields, [2]string{"mean difference", term.Number(st.Difference)}, [2]string{"mean shift", fmt.Sprintf("%s, %s to %s", term.Number(st.Shift), term.Number(st.ShiftLo), term.Number(st.ShiftHi))},
			[2]string{"rank correlation", fmt.Sprintf("%s, %s to %s, last %s rows", term.Number(st.Rank), term.Number(st.RankLo), term.Number(st.RankHi), term.Count(int64(st.RankRows)))})
	}
	fields = append(fields, [2]string{"errors", share(st.Errors, st.Rows+st.Errors)}, [2]string{"last error", st.LastError}, [2]string{"not compared", term.Count(st.Dropped)},
		[2]string{"p50 ms", term.Number(st.P50MS) + " against " + term.Number(st.ChampionP50MS)}, [2]string{"p99 ms", term.Number(st.P99MS) + " against " + term.Number(st.ChampionP99MS)},
		[2]string{"since", term.Time(st.Since)})
	f.IO.Fields(fields...)
}

// roleOf says what a version does under a route.
func roleOf(r *serve.Route, v int) string {
	var roles []string
	add := func(is bool, role string) {
		if is {
			roles = append(roles, role)
		}
	}
	add(v == r.Champion, "champion")
	add(v == r.Canary, "canary")
	add(v != r.Champion && slices.ContainsFunc(r.Variants, func(x serve.Variant) bool { return x.Version == v }), "contender")
	add(v == r.Standby, "standby")
	add(v == r.Shadow, "shadow")
	add(slices.ContainsFunc(r.Rules, func(x serve.Rule) bool { return x.Version == v }), "by rule")
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		add(r.Labels[label] == v, label)
	}
	if len(roles) == 0 {
		return "loaded"
	}
	return strings.Join(roles, ", ")
}

func postRoute(cmd *cobra.Command, f *Factory, client *Client, path string, body any) error {
	var d serve.Deployment
	if err := client.Post(cmd.Context(), path, body, &d); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(d)
	}
	f.IO.Printf("%s: %s\n", d.Name, d.Route.String())
	return nil
}
