package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

const flightsDir = "../../examples/flights/"

// flights is a quarter of the year with the weather at departure.
func flights(t *testing.T, file, where string) *table.Table {
	t.Helper()
	db, err := duck.Open(duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	out, err := db.Table(t.Context(), fmt.Sprintf(`SELECT f.time_hour, f.carrier, f.origin, f.dest, f.distance::DOUBLE AS distance, f.tailnum,
		w.temp, w.humid, w.wind_speed, w.precip, w.pressure, w.visib
		FROM read_parquet('%s') f LEFT JOIN (SELECT * FROM read_parquet('%s') WHERE wind_speed IS NULL OR wind_speed < 200) w
		ON f.origin = w.origin AND f.time_hour = w.time_hour WHERE %s ORDER BY f.time_hour, f.carrier, f.flight, f.origin`, flightsDir+file, flightsDir+"weather.parquet", where))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var weather = []string{"temp", "humid", "wind_speed", "precip", "pressure", "visib"}

func flightSignature() *registry.Signature {
	sig := &registry.Signature{Task: "binary", Label: "late", Inputs: []registry.Input{
		{Name: "time_hour", Kind: table.Datetime, Role: registry.RoleContext}, {Name: "carrier", Kind: table.String, Role: registry.RoleFeature},
		{Name: "origin", Kind: table.String, Role: registry.RoleFeature}, {Name: "dest", Kind: table.String, Role: registry.RoleFeature},
		{Name: "distance", Kind: table.Double, Role: registry.RoleFeature}, {Name: "tailnum", Kind: table.String, Role: registry.RoleContext},
	}}
	units := map[string]string{"temp": "°F", "humid": "%", "wind_speed": "mph", "precip": "in", "pressure": "mb", "visib": "mi"}
	for _, name := range weather {
		sig.Inputs = append(sig.Inputs, registry.Input{Name: name, Kind: table.Double, Role: registry.RoleFeature, Unit: units[name], View: "weather_at_departure", Entity: []string{"origin"}, Time: "time_hour"})
	}
	return sig
}

func shared() map[string][]string {
	out := map[string][]string{}
	for _, name := range weather {
		out[name] = []string{"origin", "time_hour"}
	}
	return out
}

// replay lives through [from, to) of 2013 with a model trained on the first quarter; for two days from fault, if that is set, the
// temperatures arrive in Celsius and some not at all.
func replay(t *testing.T, from, to string, fault time.Time) *world {
	t.Helper()
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	w := newWorld(t, day(from), project.Monitor{Quality: window(oneDay, "1 of 1"), Drift: window(oneWeek, "2 of 3")})
	sig := flightSignature()
	train := flights(t, "flights-2013-q1.parquet", "true")
	w.versions[1] = version{ref: profile.BuildReference(train, profile.Options{SharedBy: shared()}), sig: sig}
	w.preload()
	year := flights(t, "flights-2013-replay.parquet", fmt.Sprintf("f.time_hour >= '%s' AND f.time_hour < '%s'", from, to))
	for i := range year.Rows {
		row := make([]table.Value, len(sig.Inputs))
		for j := range row {
			row[j] = year.Columns[j].Value(i)
		}
		at := time.UnixMicro(int64(row[0].F)).UTC()
		if temp := &row[6]; !fault.IsZero() && at.Sub(fault) >= 0 && at.Sub(fault) < 2*oneDay && !temp.Null {
			if i%10 == 0 {
				*temp = table.Null
			} else {
				temp.F = (temp.F - 32) / 1.8
			}
		}
		if at.After(w.now) {
			w.tick(at)
		}
		w.predict(feedback.Labeled{At: at.UnixMicro(), Version: 1, Signature: sig, Inputs: row})
	}
	w.tick(day(to).Add(2 * time.Hour))
	return w
}

func TestTemperaturesInCelsiusAreNamed(t *testing.T) {
	for fault, want := range map[time.Time]string{
		time.Date(2013, 8, 12, 0, 0, 0, 0, time.UTC): "10 % missing",
		// Midnight in New York: the first UTC day is mixed. Seven in a hundred temperatures were really missing the day before.
		time.Date(2013, 8, 20, 4, 0, 0, 0, time.UTC): "sudden shift",
	} {
		w := replay(t, "2013-08-01", "2013-08-25", fault)
		if sudden := w.sudden("temp"); len(sudden) != 1 {
			t.Errorf("one alarm of sudden drift in temp is due:%s", text(w.alerts(AlertFilter{})))
		} else if a := sudden[0]; a.State != Resolved || a.Count < 2 || a.Level != Alarm || !strings.HasPrefix(a.Message, "Sudden drift of temp: ") ||
			a.OpenedAt.Before(fault) || a.OpenedAt.After(fault.Add(30*time.Hour)) {
			t.Errorf("a fault of %s is told as %s ×%d of %s: %s", fault, a.State, a.Count, a.OpenedAt, a.Message)
		}
		var temp []Alert
		for _, a := range w.alerts(AlertFilter{Kind: Quality}) {
			if a.Subject == "temp" && a.OpenedAt.After(fault) { // before, July is hot for a model of the winter
				temp = append(temp, a)
			}
		}
		if len(temp) != 1 {
			t.Fatalf("one alert about temp is due:%s", text(w.alerts(AlertFilter{})))
		}
		a := temp[0]
		if a.State != Resolved || a.Count < 2 || !strings.Contains(a.Message, "°F sent as °C") || !strings.Contains(a.Message, want) {
			t.Errorf("alert %s ×%d: %s", a.State, a.Count, a.Message)
		}
		if opened := a.OpenedAt.Sub(fault); opened < 0 || opened > 30*time.Hour {
			t.Errorf("a fault of %s was told %s", fault, a.OpenedAt)
		}
	}
}

// The fault is in August in the demo, but it must not matter when: °C for °F is a break in every month from April to November. In December
// it moves less than cold fronts do.
func TestCelsiusIsSuddenInAnyWarmMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("counts 180,000 rows")
	}
	for month := time.April; month <= time.November; month++ {
		fault := time.Date(2013, month, 21, 0, 0, 0, 0, time.UTC)
		w := replay(t, fault.AddDate(0, 0, -20).Format(time.DateOnly), fault.AddDate(0, 0, 2).Format(time.DateOnly), fault)
		if sudden := w.sudden("temp"); len(sudden) != 1 || !sudden[0].OpenedAt.Equal(fault.Add(oneDay)) {
			t.Errorf("the fault of %s is told as:%s", fault.Format("2 Jan"), text(sudden))
		}
	}
}

