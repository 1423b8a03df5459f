package exchange

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// xgboostFile is what is read of XGBoost's JSON (doc/model.schema); all its numbers are float32.
type xgboostFile struct {
	Version []int
	Learner struct {
		Attributes   map[string]string
		FeatureNames []string `json:"feature_names"`
		Booster      struct {
			Name   string
			Model  xgboostTrees
			GBTree struct{ Model xgboostTrees } // of dart
			Drop   singles                      `json:"weight_drop"`
		} `json:"gradient_booster"`
		Param struct {
			BaseScore  string `json:"base_score"`
			NumClass   string `json:"num_class"`
			NumFeature string `json:"num_feature"`
			NumTarget  string `json:"num_target"`
		} `json:"learner_model_param"`
		Objective struct{ Name string }
	}
}

type xgboostTrees struct {
	Trees []xgboostTree
	Info  integers `json:"tree_info"`
	Param struct {
		Parallel string `json:"num_parallel_tree"`
	} `json:"gbtree_model_param"`
	Cats struct {
		Enc []xgboostCategories
	}
	Weights singles // of gblinear: features x outputs, then the biases
}

type xgboostTree struct {
	Left        integers `json:"left_children"`
	Right       integers `json:"right_children"`
	Feature     integers `json:"split_indices"`
	Condition   singles  `json:"split_conditions"`
	DefaultLeft integers `json:"default_left"`
	Kind        integers `json:"split_type"` // 1 is categorical
	Gain        singles  `json:"loss_changes"`
	Cover       singles  `json:"sum_hessian"`
	Base        singles  `json:"base_weights"`
	Leaf        singles  `json:"leaf_weights"`
	Categories  integers
	Nodes       integers `json:"categories_nodes"`
	Segments    integers `json:"categories_segments"`
	Sizes       integers `json:"categories_sizes"`
	Param       struct {
		Vector string `json:"size_leaf_vector"`
	} `json:"tree_param"`
}

// readXGBoost reads the JSON or UBJ of Booster.save_model (1.0 to 3.2).
func readXGBoost(b []byte) (learner.Model, *Info, error) {
	if isUBJ(b) {
		var err error
		if b, err = fromUBJ(b); err != nil {
			return nil, nil, err
		}
	}
	var file xgboostFile
	if err := json.Unmarshal(quoteSpecial(b), &file); err != nil {
		return nil, nil, fault.Wrap(err, fault.Corrupt, "the file cannot be read")
	}
	l := &file.Learner
	info := &Info{Objective: l.Objective.Name}
	for i, v := range file.Version {
		if i > 0 {
			info.Version += "."
		}
		info.Version += strconv.Itoa(v)
	}
	features, err := strconv.Atoi(l.Param.NumFeature)
	if err != nil || features < 1 {
		return nil, nil, fault.New(fault.Corrupt, "num_feature is %q", l.Param.NumFeature)
	}
	if err := checkFeatures(features, len(b)); err != nil {
		return nil, nil, err
	}
	if len(l.FeatureNames) == features {
		info.Names = l.FeatureNames
	}
	outputs := 1
	for _, claim := range []string{l.Param.NumClass, l.Param.NumTarget} {
		n, err := strconv.Atoi(claim)
		if claim != "" && (err != nil || n < 0 || n > len(b)) {
			return nil, nil, fault.New(fault.Corrupt, "the file claims %q outputs", claim)
		}
		outputs = max(outputs, n)
	}
	task, link, base, err := xgboostObjective(l.Objective.Name, outputs, l.Param.BaseScore)
	if err != nil {
		return nil, nil, err
	}
	trees, drop := &l.Booster.Model, singles(nil)
	switch l.Booster.Name {
	case "gbtree":
	case "dart":
		trees, drop = &l.Booster.GBTree.Model, l.Booster.Drop
	case "gblinear":
		m, err := xgboostLinear(l.Booster.Model.Weights, task, link, base, features)
		return m, info, err
	default:
		return nil, nil, fault.New(fault.NotSupported, "the booster %q is not known here", l.Booster.Name)
	}
	e := tree.Ensemble{Features: features, Names: info.Names, Base: base, Link: link, Scale: 1, Single: true}
	if drop != nil && len(drop) != len(trees.Trees) || len(trees.Info) != len(trees.Trees) {
		return nil, nil, fault.New(fault.Corrupt, "the file has %d trees, %d weights and %d outputs for them", len(trees.Trees), len(drop), len(trees.Info))
	}
	space := newReserve(len(b))
	for i := range trees.Trees {
		weight := 1.0
		if drop != nil {
			weight = float64(drop[i])
		}
		if err := trees.Trees[i].add(&e, int(trees.Info[i]), weight, space); err != nil {
			return nil, nil, fault.Wrap(err, fault.CodeOf(err), "tree %d", i)
		}
		trees.Trees[i] = xgboostTree{}
	}
	info.xgboostCategories(trees.Cats.Enc, features)
	info.xgboostBest(l.Attributes, len(trees.Trees), outputs, trees)
	m, err := tree.NewModel(XGBoost, task, e)
	return m, info, err
}

