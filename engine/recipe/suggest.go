package recipe

import (
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// suggest adds "did you mean" to f when one of the choices is close to what was written, else the choices when they are few.
func suggest(f *fault.Error, written string, choices []string) *fault.Error {
	best, bestDistance := "", len([]rune(written))/3+2
	for _, c := range choices {
		if d := editDistance(strings.ToLower(written), strings.ToLower(c), bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	switch {
	case best != "":
		f.WithHint("did you mean %s?", best)
	case len(choices) > 0 && len(choices) <= 30:
		f.WithHint("there are: %s", strings.Join(choices, ", "))
	}
	return f
}

// editDistance is Levenshtein's distance between a and b in runes, or limit when it is that or more.
func editDistance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range y {
			cost := diagonal
			if r != s {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return min(row[len(y)], limit)
}
