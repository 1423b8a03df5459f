package graph

import (
	"encoding/binary"
	"math"
	"math/bits"
	"regexp"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var tokens = map[string]operator{
	"com.microsoft.Tokenizer":   {prepare: newTokenizer, run: tokenize},
	"com.microsoft.MurmurHash3": {run: murmur},
}

// Texts begin and end with these where a tokenizer marks them.
const (
	textBegins = "\x02"
	textEnds   = "\x03"
)

type tokenizer struct {
	separators []*regexp.Regexp
	tokens     *regexp.Regexp
	letters    bool // each letter is a token
	mark       bool
	pad        string
	shortest   int
	stop       map[string]bool
}

func newTokenizer(n *node) any {
	t := &tokenizer{mark: n.attr.Int("mark", 0) != 0, pad: n.attr.Text("pad_value"), shortest: int(n.attr.Int("mincharnum", 1)), stop: map[string]bool{}}
	for _, w := range n.attr.Texts("stopwords") {
		t.stop[w] = true
	}
	separators := n.attr.Texts("separators")
	switch pattern := n.attr.Text("tokenexp"); {
	case pattern != "":
		t.tokens = expression(pattern)
	case len(separators) == 1 && separators[0] == "":
		t.letters = true
	case len(separators) > 0:
		for _, s := range separators {
			if s == "" {
				throw(fault.Corrupt, "an empty separator among others")
			}
			t.separators = append(t.separators, expression(s))
		}
	default:
		throw(fault.Corrupt, "it has neither separators nor an expression of tokens")
	}
	return t
}

func (t *tokenizer) split(w string) []string {
	var parts []string
	switch {
	case t.letters:
		for _, r := range w {
			parts = append(parts, string(r))
		}
	case t.tokens != nil:
		parts = t.tokens.FindAllString(w, -1)
	default:
		parts = []string{w}
		for _, s := range t.separators {
			next := []string{}
			for _, p := range parts {
				next = append(next, s.Split(p, -1)...)
			}
			parts = next
		}
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" || runes(p) < t.shortest || t.stop[p] })
}

func tokenize(c *call) {
	t, in := c.prepared.(*tokenizer), c.arg(0)
	if len(in.Shape) != 1 && len(in.Shape) != 2 {
		throw(fault.Invalid, "it splits texts of %d dimensions", len(in.Shape))
	}
	all := words(in)
	parts, widest, total := make([][]string, len(all)), 0, 0
	for i, w := range all {
		c.space(16, []int{len(w)})
		parts[i] = t.split(w)
		widest = max(widest, len(parts[i]))
		total += len(parts[i])
	}
	begin := 0
	if t.mark && total > 0 {
		widest += 2
		begin = 1
	}
	out := alloc[string](c, 0, append(slices.Clone(in.Shape), widest)...)
	for i, p := range parts {
		row := out[i*widest : (i+1)*widest]
		for k := range row {
			row[k] = t.pad
		}
		if begin == 1 {
			row[0], row[len(p)+1] = textBegins, textEnds
		}
		copy(row[begin:], p)
	}
}

// murmur is MurmurHash3_x86_32 (Austin Appleby, public domain) of texts or of the bytes of numbers.
func murmur(c *call) {
	t := c.arg(0)
	seed := uint32(c.attr.Int("seed", 0))
	hash := make([]uint32, t.Len())
	le := binary.LittleEndian
	b := make([]byte, 0, 8)
	for i := range hash {
		switch d := t.Data.(type) {
		case []string:
			b = append(b[:0], d[i]...)
		case []int32:
			b = le.AppendUint32(b[:0], uint32(d[i]))
		case []uint32:
			b = le.AppendUint32(b[:0], d[i])
		case []int64:
			b = le.AppendUint64(b[:0], uint64(d[i]))
		case []uint64:
			b = le.AppendUint64(b[:0], d[i])
		case []float32:
			b = le.AppendUint32(b[:0], math.Float32bits(d[i]))
		case []float64:
			b = le.AppendUint64(b[:0], math.Float64bits(d[i]))
		default:
			wrongType(t)
		}
		hash[i] = murmur32(b, seed)
	}
	if c.attr.Int("positive", 1) != 0 {
		copy(c.made(0, tensor.Uint32, t.Shape...).Data.([]uint32), hash)
		return
	}
	for i, out := 0, alloc[int32](c, 0, t.Shape...); i < len(out); i++ {
		out[i] = int32(hash[i])
	}
}

func murmur32(b []byte, seed uint32) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h, n := seed, uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * c1
		h ^= bits.RotateLeft32(k, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	k := uint32(0)
	for i := len(b) - 1; i >= 0; i-- {
		k = k<<8 | uint32(b[i])
	}
	if len(b) > 0 {
		h ^= bits.RotateLeft32(k*c1, 15) * c2
	}
	h ^= n
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}
