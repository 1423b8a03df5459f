package exchange

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bits of a node's decision_type: categorical, default left, and from the third on how it tells a missing value.
const (
	decideCategorical = 1
	decideDefaultLeft = 2
	decideMissing     = 2 // the shift of the bits below

	missingNone = 0 // NaN is 0
	missingZero = 1 // NaN and values near 0 are missing
	missingNaN  = 2
)

// readLightGBM reads the text of Booster.save_model (versions v2 to v4). Source of the rules: include/LightGBM/tree.h,
// src/io/tree.cpp, src/boosting/gbdt_model_text.cpp and the objectives' ConvertOutput.
func readLightGBM(b []byte) (learner.Model, *Info, error) {
	lines := &lines{rest: string(b)}
	lines.next() // "tree"
	header := lines.section()
	info := &Info{Version: header["version"], Objective: header["objective"]}
	names := header["feature_names"]
	if names == "" {
		return nil, nil, fault.New(fault.Corrupt, "the file names no features")
	}
	info.Names = strings.Split(names, " ")
	last, err := strconv.Atoi(header["max_feature_idx"])
	if err != nil || last != len(info.Names)-1 {
		return nil, nil, fault.New(fault.Corrupt, "max_feature_idx is %q and there are %d feature names", header["max_feature_idx"], len(info.Names))
	}
	if ranges := strings.Fields(header["feature_infos"]); len(ranges) == len(info.Names) {
		info.Ranges = ranges
	}
	outputs, err := strconv.Atoi(header["num_tree_per_iteration"])
	if err != nil || outputs < 1 || outputs > len(b) {
		return nil, nil, fault.New(fault.Corrupt, "num_tree_per_iteration is %q", header["num_tree_per_iteration"])
	}
	_, average := header["average_output"]
	e := tree.Ensemble{Features: len(info.Names), Names: info.Names, Base: make([]float64, outputs), Average: average}
	task, err := setLightGBMObjective(&e, info.Objective)
	if err != nil {
		return nil, nil, err
	}
	zero := newMissingKinds()
	for strings.HasPrefix(lines.line, "Tree=") {
		number := lines.line
		t, err := lightgbmTree(lines.section(), zero)
		if err != nil {
			return nil, nil, fault.Wrap(err, fault.CodeOf(err), "%s", number)
		}
		t.Output = len(e.Trees) % outputs
		e.Trees = append(e.Trees, *t)
	}
	if lines.line != "end of trees" && !strings.HasPrefix(lines.line, "feature") {
		return nil, nil, fault.New(fault.Corrupt, "the file ends before its last tree does")
	}
	if sizes, said := header["tree_sizes"]; said && len(strings.Fields(sizes)) != len(e.Trees) {
		return nil, nil, fault.New(fault.Corrupt, "the file announces %d trees and has %d", len(strings.Fields(sizes)), len(e.Trees))
	}
	if len(e.Trees)%outputs != 0 {
		return nil, nil, fault.New(fault.Corrupt, "the file has %d trees for %d outputs", len(e.Trees), outputs)
	}
	if e.ZeroMissing, err = zero.features(len(info.Names)); err != nil {
		return nil, nil, err
	}
	if err := info.pandas(b); err != nil {
		return nil, nil, err
	}
	m, err := tree.NewModel(LightGBM, task, e)
	return m, info, err
}

// setLightGBMObjective sets the link of the objective.
func setLightGBMObjective(e *tree.Ensemble, objective string) (learner.Task, error) {
	words := strings.Fields(objective)
	if len(words) == 0 {
		words = []string{"custom"}
	}
	e.Link, e.Scale = tree.Identity, 1
	for _, w := range words[1:] {
		if value, ok := strings.CutPrefix(w, "sigmoid:"); ok {
			var err error
			if e.Scale, err = strconv.ParseFloat(value, 64); err != nil {
				return "", fault.Wrap(err, fault.Corrupt, "objective %q", objective)
			}
		}
	}
	squared := slices.Contains(words[1:], "sqrt")
	switch words[0] {
	case "regression", "regression_l2", "l2", "mean_squared_error", "mse", "l2_root", "rmse", "regression_l1", "l1", "mae", "huber", "fair", "quantile", "mape":
		if squared {
			e.Link = tree.SignedSquare
		}
		return learner.Regression, nil
	case "poisson", "gamma", "tweedie":
		e.Link = tree.Exp
		return learner.Regression, nil
	case "cross_entropy", "xentropy":
		e.Link, e.Scale = tree.Logistic, 1
		return learner.Regression, nil
	case "cross_entropy_lambda", "xentlambda":
		e.Link = tree.Softplus
		return learner.Regression, nil
	case "binary":
		e.Link = tree.Logistic
		return learner.Binary, nil
	case "multiclass", "softmax":
		e.Link = tree.Softmax
		return learner.Multiclass, nil
	case "multiclassova", "multiclass_ova", "ova", "ovr":
		e.Link = tree.LogisticApart
		return learner.Multiclass, nil
	case "lambdarank", "rank_xendcg", "xendcg":
		return learner.Ranking, nil
	case "custom", "none", "null", "na": // trained with a function of the user's: its margins are what the library predicts too
		if len(e.Base) > 1 {
			return learner.Multiclass, nil
		}
		return learner.Regression, nil
	}
	return "", fault.New(fault.NotSupported, "the objective %q is not known here", objective)
}

