package serve

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Route says who answers. It is immutable once set. Releases by a canary, blue and green, a shadow, a sticky A/B test, and routes by
// header and label are all views of this one row: whatever it names is resident, and a change is the store of one pointer.
//
// A request that names a version gets it; then labels count, then rules, and the rest of the traffic is divided by the bucket of each
// row's key.
type Route struct {
	Champion    int     `json:"champion"`         // version; 0 = nobody answers yet
	Canary      int     `json:"canary,omitempty"` // version; 0 = no canary
	CanaryShare float64 `json:"canary_share"`     // 0..1 of the buckets
	Paused      bool    `json:"paused,omitempty"` // an operator holds the share where it is; routing is unchanged
	Salt        string  `json:"salt,omitempty"`   // of the hash: a new rollout draws new buckets

	Standby     int            `json:"standby,omitempty" doc:"the version beside the champion that a swap makes champion: the next one before a switch, the last one after it"`
	Variants    []Variant      `json:"variants,omitempty" doc:"of an A/B test, each with its share of the keys; the champion answers what is left"`
	Rules       []Rule         `json:"rules,omitempty" doc:"by header; the first that matches sends the whole request to its version"`
	Labels      map[string]int `json:"labels,omitempty" doc:"names that a request may ask for, beside champion, stable, canary and standby"`
	Shadow      int            `json:"shadow,omitempty" doc:"version that is asked what the champion was asked, after the answer has left; nobody sees what it says"`
	ShadowShare float64        `json:"shadow_share,omitempty" doc:"0..1 of the requests"`
}

// Variant is a version of an A/B test. Its keys stay with it for as long as the salt stays and the variants before it keep their shares.
type Variant struct {
	Version int     `json:"version"`
	Share   float64 `json:"share" doc:"0..1 of the keys"`
}

// Rule sends requests with a header to a version.
type Rule struct {
	Header  string `json:"header" doc:"name, in lower case"`
	Value   string `json:"value" doc:"exact; * is any value"`
	Version int    `json:"version"`
}

// Bounds of a route.
const (
	maxVariants = 16
	maxRules    = 64
	maxLabels   = 64
)

var (
	labelName  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	headerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	// secrets are headers whose values must not be written into a route, which everybody may read.
	secrets = []string{"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"}
)

// versions is what a route names, each once.
func (r *Route) versions() []int {
	var out []int
	add := func(v int) {
		if v != 0 && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	add(r.Champion)
	add(r.Canary)
	add(r.Standby)
	for _, v := range r.Variants {
		add(v.Version)
	}
	for _, rule := range r.Rules {
		add(rule.Version)
	}
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		add(r.Labels[label])
	}
	add(r.Shadow)
	return out
}

// Clone is a copy that shares nothing with r.
func (r Route) Clone() Route {
	r.Variants, r.Rules, r.Labels = slices.Clone(r.Variants), slices.Clone(r.Rules), maps.Clone(r.Labels)
	return r
}

// Settled is the route when no rollout is under way: the champion answers, and what was set by hand beside it stays.
func (r Route) Settled(champion int) Route {
	r = r.Clone()
	r.Champion, r.Canary, r.CanaryShare, r.Paused, r.Salt, r.Variants = champion, 0, 0, false, "", nil
	if r.Standby == champion {
		r.Standby = 0
	}
	if r.Shadow == champion {
		r.Shadow, r.ShadowShare = 0, 0
	}
	return r
}

