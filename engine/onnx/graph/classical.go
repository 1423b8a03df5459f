package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var classical = map[string]operator{
	"ai.onnx.ml.Scaler":                {run: scaler},
	"ai.onnx.ml.Normalizer":            {run: normalizer},
	"ai.onnx.ml.Imputer":               {run: imputer},
	"ai.onnx.ml.Binarizer":             {run: binarizer},
	"ai.onnx.ml.FeatureVectorizer":     {run: vectorizer},
	"ai.onnx.ml.ArrayFeatureExtractor": {run: extractor},
	"ai.onnx.ml.OneHotEncoder":         {run: oneHot},
	"ai.onnx.ml.LabelEncoder":          {run: labelEncoder},
	"ai.onnx.ml.LinearRegressor":       {run: linearRegressor},
	"ai.onnx.ml.LinearClassifier":      {run: linearClassifier},
	// A map of probabilities by class: what is asked for are the probabilities, so they pass as they are.
	"ai.onnx.ml.ZipMap": {run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) { return in[:1], need(in, 1) }},
}

// perColumn calls f with every value and the setting of its column; one setting is for all columns.
func perColumn(in []*Tensor, settings []float32, f func(v, setting float32) float32) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	values, err := in[0].floats()
	if err != nil {
		return nil, err
	}
	cols := in[0].cols()
	if len(settings) != 1 && len(settings) != cols {
		return nil, fault.New(fault.Invalid, "it has settings for %d columns and gets %d", len(settings), cols)
	}
	out := make([]float32, len(values))
	for i, v := range values {
		setting := settings[0]
		if len(settings) > 1 {
			setting = settings[i%cols]
		}
		out[i] = f(v, setting)
	}
	return one(New(out, in[0].Shape...), nil)
}

func scaler(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	out, err := perColumn(in, n.attr.Floats("offset"), func(v, offset float32) float32 { return v - offset })
	if err != nil {
		return nil, err
	}
	return perColumn(out, n.attr.Floats("scale"), func(v, scale float32) float32 { return v * scale })
}

func normalizer(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	values, err := in[0].floats()
	if err != nil {
		return nil, err
	}
	out := slices.Clone(values)
	cols := in[0].cols()
	for begin := 0; begin+cols <= len(out) && cols > 0; begin += cols {
		row := out[begin : begin+cols]
		var by float32
		for _, v := range row {
			switch n.attr.Text("norm") {
			case "L1":
				by += float32(math.Abs(float64(v)))
			case "L2":
				by += v * v
			default:
				by = max(by, v)
			}
		}
		if n.attr.Text("norm") == "L2" {
			by = float32(math.Sqrt(float64(by)))
		}
		if by == 0 {
			continue
		}
		for i := range row {
			row[i] /= by
		}
	}
	return one(New(out, in[0].Shape...), nil)
}

func imputer(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if fill := n.attr.Floats("imputed_value_floats"); fill != nil {
		missing := n.attr.Float("replaced_value_float", 0)
		return perColumn(in, fill, func(v, fill float32) float32 {
			if v == missing || v != v && missing != missing {
				return fill
			}
			return v
		})
	}
	fill, missing := n.attr.Ints("imputed_value_int64s"), n.attr.Int("replaced_value_int64", 0)
	if err := need(in, 1); err != nil {
		return nil, err
	}
	values, err := in[0].ints()
	if err != nil || len(fill) == 0 {
		return nil, fault.New(fault.FormatNotServed, "it fills values of %T", in[0].Data)
	}
	out := slices.Clone(values)
	for i, v := range out {
		if v == missing {
			out[i] = fill[i%in[0].cols()%len(fill)]
		}
	}
	return one(New(out, in[0].Shape...), nil)
}

func binarizer(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	return perColumn(in, []float32{n.attr.Float("threshold", 0)}, func(v, threshold float32) float32 {
		if v > threshold {
			return 1
		}
		return 0
	})
}

