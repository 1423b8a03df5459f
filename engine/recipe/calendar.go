package recipe

import (
	"math"
	"slices"
	"sync"
	"time"
)

// calendar turns UTC microseconds into local seconds of one zone. It holds the offsets of the zone from 1900 to 2200 as a sorted list, because
// time.Location interprets its rule text anew for every time after the last change that the zone file lists.
// It is immutable and safe for concurrent use.
type calendar struct {
	zone    *time.Location
	from    []int64 // UTC second from which offsets[i] holds
	offsets []int64 // seconds east of UTC
}

var calendars sync.Map // *time.Location -> *calendar

func calendarOf(zone *time.Location) *calendar {
	if zone == nil {
		zone = time.UTC
	}
	if c, ok := calendars.Load(zone); ok {
		return c.(*calendar)
	}
	c := &calendar{zone: zone}
	at, end := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for at.Before(end) {
		local := at.In(zone)
		_, offset := local.Zone()
		if n := len(c.offsets); n == 0 || c.offsets[n-1] != int64(offset) {
			c.from, c.offsets = append(c.from, at.Unix()), append(c.offsets, int64(offset))
		}
		_, next := local.ZoneBounds()
		if next.IsZero() {
			break
		}
		if !next.After(at) { // at the end of leap years Go gives bounds that do not contain the time
			next = at.AddDate(0, 0, 1)
		}
		at = next
	}
	actual, _ := calendars.LoadOrStore(zone, c)
	return actual.(*calendar)
}

// maxMicros is year 9999, the last that every engine here can show.
const maxMicros = 253402300799999999

// local gives the seconds since the epoch that a clock on the wall of the zone shows. ok is false outside of years 1 to 9999.
func (c *calendar) local(micros float64) (seconds int64, ok bool) {
	if !(math.Abs(micros) <= maxMicros) || micros < -62135596800e6 {
		return 0, false
	}
	us := int64(micros)
	utc := us / 1e6
	if us%1e6 < 0 {
		utc--
	}
	if len(c.from) == 1 && c.zone == time.UTC {
		return utc, true
	}
	i, found := slices.BinarySearch(c.from, utc)
	if !found {
		i--
	}
	if i < 0 || utc >= 7258118400 { // before 1900 or after 2200
		_, offset := time.Unix(utc, 0).In(c.zone).Zone()
		return utc + int64(offset), true
	}
	return utc + c.offsets[i], true
}

const daySeconds = 24 * 60 * 60

// floorDivide rounds to minus infinity; b is positive.
func floorDivide(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// datePart computes one part of local seconds. Names are those of the functions of expressions.
var dateParts = map[string]func(local int64) int64{
	"hour":    func(s int64) int64 { return (s - floorDivide(s, daySeconds)*daySeconds) / 3600 },
	"minute":  func(s int64) int64 { return (s - floorDivide(s, 3600)*3600) / 60 },
	"weekday": weekday,
	"is_weekend": func(s int64) int64 {
		if weekday(s) >= 5 {
			return 1
		}
		return 0
	},
	"day":   func(s int64) int64 { _, _, d := civil(s); return d },
	"month": func(s int64) int64 { _, m, _ := civil(s); return m },
	"year":  func(s int64) int64 { y, _, _ := civil(s); return y },
	"day_of_year": func(s int64) int64 {
		return int64(time.Unix(s, 0).UTC().YearDay())
	},
}

// weekday counts from Monday = 0; 1970-01-01 was a Thursday.
func weekday(local int64) int64 {
	days := floorDivide(local, daySeconds) + 3
	return days - floorDivide(days, 7)*7
}

func civil(local int64) (year, month, day int64) {
	y, m, d := time.Unix(local, 0).UTC().Date()
	return int64(y), int64(m), int64(d)
}
