package demo

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
)

// departure is one flight of the replay: its request, and the truth that arrives a day later.
type departure struct {
	key   string
	at    time.Time
	delay float64 // minutes at arrival; NaN when it never arrived
	row   []field
}

// field is one input of a row: a text, a number or, missing, nil.
type field struct {
	name  string
	value any
}

// localZone is the zone of the airports; months of the summary and days of the incidents are theirs.
var localZone = mustZone("America/New_York")

func mustZone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic("demo: time zones are embedded and " + name + " is not among them")
	}
	return loc
}

// replaySQL is each flight of April to December with the weather of its hour, at most three hours old, and its plane: what a caller
// who knows the schedule, the weather station and the fleet would send.
const replaySQL = `SELECT f.time_hour, f.carrier, f.flight, f.origin, f.dest, f.distance, f.hour, f.tailnum, f.arr_delay, p.year, p.seats,
	CASE WHEN w.time_hour >= f.time_hour - INTERVAL 3 HOUR THEN w.temp END AS temp, CASE WHEN w.time_hour >= f.time_hour - INTERVAL 3 HOUR THEN w.humid END AS humid,
	CASE WHEN w.time_hour >= f.time_hour - INTERVAL 3 HOUR THEN w.wind_speed END AS wind_speed, CASE WHEN w.time_hour >= f.time_hour - INTERVAL 3 HOUR THEN w.precip END AS precip,
	CASE WHEN w.time_hour >= f.time_hour - INTERVAL 3 HOUR THEN w.pressure END AS pressure, CASE WHEN w.time_hour >= f.time_hour - INTERVAL 3 HOUR THEN w.visib END AS visib
FROM read_parquet(%s) f ASOF LEFT JOIN read_parquet(%s) w ON f.origin = w.origin AND f.time_hour >= w.time_hour LEFT JOIN read_parquet(%s) p ON f.tailnum = p.tailnum
ORDER BY f.time_hour, f.carrier, f.flight, f.origin`

// load reads the replay and cuts it into UTC days; inside a day the order is shuffled by the seed.
func (d *Demo) load(ctx context.Context) ([][]departure, error) {
	db, err := duck.Open(duck.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	path := func(name string) string { return duck.Literal(filepath.Join(d.Project(), name)) }
	t, err := db.Table(ctx, fmt.Sprintf(replaySQL, path("flights-2013-replay.parquet"), path("weather.parquet"), path("planes.parquet")))
	if err != nil {
		return nil, fmt.Errorf("read the replay: %w", err)
	}
	var days [][]departure
	last := time.Time{}
	for i := range t.Rows {
		at := time.UnixMicro(int64(t.Column("time_hour").Floats[i])).UTC()
		if !d.opt.Until.IsZero() && !at.Before(d.opt.Until) {
			break
		}
		if at.Before(d.opt.From) {
			continue
		}
		if day := at.Truncate(24 * time.Hour); !day.Equal(last) {
			days = append(days, nil)
			last = day
		}
		days[len(days)-1] = append(days[len(days)-1], departureOf(t, i, at))
	}
	rng := rand.New(rand.NewPCG(d.opt.Seed, 0))
	for _, day := range days {
		rng.Shuffle(len(day), func(i, j int) { day[i], day[j] = day[j], day[i] })
	}
	return days, nil
}

func departureOf(t *table.Table, i int, at time.Time) departure {
	out := departure{at: at, delay: math.NaN()}
	when := at.Format(time.RFC3339)
	text := map[string]string{"time_hour": when}
	for _, c := range t.Columns {
		v := c.Value(i)
		switch {
		case c.Name == "arr_delay":
			if !v.Null {
				out.delay = v.F
			}
		case c.Name == "flight":
			text[c.Name] = strconv.FormatFloat(v.F, 'f', -1, 64) // part of the key, not an input
		case c.Name == "time_hour":
			out.row = append(out.row, field{c.Name, when})
		case v.Null:
			out.row = append(out.row, field{c.Name, nil})
		case c.Kind == table.String:
			text[c.Name] = v.S
			out.row = append(out.row, field{c.Name, v.S})
		default:
			out.row = append(out.row, field{c.Name, v.F})
		}
	}
	out.key = text["time_hour"] + "|" + text["carrier"] + "|" + text["flight"] + "|" + text["origin"]
	return out
}

// body appends the request of a departure to b. The texts of flights are plain ASCII, which JSON and Go quote alike.
func (f *departure) body(b []byte) []byte {
	b = append(b, `{"rows":[{`...)
	for i, in := range f.row {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, in.name), ':')
		switch v := in.value.(type) {
		case nil:
			b = append(b, "null"...)
		case string:
			b = strconv.AppendQuote(b, v)
		case float64:
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
	}
	b = append(b, `}],"keys":[`...)
	b = strconv.AppendQuote(b, f.key)
	b = append(b, `],"at":"`...)
	b = f.at.AppendFormat(b, time.RFC3339)
	return append(b, `"}`...)
}

// incidents is when the two faults happen: by the seed, within a fortnight in August and one in November.
type incidents struct {
	celsiusFrom, celsiusTo time.Time // [from, to)
	release                time.Time
}

func (d *Demo) incidents() incidents {
	rng := rand.New(rand.NewPCG(d.opt.Seed, 1))
	from := time.Date(2013, 8, 10+rng.IntN(12), 0, 0, 0, 0, time.UTC)
	return incidents{celsiusFrom: from, celsiusTo: from.AddDate(0, 0, 2), release: time.Date(2013, 11, 1+rng.IntN(12), 0, 0, 0, 0, time.UTC)}
}

// breakSensors turns a day's temperatures into Celsius and loses a tenth of them, as a station does whose feed was changed.
func breakSensors(day []departure, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, uint64(day[0].at.Unix())))
	for i := range day {
		for j := range day[i].row {
			in := &day[i].row[j]
			f, ok := in.value.(float64)
			switch {
			case in.name != "temp" || !ok:
			case rng.IntN(10) == 0:
				in.value = nil
			default:
				in.value = math.Round((f-32)/1.8*100) / 100
			}
		}
	}
}
