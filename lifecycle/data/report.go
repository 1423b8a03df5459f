package data

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
)

//go:embed report.html
var reportSource string

var reportPage = template.Must(template.New("report").Parse(reportSource))

// reportColumns bounds the report: a wider table shows its first columns in full and names the rest.
const reportColumns = 80

// report is what the page shows.
type report struct {
	Version *Version
	Profile *Profile
	Facts   []fact
	Columns []columnReport
	Rest    []string // names of columns beyond reportColumns
}

type fact struct{ Name, Value string }

type columnReport struct {
	*ColumnProfile
	Sub     string // kind and what qualifies it
	Notes   []string
	Facts   []fact
	Chart   template.HTML
	Caption string
	Top     []topRow
}

type topRow struct {
	Value string
	Count string
	Share string
	Width int // percent
}

// ReportHTML writes the profile of a version as one page that needs nothing else: no script, no font, no network. It shows counts,
// never a row; it follows the reader's light or dark theme; it stays under 300 KB, whatever the table.
func (s *Service) ReportHTML(v *Version, p *Profile, w io.Writer) error {
	page := report{Version: v, Profile: p, Facts: []fact{
		{"rows", count(p.Rows)}, {"columns", count(int64(len(p.Columns)))}, {"in quarantine", count(v.Quarantined)},
		{"parts", count(int64(len(v.Parts)))}, {"stored", megabytes(v.Bytes)}, {"as of", v.AsOf.UTC().Format("2006-01-02 15:04 UTC")},
	}}
	for i := range p.Columns {
		if i >= reportColumns {
			page.Rest = append(page.Rest, short(p.Columns[i].Name))
			continue
		}
		c := p.Columns[i]
		c.Name = short(c.Name)
		page.Columns = append(page.Columns, reportColumn(&c, p.Rows))
	}
	return reportPage.Execute(w, page)
}

func reportColumn(c *ColumnProfile, rows int64) columnReport {
	out := columnReport{ColumnProfile: c, Sub: string(c.Kind)}
	if c.Unit != "" {
		out.Sub += ", " + c.Unit
	}
	if c.Kind == table.Datetime {
		out.Sub += ", UTC"
	}
	if c.Personal != "" {
		out.Sub += ", personal: " + c.Personal
	}
	approximately := "about "
	if c.DistinctExact {
		approximately = ""
	}
	out.Facts = append(out.Facts, fact{"missing", fmt.Sprintf("%s (%s)", count(c.Nulls), percent(c.Nulls, rows))},
		fact{"distinct", approximately + count(c.Distinct)})
	value := func(f *float64) string {
		if f == nil {
			return "–"
		}
		if c.Kind == table.Datetime {
			return showTime(*f)
		}
		return significant(*f)
	}
	if c.Kind == table.Double || c.Kind == table.Long {
		out.Facts = append(out.Facts, fact{"mean", value(c.Mean)}, fact{"sd", value(c.SD)}, fact{"skewness", value(c.Skewness)})
	}
	if c.Kind == table.Boolean && c.Mean != nil {
		out.Facts = append(out.Facts, fact{"true", fmt.Sprintf("%.1f %%", 100**c.Mean)})
	}
	if len(c.Quantiles) > 0 && c.Kind != table.Boolean {
		names := map[float64]string{0: "least", 0.25: "25 %", 0.5: "median", 0.75: "75 %", 0.99: "99 %", 1: "greatest"}
		for _, q := range c.Quantiles {
			if name := names[q.P]; name != "" {
				out.Facts = append(out.Facts, fact{name, value(&q.Value)})
			}
		}
	}
	out.Notes = columnNotes(c, rows)
	if c.Histogram != nil && c.Kind != table.Boolean {
		out.Chart = histogramSVG(c, value)
		out.Caption = fmt.Sprintf("n = %s", count(c.Count))
		if h := c.Histogram; h.Below+h.Above > 0 {
			out.Caption += fmt.Sprintf("; %s values below and %s above the chart", count(h.Below), count(h.Above))
		}
		if c.SampleRows > 0 {
			out.Caption += fmt.Sprintf("; quantiles from a sample of %s", count(c.SampleRows))
		}
	}
	limit := 5
	if c.Histogram == nil || c.Kind == table.Boolean {
		limit = 12
	}
	for _, t := range c.Top[:min(len(c.Top), limit)] {
		out.Top = append(out.Top, topRow{t.Value, count(t.Count), percent(t.Count, rows), int(math.Round(100 * float64(t.Count) / float64(c.Top[0].Count)))})
	}
	return out
}

