package serve

import "time"

// Slot is what a version answered in a piece of the last minutes.
type Slot struct {
	At time.Time `json:"at" doc:"when it began, by the server's clock"`
	Stats
}

// SlotLength is how long a Slot lasts.
const SlotLength = slot

// Course is what a version of a deployment answered in the last five minutes of wall time, slot by slot, the oldest first; slots without a
// request are there too. The last slot is under way. It is nil for a version that is not loaded.
func (s *Service) Course(deployment string, version int) []Slot {
	c := s.countersOf(deployment, version)
	if c == nil {
		return nil
	}
	return c.course(time.Now())
}

// course cuts the window into its slots. Whatever is counted in a slot follows the reading at its start, and a reading is kept before the
// first count of a slot: what lies between two readings was counted in the slot of the earlier one.
func (c *counters) course(now time.Time) []Slot {
	c.tick(now)
	last := int64(now.Sub(processStart)/slot) + 1
	out := make([]Slot, windowSlots)
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.read()
	for i := windowSlots - 1; i >= 0; i-- {
		s := last - int64(windowSlots-1-i)
		out[i].At = processStart.Add(time.Duration(s-1) * slot).UTC()
		if s < 1 {
			continue // before the process
		}
		if r := &c.readings[s%windowSlots]; r.slot == s {
			out[i].Stats = next.since(&r.totals)
			next = r.totals
		}
	}
	return out
}
