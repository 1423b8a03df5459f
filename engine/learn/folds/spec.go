package folds

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Kind is a way to split rows. Where scikit-learn has it, its name there stands beside it.
type Kind string

// The kinds.
const (
	KFold              Kind = "kfold"               // KFold, RepeatedKFold
	Stratified         Kind = "stratified"          // StratifiedKFold, RepeatedStratifiedKFold
	Group              Kind = "group"               // GroupKFold
	StratifiedGroup    Kind = "stratified_group"    // StratifiedGroupKFold
	Shuffle            Kind = "shuffle"             // ShuffleSplit
	StratifiedShuffle  Kind = "stratified_shuffle"  // StratifiedShuffleSplit
	GroupShuffle       Kind = "group_shuffle"       // GroupShuffleSplit
	LeaveOneOut        Kind = "leave_one_out"       // LeaveOneOut
	LeavePOut          Kind = "leave_p_out"         // LeavePOut
	LeaveOneGroupOut   Kind = "leave_one_group_out" // LeaveOneGroupOut
	LeavePGroupsOut    Kind = "leave_p_groups_out"  // LeavePGroupsOut
	TimeSeries         Kind = "time_series"         // TimeSeriesSplit
	Purged             Kind = "purged"              // k folds of time, without training rows whose labels overlap the test
	CombinatorialPurge Kind = "combinatorial"       // every choice of p of k folds of time, purged
	Predefined         Kind = "predefined"          // PredefinedSplit
)

// kinds says which fields matter to a kind, beyond kind itself.
var kinds = map[Kind][]string{
	KFold:              {"k", "repeats", "shuffle", "seed"},
	Stratified:         {"k", "repeats", "shuffle", "seed"},
	Group:              {"k", "repeats", "shuffle", "seed", "groups"},
	StratifiedGroup:    {"k", "repeats", "shuffle", "seed", "groups"},
	Shuffle:            {"k", "seed", "test_size", "train_size"},
	StratifiedShuffle:  {"k", "seed", "test_size", "train_size"},
	GroupShuffle:       {"k", "seed", "test_size", "train_size", "groups"},
	LeaveOneOut:        {},
	LeavePOut:          {"p"},
	LeaveOneGroupOut:   {"groups"},
	LeavePGroupsOut:    {"p", "groups"},
	TimeSeries:         {"k", "test_size", "max_train", "gap", "time"},
	Purged:             {"k", "time", "end", "purge", "embargo"},
	CombinatorialPurge: {"k", "p", "time", "end", "purge", "embargo"},
	Predefined:         {"fold"},
}

// Spec says how to split rows. Zero fields take the default; a field that its kind does not use is an error, so that
// nobody believes in a seed that does nothing.
type Spec struct {
	Kind      Kind   `yaml:"kind" json:"kind"`
	K         int    `yaml:"k,omitempty" json:"k,omitempty"`                   // folds, or random splits: 5; 10 for shuffle and stratified_shuffle
	Repeats   int    `yaml:"repeats,omitempty" json:"repeats,omitempty"`       // of the k folds, each shuffled anew: 1
	Shuffle   bool   `yaml:"shuffle,omitempty" json:"shuffle,omitempty"`       // before cutting folds; more than one repeat implies it
	Seed      uint32 `yaml:"seed,omitempty" json:"seed,omitempty"`             // scikit-learn's random_state: 0
	TestSize  Size   `yaml:"test_size,omitempty" json:"test_size,omitempty"`   // a share below 1 or a number of rows: 10 %, group_shuffle 20 % (of groups), time_series rows/(k+1)
	TrainSize Size   `yaml:"train_size,omitempty" json:"train_size,omitempty"` // the same: the rows that the test leaves
	MaxTrain  int    `yaml:"max_train,omitempty" json:"max_train,omitempty"`   // latest training rows to keep: all
	Gap       int    `yaml:"gap,omitempty" json:"gap,omitempty"`               // rows to leave out between training and test: 0
	P         int    `yaml:"p,omitempty" json:"p,omitempty"`                   // rows, groups or folds to test on together: 2
	Purge     Span   `yaml:"purge,omitempty" json:"purge,omitempty"`           // how long after its time a row's label is formed, when there is no end column: 0
	Embargo   Size   `yaml:"embargo,omitempty" json:"embargo,omitempty"`       // rows to leave out after a test fold: a share of all below 1, or a number: 0
	Groups    string `yaml:"groups,omitempty" json:"groups,omitempty"`         // the column of groups
	Time      string `yaml:"time,omitempty" json:"time,omitempty"`             // the column of times; the order of the rows when there is none
	End       string `yaml:"end,omitempty" json:"end,omitempty"`               // the column of the times when labels are formed
	Fold      string `yaml:"fold,omitempty" json:"fold,omitempty"`             // the column of fold numbers, -1 for rows that only train
}

