package folds_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// labelled is rows in random order with times and labels that take a while to form.
func labelled(n int, seed uint64) folds.Data {
	r := rand.New(rand.NewPCG(seed, 0))
	d := folds.Data{Rows: n, Time: make([]float64, n), End: make([]float64, n), Groups: make([]int32, n)}
	for i := range n {
		d.Time[i] = float64(r.IntN(n)) // with ties
		d.End[i] = d.Time[i] + float64(r.IntN(n/10+1))
		d.Groups[i] = int32(r.IntN(n / 3))
	}
	return d
}

// Purging drops every training row whose label touches a tested fold and no other, but those of the embargo.
func TestPurgedFoldsDropWhatOverlapsAndNothingElse(t *testing.T) {
	for _, spec := range []folds.Spec{
		{Kind: folds.Purged, K: 4, Time: "t", End: "e"},
		{Kind: folds.Purged, K: 4, Time: "t", End: "e", Embargo: 0.05},
		{Kind: folds.Purged, K: 7, Time: "t", Purge: 3, Embargo: 2},
		{Kind: folds.Purged, K: 3},
		{Kind: folds.CombinatorialPurge, K: 6, P: 2, Time: "t", End: "e", Embargo: 3},
		{Kind: folds.CombinatorialPurge, K: 5, P: 3, Time: "t"},
	} {
		d := labelled(101, 7)
		if spec.End == "" {
			d.End = nil
		}
		if spec.Time == "" {
			d.Time = nil
		}
		start, end := make([]float64, d.Rows), make([]float64, d.Rows)
		order := make([]int, d.Rows)
		for i := range d.Rows {
			order[i] = i
			start[i] = float64(i)
			if d.Time != nil {
				start[i] = d.Time[i]
			}
			end[i] = start[i] + float64(spec.Purge)
			if d.End != nil {
				end[i] = d.End[i]
			}
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(start[a] - start[b]) })
		embargo := int(spec.Embargo)
		if spec.Embargo < 1 {
			embargo = int(float64(spec.Embargo) * 101)
		}
		f := split(t, spec, d)
		tested := make([]int, d.Rows)
		for at, s := range f.All() {
			role := make([]byte, d.Rows)
			for _, i := range s.Train {
				role[i] = 'r'
			}
			for _, i := range s.Test {
				role[i] = 's'
				tested[i]++
			}
			for place, i := range order {
				if role[i] == 's' {
					continue
				}
				drop := false
				for _, b := range s.Blocks { // a block is a run of rows in the order of time
					lo, hi := b*101/spec.K, (b+1)*101/spec.K
					if extra := 101 % spec.K; extra > 0 {
						size := 101 / spec.K
						lo, hi = b*size+min(b, extra), (b+1)*size+min(b+1, extra)
					}
					first, last := math.Inf(1), math.Inf(-1)
					for _, j := range order[lo:hi] {
						first, last = min(first, start[j]), max(last, end[j])
					}
					known := 0 // rows known by then
					for _, j := range order {
						if start[j] <= last {
							known++
						}
					}
					drop = drop || start[i] <= last && end[i] >= first || place >= known && place < known+embargo
				}
				if drop != (role[i] == 0) {
					t.Fatalf("%+v, split %d: row %d drops: %v, should be %v", spec, at, i, role[i] == 0, drop)
				}
			}
		}
		for _, n := range tested {
			want := 1
			if spec.Kind == folds.CombinatorialPurge {
				want = len(folds.Paths(spec.K, spec.P))
			}
			if n != want {
				t.Fatalf("%+v: a row is tested %d times, not %d", spec, n, want)
			}
		}
		if leaks := folds.Leaks(f, folds.LeakData{Time: start, End: end}); leaks.Overlap.Rows != 0 || !leaks.Overlap.Checked {
			t.Errorf("%+v: overlaps %+v", spec, leaks.Overlap)
		}
	}
}

func TestPaths(t *testing.T) {
	paths := folds.Paths(6, 2) // López de Prado's example: 15 splits, 5 paths
	if len(paths) != 5 {
		t.Fatalf("%d paths", len(paths))
	}
	used := map[[2]int]bool{}
	d := labelled(60, 1)
	f := split(t, folds.Spec{Kind: folds.CombinatorialPurge, K: 6, P: 2}, folds.Data{Rows: d.Rows})
	var blocks [][]int
	for _, s := range f.All() {
		blocks = append(blocks, s.Blocks)
	}
	if len(blocks) != 15 {
		t.Fatalf("%d splits", len(blocks))
	}
	for _, path := range paths {
		for b, split := range path {
			if used[[2]int{b, split}] || !slices.Contains(blocks[split], b) {
				t.Errorf("block %d of split %d, which tests %v, used twice or not tested", b, split, blocks[split])
			}
			used[[2]int{b, split}] = true
		}
	}
	if folds.Paths(3, 4) != nil || folds.Paths(60, 30) != nil {
		t.Error("paths of impossible splits")
	}
}

