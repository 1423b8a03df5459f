package compare

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// drawing writes an SVG of lines and words.
type drawing struct{ strings.Builder }

func (s *drawing) open(width, height float64, label string) {
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s" `+
		`stroke="currentColor" fill="currentColor" font-family="system-ui, sans-serif" font-size="13">`+"\n",
		width, height, escape(label))
}

func (s *drawing) line(x1, y1, x2, y2, thick float64) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke-width="%.1f"/>`+"\n", x1, y1, x2, y2, thick)
}

func (s *drawing) text(x, y float64, anchor, words string) {
	const most = 24
	if utf8.RuneCountInString(words) > most {
		r := []rune(words)
		words = string(r[:most/2]) + "…" + string(r[len(r)-most/2+1:])
	}
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s" stroke="none">%s</text>`+"\n", x, y, anchor, escape(words))
}

func (s *drawing) close() string {
	s.WriteString("</svg>\n")
	return s.String()
}

// escape makes text safe in XML, which knows no control characters.
func escape(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text))
}
