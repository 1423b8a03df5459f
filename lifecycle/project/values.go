package project

import (
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// D is the duration for the standard library.
func (d Duration) D() time.Duration { return time.Duration(d) }

var durationUnits = []struct {
	suffix string
	length time.Duration
}{
	{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
}

// String is the shortest form with one unit, e.g. 24h is 1d; "0s" for zero.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	for _, u := range durationUnits {
		if time.Duration(d)%u.length == 0 {
			return strconv.FormatInt(int64(time.Duration(d)/u.length), 10) + u.suffix
		}
	}
	return time.Duration(d).String()
}

// MarshalText writes the text form, in JSON too.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the text form.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

var durationForm = regexp.MustCompile(`^([0-9]{1,9})(s|m|h|d|w)$`)

// ParseDuration reads a whole number with one unit: s, m, h, d (24 h) or w (7 d). At most 100 years.
func ParseDuration(text string) (Duration, error) {
	m := durationForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fault.New(fault.Invalid, "%q is not a duration", text).
			WithHint("write a whole number with one unit: 30s, 5m, 24h, 7d or 2w")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, fault.Wrap(err, fault.Invalid, "%q is not a duration", text)
	}
	const century = 100 * 365 * 24 * time.Hour
	for _, u := range durationUnits {
		if u.suffix == m[2] {
			if n > int64(century/u.length) {
				return 0, fault.New(fault.Invalid, "%q is longer than 100 years", text)
			}
			return Duration(time.Duration(n) * u.length), nil
		}
	}
	return 0, fault.New(fault.Invalid, "%q is not a duration", text)
}

// ParseShare reads a share from 0 to 1 written as a percentage ("20%", "0.5%") or as a fraction ("0.2").
func ParseShare(text string) (float64, error) {
	bad := fault.New(fault.Invalid, "%q is not a share", text).WithHint("write a percentage such as 20%%")
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, bad
	}
	if percent {
		v /= 100
	}
	if v < 0 || v > 1 {
		if !percent {
			return 0, fault.New(fault.Invalid, "%q is not a share: a fraction lies between 0 and 1", text).
				WithHint("did you mean %s%%?", number)
		}
		return 0, fault.New(fault.Invalid, "%q is not a share: it lies between 0%% and 100%%", text)
	}
	return v, nil
}

var timesForm = regexp.MustCompile(`^([0-9]{1,3}) of ([0-9]{1,3})$`)

// ParseTimes reads "k of n", 1 ≤ k ≤ n ≤ 100.
func ParseTimes(text string) (k, n int, err error) {
	m := timesForm.FindStringSubmatch(strings.TrimSpace(text))
	if m != nil {
		k, _ = strconv.Atoi(m[1])
		n, _ = strconv.Atoi(m[2])
	}
	if m == nil || k < 1 || k > n || n > 100 {
		return 0, 0, fault.New(fault.Invalid, "%q does not say how many of how many windows", text).
			WithHint("write it like 2 of 3")
	}
	return k, n, nil
}

// KofN is Times as numbers: k of the last n windows. A window without Times alerts at once.
func (w *Window) KofN() (k, n int) { return kOfN(w.Times) }

// KofN is Times as numbers: k of the last n windows.
func (p *Performance) KofN() (k, n int) { return kOfN(p.Times) }

func kOfN(times string) (int, int) {
	if k, n, err := ParseTimes(times); err == nil {
		return k, n
	}
	return 1, 1
}

var budgetForm = regexp.MustCompile(`^([0-9]{1,6}) per ([0-9]+[smhdw])$`)

// Allowance is a budget as numbers: at most N trainings in any span of Per.
type Allowance struct {
	N   int
	Per time.Duration
}

// ParseBudget reads "N per DURATION".
func ParseBudget(text string) (Allowance, error) {
	var a Allowance
	if m := budgetForm.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
		a.N, _ = strconv.Atoi(m[1])
		if d, err := ParseDuration(m[2]); err == nil {
			a.Per = d.D()
		}
	}
	if a.N < 1 || a.Per <= 0 {
		return Allowance{}, fault.New(fault.Invalid, "%q is not a budget", text).WithHint("write it like 4 per 90d")
	}
	return a, nil
}

// Allowance is Budget as numbers; ok is false when there is no bound.
func (r *Retrain) Allowance() (a Allowance, ok bool) {
	if r == nil || r.Budget == "" {
		return Allowance{}, false
	}
	a, err := ParseBudget(r.Budget)
	return a, err == nil
}

// Cause is one entry of a retrain policy: performance, drift, manual, new_labels with N, or cron with Cron.
type Cause struct {
	Kind string
	N    int64
	Cron *Cron
}