// sudden is the alarms that a column broke with the windows before, the newest first.
func (w *world) sudden(column string) []Alert {
	return slices.DeleteFunc(w.alerts(AlertFilter{Kind: Drift}), func(a Alert) bool {
		return a.Baseline != Recent || column != "" && a.Subject != column
	})
}

// April to December holds every season, storms, fog and five days on which the weather or the air pressure really did not arrive.
func TestAYearOfWeatherIsNoFault(t *testing.T) {
	if testing.Short() {
		t.Skip("counts 256,000 rows")
	}
	w := replay(t, "2013-04-01", "2013-12-31", time.Time{})
	for _, a := range w.alerts(AlertFilter{Kind: Quality}) {
		silent := a.Subject == "pressure" || a.Subject == "weather_at_departure"
		if !silent || !strings.Contains(a.Message, "missing") {
			t.Errorf("the weather is called a fault: %s %s", a.OpenedAt.Format(time.DateOnly), a.Message)
		}
	}
	// By the budget of false alarms alone (suddenRate) 0.75 are expected in 274 days. Seven are told, three to June and four after; all had low
	// visibility or heavy rain (7 June is the storm Andrea, 27 November the one before Thanksgiving): news, though no fault.
	var sudden []string
	for _, a := range slices.Backward(w.sudden("")) {
		sudden = append(sudden, a.OpenedAt.Add(-oneDay).Format("2 Jan ")+a.Subject)
	}
	if diff := cmp.Diff([]string{"12 Apr visib", "19 May visib", "7 Jun precip", "6 Oct visib", "17 Nov visib", "27 Nov precip", "29 Dec precip"}, sudden); diff != "" {
		t.Errorf("sudden drift: %s", diff)
	}
	drifted := map[string]bool{}
	for _, a := range w.alerts(AlertFilter{Kind: Drift}) {
		for _, c := range a.Columns {
			drifted[c] = true
		}
	}
	if !drifted["temp"] || drifted["carrier"] || drifted["origin"] || drifted["distance"] {
		t.Errorf("drifted: %v; it gets warmer, and the airlines fly as they did", drifted)
	}
}
