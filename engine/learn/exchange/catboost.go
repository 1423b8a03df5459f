package exchange

import (
	"encoding/json"
	"math/bits"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// catboostFile is what is read of CatBoost's JSON.
type catboostFile struct {
	Features struct {
		Float       []catboostFloat       `json:"float_features"`
		Categorical []catboostCategorical `json:"categorical_features"`
		Ctrs        []catboostCtr
		Hashes      []struct {
			Hash  uint32
			Value string
		} `json:"cat_features_hash"`
		Text      []json.RawMessage `json:"text_features"`
		Embedding []json.RawMessage `json:"embedding_features"`
	} `json:"features_info"`
	Tables    map[string]catboostTable `json:"ctr_data"`
	Symmetric []struct {
		Values  doubles         `json:"leaf_values"`
		Weights doubles         `json:"leaf_weights"`
		Splits  []catboostSplit `json:"splits"`
	} `json:"oblivious_trees"`
	Trees     []catboostNode    `json:"trees"`
	ScaleBias []json.RawMessage `json:"scale_and_bias"`
	Info      struct {
		Version string          `json:"catboost_version_info"`
		Params  json.RawMessage // an object, or its text
		Classes struct {
			Names []word `json:"class_names"`
		} `json:"class_params"`
	} `json:"model_info"`
}

type catboostFloat struct {
	Flat    int     `json:"flat_feature_index"`
	Index   int     `json:"feature_index"`
	Name    string  `json:"feature_name"`
	ID      string  `json:"feature_id"`
	Borders doubles `json:"borders"`
	NaN     string  `json:"nan_value_treatment"`
}

type catboostCategorical struct {
	Flat   int     `json:"flat_feature_index"`
	Index  int     `json:"feature_index"`
	Name   string  `json:"feature_name"`
	ID     string  `json:"feature_id"`
	Values []int32 // the hashes of categories that splits compare with
}

// catboostSplit is true or false for a row: a float feature above the border, a category of the given hash, or the
// statistic of a category above the border.
type catboostSplit struct {
	Type        string  `json:"split_type"`
	Border      float64 `json:"border"`
	Float       int     `json:"float_feature_index"`
	Categorical int     `json:"cat_feature_index"`
	Value       int32   `json:"value"`
	Index       int     `json:"split_index"` // among the borders of float features, the values of one-hot ones, and the borders of statistics
}

type catboostNode struct {
	Left, Right *catboostNode
	Split       *catboostSplit
	Value       doubles
	Weight      float64
}

// catboost is a file being read.
type catboost struct {
	file    *catboostFile
	outputs int
	scale   float64
	numeric map[int]*catboostFloat // by feature_index
	byHash  *catboostVocabulary
	tests   map[int]*catboostTest // by split_index
	statics []staticCtr           // the statistics' borders, in the order of split_index
	first   int                   // the split_index of the first of them
	ctrs    map[*catboostCtr]*ctrValues
	room    *reserve

	added      *combine.Columns     // nil: the file has no statistics of combinations
	addedNames []string             // of the columns of added
	column     map[*catboostCtr]int // of statistics of combinations
}

func (c *catboost) sets() *sharedSets {
	return &sharedSets{number: map[*catboostTest]int32{}, room: c.room}
}

// readCatBoost reads the JSON of CatBoost.save_model(format="json"). Source of the rules: catboost/libs/model
// (json_model_helpers.cpp, static_ctr_provider.cpp, ctr_helpers.h) and the evaluator that export to Python writes.
func readCatBoost(b []byte) (learner.Model, *Info, error) {
	var file catboostFile
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, nil, fault.Wrap(err, fault.Corrupt, "the file cannot be read")
	}
	f := &file.Features
	if len(f.Text)+len(f.Embedding) > 0 {
		return nil, nil, fault.New(fault.NotSupported, "it reads %d text and %d embedding features, which models here cannot", len(f.Text), len(f.Embedding))
	}
	c := &catboost{file: &file, numeric: map[int]*catboostFloat{}, tests: map[int]*catboostTest{},
		ctrs: map[*catboostCtr]*ctrValues{}, room: newReserve(len(b))}
	info := &Info{Version: file.Info.Version}
	features, err := c.columns(info, len(b))
	if err != nil {
		return nil, nil, err
	}
	base, err := c.scaleBias()
	if err != nil {
		return nil, nil, err
	}
	e := tree.Ensemble{Features: features, Names: info.Names, Base: base, Scale: 1, Single: true}
	task, err := c.objective(info, &e)
	if err != nil {
		return nil, nil, err
	}
	if c.byHash, err = newVocabulary(&file); err != nil {
		return nil, nil, err
	}
	c.byHash.list(info, features)
	c.listCtrs()
	if err := c.combinations(features); err != nil {
		return nil, nil, err
	}
	if c.added != nil {
		e.Features += len(c.addedNames)
		e.Names = slices.Concat(info.Names, c.addedNames)
	}
	for i := range file.Symmetric {
		if err := c.symmetric(&e, i); err != nil {
			return nil, nil, fault.Wrap(err, fault.CodeOf(err), "tree %d", i)
		}
	}
	for i := range file.Trees {
		if err := c.asymmetric(&e, &file.Trees[i]); err != nil {
			return nil, nil, fault.Wrap(err, fault.CodeOf(err), "tree %d", i)
		}
	}
	for i := range e.Trees {
		explained(&e.Trees[i])
	}
	m, err := tree.NewModel(CatBoost, task, e)
	if err != nil || c.added == nil {
		return m, info, err
	}
	combined, err := combine.NewModel(CatBoost+learn.CombinedKind, c.added, m)
	return combined, info, err
}

