package registry

import (
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxExchange bounds a model file that is read here.
const maxExchange = 512 << 20

// loadExchanged makes a package of a model file of LightGBM, XGBoost or CatBoost: Trimtab's own trees or linear model, and a recipe that
// passes the columns through, texts becoming the codes that the file has for them.
func (s *Service) loadExchanged(ctx context.Context, v *Version, c *content, m *mlflow) (*Package, error) {
	data, err := s.open(ctx, v.Files, c.exchange, maxExchange)
	if err != nil {
		return nil, err
	}
	learned, info, err := exchange.Read(data)
	if err != nil {
		return nil, err
	}
	sig := Signature{Task: string(learned.Task()), Label: "prediction", Features: featureNames(learned.Features(), info.Names, m)}
	switch learned.Task() {
	case learn.Binary, learn.Multiclass:
		sig.Classes = classNames(info.Classes, learned)
	case learn.Ranking:
		sig.Task = string(learn.Regression) // a score
	}
	if sig.Task == string(learn.Binary) {
		sig.Positive = sig.Classes[1]
	}
	asked := split(learned)
	inputs, columns := make([]recipe.Input, len(sig.Features)), make([]recipe.Column, len(sig.Features))
	for j, name := range sig.Features {
		in := Input{Name: name, Kind: table.Double, Role: RoleFeature, Nullable: true}
		if m != nil {
			if k := slices.IndexFunc(m.columns, func(c column) bool { return c.name == name }); k >= 0 {
				in.Nullable = m.columns[k].optional || m.columns[k].kind == table.Double || m.columns[k].kind == table.String
			}
		}
		if info.Categories != nil && info.Categories[j] != nil {
			columns[j].Encoder = encoder(info.Categories[j])
			if columns[j].Encoder.Numbers == nil {
				in.Kind, columns[j].Text = table.String, true
				if len(info.Categories[j]) < maxKnown {
					in.Categories = slices.DeleteFunc(slices.Clone(info.Categories[j]), func(t string) bool { return t == "" })
				}
			}
		} else if min, max, ok := bounds(info, j); ok && asked[j] {
			in.Min, in.Max = &min, &max
		}
		sig.Inputs = append(sig.Inputs, in)
		inputs[j] = recipe.Input{Name: name, Kind: in.Kind, Expr: name}
	}
	fitted, err := recipe.Assemble(inputs, columns)
	if err != nil {
		return nil, err
	}
	_, wide := learned.(learn.Wide)
	return &Package{Signature: sig, Fitted: fitted, Learned: learned, Wide: wide, Reference: &profile.Reference{}, Engine: EngineNative, Memory: int64(len(data))}, nil
}

// maxKnown bounds the categories that a signature names.
const maxKnown = 1000

// encoder makes codes of categories in the order of the file: of texts, or of numbers where every category is one. What the file does not
// know becomes -1, which is no category of any split, and what is missing stays so.
func encoder(categories []string) *recipe.Encoder {
	e := &recipe.Encoder{Op: recipe.EncodeCategory}
	for i, text := range categories {
		number, err := strconv.ParseFloat(text, 64)
		if text == "" { // stands for nothing: a number that no caller sends keeps its place
			number, err = -math.MaxFloat64*(1-float64(i)*1e-9), nil
		}
		if err != nil || slices.Contains(e.Numbers, number) || number != number {
			e.Numbers = nil
			break
		}
		e.Numbers = append(e.Numbers, number)
	}
	if e.Numbers == nil {
		e.Texts = unlike(categories)
	}
	return e
}

// unlike gives every empty or repeated category a text that no caller sends, so that codes keep their places.
func unlike(categories []string) []string {
	out := slices.Clone(categories)
	seen := map[string]bool{"": true}
	for i, text := range out {
		if seen[text] {
			out[i] = "\x00" + strconv.Itoa(i)
		}
		seen[out[i]] = true
	}
	return out
}

// featureNames names the columns of a row: as the file does, else, where the model's description has other names for as many columns, by
// that, else x0, x1, … LightGBM writes underscores where a name has spaces, and Column_0 where there are no names.
func featureNames(n int, named []string, m *mlflow) []string {
	described := m.names()
	if len(described) != n || repeated(described) {
		described = nil
	}
	if len(named) == n && !repeated(named) && (described == nil || sameSet(named, described)) {
		return named
	}
	if described != nil {
		return described
	}
	out := make([]string, n)
	for i := range out {
		out[i] = "x" + strconv.Itoa(i)
	}
	return out
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func repeated(names []string) bool {
	seen := map[string]bool{"": true}
	for _, n := range names {
		if seen[n] {
			return true
		}
		seen[n] = true
	}
	return false
}

// classNames are the labels of a classifier; their numbers when the file does not say.
func classNames(named []string, m learn.Model) []string {
	n := max(m.Outputs(), 2)
	if len(named) == n && !repeated(named) {
		return named
	}
	return numbered(n)
}

func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

// split tells for each feature whether a prediction can depend on it.
func split(m learn.Model) []bool {
	out := make([]bool, m.Features())
	trees, ok := m.(*tree.Model)
	for j := range out {
		out[j] = !ok
	}
	if ok {
		for _, t := range trees.Trees {
			for _, f := range t.Feature {
				if f != tree.Leaf {
					out[f] = true
				}
			}
		}
	}
	return out
}

// bounds reads the range of a feature that LightGBM wrote down: [least:greatest].
func bounds(info *exchange.Info, j int) (least, greatest float64, ok bool) {
	if len(info.Ranges) <= j {
		return 0, 0, false
	}
	text := info.Ranges[j]
	if len(text) < 2 || text[0] != '[' || text[len(text)-1] != ']' {
		return 0, 0, false
	}
	for k := 1; k < len(text)-1; k++ {
		if text[k] == ':' {
			low, err1 := strconv.ParseFloat(text[1:k], 64)
			high, err2 := strconv.ParseFloat(text[k+1:len(text)-1], 64)
			return low, high, err1 == nil && err2 == nil && low <= high
		}
	}
	return 0, 0, false
}

// unreadable tells whether an error means that the engine is not the one for a file, so that the next may try.
func unreadable(err error) bool {
	return fault.Is(err, fault.NotSupported) || fault.Is(err, fault.FormatNotServed)
}
