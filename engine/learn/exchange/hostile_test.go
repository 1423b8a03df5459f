package exchange

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestRefusesHostileFiles gives files that claim more than they hold, lead in circles or say what models here cannot:
// each is a fault of its own kind and text.
func TestRefusesHostileFiles(t *testing.T) {
	lightgbm := func(tree string) string {
		return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\nobjective=binary sigmoid:1\nfeature_names=a b\n\nTree=0\n" + tree + "\nend of trees\n"
	}
	xgboost := func(tree, objective string) string {
		return fmt.Sprintf(`{"learner":{"gradient_booster":{"name":"gbtree","model":{"tree_info":[0],"trees":[%s]}},"learner_model_param":{"base_score":"5E-1","num_feature":"2"},"objective":{"name":%q}}}`, tree, objective)
	}
	catboost := func(rest string) string {
		return `{"features_info":{"float_features":[{"feature_index":0,"flat_feature_index":0,"borders":[1]}]},"scale_and_bias":[1,[0]],` + rest + `}`
	}
	combination := func(elements, table string) string {
		file := strings.Replace(catboost(`"oblivious_trees":[{"leaf_values":[1,2],"splits":[{"split_type":"OnlineCtr","border":2,"split_index":1}]}]`), `"float_features"`,
			`"cat_features_hash":[{"hash":0,"value":"a"},{"hash":5,"value":"b"}],"categorical_features":[{"feature_index":0,"flat_feature_index":1,"feature_name":"town"},{"feature_index":1,"flat_feature_index":2,"feature_name":"shop"}],"ctrs":[{"borders":[2],"ctr_type":"Borders","identifier":"t","elements":`+elements+`}],"float_features"`, 1)
		if table == "" {
			return file
		}
		return strings.Replace(file, `"features_info"`, `"ctr_data":{"t":{`+table+`}},"features_info"`, 1)
	}
	for _, c := range []struct {
		name, file string
		code       fault.Code
		text       string
	}{
		{"nothing", "", fault.FormatNotServed, "no format"},
		{"pickle", "\x80\x04\x95", fault.FormatNotServed, "pickle"},
		{"binary catboost", "CBM1....", fault.FormatNotServed, "CatBoost"},
		{"many leaves", lightgbm("num_leaves=2000000000\nnum_cat=0\nleaf_value=1 2"), fault.Corrupt, "leaf_value"},
		{"a circle", lightgbm("num_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=1 2\ndecision_type=2 2\nleft_child=1 0\nright_child=-1 -2\nleaf_value=1 2 3"), fault.Corrupt, "child"},
		{"a feature that is not there", lightgbm("num_leaves=2\nnum_cat=0\nsplit_feature=7\nthreshold=1\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=1 2"), fault.Corrupt, "feature 7"},
		{"linear leaves", lightgbm("num_leaves=1\nnum_cat=0\nis_linear=1\nleaf_value=1"), fault.NotSupported, "linear_tree"},
		{"categories out of bounds", lightgbm("num_leaves=2\nnum_cat=1\nsplit_feature=0\nthreshold=3\ndecision_type=1\nleft_child=-1\nright_child=-2\nleaf_value=1 2\ncat_boundaries=0 1\ncat_threshold=1"), fault.Corrupt, "category set"},
		{"zero is missing here and not there", lightgbm("num_leaves=3\nnum_cat=0\nsplit_feature=0 0\nthreshold=1 2\ndecision_type=6 10\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=1 2 3"), fault.NotSupported, "zero counts as missing"},
		{"cut", "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nfeature_names=a\n\nTree=0\nnum_leaves=1\nleaf_value=1\n", fault.Corrupt, "ends before"},
		{"unknown objective", xgboost(`{}`, "reg:new"), fault.NotSupported, "reg:new"},
		{"lists of other lengths", xgboost(`{"left_children":[-1],"right_children":[]}`, "binary:logistic"), fault.Corrupt, "lists"},
		{"many features", strings.Replace(xgboost(`{}`, "reg:squarederror"), `"num_feature":"2"`, `"num_feature":"16000000"`, 1), fault.TooLarge, "features"},
		{"a child twice", xgboost(`{"left_children":[1,-1],"right_children":[1,-1],"split_indices":[0,0],"split_conditions":[1,1],"default_left":[0,0]}`, "binary:logistic"), fault.Corrupt, "child"},
		{"thin categories", xgboost(`{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[1,1,1],"default_left":[0,0,0],"split_type":[1,0,0],"categories":[`+strings.Repeat("16000000,", 999)+`16000000],"categories_nodes":[`+strings.Repeat("7,", 999)+`0],"categories_segments":[`+strings.Repeat("0,", 999)+`0],"categories_sizes":[`+strings.Repeat("1,", 999)+`1]}`, "binary:logistic"), fault.NotSupported, "too thin"},
		{"deep json", `{"learner":` + strings.Repeat(`[`, 200000) + `"gradient_booster"`, fault.Corrupt, "cannot be read"},
		{"deep ubj", "{L\x00\x00\x00\x00\x00\x00\x00\x01a" + strings.Repeat("[", 200000), fault.Corrupt, "deep"},
		{"many in ubj", "{L\x00\x00\x00\x00\x00\x00\x00\x01a[$d#L\x00\x00\x7f\xff\xff\xff\xff\xff", fault.Corrupt, "cut"},
		{"bare counts in ubj", "{L\x00\x00\x00\x00\x00\x00\x00\x01a[$Z#L\x00\x00\x7f\xff\xff\xff\xff\xff", fault.Corrupt, "type"},
		{"a tree of 2^30 leaves", catboost(`"oblivious_trees":[{"leaf_values":[1],"splits":[` + strings.Repeat(`{"split_type":"FloatFeature"},`, 29) + `{}]}]`), fault.Corrupt, "do not fit"},
		{"another split", catboost(`"oblivious_trees":[{"leaf_values":[1,2],"splits":[{"split_type":"EstimatedFeature"}]}]`), fault.NotSupported, "EstimatedFeature"},
		{"a combination without a table", combination(`[{"combination_element":"cat_feature_value","cat_feature_index":0},{"combination_element":"cat_feature_value","cat_feature_index":1}]`, ``), fault.Corrupt, "no table"},
		{"a combination of a feature that is not there", combination(`[{"combination_element":"cat_feature_value","cat_feature_index":0},{"combination_element":"float_feature","float_feature_index":9}]`, ``), fault.Corrupt, "float feature 9"},
		{"a combination with something else", combination(`[{"combination_element":"cat_feature_value","cat_feature_index":0},{"combination_element":"text_feature"}]`, ``), fault.NotSupported, "text_feature"},
		{"a combination of categories without texts", combination(`[{"combination_element":"cat_feature_value","cat_feature_index":0},{"combination_element":"cat_feature_value","cat_feature_index":1}]`, `"hash_map":["77",1,2],"hash_stride":3`), fault.NotSupported, "no texts for the categories of feature shop"},
		{"a combination's table in other steps", combination(`[{"combination_element":"cat_feature_exact_value","cat_feature_index":0,"value":0},{"combination_element":"cat_feature_exact_value","cat_feature_index":1,"value":0}]`, `"hash_map":["77",1,2],"hash_stride":2`), fault.Corrupt, "in steps of 2"},
		{"a combination of a thousand parts", combination(`[{"combination_element":"float_feature"}`+strings.Repeat(`,{"combination_element":"float_feature"}`, 999)+`,{"combination_element":"cat_feature_value","cat_feature_index":0}]`, `"hash_map":["77",1,2],"hash_stride":3`), fault.NotSupported, "1001 parts"},
		{"deep catboost", catboost(`"trees":[` + strings.Repeat(`{"split":{"split_type":"FloatFeature"},"left":`, 200000) + `]`), fault.Corrupt, "cannot be read"},
		{"many trees' weights", "\x08\x08\x3a\xff\xff\xff\xff\x0f", fault.Corrupt, "ONNX"},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, _, err := Read([]byte(c.file))
		runtime.ReadMemStats(&after)
		if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v (%s), want %s with %q", c.name, err, fault.CodeOf(err), c.code, c.text)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(40*len(c.file)+1<<20) {
			t.Errorf("%s: %d bytes were allocated for a file of %d", c.name, used, len(c.file))
		}
	}
}

