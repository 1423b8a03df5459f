package term

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// gap is the space between two columns of a table on a terminal.
const gap = 2

// least is the width under which a column is not cut.
const least = 8

var (
	escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")
	number  = regexp.MustCompile(`^[-+]?[0-9][0-9.,]*( ?[%A-Za-zµ]{0,5})?$`)
	breaks  = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
)

// Table writes rows under headers: aligned and cut to the width on a terminal, else tab-separated and whole.
// Columns in which every filled cell is a number are aligned to the right.
func (s *IO) Table(headers []string, rows [][]string) {
	if !s.TTY {
		writeTSV(s.Out, headers, rows)
		return
	}
	widths := make([]int, len(headers))
	right := make([]bool, len(headers))
	for j, header := range headers {
		widths[j] = width(header)
		right[j] = true
		filled := false
		for _, row := range rows {
			cell := cellAt(row, j)
			widths[j] = max(widths[j], width(cell))
			if bare := escapes.ReplaceAllString(cell, ""); bare != "" && bare != "-" {
				filled = true
				right[j] = right[j] && number.MatchString(bare)
			}
		}
		right[j] = right[j] && filled
	}
	s.fit(widths)
	line := func(row []string, style func(string) string) {
		var b strings.Builder
		for j := range headers {
			cell := cut(cellAt(row, j), widths[j])
			pad := strings.Repeat(" ", widths[j]-width(cell))
			if right[j] {
				cell = pad + cell
			} else if j < len(headers)-1 {
				cell += pad
			}
			if j > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			b.WriteString(cell)
		}
		fmt.Fprintln(s.Out, style(strings.TrimRight(b.String(), " ")))
	}
	line(headers, s.Dim)
	for _, row := range rows {
		line(row, func(text string) string { return text })
	}
}

// fit takes from the widest column until the table is as wide as the terminal.
func (s *IO) fit(widths []int) {
	if s.Width == 0 {
		return
	}
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > s.Width; total-- {
		widest := 0
		for j, w := range widths {
			if w > widths[widest] {
				widest = j
			}
		}
		if widths[widest] <= least {
			return
		}
		widths[widest]--
	}
}

func cellAt(row []string, j int) string {
	if j >= len(row) {
		return ""
	}
	return breaks.Replace(row[j])
}

// width is the number of runes that show.
func width(cell string) int { return utf8.RuneCountInString(escapes.ReplaceAllString(cell, "")) }

// cut shortens a cell to w runes with an ellipsis. A cut cell loses its colour.
func cut(cell string, w int) string {
	if width(cell) <= w {
		return cell
	}
	return string([]rune(escapes.ReplaceAllString(cell, ""))[:w-1]) + "…"
}

func writeTSV(w io.Writer, headers []string, rows [][]string) {
	line := func(row []string) {
		cells := make([]string, len(headers))
		for j := range headers {
			cells[j] = escapes.ReplaceAllString(cellAt(row, j), "")
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line(headers)
	for _, row := range rows {
		line(row)
	}
}

// Fields writes names and values, one pair to a line: what `show` commands print.
func (s *IO) Fields(pairs ...[2]string) {
	wide := 0
	for _, pair := range pairs {
		wide = max(wide, width(pair[0]))
	}
	for _, pair := range pairs {
		if !s.TTY {
			fmt.Fprintf(s.Out, "%s\t%s\n", pair[0], escapes.ReplaceAllString(breaks.Replace(pair[1]), ""))
			continue
		}
		fmt.Fprintf(s.Out, "%s%s  %s\n", s.Dim(pair[0]), strings.Repeat(" ", wide-width(pair[0])), pair[1])
	}
}