// normal is the route as it is kept; fault.Invalid for one that cannot be.
func (r Route) normal(deployment string) (Route, error) {
	r = r.Clone()
	bad := func(format string, args ...any) (Route, error) {
		return r, fault.New(fault.Invalid, "the route of %s is impossible: %s", deployment, fmt.Sprintf(format, args...))
	}
	if n := len(r.versions()); n > maxVersions {
		return bad("it names %d versions, and at most %d stay loaded", n, maxVersions)
	}
	for _, v := range append(r.versions(), r.Champion, r.Canary, r.Standby, r.Shadow) {
		if v < 0 {
			return bad("there is no version %d", v)
		}
	}
	if !(r.CanaryShare >= 0 && r.CanaryShare <= 1) || r.Canary != 0 && (r.Champion == 0 || r.Canary == r.Champion) {
		return bad("champion v%d, canary v%d at %g of the traffic", r.Champion, r.Canary, r.CanaryShare)
	}
	if r.Canary == 0 {
		r.CanaryShare = 0
	}
	if r.Champion == 0 && (r.Standby != 0 || r.Shadow != 0 || len(r.Variants) > 0 || len(r.Rules) > 0) {
		return bad("there is no champion")
	}
	if r.Standby == r.Champion {
		r.Standby = 0
	}
	switch {
	case r.Shadow == 0:
		r.ShadowShare = 0
	case r.Shadow == r.Champion:
		return bad("v%d cannot be its own shadow", r.Shadow)
	case !(r.ShadowShare >= 0 && r.ShadowShare <= 1):
		return bad("a shadow of %g of the requests", r.ShadowShare)
	case r.ShadowShare == 0:
		r.ShadowShare = 1
	}
	if len(r.Variants) > 0 && r.Canary != 0 {
		return bad("a canary and an A/B test divide the same traffic")
	}
	if len(r.Variants) > maxVariants || len(r.Rules) > maxRules || len(r.Labels) > maxLabels {
		return bad("at most %d variants, %d rules and %d labels", maxVariants, maxRules, maxLabels)
	}
	sum := 0.0
	for i, v := range r.Variants {
		if !(v.Share > 0 && v.Share <= 1) || v.Version == 0 {
			return bad("the variant v%d at %g of the keys", v.Version, v.Share)
		}
		for _, other := range r.Variants[:i] {
			if other.Version == v.Version {
				return bad("v%d is a variant twice", v.Version)
			}
		}
		sum += v.Share
	}
	if sum > 1+1e-9 {
		return bad("its variants take %g of the keys", sum)
	}
	for i := range r.Rules {
		rule := &r.Rules[i]
		rule.Header = strings.ToLower(rule.Header)
		switch {
		case !headerName.MatchString(rule.Header):
			return bad("%q is no header", clip(rule.Header))
		case slices.Contains(secrets, rule.Header):
			return bad("a rule on %s would show a secret to everybody who may read the route", rule.Header)
		case rule.Value == "" || len(rule.Value) > 256:
			return bad("the rule on %s needs a value of at most 256 bytes; * is any", rule.Header)
		case rule.Version == 0:
			return bad("the rule on %s names no version", rule.Header)
		}
	}
	for label, v := range r.Labels {
		if !labelName.MatchString(label) {
			return bad("%q is no label; lower-case letters, digits, hyphens and dots are", clip(label))
		}
		if v == 0 {
			return bad("the label %s names no version", label)
		}
	}
	return r, nil
}

// plan is a route as requests read it, with the residents in the places of their versions.
type plan struct {
	variants    []share
	rules       []ruled
	labels      map[string]*resident // nil where the version does not load
	shadow      *resident
	shadowBelow uint16
	standby     *resident
}

// share is the buckets below a bound, from the bound before it.
type share struct {
	below uint16
	r     *resident
}

type ruled struct {
	header, value string
	r             *resident
}

// planned makes the plan of a route. A version that did not load has no place in it: the champion answers its share.
func (l *live) planned(r *Route) plan {
	p := plan{shadow: l.resident[r.Shadow], shadowBelow: uint16(r.ShadowShare*Buckets + 0.5), standby: l.resident[r.Standby]}
	sum := 0.0
	for _, v := range r.Variants {
		sum += v.Share
		p.variants = append(p.variants, share{below: uint16(min(sum, 1)*Buckets + 0.5), r: l.resident[v.Version]})
	}
	for _, rule := range r.Rules {
		if to := l.resident[rule.Version]; to != nil {
			p.rules = append(p.rules, ruled{header: rule.Header, value: rule.Value, r: to})
		}
	}
	if len(r.Labels) > 0 {
		p.labels = make(map[string]*resident, len(r.Labels))
		for label, v := range r.Labels {
			p.labels[label] = l.resident[v]
		}
	}
	return p
}

