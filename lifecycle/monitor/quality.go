package monitor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Bars of quality findings. All are about faults of the pipeline that feeds the model; slow change of the world is drift.
const (
	missingRise    = 0.05 // least rise of the share of missing values over training, and over the windows before
	missingSigma   = 3.0  // and in standard deviations of that share
	missingRun     = 12.0 // values of a view that go missing together
	missingHistory = 28
	unseenShare    = 0.02 // share of words that training never saw
	beyondShare    = 0.01 // share of numbers further outside of training's range than half its width
	strangeHistory = 7    // windows whose range is no news
	fewest         = 5    // independent faulty values behind any finding
	breakMin       = 30   // independent values of a window for a break
	breakIQR       = 1.0  // least shift of the median for a break, in IQRs of training
	breakTimes     = 2.25 // and in times the greatest shift of the days before
	breakTimesUnit = 1.5  // the same, when a mistake of the column's unit explains the shift
	breakSpread    = 0.5  // least range of the days before, in IQRs of training
	trailing       = 3    // windows that a break is measured against
	breakHistory   = 14   // windows that tell which shifts are natural
	breakUntrained = 2.0  // least shift in IQRs while fewer than breakEnough natural shifts are known
	breakEnough    = 4
)

// judgeQuality looks for what only a broken feed explains: values missing more often than in training, words or numbers that training
// never saw, a distribution that jumps away from that of the days before, and silence.
func judgeQuality(p *Plan, v *Verdict, t *tally, past []Verdict) {
	k, n := p.Monitor.Quality.KofN()
	if t == nil {
		v.Columns = []ColumnDrift{{Name: Volume, State: "off", Findings: []Finding{{Kind: Volume, Text: "no rows, after three windows with rows"}}}}
		v.Over = true
	} else {
		for i, c := range t.layout.ref.Columns {
			in, _ := t.layout.sig.Input(c.Name)
			if in == nil {
				continue
			}
			col := describe(t, i)
			col.Bar = 0
			findMissing(&col, c, past)
			if in.Role != registry.RoleContext {
				findStrangers(&col, c, t.profile.Columns[i], past)
				if c.Numeric() && c.Kind != table.Datetime {
					findBreak(&col, c, past)
				}
			}
			switch {
			case len(col.Findings) > 0:
				col.State = "off"
				v.Over = true
			case col.NEff < breakMin:
				col.State = Inconclusive
			}
			v.Columns = append(v.Columns, col)
		}
	}
	v.Metrics = map[string]Interval{"rows": exact(float64(v.Rows), v.Rows)}
	var names []string
	for i := range v.Columns {
		if text := v.Columns[i].findings(); text != "" {
			names = append(names, text)
		}
	}
	v.Metrics["columns_off"] = exact(float64(len(names)), v.N)
	switch {
	case v.Over && overIn(past, n, true, func(o *Verdict) bool { return o.Over }) >= k:
		v.State, v.Summary = Off, "Broken data: "+strings.Join(names, "; ")
	case v.Over:
		v.State, v.Summary = Attention, fmt.Sprintf("Perhaps broken data, an alert needs %d of %d windows: %s", k, n, strings.Join(names, "; "))
	case v.N < minRows:
		v.State, v.Summary = Inconclusive, fmt.Sprintf("Too few rows to judge: n %s", count(v.N))
	default:
		v.State, v.Summary = OK, fmt.Sprintf("All %d inputs look as they did: n %s", len(v.Columns), count(v.N))
	}
}

// Volume is the subject of the alert that rows stopped coming.
const Volume = "volume"

// findings is what is wrong with a column in one phrase, "" when nothing is.
func (c *ColumnDrift) findings() string {
	var parts []string
	for _, f := range c.Findings {
		parts = append(parts, f.Text)
	}
	if len(parts) == 0 {
		return ""
	}
	return c.Name + ": " + strings.Join(parts, ", ")
}