func TestRecordsHoldEverySplit(t *testing.T) {
	for i, c := range goldens(t) {
		if c.Error != "" {
			continue
		}
		f := split(t, c.Spec, folds.Data{Rows: c.Rows, Y: c.Y, Groups: c.Groups, Fold: c.Fold})
		r, err := f.Record()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back folds.Record
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		g, err := back.Folds()
		if err != nil {
			t.Fatalf("case %d, %+v: %v", i, c.Spec, err)
		}
		var want, got []string
		for _, s := range f.All() {
			slices.Sort(s.Train)
			slices.Sort(s.Test)
			want = append(want, text(s.Train)+";"+text(s.Test))
		}
		for _, s := range g.All() {
			got = append(got, text(s.Train)+";"+text(s.Test))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("case %d, %+v: the record gives other splits", i, c.Spec)
		}
		if c.Spec.Kind == folds.KFold && c.Spec.Repeats > 1 && (r.Layout != "folds" || len(r.IDs) != c.Rows*c.Spec.Repeats) {
			t.Errorf("case %d: %d ids in layout %s", i, len(r.IDs), r.Layout)
		}
		back.IDs[len(back.IDs)-1]++
		for _, bad := range []folds.Record{back, {}, {Layout: "folds", Rows: 3, Splits: 2, IDs: []int32{1}}, {Layout: "x", Rows: 1, Splits: 1, IDs: []int32{1}}} {
			_, err := bad.Folds()
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != fault.Corrupt {
				t.Errorf("case %d: a changed record gives %v", i, err)
			}
		}
	}
}