// xgboostObjective is what an objective predicts, and its base score as margins. The file has the base score as it
// would be predicted, so it goes through the inverse of the link, in float32 as in the objectives' ProbToMargin.
func xgboostObjective(name string, outputs int, baseScore string) (learner.Task, tree.Link, []float64, error) {
	task, link := learner.Regression, tree.Identity
	margin := func(p float64) float64 { return p }
	logit := func(p float64) float64 { return -math.Log(1/p - 1) }
	switch name {
	case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror", "reg:expectileerror",
		"binary:logitraw": // which predicts margins
	case "reg:logistic":
		link, margin = tree.Logistic, logit
	case "binary:logistic":
		task, link, margin = learner.Binary, tree.Logistic, logit
	case "binary:hinge":
		task, link = learner.Binary, tree.Step
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
		link, margin = tree.Exp, math.Log
	case "multi:softprob", "multi:softmax":
		task, link = learner.Multiclass, tree.Softmax
	case "rank:pairwise", "rank:ndcg", "rank:map":
		task = learner.Ranking
	default:
		return "", "", nil, fault.New(fault.NotSupported, "the objective %q is not known here", name)
	}
	if outputs > 1 && (task == learner.Binary || link == tree.Logistic) {
		return "", "", nil, fault.New(fault.NotSupported, "%s with %d targets: one model here gives one probability", name, outputs).
			WithHint("train a model for each target")
	}
	scores := strings.Split(strings.Trim(baseScore, "[]"), ",") // "5E-1", and "[5E-1]" from version 3.1 on
	if len(scores) != 1 && len(scores) != outputs {
		return "", "", nil, fault.New(fault.Corrupt, "base_score has %d numbers for %d outputs", len(scores), outputs)
	}
	base := make([]float64, outputs)
	for k := range base {
		v, err := strconv.ParseFloat(strings.TrimSpace(scores[k%len(scores)]), 32)
		if err != nil {
			return "", "", nil, fault.Wrap(err, fault.Corrupt, "base_score")
		}
		base[k] = float64(float32(margin(v)))
	}
	return task, link, base, nil
}

// add makes trees of one of XGBoost's: one, or with vector leaves one for each output, which then share their splits.
func (x *xgboostTree) add(e *tree.Ensemble, output int, weight float64, space *reserve) error {
	n := len(x.Left)
	for _, size := range []int{len(x.Right), len(x.Feature), len(x.Condition), len(x.DefaultLeft)} {
		if size != n {
			return fault.New(fault.Corrupt, "it has lists of %d and %d nodes", n, size)
		}
	}
	for _, size := range []int{len(x.Gain), len(x.Cover), len(x.Kind)} {
		if size != 0 && size != n {
			return fault.New(fault.Corrupt, "it has lists of %d and %d nodes", n, size)
		}
	}
	vector := 1
	if x.Param.Vector != "" && x.Param.Vector != "0" {
		var err error
		if vector, err = strconv.Atoi(x.Param.Vector); err != nil || vector != 1 && vector != len(e.Base) {
			return fault.New(fault.Corrupt, "its leaves have %q values for %d outputs", x.Param.Vector, len(e.Base))
		}
	}
	sets, err := x.sets(space)
	if err != nil {
		return err
	}
	for k := range vector {
		t := tree.Tree{Output: output}
		if vector > 1 {
			t.Output = k
		}
		for i := range n {
			gain, cover := 0.0, 0.0
			if len(x.Gain) == n {
				gain = known(float64(x.Gain[i]))
			}
			if len(x.Cover) == n {
				cover = known(float64(x.Cover[i]))
			}
			if x.Left[i] == -1 {
				v, ok := x.leaf(i, k, vector)
				if !ok {
					return fault.New(fault.Corrupt, "leaf %d has no value for output %d", i, k)
				}
				t.Add(tree.Leaf, 0, false, v*weight, 0, cover)
				continue
			}
			if x.Feature[i] < 0 {
				return fault.New(fault.Corrupt, "node %d splits on feature %d", i, x.Feature[i])
			}
			// A value goes left when it is below the condition: at most the next smaller float32.
			below := math.Nextafter32(x.Condition[i], float32(math.Inf(-1)))
			t.Add(x.Feature[i], float64(below), x.DefaultLeft[i] != 0, 0, gain, cover)
			t.Left[i], t.Right[i] = x.Left[i], x.Right[i]
			if len(x.Kind) != n || x.Kind[i] == 0 {
				continue
			}
			// Categories of the set go right, and those that were not seen left.
			t.Left[i], t.Right[i] = x.Right[i], x.Left[i]
			t.MissingLeft[i] = x.DefaultLeft[i] == 0
			t.Threshold[i] = 0
			t.SetCategories(int32(i), sets[int32(i)])
		}
		if err := t.Order(); err != nil {
			return err
		}
		e.Trees = append(e.Trees, t)
	}
	return nil
}

