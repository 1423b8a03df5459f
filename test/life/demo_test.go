package life

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// demoSummary is what `trimtab demo --exit --json` prints.
type demoSummary struct {
	Requests, Failed, Lost                     int
	Alerts, Retrainings, Promotions, Rollbacks int
	Months                                     []struct {
		Month string
		N     int
		Live  float64 `json:"log_loss_live"`
	}
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
	if s.Failed != 0 || s.Lost != 0 || s.Requests == 0 {
		t.Fatalf("%d requests, %d failed, %d lost\n%s", s.Requests, s.Failed, s.Lost, story.String())
	}
	return s, story.String()
}

// The days around the fault of a seed; the seed puts it between 10 and 21 August.
var celsiusDays = []string{"--from", "2013-08-07", "--until", "2013-08-24"}

func TestDemoNamesTheCelsiusFault(t *testing.T) {
	for _, seed := range []string{"1", "5"} {
		_, story := runDemo(t, append(celsiusDays, "--seed", seed)...)
		if !strings.Contains(story, "incident: temperatures arrive in Celsius") {
			t.Fatalf("the fault of seed %s is not in the stretch:\n%s", seed, story)
		}
		if !strings.Contains(story, "°F sent as °C") || !strings.Contains(story, "temp: ") {
			t.Errorf("no alarm names the fault of seed %s:\n%s", seed, story)
		}
	}
}

func TestDemoWithoutTheCelsiusFaultHasNoAlarmOfIt(t *testing.T) {
	_, story := runDemo(t, append(celsiusDays, "--without", "celsius")...)
	if strings.Contains(story, "°C") || strings.Contains(story, "temp: ") {
		t.Errorf("an alarm without its fault:\n%s", story)
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
	first, story := runDemo(t, days...)
	second, _ := runDemo(t, append(days, "--connections", "3")...)
	a, _ := json.Marshal(first)
	b, _ := json.Marshal(second)
	if !bytes.Equal(a, b) {
		t.Errorf("the same seed gave\n%s\nand\n%s", a, b)
	}
	if first.Retrainings == 0 || first.Promotions == 0 {
		t.Errorf("nothing was retrained in a month of drift:\n%s", story)
	}
}
