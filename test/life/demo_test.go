package life

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// demoSummary is what `trimtab demo --exit --json` prints.
type demoSummary struct {
	Requests, Failed, Lost                     int
	Alerts, Retrainings, Promotions, Rollbacks int
	Whole                                      map[string]any `json:"-"` // all of it but wall_s
}

// runDemo runs the real thing over a stretch of the year and returns the summary and the story.
func runDemo(t *testing.T, args ...string) (demoSummary, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"demo", "--exit", "--json", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	var out, story bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &story
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, story.String())
	}
	var s demoSummary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if err := json.Unmarshal(out.Bytes(), &s.Whole); err != nil {
		t.Fatal(err)
	}
	delete(s.Whole, "wall_s")
	if s.Failed != 0 || s.Lost != 0 || s.Requests == 0 {
		t.Fatalf("%d requests, %d failed, %d lost\n%s", s.Requests, s.Failed, s.Lost, story.String())
	}
	return s, story.String()
}

// The days around the fault of a seed; the seed puts it between 10 and 21 August. Sudden drift is measured against what was usual in the
// weeks before, so that these belong to the stretch.
var celsiusDays = []string{"--from", "2013-07-24", "--until", "2013-08-25"}

// told is the days of August on which the story tells the beginning of an alarm of sudden drift in temp.
func told(story string) (days []int) {
	for _, line := range strings.Split(story, "\n") {
		if strings.Contains(line, "Sudden drift of temp: ") && !strings.Contains(line, "Resolved: ") {
			days = append(days, dayOfAugust(line))
		}
	}
	return days
}

// dayOfAugust is the day a line begins with; 0 when it is of another month.
func dayOfAugust(line string) (day int) {
	if n, err := fmt.Sscanf(strings.TrimSpace(line), "%d Aug", &day); n != 1 || err != nil {
		return 0
	}
	return day
}

func TestDemoNamesTheCelsiusFault(t *testing.T) {
	for _, seed := range []string{"1", "5"} {
		_, story := runDemo(t, append(celsiusDays, "--seed", seed)...)
		fault := 0
		for _, line := range strings.Split(story, "\n") {
			if strings.Contains(line, "incident: temperatures arrive in Celsius") {
				fault = dayOfAugust(line)
			}
		}
		if fault == 0 {
			t.Fatalf("the fault of seed %s is not in the stretch:\n%s", seed, story)
		}
		if !strings.Contains(story, "°F sent as °C") || !strings.Contains(story, "temp: ") {
			t.Errorf("no alarm of data quality names the fault of seed %s:\n%s", seed, story)
		}
		if days := told(story); len(days) != 1 || days[0] != fault+1 { // when the first of its two days is over
			t.Errorf("the fault of seed %s, on %d August, is told as sudden drift on %v:\n%s", seed, fault, days, story)
		}
	}
}

func TestDemoWithoutTheCelsiusFaultHasNoAlarmOfIt(t *testing.T) {
	for _, seed := range []string{"1", "5"} {
		_, story := runDemo(t, append(celsiusDays, "--seed", seed, "--without", "celsius")...)
		if strings.Contains(story, "°C") || strings.Contains(story, "temp: ") {
			t.Errorf("an alarm without its fault, with seed %s:\n%s", seed, story)
		}
	}
}

// The days around the bad release; the seed puts it between 1 and 12 November.
var releaseDays = []string{"--from", "2013-10-31", "--until", "2013-11-16", "--seed", "1"}

func TestDemoSendsTheBadReleaseBack(t *testing.T) {
	s, story := runDemo(t, releaseDays...)
	if s.Rollbacks != 1 || !strings.Contains(story, "sent back") || !strings.Contains(story, "forced past its gate") {
		t.Errorf("%d rollbacks:\n%s", s.Rollbacks, story)
	}
	s, story = runDemo(t, append(releaseDays, "--without", "bad-release")...)
	if s.Rollbacks != 0 || strings.Contains(story, "sent back") {
		t.Errorf("%d rollbacks without the bad release:\n%s", s.Rollbacks, story)
	}
}

func TestDemoIsTheSameForTheSameSeed(t *testing.T) {
	days := []string{"--until", "2013-04-27", "--seed", "3"}
	if soak {
		days = []string{"--seed", "3"} // the whole year
	}
	first, story := runDemo(t, days...)
	second, _ := runDemo(t, append(days, "--connections", "3")...)
	if diff := cmp.Diff(first.Whole, second.Whole); diff != "" {
		t.Errorf("the same seed over 8 and over 3 connections (-, +):\n%s", diff)
	}
	if first.Retrainings == 0 || first.Promotions == 0 {
		t.Errorf("nothing was retrained in drift:\n%s", story)
	}
}
