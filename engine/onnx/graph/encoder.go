package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var encoders = map[string]operator{
	"ai.onnx.ml.LabelEncoder":          {prepare: newLabelEncoder, run: labelEncoder},
	"ai.onnx.ml.CategoryMapper":        {prepare: newCategoryMapper, run: categoryMapper},
	"ai.onnx.ml.OneHotEncoder":         {prepare: newOneHot, run: oneHot},
	"ai.onnx.ml.DictVectorizer":        {run: dictVectorizer},
	"ai.onnx.ml.FeatureVectorizer":     {run: featureVectorizer},
	"ai.onnx.ml.ArrayFeatureExtractor": {run: extractor},
	// A map of probabilities by class: what is asked for are the probabilities, so they pass as they are.
	"ai.onnx.ml.ZipMap": {run: func(c *call) { c.pass(0, c.arg(0)) }},
	// What a graph is fed with for an input that is a map (MapKeys and MapValues).
	mapOperator: {impure: true, run: func(c *call) { c.sequence([]*Tensor{clone(c.arg(0)), clone(c.arg(1))}) }},
}

const mapOperator = "#map"

// codes leads from keys to the places of values; the key of NaN, which is equal to nothing, has a field.
type codes struct {
	texts   map[string]int
	wholes  map[int64]int
	reals   map[float64]int
	missing int
	values  *Tensor // and what is given for other keys
	other   *Tensor
}

func newLabelEncoder(n *node) any {
	a := n.attr
	if list := a.Texts("classes_strings"); list != nil && a.Texts("keys_strings") == nil && a["keys_tensor"] == nil {
		return oldLabelEncoder(a, list)
	}
	e := &codes{missing: -1}
	keys, _ := a["keys_tensor"].(*Tensor)
	if keys == nil {
		keys = listOf(a, "keys_strings", "keys_int64s", "keys_floats")
	}
	if e.values, _ = a["values_tensor"].(*Tensor); e.values == nil {
		e.values = listOf(a, "values_strings", "values_int64s", "values_floats")
	}
	if keys == nil || e.values == nil || keys.Len() != e.values.Len() {
		throw(fault.Corrupt, "it has no keys and values, or not as many of both")
	}
	e.index(keys)
	e.other, _ = a["default_tensor"].(*Tensor)
	if e.other == nil {
		switch e.values.Data.(type) {
		case []string:
			e.other = New([]string{"_Unused"})
			if v, ok := a["default_string"].(string); ok {
				e.other = New([]string{v})
			}
		case []int64:
			e.other = New([]int64{a.Int("default_int64", -1)})
		case []float32:
			// The default of the operator is -0.
			e.other = New([]float32{a.Float("default_float", float32(math.Copysign(0, -1)))})
		default:
			zero, ok := castTensor(New([]int64{0}), e.values.Type(), false)
			if !ok {
				throw(fault.Corrupt, "values of %s", kindName(e.values))
			}
			e.other = zero
		}
	}
	if e.other.Type() != e.values.Type() || e.other.Len() < 1 {
		throw(fault.Corrupt, "a default of %s for values of %s", kindName(e.other), kindName(e.values))
	}
	return e
}

func listOf(a attributes, names ...string) *Tensor {
	for _, name := range names {
		switch v := a[name].(type) {
		case []string:
			return New(v, len(v))
		case []int64:
			return New(v, len(v))
		case []float32:
			return New(v, len(v))
		}
	}
	return nil
}

// index puts the keys into the map of their type. The first of equal keys counts, as in onnxruntime.
func (e *codes) index(keys *Tensor) {
	switch d := keys.Data.(type) {
	case []string:
		e.texts = map[string]int{}
		for i, k := range d {
			if _, there := e.texts[k]; !there {
				e.texts[k] = i
			}
		}
	case []float32, []float64:
		e.reals = map[float64]int{}
		for i, k := range as[float64](keys) {
			if k != k {
				e.missing = i
				continue
			}
			if _, there := e.reals[k]; !there {
				e.reals[k] = i
			}
		}
	default:
		e.wholes = map[int64]int{}
		for i, k := range as[int64](keys) {
			if _, there := e.wholes[k]; !there {
				e.wholes[k] = i
			}
		}
	}
}

// oldLabelEncoder is the encoder of opset 1: texts become their place among the classes, and places the texts.
func oldLabelEncoder(a attributes, list []string) any {
	e := &codes{missing: -1, values: New(list, len(list))}
	e.index(e.values)
	e.other = New([]string{"_Unused"})
	if v, ok := a["default_string"].(string); ok {
		e.other = New([]string{v})
	}
	places := make([]int64, len(list))
	e.wholes = map[int64]int{}
	for i := range places {
		places[i] = int64(i)
		e.wholes[int64(i)] = i
	}
	return &[2]*codes{{texts: e.texts, missing: -1, values: New(places, len(places)), other: New([]int64{a.Int("default_int64", -1)})},
		{wholes: e.wholes, missing: -1, values: e.values, other: e.other}}
}

func labelEncoder(c *call) {
	t := c.arg(0)
	e, ok := c.prepared.(*codes)
	if !ok {
		both := c.prepared.(*[2]*codes)
		e = both[1]
		if t.Type() == tensor.String {
			e = both[0]
		}
	}
	e.encode(c, t)
}