// TestReadsNumbersThatJSONHasNot changes gains to what XGBoost writes for those without a finite one.
func TestReadsNumbersThatJSONHasNot(t *testing.T) {
	for _, c := range goldenCases(t) {
		if c.Name != "xgboost binary" {
			continue
		}
		changed := strings.Replace(c.Model, `"loss_changes":[`, `"loss_changes":[Infinity,NaN,-Infinity,`, 1)
		from := strings.Index(changed, "-Infinity,") + len("-Infinity,")
		for range 3 { // takes out as many as were put in
			changed = changed[:from] + changed[from+strings.Index(changed[from:], ",")+1:]
		}
		m, _, err := Read([]byte(changed))
		if err != nil {
			t.Fatal(err)
		}
		c.compare(t, m, &Info{})
		for _, share := range m.Importance() {
			if !(share >= 0) {
				t.Errorf("importances %v", m.Importance())
			}
		}
	}
}

// TestCutsCategoryTexts holds the texts of XGBoost's category container against what xgboost 3.2 writes for pandas
// categories: "ünï" becomes 3 of its 5 bytes, so none of such a list is believed.
func TestCutsCategoryTexts(t *testing.T) {
	for _, c := range []struct {
		text    string
		offsets integers
		want    []string
	}{
		{"blueredx", integers{0, 4, 7, 7, 8}, []string{"blue", "red", "", "x"}},
		{"5red\xc3\xbcn", integers{0, 1, 4, 7}, nil},
		{"abc", integers{0, 2, 4}, nil},
		{"abc", integers{0, 2, 1}, nil},
		{"abc", integers{-1, 2, 3}, nil},
	} {
		if got := xgboostTexts([]byte(c.text), c.offsets); !slices.Equal(got, c.want) {
			t.Errorf("%q cut at %v is %q, not %q", c.text, c.offsets, got, c.want)
		}
	}
}