// ParseCause reads one entry of retrain.when.
func ParseCause(text string) (Cause, error) {
	kind, rest, _ := strings.Cut(text, ":")
	kind, rest = strings.TrimSpace(kind), strings.TrimSpace(rest)
	switch kind {
	case "performance", "drift", "manual":
		if rest != "" {
			return Cause{}, fault.New(fault.Invalid, "%s takes no value", kind).WithHint("write %s alone", kind)
		}
		return Cause{Kind: kind}, nil
	case "new_labels":
		n, err := strconv.ParseInt(strings.ReplaceAll(rest, "_", ""), 10, 64)
		if err != nil || n < 1 {
			return Cause{}, fault.New(fault.Invalid, "new_labels needs a number of labels, not %q", rest).
				WithHint("write it like new_labels: 5000")
		}
		return Cause{Kind: kind, N: n}, nil
	case "cron":
		c, err := ParseCron(rest)
		if err != nil {
			return Cause{}, err
		}
		return Cause{Kind: kind, Cron: c}, nil
	}
	return Cause{}, fault.New(fault.Invalid, "%q is not a cause to retrain", text).
		WithHint("%s", meant(kind, []string{"performance", "drift", "new_labels: N", "cron: SPEC", "manual"}))
}

// Causes is When parsed; entries that do not parse, which ParseFile refuses, are left out.
func (r *Retrain) Causes() []Cause {
	if r == nil {
		return nil
	}
	var out []Cause
	for _, w := range r.When {
		if c, err := ParseCause(w); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// MarshalJSON writes {name: expression, known_after: duration}.
func (l Label) MarshalJSON() ([]byte, error) {
	out := map[string]any{}
	if l.Name != "" {
		out[l.Name] = l.Expr
	}
	if l.KnownAfter != 0 {
		out["known_after"] = l.KnownAfter
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Label) UnmarshalJSON(b []byte) error {
	var in map[string]string
	if err := json.Unmarshal(b, &in); err != nil {
		return fault.Wrap(err, fault.Invalid, "a label is one name with its expression")
	}
	*l = Label{}
	for k, v := range in {
		if k == "known_after" {
			d, err := ParseDuration(v)
			if err != nil {
				return err
			}
			l.KnownAfter = d
			continue
		}
		if l.Name != "" {
			return fault.New(fault.Invalid, "a label has one name, and this has two: %s and %s", l.Name, k)
		}
		l.Name, l.Expr = k, v
	}
	return nil
}

// MarshalJSON writes learner beside its parameters, or the program and its environment.
func (t Train) MarshalJSON() ([]byte, error) {
	if t.Run != "" {
		return json.Marshal(map[string]string{"run": t.Run, "env": t.Env})
	}
	out := t.Settings()
	out["learner"] = t.Learner
	return json.Marshal(out)
}

// Settings are the parameters and the calibration, as the file has them: what a version and a run keep beside the learner.
func (t Train) Settings() map[string]any {
	out := make(map[string]any, len(t.Params)+2)
	maps.Copy(out, t.Params)
	if t.Calibrate != "" {
		out["calibrate"] = t.Calibrate
	}
	return out
}

// Configured is the learner with its parameters, calibrated where the file says so.
func (t Train) Configured() (learn.Learner, error) { return t.with(t.Params) }

// with is Configured with other parameters.
func (t Train) with(params map[string]any) (learn.Learner, error) {
	if t.Calibrate == "" {
		return learn.New(t.Learner, params)
	}
	return calibrate.Around(t.Learner, params, calibrate.Method(t.Calibrate), learn.New)
}

// UnmarshalJSON reads what MarshalJSON writes. Whole numbers become int64, as ParseFile makes them.
func (t *Train) UnmarshalJSON(b []byte) error {
	var in map[string]any
	if err := json.Unmarshal(b, &in); err != nil {
		return fault.Wrap(err, fault.Invalid, "train is a learner and its parameters")
	}
	if run, ok := in["run"].(string); ok {
		env, _ := in["env"].(string)
		*t = Train{Run: run, Env: env}
		return nil
	}
	learner, ok := in["learner"].(string)
	if !ok {
		return fault.New(fault.Invalid, "train names no learner")
	}
	calibration, _ := in["calibrate"].(string)
	delete(in, "learner")
	delete(in, "calibrate")
	*t = Train{Learner: learner, Calibrate: calibration}
	if len(in) > 0 {
		t.Params = wholeNumbers(in).(map[string]any)
	}
	return nil
}

// UnmarshalJSON reads a plain string as the column in UTC, else the object.
func (t *TimeColumn) UnmarshalJSON(b []byte) error {
	var column string
	if json.Unmarshal(b, &column) == nil {
		*t = TimeColumn{Column: column, Zone: "UTC"}
		return nil
	}
	type plain TimeColumn
	return json.Unmarshal(b, (*plain)(t))
}

// By says what trains: the learner, or the program.
func (t Train) By() string {
	if t.Run != "" {
		return t.Run
	}
	return t.Learner
}

// Location is the zone loaded; UTC when it is empty. ParseFile refuses zones that do not load.
func (t *TimeColumn) Location() (*time.Location, error) {
	if t == nil || t.Zone == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(t.Zone)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is not a time zone", t.Zone).
			WithHint("use an IANA name such as America/New_York or UTC")
	}
	return loc, nil
}

// UnmarshalJSON reads a string or a list of strings.
func (s *Strings) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*s = Strings{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return fault.Wrap(err, fault.Invalid, "expected text or a list of texts")
	}
	*s = many
	return nil
}

// wholeNumbers turns float64 without a fraction into int64 in v, so that a stored file equals a parsed one.
func wholeNumbers(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = wholeNumbers(v[k])
		}
	}
	return v
}
