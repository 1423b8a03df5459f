package demo

import (
	"context"
	"encoding/json"
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
	row   map[string]any
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
	out := departure{at: at, row: map[string]any{}, delay: math.NaN()}
	for _, c := range t.Columns {
		v := c.Value(i)
		switch {
		case c.Name == "arr_delay":
			if !v.Null {
				out.delay = v.F
			}
		case c.Name == "time_hour":
			out.row[c.Name] = at.Format(time.RFC3339)
		case v.Null:
			out.row[c.Name] = nil
		case c.Kind == table.String:
			out.row[c.Name] = v.S
		default:
			out.row[c.Name] = v.F
		}
	}
	flight := strconv.FormatFloat(out.row["flight"].(float64), 'f', -1, 64)
	out.key = fmt.Sprintf("%s|%s|%s|%s", out.row["time_hour"], out.row["carrier"], flight, out.row["origin"])
	delete(out.row, "flight") // part of the key, not an input
	return out
}

// body is the request of a departure.
func (f *departure) body() ([]byte, error) {
	return json.Marshal(map[string]any{"rows": []any{f.row}, "keys": []string{f.key}, "at": f.at.Format(time.RFC3339)})
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
		f, ok := day[i].row["temp"].(float64)
		switch {
		case !ok:
		case rng.IntN(10) == 0:
			day[i].row["temp"] = nil
		default:
			day[i].row["temp"] = math.Round((f-32)/1.8*100) / 100
		}
	}
}