func TestNested(t *testing.T) {
	y := make([]float64, 60)
	for i := range y {
		y[i] = float64(i % 3)
	}
	outer, err := folds.New(folds.Spec{Kind: folds.Stratified, K: 4, Shuffle: true, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := folds.New(folds.Spec{Kind: folds.StratifiedShuffle, K: 2, TestSize: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	nested, err := folds.Nested(outer, inner, folds.Data{Rows: 60, Y: y})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for s, in := range nested {
		if in.Len() != 2 || in.Rows() != 60 {
			t.Errorf("%d inner splits of %d rows", in.Len(), in.Rows())
		}
		for _, i := range in.All() {
			n++
			all := slices.Concat(i.Train, i.Test)
			slices.Sort(all)
			if !slices.Equal(all, s.Train) {
				t.Fatal("the inner rows are not the outer training rows")
			}
		}
		if _, err := in.Record(); err != nil {
			t.Error(err)
		}
	}
	if n != 8 {
		t.Errorf("%d inner splits", n)
	}
	tooMany, err := folds.New(folds.Spec{Kind: folds.KFold, K: 50})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folds.Nested(outer, tooMany, folds.Data{Rows: 60, Y: y}); !invalid(err) {
		t.Errorf("50 folds of 45 rows: %v", err)
	}
}

func TestLeaks(t *testing.T) {
	m := table.NewMatrix(6, []string{"a", "b"})
	nan := float32(math.NaN())
	copy(m.Data, []float32{1, 2, 3, nan, 1, 2, 3, nan, 0, 5, float32(math.Copysign(0, -1)), 5})
	of, again := folds.Duplicates(m)
	if again != 3 || !slices.Equal(of, []int32{0, 1, 0, 1, 2, 2}) {
		t.Errorf("%d rows again, %v", again, of)
	}
	f := split(t, folds.Spec{Kind: folds.KFold, K: 3}, folds.Data{Rows: 6})
	r := folds.Leaks(f, folds.LeakData{Duplicates: of, Groups: []int32{9, 9, 9, -4, 5, 5}, Time: []float64{1, 2, 3, 4, 5, 6}, End: []float64{1, 3, 3, 4, 5.5, 6}})
	// Folds are rows {0,1}, {2,3}, {4,5}. Rows 0 and 2, and 1 and 3, are equal; group 9 is in the first two folds; only
	// the last fold is later than all others; the label of row 1 forms when that of row 2 does.
	want := folds.LeakReport{
		Duplicates: folds.Leak{Checked: true, Rows: 4, Of: 6, Splits: 2, Examples: []folds.Example{{0, 0, 2}, {0, 1, 3}, {1, 2, 0}, {1, 3, 1}}},
		Groups:     folds.Leak{Checked: true, Rows: 3, Of: 6, Splits: 2, Examples: []folds.Example{{0, 0, 2}, {0, 1, 2}, {1, 2, 0}}},
		Future:     folds.Leak{Checked: true, Rows: 4, Of: 6, Splits: 2, Examples: []folds.Example{{0, 0, 5}, {0, 1, 5}, {1, 2, 5}, {1, 3, 5}}},
		Overlap:    folds.Leak{Checked: true, Rows: 2, Of: 6, Splits: 2, Examples: []folds.Example{{0, 1, 2}, {1, 2, 1}}},
	}
	got, _ := json.Marshal(r)
	wanted, _ := json.Marshal(want)
	if string(got) != string(wanted) {
		t.Errorf("leaks are\n%s\nnot\n%s", got, wanted)
	}
	if none := folds.Leaks(f, folds.LeakData{}); none.Groups.Checked || none.Overlap.Checked || none.Duplicates.Share() != 0 {
		t.Errorf("leaks of nothing: %+v", none)
	}
	if r.Groups.Share() != 0.5 {
		t.Errorf("share %v", r.Groups.Share())
	}
	g := split(t, folds.Spec{Kind: folds.Group, K: 3}, folds.Data{Rows: 6, Groups: []int32{9, 9, 9, -4, 5, 5}})
	if leaks := folds.Leaks(g, folds.LeakData{Groups: []int32{9, 9, 9, -4, 5, 5}}); leaks.Groups.Rows != 0 {
		t.Errorf("group folds leak %+v", leaks.Groups)
	}
}

func TestSpecIsWrittenInAnyWay(t *testing.T) {
	want := folds.Spec{Kind: folds.Purged, K: 6, Time: "at", Purge: 7 * 24 * 3600, Embargo: 0.01}
	line, err := folds.Parse("purged k=6 time=at purge=7d embargo=1%")
	if err != nil || line != want {
		t.Errorf("line: %+v, %v", line, err)
	}
	var fromJSON, fromYAML folds.Spec
	if err := json.Unmarshal([]byte(`{"kind":"purged","k":6,"time":"at","purge":"168h","embargo":0.01}`), &fromJSON); err != nil || fromJSON != want {
		t.Errorf("JSON: %+v, %v", fromJSON, err)
	}
	if err := yaml.Unmarshal([]byte("kind: purged\nk: 6\ntime: at\npurge: 7d\nembargo: 1%\n"), &fromYAML); err != nil || fromYAML != want {
		t.Errorf("YAML: %+v, %v", fromYAML, err)
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var again folds.Spec
	if err := json.Unmarshal(b, &again); err != nil || again != want {
		t.Errorf("%s: %+v, %v", b, again, err)
	}
	for text, want := range map[string]folds.Spec{
		"10":                             {Kind: folds.KFold, K: 10},
		"stratified,k=3,shuffle,seed=42": {Kind: folds.Stratified, K: 3, Shuffle: true, Seed: 42},
		"shuffle test_size=30 k=2":       {Kind: folds.Shuffle, K: 2, TestSize: 30},
		"group groups=17":                {Kind: folds.Group, Groups: "17"},
		"kfold shuffle=false":            {Kind: folds.KFold},
		"kfold repeats=3 seed=1":         {Kind: folds.KFold, Repeats: 3, Seed: 1},
	} {
		if got, err := folds.Parse(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestImpossibleSpecsAreInvalid(t *testing.T) {
	for _, text := range []string{"", "fold", "kfold k=1", "kfold k=-2", "kfold seed=1", "kfold gap=3", "kfold x=1", "kfold 7", "shuffle test_size=1.5",
		"shuffle test_size=-1", "shuffle test_size=120%", "purged purge=x", "purged purge=3 end=e time=t", "combinatorial k=3 p=3", "kfold seed=-1",
		"time_series max_train=-1", "kfold seed=4294967296", "leave_p_out p=-1", "stratified k=2.5", "kfold repeats=-1", "1",
		"shuffle test_size=0.3 train_size=0.8"} {
		if _, err := folds.Parse(text); !invalid(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
	nan := math.NaN()
	for name, c := range map[string]struct {
		spec folds.Spec
		data folds.Data
	}{
		"no rows":          {folds.Spec{Kind: folds.KFold}, folds.Data{}},
		"one row":          {folds.Spec{Kind: folds.LeaveOneOut}, folds.Data{Rows: 1}},
		"no labels":        {folds.Spec{Kind: folds.Stratified}, folds.Data{Rows: 10}},
		"labels short":     {folds.Spec{Kind: folds.KFold}, folds.Data{Rows: 10, Y: []float64{1}}},
		"numbers":          {folds.Spec{Kind: folds.Stratified, K: 2}, folds.Data{Rows: 2, Y: []float64{1.5, 2}}},
		"NaN label":        {folds.Spec{Kind: folds.Stratified, K: 2}, folds.Data{Rows: 2, Y: []float64{nan, 2}}},
		"no groups":        {folds.Spec{Kind: folds.Group}, folds.Data{Rows: 10}},
		"no times":         {folds.Spec{Kind: folds.TimeSeries, Time: "t"}, folds.Data{Rows: 10}},
		"NaN time":         {folds.Spec{Kind: folds.Purged, K: 2, Time: "t"}, folds.Data{Rows: 2, Time: []float64{1, nan}}},
		"no ends":          {folds.Spec{Kind: folds.Purged, K: 2, End: "e"}, folds.Data{Rows: 2, Time: []float64{1, 2}}},
		"ends, no times":   {folds.Spec{Kind: folds.Purged, K: 2, End: "e"}, folds.Data{Rows: 2, End: []float64{1, 2}}},
		"end before":       {folds.Spec{Kind: folds.Purged, K: 2, Time: "t", End: "e"}, folds.Data{Rows: 2, Time: []float64{1, 2}, End: []float64{1, 1}}},
		"all purged":       {folds.Spec{Kind: folds.Purged, K: 2, Time: "t"}, folds.Data{Rows: 2, Time: []float64{1, 1}}},
		"all embargoed":    {folds.Spec{Kind: folds.Purged, K: 2, Embargo: 10}, folds.Data{Rows: 4}},
		"train only":       {folds.Spec{Kind: folds.Predefined}, folds.Data{Rows: 2, Fold: []int32{-1, -1}}},
		"test only":        {folds.Spec{Kind: folds.Predefined}, folds.Data{Rows: 2, Fold: []int32{3, 3}}},
		"negative fold":    {folds.Spec{Kind: folds.Predefined}, folds.Data{Rows: 2, Fold: []int32{-2, 3}}},
		"too many choices": {folds.Spec{Kind: folds.LeavePOut, P: 50}, folds.Data{Rows: 100}},
		"one group":        {folds.Spec{Kind: folds.LeaveOneGroupOut}, folds.Data{Rows: 2, Groups: []int32{1, 1}}},
	} {
		s, err := folds.New(c.spec)
		if err == nil {
			_, err = s.Split(c.data)
		}
		if !invalid(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rows that are not in the order of time are split by their times.
func TestTimeSeriesFollowsTheTimes(t *testing.T) {
	d := labelled(40, 3)
	d.End = nil
	f := split(t, folds.Spec{Kind: folds.TimeSeries, K: 3, Time: "t", Gap: 2}, d)
	for _, s := range f.All() {
		for _, i := range s.Train {
			for _, j := range s.Test {
				if d.Time[i] > d.Time[j] {
					t.Fatalf("trains on %v and tests on %v", d.Time[i], d.Time[j])
				}
			}
		}
	}
}

// A loop over the splits may end early.
func TestAllStopsWhenAsked(t *testing.T) {
	for _, c := range goldens(t) {
		if c.Error == "" {
			for range split(t, c.Spec, folds.Data{Rows: c.Rows, Y: c.Y, Groups: c.Groups, Fold: c.Fold}).All() {
				break
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10", "stratified,k=3,shuffle,seed=42", "purged k=6 time=at purge=7d embargo=1%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		spec, err := folds.Parse(line)
		if err != nil {
			if !invalid(err) {
				t.Errorf("%q: %v", line, err)
			}
			return
		}
		s, err := folds.New(spec)
		if err != nil {
			t.Fatalf("%q parses but: %v", line, err)
		}
		y := make([]float64, 12)
		if _, err := s.Split(folds.Data{Rows: 12, Y: y, Groups: make([]int32, 12), Time: y, Fold: make([]int32, 12)}); err != nil && !invalid(err) {
			t.Errorf("%q: %v", line, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	s, err := folds.New(folds.Spec{Kind: folds.KFold, K: 3, Repeats: 2})
	if err != nil {
		f.Fatal(err)
	}
	of, err := s.Split(folds.Data{Rows: 7})
	if err != nil {
		f.Fatal(err)
	}
	r, err := of.Record()
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"layout":"roles","rows":1,"splits":1,"ids":[2]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r folds.Record
		if json.Unmarshal(b, &r) != nil {
			return
		}
		back, err := r.Folds()
		if err != nil {
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != fault.Corrupt {
				t.Errorf("%v", err)
			}
			return
		}
		for _, s := range back.All() {
			if len(s.Train)+len(s.Test) > r.Rows {
				t.Errorf("%d and %d of %d rows", len(s.Train), len(s.Test), r.Rows)
			}
		}
	})
}
