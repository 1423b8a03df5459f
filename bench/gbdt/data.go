package main

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
)

// flights is the example's training table: scheduled fields, the weather of the hour and the plane, with the recipe of
// examples/flights. January to October is trained on, the rest of the year tests. Run from the repository's root.
func flights(ctx context.Context) (train, test learn.Set, err error) {
	db, err := duck.Open(duck.Options{})
	if err != nil {
		return train, test, err
	}
	defer db.Close()
	const query = `
		WITH f AS (SELECT *, timezone('America/New_York', time_hour) AS local
			FROM read_parquet(['examples/flights/flights-2013-q1.parquet', 'examples/flights/flights-2013-replay.parquet'])
			WHERE arr_delay IS NOT NULL)
		SELECT CAST(f.month <= 10 AS BOOLEAN) AS train, CAST(f.arr_delay >= 15 AS DOUBLE) AS late,
			f.carrier, f.origin, f.dest, CAST(f.distance AS DOUBLE) AS distance, CAST(hour(f.local) AS DOUBLE) AS hour,
			CAST(isodow(f.local) - 1 AS DOUBLE) AS weekday, CAST(w.temp AS DOUBLE) AS temp, CAST(w.humid AS DOUBLE) AS humid,
			CAST(w.wind_speed AS DOUBLE) AS wind_speed, CAST(w.precip AS DOUBLE) AS precip, CAST(w.pressure AS DOUBLE) AS pressure,
			CAST(w.visib AS DOUBLE) AS visib, CAST(p.year AS DOUBLE) AS year, CAST(p.seats AS DOUBLE) AS seats
		FROM f LEFT JOIN read_parquet('examples/flights/weather.parquet') w ON w.origin = f.origin AND w.time_hour = f.time_hour
			LEFT JOIN read_parquet('examples/flights/planes.parquet') p ON p.tailnum = f.tailnum
		ORDER BY f.time_hour, f.carrier, f.flight, f.origin`
	t, err := db.Table(ctx, query)
	if err != nil {
		return train, test, err
	}
	var rows [2][]int
	for i, v := range t.Column("train").Floats {
		rows[1-int(v)] = append(rows[1-int(v)], i)
	}
	spec := recipe.Spec{Steps: []recipe.Step{
		{Op: "one_hot", Columns: []string{"origin"}},
		{Op: "target_encode", Columns: []string{"carrier", "dest"}},
	}}
	for _, c := range t.Columns {
		if c.Name != "train" && c.Name != "late" {
			spec.Inputs = append(spec.Inputs, recipe.Input{Name: c.Name, Kind: c.Kind, Expr: c.Name})
		}
	}
	first, later := t.Take(rows[0]), t.Take(rows[1])
	train.Y, test.Y = first.Column("late").Floats, later.Column("late").Floats
	fitted, x, err := recipe.Fit(spec, first, train.Y, 2)
	if err != nil {
		return train, test, err
	}
	train.X = x
	test.X, err = fitted.Transform(later)
	return train, test, err
}

// particles is a dense set of 28 numbers like those of the Higgs data: normal, skewed and correlated columns, and a
// label from a smooth non-linear score with interactions. The score is the same for every seed.
func particles(rows int, seed uint64) learn.Set {
	const columns, hidden = 28, 12
	shape := rand.New(rand.NewPCG(7, 7))
	var weights [hidden][columns]float64
	var out [hidden]float64
	for k := range weights {
		for j := range weights[k] {
			if shape.Float64() < 0.25 {
				weights[k][j] = shape.NormFloat64()
			}
		}
		out[k] = shape.NormFloat64()
	}
	r := rand.New(rand.NewPCG(7, seed))
	x := table.NewMatrix(rows, make([]string, columns))
	y := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		for j := range row {
			row[j] = float32(r.NormFloat64())
		}
		row[5] = float32(math.Exp(0.6 * float64(row[5])))
		row[9] = float32(math.Abs(float64(row[9])))
		row[13] = row[13]/2 + row[2]/2
		var z float64
		for k := range weights {
			var h float64
			for j, v := range row {
				h += weights[k][j] * float64(v)
			}
			z += out[k] * math.Tanh(h/1.5)
		}
		z += 0.8*float64(row[0]*row[1]) - 0.6*math.Abs(float64(row[3])) + 0.5*math.Sin(2*float64(row[7]))*float64(row[8])
		if r.Float64() < 1/(1+math.Exp(-z/2)) {
			y[i] = 1
		}
	}
	return learn.Set{X: x, Y: y}
}