// findMissing compares the share of missing values with training and with the most among the last four weeks' worth of sound windows.
// Values of a view go missing in runs (a station is silent for a day), so for them half a day of hours counts as one in the variance.
func findMissing(col *ColumnDrift, c *profile.RefColumn, past []Verdict) {
	if col.Missing*col.NEff < fewest {
		return
	}
	independent, reference := col.NEff, c.NEff
	if col.View != "" {
		independent, reference = math.Max(1, independent/missingRun), math.Max(1, reference/missingRun)
	}
	r := col.ReferenceMissing
	limit := r + math.Max(missingRise, missingSigma*math.Sqrt(r*(1-r)*(1/independent+1/reference)))
	for i := range past[:min(missingHistory, len(past))] {
		if o := past[i].column(col.Name); o != nil && !o.has("missing") {
			limit = math.Max(limit, o.Missing+missingRise)
		}
	}
	if col.Missing < limit {
		return
	}
	col.Findings = append(col.Findings, Finding{Kind: "missing", Value: col.Missing, Limit: limit,
		Text: fmt.Sprintf("%s missing, %s in training", percent(col.Missing), percent(r))})
}

// findStrangers looks for words that training never saw, and for numbers far outside both of training and of the last days: summer is
// warmer than the winter that a model was trained on, but not from one day to the next.
func findStrangers(col *ColumnDrift, c *profile.RefColumn, n *profile.Counts, past []Verdict) {
	if col.Unseen >= unseenShare && col.Unseen*col.NEff >= fewest {
		col.Findings = append(col.Findings, Finding{Kind: "unseen", Value: col.Unseen, Limit: unseenShare,
			Text: fmt.Sprintf("%s of values were never seen in training", percent(col.Unseen))})
	}
	if !c.Numeric() || c.Kind == table.Datetime || col.N == 0 || c.Counts.Least > c.Counts.Greatest {
		return
	}
	margin := math.Max((c.Counts.Greatest-c.Counts.Least)/2, c.Scale)
	low, high := c.Counts.Least-margin, c.Counts.Greatest+margin
	for i := range past[:min(strangeHistory, len(past))] {
		if o := past[i].column(col.Name); o != nil && len(o.Quantiles) == 5 && !o.has("out_of_range") && !o.has("break") {
			width := o.Quantiles[4] - o.Quantiles[0]
			low, high = math.Min(low, o.Quantiles[0]-width), math.Max(high, o.Quantiles[4]+width)
		}
	}
	share := float64(c.Outside(n, low, high)) / float64(col.N)
	if share >= beyondShare && share*col.NEff >= fewest {
		col.Findings = append(col.Findings, Finding{Kind: "out_of_range", Value: share, Limit: beyondShare,
			Text: fmt.Sprintf("%s of values far outside %.4g to %.4g", percent(share), c.Counts.Least, c.Counts.Greatest)})
	}
}

// findBreak tells a sudden jump from the weather: the median leaves that of the days before by an IQR of training and by well more than
// the greatest such move of the last two weeks, and the middle half of the values has left nearly all that those days showed. A jump
// that a mistake of the column's unit explains needs less beyond the natural. Days that were found broken are no measure for the next, and
// days of one value (no rain, clear sight) are no measure at all: any weather leaves them.
func findBreak(col *ColumnDrift, c *profile.RefColumn, past []Verdict) {
	if len(col.Quantiles) != 5 || col.NEff < breakMin {
		return
	}
	var sound [][]float64
	for i := range past[:min(breakHistory, len(past))] {
		if o := past[i].column(col.Name); o != nil && len(o.Quantiles) == 5 && !o.has("break") && o.NEff >= breakMin {
			sound = append(sound, o.Quantiles)
		}
	}
	if len(sound) < trailing {
		return
	}
	before := sound[:trailing]
	low, high := math.Inf(1), math.Inf(-1)
	for _, q := range before {
		low, high = math.Min(low, q[0]), math.Max(high, q[4])
	}
	if high-low < breakSpread*c.Scale || col.Quantiles[3] >= low && col.Quantiles[1] <= high {
		return
	}
	natural, known := 0.0, 0
	for i := range sound {
		if i+trailing < len(sound) {
			natural = math.Max(natural, math.Abs(sound[i][2]-middle(sound[i+1:i+1+trailing], 2)))
			known++
		}
	}
	shift := math.Abs(col.Quantiles[2] - middle(before, 2))
	hint := unitHint(col.Unit, before, col.Quantiles)
	factor := breakTimes
	if hint != "" && col.Unit != "" {
		factor = breakTimesUnit
	}
	limit := math.Max(breakIQR*c.Scale, factor*natural)
	if known < breakEnough {
		limit = math.Max(limit, breakUntrained*c.Scale)
	}
	if shift < limit {
		return
	}
	if hint == "" {
		hint = "another unit?"
	} else {
		hint = "unit? " + hint
	}
	col.Findings = append(col.Findings, Finding{Kind: "break", Value: shift, Limit: limit,
		Text: fmt.Sprintf("sudden shift, median %.4g after %.4g in the %d windows before (%s)", col.Quantiles[2], middle(before, 2), trailing, hint)})
}