func vectorizer(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	parts := make([]*Tensor, len(in))
	for i, t := range in {
		if t == nil {
			return nil, fault.New(fault.Corrupt, "an input is missing")
		}
		values, err := t.floats()
		if err != nil {
			return nil, err
		}
		parts[i] = New(values, t.rows(), t.cols())
	}
	if len(parts) == 0 {
		return nil, fault.New(fault.Corrupt, "it joins nothing")
	}
	return join[float32](parts, 1)
}

func extractor(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 2); err != nil {
		return nil, err
	}
	places, err := in[1].ints()
	if err != nil {
		return nil, err
	}
	last := len(in[0].Shape) - 1
	if last < 0 {
		return nil, fault.New(fault.Invalid, "it takes columns of a single value")
	}
	form := []int{len(places)}
	switch data := in[0].Data.(type) {
	case []float32:
		return take(data, in[0].Shape, last, places, form)
	case []float64:
		return take(data, in[0].Shape, last, places, form)
	case []int64:
		return take(data, in[0].Shape, last, places, form)
	case []string:
		return take(data, in[0].Shape, last, places, form)
	}
	return nil, wrongType(in[0])
}

func oneHot(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	var place func(int) int
	width := 0
	if texts, ok := in[0].Data.([]string); ok {
		words := n.attr.Texts("cats_strings")
		width = len(words)
		place = func(i int) int { return slices.Index(words, texts[i]) }
	} else {
		values, err := in[0].ints()
		if err != nil {
			return nil, err
		}
		numbers := n.attr.Ints("cats_int64s")
		width = len(numbers)
		place = func(i int) int { return slices.Index(numbers, values[i]) }
	}
	out := make([]float32, in[0].len()*width)
	for i := range in[0].len() {
		at := place(i)
		if at < 0 && n.attr.Int("zeros", 1) == 0 {
			return nil, fault.New(fault.Invalid, "a value is none of the %d that it knows", width)
		}
		if at >= 0 {
			out[i*width+at] = 1
		}
	}
	return one(New(out, append(slices.Clone(in[0].Shape), width)...), nil)
}

func labelEncoder(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	a := n.attr
	switch data := in[0].Data.(type) {
	case []string:
		return encode(a, data, a.Texts("keys_strings"), in[0].Shape)
	case []int64:
		return encode(a, data, a.Ints("keys_int64s"), in[0].Shape)
	case []float32:
		return encode(a, data, a.Floats("keys_floats"), in[0].Shape)
	}
	return nil, wrongType(in[0])
}

func encode[K string | int64 | float32](a attributes, data, keys []K, shape []int) ([]*Tensor, error) {
	places := make(map[K]int, len(keys))
	missing := -1 // where NaN leads, which is equal to nothing
	for i, k := range keys {
		places[k] = i
		if k != k {
			missing = i
		}
	}
	at := func(k K) int {
		if p, ok := places[k]; ok {
			return p
		}
		if k != k {
			return missing
		}
		return -1
	}
	if v := a.Texts("values_strings"); v != nil {
		otherwise := "_Unused"
		if d, ok := a["default_string"].(string); ok {
			otherwise = d
		}
		return translate(data, v, otherwise, at, shape)
	}
	if v := a.Ints("values_int64s"); v != nil {
		return translate(data, v, a.Int("default_int64", -1), at, shape)
	}
	return translate(data, a.Floats("values_floats"), a.Float("default_float", 0), at, shape)
}

func translate[K any, V string | int64 | float32](data []K, values []V, otherwise V, at func(K) int, shape []int) ([]*Tensor, error) {
	out := make([]V, len(data))
	for i, k := range data {
		out[i] = otherwise
		if p := at(k); p >= 0 && p < len(values) {
			out[i] = values[p]
		}
	}
	switch v := any(out).(type) {
	case []string:
		return one(New(v, shape...), nil)
	case []int64:
		return one(New(v, shape...), nil)
	case []float32:
		return one(New(v, shape...), nil)
	}
	return nil, fault.New(fault.FormatNotServed, "it gives values of %T", out)
}

