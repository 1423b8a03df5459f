package graph

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var texts = map[string]operator{
	"StringNormalizer": {prepare: newStringNormalizer, run: stringNormalizer},
	"StringConcat":     {run: stringConcat},
	"StringSplit":      {run: stringSplit},
	"RegexFullMatch":   {prepare: func(n *node) any { return expression("^(?:" + n.attr.Text("pattern") + ")$") }, run: regexFullMatch},
	"TfIdfVectorizer":  {prepare: newTfIdf, run: tfIdf},
}

func words(t *Tensor) []string {
	d, ok := t.Data.([]string)
	if !ok {
		wrongType(t)
	}
	return d
}

func expression(pattern string) *regexp.Regexp {
	r, err := regexp.Compile(pattern)
	if err != nil {
		throw(fault.FormatNotServed, "the expression %.100q is not evaluated here: %v", pattern, err)
	}
	return r
}

// normalizer drops stop words and changes the case. The locale of the file is not needed: letters are Unicode's.
type textNormalizer struct {
	change string
	stop   map[string]bool
	fold   bool
}

func newStringNormalizer(n *node) any {
	s := &textNormalizer{change: n.attr.Text("case_change_action"), stop: map[string]bool{}, fold: n.attr.Int("is_case_sensitive", 0) == 0}
	if s.change == "" {
		s.change = n.attr.Text("casechangeaction")
	}
	for _, w := range n.attr.Texts("stopwords") {
		if s.fold {
			w = strings.ToLower(w)
		}
		s.stop[w] = true
	}
	return s
}

func (s *textNormalizer) changed(w string) string {
	switch s.change {
	case "LOWER":
		return strings.ToLower(w)
	case "UPPER":
		return strings.ToUpper(w)
	}
	return w
}

func stringNormalizer(c *call) {
	s, t := c.prepared.(*textNormalizer), c.arg(0)
	in := words(t)
	if len(s.stop) == 0 {
		out := alloc[string](c, 0, t.Shape...)
		for i, w := range in {
			out[i] = s.changed(w)
		}
		return
	}
	if len(t.Shape) == 0 || len(t.Shape) > 2 || len(t.Shape) == 2 && t.Shape[0] != 1 {
		throw(fault.Invalid, "it drops words of one row, not of %v", slices.Clone(t.Shape))
	}
	kept := []string{}
	for _, w := range in {
		key := w
		if s.fold {
			key = strings.ToLower(w)
		}
		if !s.stop[key] {
			kept = append(kept, s.changed(w))
		}
	}
	if len(kept) == 0 {
		kept = []string{""}
	}
	shape := slices.Clone(t.Shape)
	shape[len(shape)-1] = len(kept)
	copy(alloc[string](c, 0, shape...), kept)
}

func stringConcat(c *call) {
	a, b := c.arg(0), c.arg(1)
	shape, s := spreadOver(a.Shape, b.Shape)
	zip(&s, alloc[string](c, 0, shape...), words(a), words(b), func(x, y string) string { return x + y })
}

func stringSplit(c *call) {
	t := c.arg(0)
	most := int(c.attr.Int("maxsplit", -1))
	delimiter := c.attr.Text("delimiter")
	in := words(t)
	parts, widest := make([][]string, len(in)), 0
	counts := alloc[int64](c, 1, t.Shape...)
	for i, w := range in {
		switch {
		case delimiter == "":
			parts[i] = fieldsOf(w, most)
		case w != "":
			parts[i] = strings.SplitN(w, delimiter, limit(most))
		}
		counts[i] = int64(len(parts[i]))
		widest = max(widest, len(parts[i]))
	}
	out := alloc[string](c, 0, append(slices.Clone(t.Shape), widest)...)
	for i, p := range parts {
		copy(out[i*widest:], p)
	}
}

func limit(most int) int {
	if most < 0 {
		return -1
	}
	return most + 1
}

// fieldsOf splits at white space; what is left after most splits stays whole.
func fieldsOf(w string, most int) []string {
	all := strings.Fields(w)
	if most < 0 || len(all) <= most+1 {
		return all
	}
	rest := strings.TrimSpace(w)
	for range most {
		at := strings.IndexAny(rest, " \t\n\v\f\r")
		rest = strings.TrimLeft(rest[at:], " \t\n\v\f\r")
	}
	return append(all[:most:most], rest)
}

func regexFullMatch(c *call) {
	t := c.arg(0)
	out := alloc[bool](c, 0, t.Shape...)
	for i, w := range words(t) {
		out[i] = c.prepared.(*regexp.Regexp).MatchString(w)
	}
}