// leaf is the value of leaf i for output k. Vector leaves are rows of leaf_weights from version 3.1 on, the number of
// the row standing for the right child, and of base_weights before.
func (x *xgboostTree) leaf(i, k, vector int) (float64, bool) {
	at, from := i, x.Base
	switch {
	case vector == 1:
		from = x.Condition
	case len(x.Leaf) > 0:
		at, from = int(x.Right[i]), x.Leaf
	}
	if at = at*vector + k; at < 0 || at >= len(from) {
		return 0, false
	}
	return float64(from[at]), true
}

// sets are the categories of each categorical node.
func (x *xgboostTree) sets(space *reserve) (map[int32][]int, error) {
	if len(x.Nodes) != len(x.Segments) || len(x.Nodes) != len(x.Sizes) {
		return nil, fault.New(fault.Corrupt, "it has category lists of %d, %d and %d nodes", len(x.Nodes), len(x.Segments), len(x.Sizes))
	}
	out := make(map[int32][]int, len(x.Nodes))
	for i, node := range x.Nodes {
		from, size := int(x.Segments[i]), int(x.Sizes[i])
		if from < 0 || size < 0 || from+size > len(x.Categories) || out[node] != nil {
			return nil, fault.New(fault.Corrupt, "the categories of node %d are %d from %d of %d", node, size, from, len(x.Categories))
		}
		list := make([]int, 0, size)
		for _, c := range x.Categories[from : from+size] {
			if err := space.category(int(c)); err != nil {
				return nil, err
			}
			list = append(list, int(c))
		}
		space.close()
		out[node] = list
	}
	return out, nil
}

// xgboostCategories is how one feature's categories are written: texts end to end, or numbers.
type xgboostCategories struct {
	Offsets integers
	Values  json.RawMessage
}

func (info *Info) xgboostCategories(enc []xgboostCategories, features int) {
	if len(enc) != features || !slices.ContainsFunc(enc, func(c xgboostCategories) bool { return len(c.Values) > 2 }) {
		return
	}
	info.Categories = make([][]string, features)
	for f, c := range enc {
		if len(c.Offsets) == 0 {
			var numbers []word
			if json.Unmarshal(c.Values, &numbers) == nil {
				for _, w := range numbers {
					info.Categories[f] = append(info.Categories[f], string(w))
				}
			}
			continue
		}
		var bytes integers
		if json.Unmarshal(c.Values, &bytes) != nil {
			continue
		}
		text := make([]byte, len(bytes))
		for i, v := range bytes {
			text[i] = byte(v)
		}
		info.Categories[f] = xgboostTexts(text, c.Offsets)
	}
}

// xgboostTexts cuts texts that are written end to end. From pandas XGBoost counts characters where it should count
// bytes and cuts off what is left over, so that texts with other than ASCII letters cannot be told any more: then, and
// where offsets are not sound, there are none.
func xgboostTexts(text []byte, offsets integers) []string {
	if slices.ContainsFunc(text, func(b byte) bool { return b >= utf8.RuneSelf }) {
		return nil
	}
	out := make([]string, len(offsets)-1)
	for i, from := range offsets[:len(offsets)-1] {
		to := offsets[i+1]
		if from < 0 || from > to || int(to) > len(text) {
			return nil
		}
		out[i] = string(text[from:to])
	}
	return out
}

