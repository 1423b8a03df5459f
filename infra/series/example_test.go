package series_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"

	"github.com/trimtab-ml/trimtab/infra/series"
)

func Example() {
	dir, err := os.MkdirTemp("", "series")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := series.Open(context.Background(), series.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	const run = "9f3c"
	for step := range int64(10_000) {
		loss := series.Entry{Key: "train/loss", Point: series.Point{Step: step, At: 1_700_000_000_000 + 250*step, Value: math.Exp(-float64(step) / 2000)}}
		if err := store.Append(run, []series.Entry{loss, loss}); err != nil { // a repeated point is stored once
			log.Fatal(err)
		}
	}
	latest, err := store.Latest(run)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("latest: step %d, %.4f\n", latest["train/loss"].Step, latest["train/loss"].Value)
	chart, err := store.Chart(run, "train/loss", series.ChartQuery{Axis: series.AxisStep, Buckets: 100})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("chart: %d of %d points, downsampled: %v\n", len(chart.Points), chart.Total, chart.Downsampled)
	page, next, err := store.History(run, "train/loss", series.Cursor{}, 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("history: %d points, more: %v\n", len(page), !next.IsZero())
	// Output:
	// latest: step 9999, 0.0067
	// chart: 200 of 10000 points, downsampled: true
	// history: 2 points, more: true
}