// columns numbers the features by flat_feature_index and names them.
func (c *catboost) columns(info *Info, size int) (int, error) {
	f := &c.file.Features
	features := 0
	names := map[int]string{}
	add := func(flat int, name, id string) error {
		if _, twice := names[flat]; twice || flat < 0 || flat > size {
			return fault.New(fault.Corrupt, "a feature stands in column %d", flat)
		}
		if name == "" {
			name = id
		}
		names[flat] = name
		features = max(features, flat+1)
		return nil
	}
	for i := range f.Float {
		if err := add(f.Float[i].Flat, f.Float[i].Name, f.Float[i].ID); err != nil {
			return 0, err
		}
		c.numeric[f.Float[i].Index] = &f.Float[i]
	}
	for i := range f.Categorical {
		if err := add(f.Categorical[i].Flat, f.Categorical[i].Name, f.Categorical[i].ID); err != nil {
			return 0, err
		}
	}
	info.Names = make([]string, features)
	for i := range info.Names {
		info.Names[i] = names[i]
		if names[i] == "" {
			info.Names[i] = strconv.Itoa(i)
		}
	}
	return features, nil
}

// scaleBias is [scale, [bias of each output]], or [scale, bias] in old files.
func (c *catboost) scaleBias() ([]float64, error) {
	if len(c.file.ScaleBias) != 2 {
		return nil, fault.New(fault.Corrupt, "scale_and_bias has %d parts", len(c.file.ScaleBias))
	}
	if err := json.Unmarshal(c.file.ScaleBias[0], &c.scale); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "scale_and_bias")
	}
	var bias doubles
	if err := json.Unmarshal(c.file.ScaleBias[1], &bias); err != nil || len(bias) == 0 {
		return nil, fault.New(fault.Corrupt, "scale_and_bias has the bias %.40s", c.file.ScaleBias[1])
	}
	if c.outputs = len(bias); c.outputs == 1 && len(c.file.Symmetric) > 0 {
		t := &c.file.Symmetric[0]
		if depth := len(t.Splits); depth < 31 && len(t.Values)>>depth > 1 { // an old file with one bias for several outputs
			c.outputs = len(t.Values) >> depth
		}
	}
	base := make([]float64, c.outputs)
	for k := range base {
		base[k] = bias[k%len(bias)]
	}
	return base, nil
}

// objective sets the link of the loss, as CatBoost's own predict has it: probabilities of a classifier, the exponent of
// a Poisson or Tweedie regression, and the sum of the trees of every other.
func (c *catboost) objective(info *Info, e *tree.Ensemble) (learner.Task, error) {
	var params struct {
		Loss struct{ Type string } `json:"loss_function"`
	}
	raw := c.file.Info.Params
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &params); err != nil {
			return "", fault.Wrap(err, fault.Corrupt, "model_info.params")
		}
	}
	info.Objective = params.Loss.Type
	for _, name := range c.file.Info.Classes.Names {
		info.Classes = append(info.Classes, string(name))
	}
	e.Link = tree.Identity
	switch info.Objective {
	case "Logloss", "CrossEntropy", "Focal":
		e.Link = tree.Logistic
		return learner.Binary, nil
	case "MultiClass":
		e.Link = tree.Softmax
		return learner.Multiclass, nil
	case "MultiClassOneVsAll":
		e.Link = tree.LogisticApart
		return learner.Multiclass, nil
	case "Poisson", "Tweedie":
		e.Link = tree.Exp
		return learner.Regression, nil
	case "RMSE", "MAE", "Quantile", "LogLinQuantile", "MAPE", "Lq", "Expectile", "Huber", "LogCosh", "MultiRMSE", "MultiRMSEWithMissingValues",
		"MultiQuantile", "Cox", "PythonUserDefinedPerObject", "PythonUserDefinedMultiTarget", "UserPerObjMetric", "":
		return learner.Regression, nil
	case "YetiRank", "YetiRankPairwise", "PairLogit", "PairLogitPairwise", "QueryRMSE", "GroupQuantile", "QuerySoftMax", "QueryCrossEntropy", "StochasticRank",
		"StochasticFilter", "LambdaMart":
		return learner.Ranking, nil
	}
	return "", fault.New(fault.NotSupported, "the loss function %q is not known here", info.Objective)
}