// pick says which version answers a bucket when the caller left it to the route.
func (l *live) pick(bucket uint16, first *resident) (*resident, Arm) {
	if l.canary != nil && bucket < l.below {
		return l.canary, Canary
	}
	for _, v := range l.plan.variants {
		if bucket < v.below {
			if v.r != nil && v.r != first {
				return v.r, Contender
			}
			break
		}
	}
	return first, Champion
}

// labelled finds the version that a label stands for: one of the route's, else champion and stable, canary, standby.
func (l *live) labelled(label string) (*resident, error) {
	if r, ok := l.plan.labels[label]; ok {
		if r == nil {
			return nil, fault.New(fault.Unavailable, "v%d of %s, which is %s, does not load: %s", l.deployment.Route.Labels[label], l.deployment.Name, label, l.deployment.Problem)
		}
		return r, nil
	}
	switch label {
	case "stable", "champion":
		return l.version(0)
	case "canary":
		if l.canary != nil {
			return l.canary, nil
		}
	case "standby":
		if l.plan.standby != nil {
			return l.plan.standby, nil
		}
	}
	known := []string{"champion", "stable"}
	if l.canary != nil {
		known = append(known, "canary")
	}
	if l.plan.standby != nil {
		known = append(known, "standby")
	}
	known = append(known, slices.Sorted(maps.Keys(l.plan.labels))...)
	return nil, fault.New(fault.NotFound, "%s has no version %q", l.deployment.Name, clip(label)).WithHint("labels are %s", strings.Join(slices.Compact(known), ", "))
}

// ruled finds the version that a rule of the route sends a request to; nil when none does.
func (l *live) ruled(b *Batch) *resident {
	if len(l.plan.rules) == 0 || b.Header == nil {
		return nil
	}
	for i := range l.plan.rules {
		rule := &l.plan.rules[i]
		if got := b.Header(rule.header); got != "" && (got == rule.value || rule.value == "*") {
			return rule.r
		}
	}
	return nil
}

// AllLabels lists what a request may ask a deployment for, with the versions that stand for it now.
func (r *Route) AllLabels() map[string]int {
	out := map[string]int{}
	set := func(label string, v int) {
		if v != 0 {
			out[label] = v
		}
	}
	set("champion", r.Champion)
	set("stable", r.Champion)
	set("canary", r.Canary)
	set("standby", r.Standby)
	maps.Copy(out, r.Labels)
	return out
}

// String is the route in a line.
func (r Route) String() string {
	if r.Champion == 0 {
		return "no version"
	}
	percent := func(share float64) string { return fmt.Sprintf("%g %%", math.Round(share*1e4)/100) }
	left := 1 - r.CanaryShare
	var parts []string
	if r.Canary != 0 {
		parts = append(parts, fmt.Sprintf("canary v%d %s", r.Canary, percent(r.CanaryShare)))
	}
	for _, v := range r.Variants {
		if v.Version != r.Champion {
			left -= v.Share
			parts = append(parts, fmt.Sprintf("contender v%d %s", v.Version, percent(v.Share)))
		}
	}
	parts = append([]string{fmt.Sprintf("v%d %s", r.Champion, percent(left))}, parts...)
	for _, rule := range r.Rules {
		parts = append(parts, fmt.Sprintf("%s=%s v%d", rule.Header, rule.Value, rule.Version))
	}
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		parts = append(parts, fmt.Sprintf("%s is v%d", label, r.Labels[label]))
	}
	if r.Standby != 0 {
		parts = append(parts, fmt.Sprintf("v%d stands by", r.Standby))
	}
	if r.Shadow != 0 {
		parts = append(parts, fmt.Sprintf("v%d shadows %s", r.Shadow, percent(r.ShadowShare)))
	}
	if r.Paused {
		parts = append(parts, "paused")
	}
	return strings.Join(parts, ", ")
}
