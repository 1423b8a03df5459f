package graph

import (
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// equation is Einstein's summation: a letter for each dimension of each operand, and the letters that remain. The dimensions that an
// ellipsis stands for have the letters 'A'+128 and on, counted from the last.
type equation struct {
	operands []string
	result   string
	explicit bool
}

func newEinsum(text string) *equation {
	text = strings.ReplaceAll(text, " ", "")
	left, right, explicit := strings.Cut(text, "->")
	e := &equation{operands: strings.Split(left, ","), result: right, explicit: explicit}
	for _, part := range append(slices.Clone(e.operands), right) {
		letters := strings.Replace(part, "...", "", 1)
		if strings.IndexFunc(letters, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) >= 0 {
			throw(fault.Corrupt, "the equation %q", text)
		}
	}
	return e
}

// letters spells out the ellipsis of an operand of rank dimensions.
func letters(part string, rank int) []rune {
	before, after, found := strings.Cut(part, "...")
	if !found {
		return []rune(part)
	}
	out := []rune(before)
	for i := rank - len(before) - len(after); i > 0; i-- {
		out = append(out, rune(1000+i))
	}
	return append(out, []rune(after)...)
}

func einsum(c *call) {
	e := c.prepared.(*equation)
	if len(e.operands) != len(c.in) {
		throw(fault.Invalid, "%d operands for %d inputs", len(e.operands), len(c.in))
	}
	sizes, count := map[rune]int{}, map[rune]int{}
	order := []rune{}
	names := make([][]rune, len(c.in))
	ellipsis := 0
	for k, part := range e.operands {
		shape := c.arg(k).Shape
		names[k] = letters(part, len(shape))
		if len(names[k]) != len(shape) {
			throw(fault.Invalid, "the operand %s has %d dimensions", part, len(shape))
		}
		if strings.Contains(part, "...") {
			ellipsis = max(ellipsis, len(shape)-len(part)+3)
		}
		for i, letter := range names[k] {
			if n, seen := sizes[letter]; seen && n != shape[i] && n != 1 && shape[i] != 1 {
				throw(fault.Invalid, "the dimension %c is %d and %d", letter, n, shape[i])
			} else if !seen {
				order = append(order, letter)
			}
			if sizes[letter] == 0 || sizes[letter] == 1 {
				sizes[letter] = shape[i]
			}
			count[letter]++
		}
	}
	result := e.result
	if !e.explicit { // letters that come once, in alphabetical order, after the ellipsis
		rest := []rune{}
		for _, letter := range order {
			if letter < 1000 && count[letter] == 1 {
				rest = append(rest, letter)
			}
		}
		slices.Sort(rest)
		if ellipsis > 0 {
			result = "..."
		}
		result += string(rest)
	}
	kept := letters(result, ellipsis+len(strings.Replace(result, "...", "", 1)))
	shape, loops := []int{}, []int{}
	all := slices.Clone(kept)
	for _, letter := range kept {
		n, ok := sizes[letter]
		if !ok {
			throw(fault.Corrupt, "the result has the dimension %c, which no operand has", letter)
		}
		shape = append(shape, n)
	}
	for _, letter := range order {
		if !slices.Contains(kept, letter) {
			all = append(all, letter)
		}
	}
	for _, letter := range all {
		loops = append(loops, sizes[letter])
	}
	c.work(append(slices.Clone(loops), len(c.in))...)
	s := spread{shape: slices.Clone(loops)}
	values := make([][]float64, len(c.in))
	for k, t := range c.in {
		values[k] = as[float64](t)
		step := strides(t.Shape)
		steps := make([]int, len(all))
		for i, letter := range names[k] {
			if t.Shape[i] != 1 {
				steps[slices.Index(all, letter)] += step[i]
			}
		}
		s.steps = append(s.steps, steps)
	}
	out := make([]float64, c.space(8, shape))
	inner := size(loops[len(kept):])
	// Innermost loops are sums where there is one: a result's terms come one after the other.
	s.runs(func(at, n int, from, steps []int) {
		for i := range n {
			p := 1.0
			for k := range values {
				p *= values[k][from[k]+i*steps[k]]
			}
			out[(at+i)/max(inner, 1)] += p
		}
	})
	c.like(0, c.arg(0), out, shape...)
}