// grams is a tree of n-grams: the next word leads on, and id is the place of the gram that ends here.
type grams struct {
	next map[string]*grams
	id   int // -1 for none
}

type tfIdfSettings struct {
	root             grams
	ints             bool
	shortest, widest int
	skips            int
	mode             string
	places           []int64 // per gram, where it is counted
	weights          []float32
	width            int
}

func newTfIdf(n *node) any {
	s := &tfIdfSettings{root: grams{id: -1}, shortest: int(n.attr.Int("min_gram_length", 1)), widest: int(n.attr.Int("max_gram_length", 1)),
		skips: int(n.attr.Int("max_skip_count", 0)), mode: n.attr.Text("mode"), places: n.attr.Ints("ngram_indexes"), weights: n.attr.Floats("weights")}
	pool := n.attr.Texts("pool_strings")
	if pool == nil {
		pool, s.ints = textsOf(n.attr.Ints("pool_int64s")), true
	}
	if s.shortest < 1 || s.widest < s.shortest || s.skips < 0 || s.mode != "TF" && s.mode != "IDF" && s.mode != "TFIDF" {
		throw(fault.Corrupt, "grams of %d to %d words, counted as %q", s.shortest, s.widest, s.mode)
	}
	for _, p := range s.places {
		if p < 0 || p > 1<<28 {
			throw(fault.Corrupt, "a gram is counted at %d", p)
		}
		s.width = max(s.width, int(p)+1)
	}
	starts := n.attr.Ints("ngram_counts")
	id := 0
	for k, from := range starts {
		to := int64(len(pool))
		if k+1 < len(starts) {
			to = starts[k+1]
		}
		if from < 0 || from > to || to > int64(len(pool)) || (to-from)%int64(k+1) != 0 {
			throw(fault.Corrupt, "the pool of grams of %d words goes from %d to %d", k+1, from, to)
		}
		for at := from; at < to; at += int64(k + 1) {
			if k+1 >= s.shortest && k+1 <= s.widest {
				s.root.add(pool[at:at+int64(k)+1], id)
			}
			id++
		}
	}
	if id > len(s.places) || s.weights != nil && len(s.weights) < len(s.places) {
		throw(fault.Corrupt, "%d grams with %d places and %d weights", id, len(s.places), len(s.weights))
	}
	return s
}

func (g *grams) add(gram []string, id int) {
	for _, w := range gram {
		if g.next == nil {
			g.next = map[string]*grams{}
		}
		if g.next[w] == nil {
			g.next[w] = &grams{id: -1}
		}
		g = g.next[w]
	}
	g.id = id
}

func tfIdf(c *call) {
	s, t := c.prepared.(*tfIdfSettings), c.arg(0)
	var in []string
	if s.ints {
		in = textsOf(as[int64](t))
	} else {
		in = words(t)
	}
	n, width := 1, t.Len()
	shape := []int{s.width}
	if len(t.Shape) == 2 {
		n, width = t.Shape[0], t.Shape[1]
		shape = []int{n, s.width}
	} else if len(t.Shape) != 1 {
		throw(fault.Invalid, "it counts the words of %v", slices.Clone(t.Shape))
	}
	c.work(t.Len(), s.skips+1, s.widest)
	out := alloc[float32](c, 0, shape...)
	for i := range n {
		row := out[i*s.width : (i+1)*s.width]
		s.count(in[i*width:(i+1)*width], row)
		for k, v := range row {
			switch {
			case s.mode == "IDF" && v > 0 && s.weights != nil:
				row[k] = s.weights[k]
			case s.mode == "IDF" && v > 0:
				row[k] = 1
			case s.mode == "TFIDF" && s.weights != nil:
				row[k] *= s.weights[k]
			}
		}
	}
}

// count adds up the grams of a row. Single words are counted once, however many words may be skipped.
func (s *tfIdfSettings) count(in []string, into []float32) {
	shortest := s.shortest
	for apart := 1; apart <= s.skips+1; apart++ {
		for first := 0; first+apart*(shortest-1) < len(in); first++ {
			g := &s.root
			for n, at := 1, first; n <= s.widest && at < len(in); n, at = n+1, at+apart {
				if g = g.next[in[at]]; g == nil {
					break
				}
				if n >= shortest && g.id >= 0 {
					into[s.places[g.id]]++
				}
			}
		}
		if shortest == 1 {
			if shortest++; shortest > s.widest {
				break
			}
		}
	}
}

func runes(w string) int { return utf8.RuneCountInString(w) }
