package project

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Cron is a schedule of five fields, minute hour day month weekday, in UTC: *, lists, ranges and steps; weekday 0 and 7 are Sunday.
// As in POSIX, when both day and weekday are restricted either is enough.
type Cron struct {
	text                           string
	minute, hour, day, month, wday uint64
	anyDay, anyWeekday             bool
}

var cronFields = []struct {
	name   string
	lo, hi int
}{{"minute", 0, 59}, {"hour", 0, 23}, {"day", 1, 31}, {"month", 1, 12}, {"weekday", 0, 7}}

// ParseCron reads a schedule.
func ParseCron(text string) (*Cron, error) {
	parts := strings.Fields(text)
	if len(parts) != 5 {
		return nil, fault.New(fault.Invalid, "the schedule %q has %d fields, not 5", text, len(parts)).
			WithHint("write minute hour day month weekday, e.g. 0 3 * * 1 for Mondays at 03:00 UTC")
	}
	var sets [5]uint64
	for i, p := range parts {
		f := cronFields[i]
		set, ok := cronSet(p, f.lo, f.hi)
		if !ok {
			return nil, fault.New(fault.Invalid, "the %s %q of the schedule is not understood", f.name, p).
				WithHint("use *, a number from %d to %d, a list 1,2, a range 1-5 or a step */10", f.lo, f.hi)
		}
		sets[i] = set
	}
	if sets[4]&(1<<7) != 0 {
		sets[4] |= 1
	}
	c := &Cron{text: strings.Join(parts, " "), minute: sets[0], hour: sets[1], day: sets[2], month: sets[3], wday: sets[4],
		anyDay: parts[2] == "*", anyWeekday: parts[4] == "*"}
	if _, ok := c.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return nil, fault.New(fault.Invalid, "the schedule %q never comes", text)
	}
	return c, nil
}

func cronSet(text string, lo, hi int) (uint64, bool) {
	var set uint64
	for _, part := range strings.Split(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			n, err := strconv.Atoi(stepText)
			if err != nil || n < 1 || n > 60 {
				return 0, false
			}
			step = n
		}
		from, to := lo, hi
		if span != "*" {
			a, b, ranged := strings.Cut(span, "-")
			n, err := strconv.Atoi(a)
			if err != nil {
				return 0, false
			}
			from, to = n, n
			if ranged {
				if to, err = strconv.Atoi(b); err != nil {
					return 0, false
				}
			} else if stepped {
				to = hi
			}
		}
		if from < lo || to > hi || from > to {
			return 0, false
		}
		for v := from; v <= to; v += step {
			set |= 1 << v
		}
	}
	return set, set != 0
}

// String is the schedule as written, with single spaces.
func (c *Cron) String() string { return c.text }

// Next is the first time after t; ok is false when there is none, which no schedule that ParseCron accepted says.
func (c *Cron) Next(t time.Time) (next time.Time, ok bool) {
	t = t.UTC().Truncate(time.Minute).Add(time.Minute)
	end := t.AddDate(9, 0, 0) // the longest wait is for 29 February across a century: eight years
	for day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC); day.Before(end); day = day.AddDate(0, 0, 1) {
		if !c.onDay(day) {
			continue
		}
		for hours := c.hour; hours != 0; hours &= hours - 1 {
			for minutes := c.minute; minutes != 0; minutes &= minutes - 1 {
				at := day.Add(time.Duration(bits.TrailingZeros64(hours))*time.Hour + time.Duration(bits.TrailingZeros64(minutes))*time.Minute)
				if !at.Before(t) {
					return at, true
				}
			}
		}
	}
	return time.Time{}, false
}

func (c *Cron) onDay(day time.Time) bool {
	if c.month&(1<<int(day.Month())) == 0 {
		return false
	}
	d, w := c.day&(1<<day.Day()) != 0, c.wday&(1<<int(day.Weekday())) != 0
	if !c.anyDay && !c.anyWeekday {
		return d || w
	}
	return d && w
}