// scores multiplies rows with the coefficients of targets and adds the intercepts.
func scores(n *node, in []*Tensor, targets int) (values []float32, rows int, err error) {
	if err := need(in, 1); err != nil {
		return nil, 0, err
	}
	x, err := in[0].floats()
	if err != nil {
		return nil, 0, err
	}
	coefficients, intercepts := n.attr.Floats("coefficients"), n.attr.Floats("intercepts")
	rows, cols := in[0].rows(), in[0].cols()
	if targets == 0 || len(coefficients) != targets*cols {
		return nil, 0, fault.New(fault.Invalid, "it has %d coefficients for %d targets of %d columns", len(coefficients), targets, cols)
	}
	values = multiply(x, coefficients, rows, cols, targets, false, true)
	for i := range values {
		if k := i % targets; k < len(intercepts) {
			values[i] += intercepts[k]
		}
	}
	return values, rows, nil
}

func linearRegressor(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	targets := int(n.attr.Int("targets", 1))
	values, rows, err := scores(n, in, targets)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		transform(n.attr.Text("post_transform"), values[i*targets:(i+1)*targets])
	}
	return one(New(values, rows, targets), nil)
}

func linearClassifier(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	targets := len(n.attr.Floats("intercepts"))
	if targets == 0 && len(in) > 0 && in[0] != nil && in[0].cols() > 0 {
		targets = len(n.attr.Floats("coefficients")) / in[0].cols()
	}
	values, rows, err := scores(n, in, targets)
	if err != nil {
		return nil, err
	}
	c := newClasses(n.attr)
	post := n.attr.Text("post_transform")
	best := make([]int, rows)
	out := values
	if targets == 1 && c.count() == 2 {
		// One score stands for both classes.
		out = make([]float32, 0, 2*rows)
		for i, v := range values {
			p, q := -v, v
			if post == "LOGISTIC" {
				p, q = 1-sigmoid(v), sigmoid(v)
			}
			out = append(out, p, q)
			if v > 0 {
				best[i] = 1
			}
		}
		targets = 2
	} else {
		for i := range rows {
			row := values[i*targets : (i+1)*targets]
			best[i] = highest(row)
			transform(post, row)
		}
	}
	return []*Tensor{c.labels(best), New(out, rows, targets)}, nil
}

func highest(row []float32) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}

// transform applies a post-transformation to the scores of one row, in place.
func transform(name string, row []float32) {
	switch name {
	case "LOGISTIC":
		for i, v := range row {
			row[i] = sigmoid(v)
		}
	case "SOFTMAX", "SOFTMAX_ZERO":
		top := float32(math.Inf(-1))
		for _, v := range row {
			top = max(top, v)
		}
		var sum float32
		for i, v := range row {
			if name == "SOFTMAX_ZERO" && math.Abs(float64(v)) < 1e-7 {
				row[i] = 0
				continue
			}
			row[i] = float32(math.Exp(float64(v - top)))
			sum += row[i]
		}
		for i := range row {
			row[i] /= sum
		}
	case "PROBIT":
		for i, v := range row {
			row[i] = float32(math.Sqrt2 * math.Erfinv(2*float64(v)-1))
		}
	}
}

// classes are the labels of a classifier: texts or numbers.
type classes struct {
	texts   []string
	numbers []int64
}

func newClasses(a attributes) classes {
	for _, name := range []string{"classlabels_strings", "classlabels_int64s", "classlabels_ints"} {
		if v := a.Texts(name); v != nil {
			return classes{texts: v}
		}
		if v := a.Ints(name); v != nil {
			return classes{numbers: v}
		}
	}
	return classes{}
}

func (c classes) count() int { return max(len(c.texts), len(c.numbers)) }

func (c classes) labels(best []int) *Tensor {
	if c.texts != nil {
		out := make([]string, len(best))
		for i, b := range best {
			out[i] = c.texts[b]
		}
		return New(out, len(best))
	}
	out := make([]int64, len(best))
	for i, b := range best {
		out[i] = int64(b)
		if b < len(c.numbers) {
			out[i] = c.numbers[b]
		}
	}
	return New(out, len(best))
}