func (e *codes) encode(c *call, t *Tensor) {
	var find func(i int) (int, bool)
	switch d := t.Data.(type) {
	case []string:
		if e.texts == nil {
			wrongType(t)
		}
		find = func(i int) (int, bool) { p, ok := e.texts[d[i]]; return p, ok }
	case []float32, []float64:
		values := as[float64](t)
		if e.reals == nil {
			wrongType(t)
		}
		find = func(i int) (int, bool) {
			if values[i] != values[i] {
				return e.missing, e.missing >= 0
			}
			p, ok := e.reals[values[i]]
			return p, ok
		}
	default:
		values := as[int64](t)
		if e.wholes == nil {
			wrongType(t)
		}
		find = func(i int) (int, bool) { p, ok := e.wholes[values[i]]; return p, ok }
	}
	out := c.made(0, e.values.Type(), t.Shape...)
	put, otherwise := blocks(out, e.values), blocks(out, e.other)
	for i := range out.Len() {
		if p, ok := find(i); ok {
			put(i, p, 1)
		} else {
			otherwise(i, 0, 1)
		}
	}
}

func newCategoryMapper(n *node) any {
	names, numbers := n.attr.Texts("cats_strings"), n.attr.Ints("cats_int64s")
	if len(names) != len(numbers) {
		throw(fault.Corrupt, "%d names for %d numbers", len(names), len(numbers))
	}
	toNumber := &codes{missing: -1, values: New(numbers, len(numbers)), other: New([]int64{n.attr.Int("default_int64", -1)})}
	toNumber.index(New(names, len(names)))
	word := "_Unused"
	if v, ok := n.attr["default_string"].(string); ok {
		word = v
	}
	toName := &codes{missing: -1, values: New(names, len(names)), other: New([]string{word})}
	toName.index(New(numbers, len(numbers)))
	return &[2]*codes{toNumber, toName}
}

func categoryMapper(c *call) {
	both := c.prepared.(*[2]*codes)
	if c.arg(0).Type() == tensor.String {
		both[0].encode(c, c.arg(0))
	} else {
		both[1].encode(c, c.arg(0))
	}
}

type oneHotCodes struct {
	codes
	width int
	zeros bool
}

func newOneHot(n *node) any {
	e := &oneHotCodes{zeros: n.attr.Int("zeros", 1) != 0}
	e.missing = -1
	keys := listOf(n.attr, "cats_strings", "cats_int64s")
	if keys == nil {
		throw(fault.Corrupt, "it has no categories")
	}
	e.width = keys.Len()
	e.index(keys)
	return e
}

func oneHot(c *call) {
	e, t := c.prepared.(*oneHotCodes), c.arg(0)
	out := alloc[float32](c, 0, append(slices.Clone(t.Shape), e.width)...)
	set := func(i, at int, known bool) {
		if !known && !e.zeros {
			throw(fault.Invalid, "value %d is none of the %d that it knows", i, e.width)
		}
		if known {
			out[i*e.width+at] = 1
		}
	}
	if e.texts != nil {
		for i, w := range words(t) {
			at, known := e.texts[w]
			set(i, at, known)
		}
		return
	}
	for i, v := range as[int64](t) {
		at, known := e.wholes[v]
		set(i, at, known)
	}
}

func dictVectorizer(c *call) {
	both := elementsOf(c.arg(0))
	if len(both) != 2 || len(both[0].Shape) != 1 || both[0].Len() != both[1].Len() {
		throw(fault.Invalid, "a map has as many keys as values")
	}
	keys, values := both[0], both[1]
	e := &codes{missing: -1}
	vocabulary := listOf(c.attr, "string_vocabulary", "int64_vocabulary")
	if vocabulary == nil {
		throw(fault.Corrupt, "it has no vocabulary")
	}
	e.index(vocabulary)
	out := c.made(0, values.Type(), 1, vocabulary.Len())
	put := blocks(out, values)
	for i := range keys.Len() {
		at, ok := 0, false
		switch d := keys.Data.(type) {
		case []string:
			at, ok = e.texts[d[i]]
		case []int64:
			at, ok = e.wholes[d[i]]
		}
		if ok {
			put(at, i, 1)
		}
	}
}

func featureVectorizer(c *call) {
	width := 0
	for i := range c.in {
		width += cols(c.arg(i))
	}
	n := rows(c.arg(0))
	out := alloc[float32](c, 0, n, width)
	begin := 0
	for _, t := range c.in {
		if rows(t) != n {
			throw(fault.Invalid, "it joins %d and %d rows", n, rows(t))
		}
		values, w := as[float32](t), cols(t)
		for i := range n {
			copy(out[i*width+begin:], values[i*w:(i+1)*w])
		}
		begin += w
	}
}

func extractor(c *call) {
	t, places := c.arg(0), as[int64](c.arg(1))
	last := len(t.Shape) - 1
	if last < 0 {
		throw(fault.Invalid, "it takes columns of a single value")
	}
	for _, p := range places {
		if p < 0 {
			throw(fault.Invalid, "place %d", p)
		}
	}
	form := []int{len(places)}
	if last == 0 {
		form = []int{1, len(places)}
	}
	c.gather(t, places, form, last)
}