// xgboostBest reads what early stopping noted.
func (info *Info) xgboostBest(attributes map[string]string, count, outputs int, trees *xgboostTrees) {
	best, err := strconv.Atoi(attributes["best_iteration"])
	parallel, _ := strconv.Atoi(trees.Param.Parallel)
	if err == nil && best >= 0 && best+1 < count/outputs/max(parallel, 1) {
		info.Best = best + 1
	}
}

// singles are float32 numbers; beside numbers it reads the texts "NaN", "Infinity" and "-Infinity".
type singles []float32

// UnmarshalJSON implements json.Unmarshaler.
func (s *singles) UnmarshalJSON(b []byte) error {
	return eachNumber(b, func(n int) { *s = make(singles, 0, n) }, func(text string) error {
		v, err := strconv.ParseFloat(text, 32)
		if math.IsInf(v, 0) {
			err = nil
		}
		*s = append(*s, float32(v))
		return err
	})
}

// integers are whole numbers, or true and false for 1 and 0. What int32 does not hold, as XGBoost's mark of nodes that
// were taken out, becomes the least int32.
type integers []int32

// UnmarshalJSON implements json.Unmarshaler.
func (s *integers) UnmarshalJSON(b []byte) error {
	return eachNumber(b, func(n int) { *s = make(integers, 0, n) }, func(text string) error {
		switch text {
		case "true":
			text = "1"
		case "false":
			text = "0"
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if v != int64(int32(v)) {
			v = math.MinInt32
		}
		*s = append(*s, int32(v))
		return err
	})
}

// quoteSpecial puts the numbers that JSON has no form for, and XGBoost writes all the same, between quotes.
func quoteSpecial(b []byte) []byte {
	if !bytes.Contains(b, []byte("NaN")) && !bytes.Contains(b, []byte("Infinity")) {
		return b
	}
	out := make([]byte, 0, len(b)+len(b)/8)
	inside := false
	for i := 0; i < len(b); {
		n := 1
		switch {
		case b[i] == '"':
			inside = !inside
		case inside && b[i] == '\\' && i+1 < len(b):
			n = 2
		case !inside:
			for _, special := range []string{"NaN", "Infinity", "-Infinity"} {
				if bytes.HasPrefix(b[i:], []byte(special)) {
					out = append(append(append(out, '"'), special...), '"')
					i, n = i+len(special), 0
					break
				}
			}
		}
		out = append(out, b[i:i+n]...)
		i += n
	}
	return out
}

// eachNumber calls each with the elements of a flat JSON array.
func eachNumber(b []byte, reserve func(n int), each func(text string) error) error {
	text := strings.TrimSpace(string(b))
	if text == "null" {
		return nil
	}
	inside, isArray := strings.CutPrefix(text, "[")
	inside = strings.TrimSpace(strings.TrimSuffix(inside, "]"))
	if !isArray {
		return fault.New(fault.Corrupt, "a list of numbers is %.20q", text)
	}
	if inside == "" {
		reserve(0)
		return nil
	}
	reserve(strings.Count(inside, ",") + 1)
	for s := range strings.SplitSeq(inside, ",") {
		if err := each(strings.Trim(s, " \t\r\n\"")); err != nil {
			return err
		}
	}
	return nil
}

// reserve watches over the memory that category sets take, as a set has a bit for every category up to its largest.
type reserve struct{ left, largest int }

// newReserve allows sets of sixteen times the file's size, and a megabyte.
func newReserve(file int) *reserve { return &reserve{left: 4*file + 1<<18} }

var errThin = fault.New(fault.NotSupported, "the category sets are too thin: up to large numbers for few categories").
	WithHint("number the categories from 0 on without gaps")

// maxCategory is the largest category that is read, as in XGBoost, which counts in float32.
const maxCategory = 1 << 24

func (r *reserve) category(c int) error {
	if c < 0 || c >= maxCategory {
		return fault.New(fault.Corrupt, "a category is %d", c)
	}
	r.largest = max(r.largest, c)
	if r.largest/32 >= r.left {
		return errThin
	}
	return nil
}

// take uses room for a set of so many words.
func (r *reserve) take(words int) error {
	if r.left -= words; r.left < 0 {
		return errThin
	}
	return nil
}

// close ends a set.
func (r *reserve) close() {
	r.left -= r.largest/32 + 1
	r.largest = 0
}