// symmetric makes trees of one whose levels each have one split: leaf i is reached by the rows for which split k is
// bit k of i. With several outputs each has a tree, and the values of a leaf stand together.
func (c *catboost) symmetric(e *tree.Ensemble, i int) error {
	s := &c.file.Symmetric[i]
	depth := len(s.Splits)
	if depth > 30 || len(s.Values) != c.outputs<<depth || len(s.Weights) != 0 && len(s.Weights) != 1<<depth {
		return fault.New(fault.Corrupt, "%d splits, %d leaf values, %d leaf weights and %d outputs do not fit", depth, len(s.Values), len(s.Weights), c.outputs)
	}
	inner := 1<<depth - 1
	tests := make([]*catboostTest, depth)
	for k := range tests {
		var err error
		if tests[k], err = c.test(&s.Splits[k]); err != nil {
			return err
		}
	}
	for k := range c.outputs {
		t := tree.Tree{Output: k}
		sets := c.sets()
		for n := range inner {
			test := tests[depth-bits.Len(uint(n+1))]
			if _, err := test.add(&t, sets); err != nil {
				return err
			}
			test.lead(&t, int32(n), int32(2*n+1), int32(2*n+2))
		}
		for leaf := range 1 << depth {
			weight := 0.0
			if len(s.Weights) > 0 {
				weight = known(s.Weights[leaf])
			}
			t.Add(tree.Leaf, 0, false, c.scale*s.Values[leaf*c.outputs+k], 0, weight)
		}
		for n := inner - 1; n >= 0; n-- {
			t.Cover[n] = t.Cover[2*n+1] + t.Cover[2*n+2]
		}
		e.Trees = append(e.Trees, t)
	}
	return nil
}

// asymmetric makes trees of one that was grown node by node.
func (c *catboost) asymmetric(e *tree.Ensemble, root *catboostNode) error {
	for k := range c.outputs {
		t := tree.Tree{Output: k}
		sets := c.sets()
		if _, err := c.grow(&t, root, k, sets); err != nil {
			return err
		}
		if err := t.Order(); err != nil {
			return err
		}
		e.Trees = append(e.Trees, t)
	}
	return nil
}

// grow adds a node and those below it and returns its number. A row that a node has no child for ends in the node.
func (c *catboost) grow(t *tree.Tree, node *catboostNode, output int, sets *sharedSets) (int32, error) {
	if node == nil || node.Split == nil || node.Left == nil && node.Right == nil {
		if node == nil || len(node.Value) != c.outputs {
			return 0, fault.New(fault.Corrupt, "a leaf does not have %d values", c.outputs)
		}
		return t.Add(tree.Leaf, 0, false, c.scale*node.Value[output], 0, known(node.Weight)), nil
	}
	test, err := c.test(node.Split)
	if err != nil {
		return 0, err
	}
	n, err := test.add(t, sets)
	if err != nil {
		return 0, err
	}
	var children [2]int32
	for side, child := range []*catboostNode{node.Left, node.Right} {
		if child == nil {
			child = &catboostNode{Value: node.Value, Weight: node.Weight}
		}
		if children[side], err = c.grow(t, child, output, sets); err != nil {
			return 0, err
		}
		t.Cover[n] += t.Cover[children[side]]
	}
	test.lead(t, n, children[0], children[1])
	return n, nil
}

// explained gives splits a gain when the file has none: how much of the leaf values' variance, weighted by cover, the
// split explains. CatBoost's PredictionValuesChange is the same sum over the two sides of a split.
func explained(t *tree.Tree) {
	mean := make([]float64, len(t.Feature))
	for n := len(mean) - 1; n >= 0; n-- {
		if t.Feature[n] == tree.Leaf {
			mean[n] = t.Value[n]
			continue
		}
		l, r := t.Left[n], t.Right[n]
		a, b := t.Cover[l], t.Cover[r]
		if a+b <= 0 {
			continue
		}
		mean[n] = (float64(a*mean[l]) + float64(b*mean[r])) / (a + b)
		t.Gain[n] = known(float64(a*(mean[l]-mean[n])*(mean[l]-mean[n])) + float64(b*(mean[r]-mean[n])*(mean[r]-mean[n])))
	}
}

// doubles are numbers, or one number alone.
type doubles []float64

// UnmarshalJSON implements json.Unmarshaler.
func (d *doubles) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '[' && b[0] != 'n' {
		v, err := strconv.ParseFloat(string(b), 64)
		*d = doubles{v}
		return err
	}
	return eachNumber(b, func(n int) { *d = make(doubles, 0, n) }, func(text string) error {
		v, err := strconv.ParseFloat(text, 64)
		*d = append(*d, v)
		return err
	})
}