// lightgbmTree makes a tree of its lines: the inner nodes first, then the leaves.
func lightgbmTree(lines map[string]string, zero *missingKinds) (*tree.Tree, error) {
	if v := lines["is_linear"]; v != "" && v != "0" {
		return nil, fault.New(fault.NotSupported, "its leaves hold linear models (linear_tree), and trees here have a number in each leaf").
			WithHint("train with linear_tree=false")
	}
	leaves, err := strconv.Atoi(lines["num_leaves"])
	if err != nil || leaves < 1 {
		return nil, fault.New(fault.Corrupt, "num_leaves is %q", lines["num_leaves"])
	}
	inner := leaves - 1
	p := &numbers{lines: lines}
	values := p.floats("leaf_value", leaves)
	leafCover := p.optional("leaf_count", leaves)
	feature, left, right := p.ints("split_feature", inner), p.ints("left_child", inner), p.ints("right_child", inner)
	threshold, decision := p.floats("threshold", inner), p.ints("decision_type", inner)
	gain, cover := p.optional("split_gain", inner), p.optional("internal_count", inner)
	sets, err := lightgbmSets(lines, p)
	if p.err != nil {
		return nil, p.err
	}
	if err != nil {
		return nil, err
	}
	t := &tree.Tree{}
	for i := range inner {
		if feature[i] < 0 {
			return nil, fault.New(fault.Corrupt, "node %d splits on feature %d", i, feature[i])
		}
		t.Add(feature[i], besideZero(threshold[i]), false, 0, known(gain[i]), known(cover[i]))
	}
	for i := range leaves {
		t.Add(tree.Leaf, 0, false, values[i], 0, known(leafCover[i]))
	}
	for i := range inner {
		for _, child := range []struct{ to, from *int32 }{{&t.Left[i], &left[i]}, {&t.Right[i], &right[i]}} {
			*child.to = *child.from
			if *child.from < 0 {
				*child.to = int32(inner) + ^*child.from
			}
		}
		if decision[i]&decideCategorical != 0 {
			if err := sets.set(t, int32(i)); err != nil {
				return nil, err
			}
			zero.compared[feature[i]] = true
			continue // NaN goes right
		}
		t.MissingLeft[i] = zero.numeric(feature[i], threshold[i], decision[i])
	}
	return t, t.Order()
}

// besideZero moves a threshold among the values that LightGBM reads as 0, those of at most 1e-35 in size, to the side of
// them that 0 is not on.
func besideZero(threshold float64) float64 {
	const zero = float64(float32(1e-35))
	switch {
	case threshold >= -zero && threshold < 0:
		return math.Nextafter(-zero, math.Inf(-1))
	case threshold >= 0 && threshold < zero:
		return zero
	}
	return threshold
}

// missingKinds collects how the nodes of each feature tell missing values. LightGBM keeps it per node but decides it
// per feature; trees here know zero-as-missing per feature alone.
type missingKinds struct{ zero, compared map[int32]bool }

func newMissingKinds() *missingKinds {
	return &missingKinds{zero: map[int32]bool{}, compared: map[int32]bool{}}
}

// numeric notes a numeric node and tells whether what is missing goes left there.
func (k *missingKinds) numeric(feature int32, threshold float64, decision int32) bool {
	defaultLeft := decision&decideDefaultLeft != 0
	switch decision >> decideMissing & 3 {
	case missingZero:
		k.zero[feature] = true
		return defaultLeft
	case missingNaN:
		k.compared[feature] = true
		return defaultLeft
	}
	return 0 <= threshold // NaN counts as 0, and so would a zero that counts as missing
}

// features is what tree.Ensemble wants to know.
func (k *missingKinds) features(n int) ([]bool, error) {
	if len(k.zero) == 0 {
		return nil, nil
	}
	out := make([]bool, n)
	for f := range k.zero {
		if k.compared[f] {
			return nil, fault.New(fault.NotSupported, "zero counts as missing in some splits of feature %d and not in others", f)
		}
		if int(f) < n {
			out[f] = true
		}
	}
	return out, nil
}

// lightgbmCategories are the category sets of a tree; a categorical node's threshold is the number of its set.
type lightgbmCategories struct {
	bounds []int32
	words  []uint32
}

