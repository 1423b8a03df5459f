package batching

import (
	"math"
	"slices"
	"time"
)

// kept is how many of the last runs the fit looks at.
const kept = 50

// fit is the time of a run of n rows, a·n + b, by least squares over the last runs. The zero fit knows nothing.
type fit struct {
	runs [kept]struct{ rows, ns float64 }
	next int
	n    int

	a, b   float64 // nanoseconds
	spread bool    // runs of different sizes were seen, so that a and b are told apart
}

// minRuns are needed before the fit may say that joining pays.
const minRuns = 8

// add learns a run. The tenth that lies furthest above the line is left out of it: a worker that was starting says nothing of the next.
func (f *fit) add(rows int, took time.Duration) {
	f.runs[f.next].rows, f.runs[f.next].ns = float64(rows), float64(took.Nanoseconds())
	f.next = (f.next + 1) % kept
	f.n = min(f.n+1, kept)
	f.line(math.Inf(1), 0, 0)
	if f.n < 4 {
		return
	}
	var over [kept]float64
	for i, r := range f.runs[:f.n] {
		over[i] = r.ns - f.a*r.rows - f.b
	}
	slices.Sort(over[:f.n])
	f.line(over[f.n-1-(1+f.n/10)], f.a, f.b)
}

// line fits the runs that lie at most over above a·n + b.
func (f *fit) line(over, a, b float64) {
	var n, sx, sy float64
	for _, r := range f.runs[:f.n] {
		if r.ns-a*r.rows-b <= over {
			n, sx, sy = n+1, sx+r.rows, sy+r.ns
		}
	}
	mx, my := sx/n, sy/n
	var xx, xy float64
	for _, r := range f.runs[:f.n] {
		if r.ns-a*r.rows-b <= over {
			xx += (r.rows - mx) * (r.rows - mx)
			xy += (r.rows - mx) * (r.ns - my)
		}
	}
	if f.spread = xx > 0; !f.spread {
		f.a, f.b = my/mx, 0
		return
	}
	f.a = max(xy/xx, 0) // noise may slope downwards: time does not
	if f.b = my - f.a*mx; f.b < 0 {
		f.a, f.b = my/mx, 0
	}
}

// blind tells that a and b cannot be told apart yet.
func (f *fit) blind() bool { return !f.spread || f.n < minRuns }

// cost is the expected time of a run of n rows; 0 when nothing is known.
func (f *fit) cost(n int) time.Duration { return f.costs(n, 1) }

// costs is the expected time of some runs of n rows together.
func (f *fit) costs(n, runs int) time.Duration {
	return time.Duration(f.a*float64(n) + f.b*float64(runs))
}

// pays tells whether one run of n rows for some requests takes at least a tenth less time than a run for each.
func (f *fit) pays(requests, n int) bool {
	if f.blind() || requests < 2 {
		return false
	}
	saved := f.b * float64(requests-1)
	return saved >= 0.1*(f.a*float64(n)+f.b*float64(requests))
}