// Size is a share of the rows below 1, or a whole number of rows. Written 0.2, "20%" or 500.
type Size float64

// Span is a length of time in the units of the time column, in which dates count seconds. Written 3600, "90m", "24h" or
// "7d".
type Span float64

// UnmarshalText reads what people write.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0) || v >= 1 && v != math.Trunc(v) || v > math.MaxInt32 || percent && v >= 1 {
		return fault.New(fault.Invalid, "%q is no size", text).WithHint("write a share below 1 (0.2 or 20%%) or a whole number of rows")
	}
	*s = Size(v)
	return nil
}

// UnmarshalText reads what people write.
func (s *Span) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	v, err := strconv.ParseFloat(text, 64)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		v, err = strconv.ParseFloat(days, 64)
		v *= 24 * 60 * 60
	} else if err != nil {
		var d time.Duration
		d, err = time.ParseDuration(text)
		v = d.Seconds()
	}
	if err != nil || !(v >= 0) || math.IsInf(v, 1) {
		return fault.New(fault.Invalid, "%q is no length of time", text).WithHint("write 7d, 24h, 90m, or a number in the units of the time column")
	}
	*s = Span(v)
	return nil
}

// plain is the text of a JSON or YAML scalar.
func plain(b []byte) []byte { return []byte(strings.Trim(strings.TrimSpace(string(b)), `"'`)) }

// UnmarshalJSON reads a number or a text.
func (s *Size) UnmarshalJSON(b []byte) error { return s.UnmarshalText(plain(b)) }

// UnmarshalYAML reads a number or a text.
func (s *Size) UnmarshalYAML(b []byte) error { return s.UnmarshalText(plain(b)) }

// UnmarshalJSON reads a number or a text.
func (s *Span) UnmarshalJSON(b []byte) error { return s.UnmarshalText(plain(b)) }

// UnmarshalYAML reads a number or a text.
func (s *Span) UnmarshalYAML(b []byte) error { return s.UnmarshalText(plain(b)) }

// Parse reads a Spec from a line: a kind, then its fields, as in "stratified k=10 repeats=3 seed=42" or
// "time_series,k=5,gap=24,time=hour". A bare number is a kfold with so many folds; shuffle alone means shuffle=true.
func Parse(line string) (Spec, error) {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
	if len(words) == 0 {
		return Spec{}, fault.New(fault.Invalid, "a validation needs a kind").WithHint("write %s", strings.Join(Kinds(), ", "))
	}
	fields := map[string]any{"kind": words[0]}
	if k, err := strconv.Atoi(words[0]); err == nil {
		fields["kind"], fields["k"] = KFold, k
	}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		switch n, err := strconv.ParseInt(value, 10, 64); {
		case !ok && name == "shuffle", value == "true":
			fields[name] = true
		case !ok:
			return Spec{}, fault.New(fault.Invalid, "%q says nothing of a validation", word).WithHint("write name=value, as in k=5")
		case value == "false":
			fields[name] = false
		case err == nil && !slices.Contains([]string{"groups", "time", "end", "fold"}, name):
			fields[name] = n
		default:
			fields[name] = value
		}
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return Spec{}, fault.Wrap(err, fault.Invalid, "validation %q", line)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	var s Spec
	if err := d.Decode(&s); err != nil {
		return Spec{}, fault.Wrap(err, fault.Invalid, "validation %q", line).WithHint("a %s takes %s", words[0], strings.Join(kinds[Kind(words[0])], ", "))
	}
	return s, s.check()
}

// Kinds is the names of all kinds.
func Kinds() []string {
	var out []string
	for k := range kinds {
		out = append(out, string(k))
	}
	slices.Sort(out)
	return out
}

