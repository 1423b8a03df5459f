package metric

import (
	"cmp"
	"slices"
	"strconv"
)

// Label is the name of a class: a number or a text. Labels are comparable; a NaN number equals nothing.
type Label struct {
	text   string
	number float64
	isText bool
}

// Number is the label of a class that is a number.
func Number(v float64) Label { return Label{number: v + 0} }

// Text is the label of a class that is a text.
func Text(s string) Label { return Label{text: s, isText: true} }

// Numeric is the label's number and whether it has one.
func (l Label) Numeric() (float64, bool) { return l.number, !l.isText }

// String is the text, or the number in its shortest form.
func (l Label) String() string {
	if l.isText {
		return l.text
	}
	return strconv.FormatFloat(l.number, 'g', -1, 64)
}

// Compare orders labels: numbers ascending, then texts by their bytes.
func Compare(a, b Label) int {
	switch {
	case a.isText != b.isText:
		if a.isText {
			return 1
		}
		return -1
	case a.isText:
		return cmp.Compare(a.text, b.text)
	}
	return cmp.Compare(a.number, b.number)
}

// Classes is the distinct labels of all lists, in order.
func Classes(lists ...[]Label) []Label {
	seen := map[Label]bool{}
	var out []Label
	for _, list := range lists {
		for _, l := range list {
			if !seen[l] {
				seen[l] = true
				out = append(out, l)
			}
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

// Codes is the place of each label among the classes; -1 for a label that is none of them.
func Codes(classes, labels []Label) []int {
	at := make(map[Label]int, len(classes))
	for i, l := range classes {
		at[l] = i
	}
	out := make([]int, len(labels))
	for i, l := range labels {
		j, ok := at[l]
		if !ok {
			j = -1
		}
		out[i] = j
	}
	return out
}
