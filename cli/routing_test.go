package cli

import (
	"reflect"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

func TestRouteFlags(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flags routeFlags
		want  rollout.Change
		fault string
	}{
		{"everything", routeFlags{champion: "3", standby: "v2", shadow: "4", share: "25%", ab: "v3=50, v4=12.5", rules: []string{"x-tier=gold:5", "x-time=10:30:*:6"}, labels: []string{"beta=v7", "old=none"}},
			rollout.Change{Champion: 3, Standby: 2, Shadow: 4, ShadowShare: 0.25, Variants: []serve.Variant{{Version: 3, Share: 0.5}, {Version: 4, Share: 0.125}},
				Rules: []serve.Rule{{Header: "x-tier", Value: "gold", Version: 5}, {Header: "x-time", Value: "10:30:*", Version: 6}}, Labels: map[string]int{"beta": 7, "old": 0}}, ""},
		{"the end", routeFlags{standby: none, shadow: none, ab: none, rules: []string{none}}, rollout.Change{Clear: []string{"standby", "shadow", "variants", "rules"}}, ""},
		{"no version", routeFlags{champion: "best"}, rollout.Change{}, `--champion: "best" is no version`},
		{"no share", routeFlags{ab: "v3"}, rollout.Change{}, "is no VERSION=PERCENT"},
		{"too much", routeFlags{ab: "v3=150"}, rollout.Change{}, "no percentage"},
		{"no rule", routeFlags{rules: []string{"gold:3"}}, rollout.Change{}, "is no HEADER=VALUE:VERSION"},
		{"no label", routeFlags{labels: []string{"beta"}}, rollout.Change{}, "is no NAME=VERSION"},
		{"a share of no shadow", routeFlags{share: "10"}, rollout.Change{}, "belongs to --shadow"},
	} {
		got, err := tc.flags.change()
		switch {
		case tc.fault != "":
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%s: %v, want %q", tc.name, err, tc.fault)
			}
		case err != nil || !reflect.DeepEqual(got, tc.want):
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
	}
}