// set is the names of the fields that say something.
func (s Spec) set() []string {
	var out []string
	add := func(name string, set bool) {
		if set {
			out = append(out, name)
		}
	}
	add("k", s.K != 0)
	add("repeats", s.Repeats != 0)
	add("shuffle", s.Shuffle)
	add("seed", s.Seed != 0)
	add("test_size", s.TestSize != 0)
	add("train_size", s.TrainSize != 0)
	add("max_train", s.MaxTrain != 0)
	add("gap", s.Gap != 0)
	add("p", s.P != 0)
	add("purge", s.Purge != 0)
	add("embargo", s.Embargo != 0)
	add("groups", s.Groups != "")
	add("time", s.Time != "")
	add("end", s.End != "")
	add("fold", s.Fold != "")
	return out
}

// mostNumber bounds k, repeats, gap, p and max_train.
const mostNumber = 1_000_000_000

// check refuses what does not hold together whatever the rows are.
func (s Spec) check() error {
	takes, ok := kinds[s.Kind]
	if !ok {
		return fault.New(fault.Invalid, "unknown kind of validation %q", s.Kind).WithHint("kinds are %s", strings.Join(Kinds(), ", "))
	}
	for _, name := range s.set() {
		if !slices.Contains(takes, name) {
			return fault.New(fault.Invalid, "%s has no effect on a %s validation", name, s.Kind).
				WithHint("it takes %s", strings.Join(takes, ", "))
		}
	}
	s = s.defaults()
	folded := slices.Contains(takes, "k") && !slices.Contains(takes, "train_size") && s.Kind != TimeSeries
	switch {
	case s.K < 0 || folded && s.K < 2:
		return fault.New(fault.Invalid, "a %s validation with k=%d", s.Kind, s.K).WithHint("give two folds or more")
	case min(s.Repeats, s.MaxTrain, s.Gap, s.P) < 0 || max(s.K, s.Repeats, s.MaxTrain, s.Gap, s.P) > mostNumber:
		return fault.New(fault.Invalid, "numbers of a validation are between 0 and %d", mostNumber)
	case s.Seed != 0 && slices.Contains(takes, "shuffle") && !s.shuffled():
		return fault.New(fault.Invalid, "a seed has no effect without shuffling").WithHint("add shuffle: true, or leave the seed out")
	case !valid(s.TestSize) || !valid(s.TrainSize) || !valid(s.Embargo):
		return fault.New(fault.Invalid, "a size is a share below 1 or a whole number of rows")
	case s.TestSize < 1 && s.TrainSize < 1 && s.TestSize+s.TrainSize > 1:
		return fault.New(fault.Invalid, "test_size %v and train_size %v are more than all rows", s.TestSize, s.TrainSize)
	case !(s.Purge >= 0) || math.IsInf(float64(s.Purge), 1):
		return fault.New(fault.Invalid, "purge is a length of time, not %v", s.Purge)
	case s.Purge != 0 && s.End != "":
		return fault.New(fault.Invalid, "purge and end both say when labels are formed").WithHint("leave one out")
	case s.Kind == CombinatorialPurge && s.P >= s.K:
		return fault.New(fault.Invalid, "testing on %d of %d folds leaves none to train on", s.P, s.K)
	}
	return nil
}

func valid(s Size) bool {
	v := float64(s)
	return v >= 0 && v <= math.MaxInt32 && (v < 1 || v == math.Trunc(v))
}

// shuffled reports whether rows are shuffled before they are cut into folds.
func (s Spec) shuffled() bool { return s.Shuffle || s.Repeats > 1 }

func (s Spec) defaults() Spec {
	takes := kinds[s.Kind]
	if s.K == 0 && slices.Contains(takes, "k") {
		s.K = 5
		if s.Kind == Shuffle || s.Kind == StratifiedShuffle {
			s.K = 10
		}
	}
	if s.Repeats == 0 && slices.Contains(takes, "repeats") {
		s.Repeats = 1
	}
	if s.P == 0 && slices.Contains(takes, "p") {
		s.P = 2
	}
	if s.Kind == LeaveOneOut || s.Kind == LeaveOneGroupOut {
		s.P = 1
	}
	return s
}