// columnNotes says what a reader should look at twice.
func columnNotes(c *ColumnProfile, rows int64) []string {
	var notes []string
	switch {
	case c.Count == 0:
		return []string{"no value at all"}
	case c.Distinct == 1 && c.DistinctExact:
		notes = append(notes, "one value only")
	case c.DistinctExact && c.Distinct == rows && c.Kind != table.Double:
		notes = append(notes, "every value is different")
	}
	if float64(c.Nulls) > 0.05*float64(rows) {
		notes = append(notes, "often missing")
	}
	if len(c.Top) > 0 && c.Distinct > 1 && float64(c.Top[0].Count) > 0.9*float64(c.Count) {
		notes = append(notes, "one value is most of them")
	}
	if c.Skewness != nil && math.Abs(*c.Skewness) > 20 {
		notes = append(notes, "very skewed")
	}
	if n := len(c.Quantiles); n > 0 && c.Kind != table.Datetime && c.Kind != table.Boolean {
		low, p1, p99, high := c.Quantiles[0].Value, c.Quantiles[1].Value, c.Quantiles[n-2].Value, c.Quantiles[n-1].Value
		if room := p99 - p1; room > 0 && (high > p99+10*room || low < p1-10*room) {
			notes = append(notes, "a value far from all others")
		}
	}
	return notes
}

// histogramSVG draws the bins as bars; the ends of the range stand under them.
func histogramSVG(c *ColumnProfile, value func(*float64) string) template.HTML {
	const width, height = 320, 72
	h := c.Histogram
	var most int64 = 1
	for _, n := range h.Counts {
		most = max(most, n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="Histogram of %s">`, width, height+16, template.HTMLEscapeString(c.Name))
	step := float64(width) / float64(len(h.Counts))
	b.WriteString(`<path class="bars" d="`)
	for i, n := range h.Counts {
		if n > 0 {
			tall := max(1, math.Round(float64(n)/float64(most)*height))
			fmt.Fprintf(&b, "M%.1f %dh%.1fv-%gh-%.1fz", float64(i)*step+0.5, height, max(0.5, step-1), tall, max(0.5, step-1))
		}
	}
	fmt.Fprintf(&b, `"/><path class="base" d="M0 %d.5h%d"/>`, height, width)
	last := h.Edges[len(h.Edges)-1]
	if c.Kind == table.Long {
		last-- // the greatest whole number of the last bin
	}
	low, high := value(&h.Edges[0]), value(&last)
	fmt.Fprintf(&b, `<text x="0" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s</text></svg>`,
		height+13, template.HTMLEscapeString(low), width, height+13, template.HTMLEscapeString(high))
	return template.HTML(b.String()) //nolint:gosec // every text in it was escaped above
}

// short keeps a name from filling the page.
func short(name string) string {
	if r := []rune(name); len(r) > 80 {
		return string(r[:77]) + "..."
	}
	return name
}

func percent(n, of int64) string {
	switch {
	case n == 0:
		return "0 %"
	case float64(n) < 0.001*float64(of):
		return "under 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share(n, of))
}

// significant writes a number with about four digits, and whole numbers whole.
func significant(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		if math.Abs(f) < 10_000 { // a year, among others
			return number(f)
		}
		return count(int64(f))
	}
	if math.Abs(f) >= 1000 {
		return count(int64(math.Round(f)))
	}
	return fmt.Sprintf("%.4g", f)
}

func megabytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", math.Ceil(float64(n)/1e3))
}
