package serve

import (
	"testing"
	"time"
)

// The window is 15 slots of 20 seconds, and every row falls into the slot in which it was answered.
func TestCourseCutsTheWindowIntoSlots(t *testing.T) {
	c := &counters{}
	at := func(n int, into time.Duration) time.Time { return processStart.Add(time.Duration(n)*slot + into) }
	c.answered(at(0, time.Second), 100)
	c.answered(at(20, time.Second), 1000)
	c.answered(at(20, 19*time.Second), 1000)
	c.failed(at(23, 0), 3)
	c.answered(at(30, 5*time.Second), 9000)
	got := c.course(at(31, time.Second))
	if len(got) != windowSlots {
		t.Fatalf("%d slots", len(got))
	}
	want := map[int]Stats{3: {Requests: 2}, 6: {Requests: 3, Errors: 3}, 13: {Requests: 1}}
	for i, s := range got {
		if w := want[i]; s.Requests != w.Requests || s.Errors != w.Errors {
			t.Errorf("slot %d: %d rows and %d errors, want %d and %d", i, s.Requests, s.Errors, w.Requests, w.Errors)
		}
		if begun := at(17+i, 0); !s.At.Equal(begun) {
			t.Errorf("slot %d begins at %v, want %v", i, s.At, begun)
		}
	}
	if p := got[3].P99MS; p < 0.95 || p > 1.05 { // within 5 % of 1 ms
		t.Errorf("p99 %g ms, want 1 within 5 %%", p)
	}
}

// A process that began a moment ago has slots before its start: they are empty.
func TestCourseOfAYoungProcess(t *testing.T) {
	c := &counters{}
	c.answered(processStart.Add(time.Second), 50)
	got := c.course(processStart.Add(2 * time.Second))
	if last := got[len(got)-1]; last.Requests != 1 || !last.At.Equal(processStart) {
		t.Errorf("the last slot has %d rows and begins at %v", last.Requests, last.At)
	}
	for _, s := range got[:len(got)-1] {
		if s.Requests != 0 {
			t.Errorf("%d rows in a slot before the process", s.Requests)
		}
	}
}