// middle is the median of quantile q over windows.
func middle(windows [][]float64, q int) float64 {
	x := make([]float64, 0, len(windows))
	for _, w := range windows {
		x = append(x, w[q])
	}
	slices.Sort(x)
	return x[len(x)/2]
}

// conversions are the mistakes of unit that feeds make, the commonest first: now = scale*before + offset.
var conversions = []struct {
	from, text    string // from is the units, folded as by foldUnit, that the values are meant in
	scale, offset float64
}{
	{"f fahrenheit degf", "°F sent as °C", 5.0 / 9, -160.0 / 9}, {"c celsius degc", "°C sent as °F", 9.0 / 5, 32},
	{"c celsius degc", "°C sent as K", 1, 273.15}, {"k kelvin", "K sent as °C", 1, -273.15},
	{"mi mile miles", "miles sent as km", 1.609344, 0}, {"km", "km sent as miles", 1 / 1.609344, 0},
	{"mph", "mph sent as m/s", 0.44704, 0}, {"m/s", "m/s sent as mph", 1 / 0.44704, 0}, {"mph", "mph sent as km/h", 1.609344, 0},
	{"km/h kmh", "km/h sent as mph", 1 / 1.609344, 0}, {"kn kt knots", "knots sent as km/h", 1.852, 0},
	{"ft feet", "feet sent as metres", 0.3048, 0}, {"m metre metres meter meters", "metres sent as feet", 1 / 0.3048, 0},
	{"in inch inches", "inches sent as mm", 25.4, 0}, {"in inch inches", "inches sent as cm", 2.54, 0}, {"mm", "mm sent as inches", 1 / 25.4, 0},
	{"lb lbs pound pounds", "pounds sent as kg", 0.45359237, 0}, {"kg", "kg sent as pounds", 1 / 0.45359237, 0},
	{"mb mbar hpa", "mb sent as inHg", 0.02953, 0}, {"inhg", "inHg sent as mb", 1 / 0.02953, 0},
	{"min minute minutes", "minutes sent as seconds", 60, 0}, {"s sec second seconds", "seconds sent as minutes", 1.0 / 60, 0},
	{"s sec second seconds", "seconds sent as milliseconds", 1000, 0}, {"ms", "milliseconds sent as seconds", 0.001, 0},
	{"", "times 100", 100, 0}, {"", "divided by 100", 0.01, 0}, {"", "times 1,000", 1000, 0}, {"", "divided by 1,000", 0.001, 0},
	{"", "sign turned", -1, 0},
}

// unitHint names the first conversion that takes the quartiles of the days before to today's, within a sixth of the shift because no
// day is like the last; of a column whose unit is known only those from that unit.
func unitHint(unit string, before [][]float64, now []float64) string {
	whole := math.Abs(now[2] - middle(before, 2))
	for _, u := range conversions {
		if unit != "" && u.from != "" && !slices.Contains(strings.Fields(u.from), foldUnit(unit)) {
			continue
		}
		miss := 0.0
		for _, q := range []int{1, 2, 3} {
			at := q
			if u.scale < 0 {
				at = 4 - q
			}
			miss = math.Max(miss, math.Abs(now[q]-(u.scale*middle(before, at)+u.offset))/whole)
		}
		tolerance := 1.0 / 6
		if u.from == "" {
			tolerance = 0.05 // any small number is a hundredth of a large one, nearly
		}
		if miss < tolerance {
			return u.text
		}
	}
	return ""
}

func foldUnit(unit string) string {
	return strings.ReplaceAll(strings.ToLower(strings.Trim(unit, " °")), " ", "")
}

func (c *ColumnDrift) has(kind string) bool {
	return slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Kind == kind })
}

// percent writes a share with one decimal below 10 %.
func percent(x float64) string {
	if math.Abs(x) < 0.0995 && x != 0 {
		return fmt.Sprintf("%.1f %%", 100*x)
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}