func lightgbmSets(lines map[string]string, p *numbers) (*lightgbmCategories, error) {
	count := lines["num_cat"]
	if count == "" || count == "0" {
		return &lightgbmCategories{}, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > len(lines["cat_boundaries"]) {
		return nil, fault.New(fault.Corrupt, "num_cat is %q", count)
	}
	s := &lightgbmCategories{bounds: p.ints("cat_boundaries", n+1)}
	if p.err != nil {
		return nil, p.err
	}
	for _, word := range strings.Fields(lines["cat_threshold"]) {
		v, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "cat_threshold")
		}
		s.words = append(s.words, uint32(v))
	}
	if s.bounds[0] != 0 || int(s.bounds[n]) != len(s.words) || !slices.IsSorted(s.bounds) {
		return nil, fault.New(fault.Corrupt, "cat_boundaries do not fit the %d words of cat_threshold", len(s.words))
	}
	return s, nil
}

// set makes node n of the tree categorical.
func (s *lightgbmCategories) set(t *tree.Tree, n int32) error {
	index := t.Threshold[n]
	if !(index >= 0 && index < float64(len(s.bounds)-1)) {
		return fault.New(fault.Corrupt, "node %d has category set %v of %d", n, index, len(s.bounds)-1)
	}
	if t.Set == nil {
		t.SetCategories(n, nil) // makes the arrays
		t.Bounds, t.Bits = s.bounds, s.words
	}
	t.Threshold[n], t.Set[n] = 0, int32(index)
	return nil
}

// pandas reads pandas_categorical, the last line of files that the Python package writes.
func (info *Info) pandas(b []byte) error {
	const key = "\npandas_categorical:"
	at := bytes.LastIndex(b, []byte(key))
	if at < 0 {
		return nil
	}
	line, _, _ := bytes.Cut(b[at+len(key):], []byte("\n"))
	var lists [][]word
	if err := json.Unmarshal(line, &lists); err != nil {
		return fault.Wrap(err, fault.Corrupt, "pandas_categorical")
	}
	if len(lists) == 0 {
		return nil
	}
	for _, list := range lists {
		texts := make([]string, len(list))
		for i, w := range list {
			texts[i] = string(w)
		}
		info.Pandas = append(info.Pandas, texts)
	}
	// Columns of type category have a list of codes among the feature_infos, unless they had one category only.
	var categorical []int
	for i, r := range info.Ranges {
		if r != "none" && !strings.HasPrefix(r, "[") {
			categorical = append(categorical, i)
		}
	}
	if len(categorical) == len(info.Pandas) {
		info.Categories = make([][]string, len(info.Names))
		for i, f := range categorical {
			info.Categories[f] = info.Pandas[i]
		}
	}
	return nil
}

// word is a JSON value as text: a string's content, and anything else as it is written.
type word string

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		err := json.Unmarshal(b, &s)
		*w = word(s)
		return err
	}
	*w = word(b)
	return nil
}

// lines walks a text line by line; line is the one that was read last.
type lines struct{ rest, line string }

func (l *lines) next() bool {
	if l.rest == "" {
		l.line = ""
		return false
	}
	l.line, l.rest, _ = strings.Cut(l.rest, "\n")
	l.line = strings.TrimSuffix(l.line, "\r")
	return true
}

// section reads key=value lines up to the next tree or the end of trees, at which it stops.
func (l *lines) section() map[string]string {
	out := map[string]string{}
	for l.next() {
		if strings.HasPrefix(l.line, "Tree=") || l.line == "end of trees" || strings.HasPrefix(l.line, "feature importances") {
			break
		}
		if l.line != "" {
			key, value, _ := strings.Cut(l.line, "=")
			out[key] = value
		}
	}
	return out
}

// numbers reads lists of numbers from lines; the first fault stays in err.
type numbers struct {
	lines map[string]string
	err   error
}

// list calls each with n numbers; it refuses a count that the text is too short for before anything is allocated.
func (p *numbers) list(key string, n int, reserve func(), each func(s string) error) {
	if p.err != nil {
		return
	}
	text := p.lines[key]
	if n > len(text)/2+1 {
		p.err = fault.New(fault.Corrupt, "%s has fewer than %d numbers", key, n)
		return
	}
	reserve()
	count := 0
	for s := range strings.FieldsSeq(text) {
		if count++; count > n {
			break
		}
		if err := each(s); err != nil {
			p.err = fault.Wrap(err, fault.Corrupt, "%s", key)
			return
		}
	}
	if count != n {
		p.err = fault.New(fault.Corrupt, "%s does not have %d numbers", key, n)
	}
}

func (p *numbers) floats(key string, n int) (out []float64) {
	p.list(key, n, func() { out = make([]float64, 0, n) }, func(s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if math.IsInf(v, 0) { // beyond float64: the nearest is infinite
			err = nil
		}
		out = append(out, v)
		return err
	})
	return out
}

// optional is zeros when there is no such line.
func (p *numbers) optional(key string, n int) []float64 {
	if _, there := p.lines[key]; there && p.err == nil {
		return p.floats(key, n)
	}
	if p.err != nil {
		return nil
	}
	return make([]float64, n)
}

func (p *numbers) ints(key string, n int) (out []int32) {
	p.list(key, n, func() { out = make([]int32, 0, n) }, func(s string) error {
		v, err := strconv.ParseInt(s, 10, 32)
		out = append(out, int32(v))
		return err
	})
	return out
}
