package project

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxMistakes is how many mistakes of a file are told at once.
const maxMistakes = 20

// Mistake is one thing wrong with a file, as Details["errors"] of the fault lists them.
type Mistake struct {
	Code     fault.Code     `json:"code"`
	Message  string         `json:"message"`
	Hint     string         `json:"hint,omitempty"`
	Position fault.Position `json:"position"`
}

// faults collects the mistakes of one file.
type faults struct {
	list []*fault.Error
}

// maxCollected bounds the mistakes looked at, and maxMessage the bytes of each, so that a hostile file costs little.
const (
	maxCollected = 200
	maxMessage   = 500
)

// add records a mistake; beyond the bound it is dropped.
func (f *faults) add(e *fault.Error) {
	if len(f.list) >= maxCollected {
		return
	}
	e.Message, e.Hint = clip(e.Message), clip(e.Hint)
	f.list = append(f.list, e)
}

func clip(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}

// err is nil, or one fault: a single mistake as it is, several as a list in the order of the file. It is
// not_supported_yet only when every mistake is.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b *fault.Error) int {
		if a.Position.Line != b.Position.Line {
			return a.Position.Line - b.Position.Line
		}
		return a.Position.Column - b.Position.Column
	})
	all := slices.CompactFunc(f.list, func(a, b *fault.Error) bool {
		return a.Position == b.Position && a.Message == b.Message
	})
	total := len(all)
	shown := all[:min(total, maxMistakes)]
	code := fault.NotSupported
	mistakes := make([]Mistake, 0, len(shown))
	for _, e := range shown {
		mistakes = append(mistakes, Mistake{Code: e.Code, Message: e.Message, Hint: e.Hint, Position: e.Position})
	}
	for _, e := range all {
		if e.Code != fault.NotSupported {
			code = fault.Invalid
		}
	}
	if total == 1 {
		one := *shown[0]
		return one.With("errors", mistakes)
	}
	var b strings.Builder
	if len(f.list) >= maxCollected {
		b.WriteString("more than ")
	}
	fmt.Fprintf(&b, "%d mistakes", total)
	if total > len(shown) {
		fmt.Fprintf(&b, ", the first %d", len(shown))
	}
	b.WriteByte(':')
	for _, e := range shown {
		fmt.Fprintf(&b, "\n  %s: %s", e.Position, e.Message)
		if e.Hint != "" {
			fmt.Fprintf(&b, "\n    hint: %s", e.Hint)
		}
	}
	return fault.New(code, "%s", b.String()).At(shown[0].Position).With("errors", mistakes)
}

// nearest is the candidate closest to the word by edit distance with swaps, when it is close enough to be a slip:
// a third of the letters at most, rounded.
func nearest(word string, candidates []string) (string, bool) {
	best, bestDistance := "", (len(word)+1)/3+1
	lower := strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	for _, c := range candidates {
		if d := editDistance(lower, strings.ToLower(strings.ReplaceAll(c, "-", "_"))); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best, best != ""
}

// editDistance is the optimal string alignment distance: insert, delete, replace, swap neighbours.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 20 // no slip in so long a word is looked for
	}
	var rows [3][65]int
	before, last, next := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(last[j+1]+1, next[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(b)]
}

// meant is the hint for an unknown word: the nearest one, or all of them when they are few.
func meant(word string, candidates []string) string {
	if n, ok := nearest(word, candidates); ok {
		return fmt.Sprintf("did you mean %s?", n)
	}
	if len(candidates) == 0 {
		return ""
	}
	if len(candidates) > 24 {
		return "one of the names that the reference lists (docs/trimtab-yaml.md)"
	}
	return "one of " + strings.Join(candidates, ", ")
}
