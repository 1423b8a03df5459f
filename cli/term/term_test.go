package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// capture is an IO of which the test reads the output.
func capture(tty bool, width int) (s *IO, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	s = Plain(strings.NewReader(""), out, err)
	s.TTY, s.ErrTTY, s.Width = tty, tty, width
	return s, out, err
}

func TestTable(t *testing.T) {
	headers := []string{"NAME", "ROWS", "CAUSE"}
	rows := [][]string{
		{"flights", "336,776", "a cause that\tis long and\nhas breaks"},
		{"wetter-österreich", "12", "-"},
		{"short"},
	}
	for name, test := range map[string]struct {
		tty   bool
		width int
		want  string
	}{
		"pipe": {false, 0, "NAME\tROWS\tCAUSE\n" +
			"flights\t336,776\ta cause that is long and has breaks\n" +
			"wetter-österreich\t12\t-\n" +
			"short\t\t\n"},
		"terminal": {true, 80, "" +
			"NAME                  ROWS  CAUSE\n" +
			"flights            336,776  a cause that is long and has breaks\n" +
			"wetter-österreich       12  -\n" +
			"short\n"},
		"narrow": {true, 44, "" +
			"NAME                 ROWS  CAUSE\n" +
			"flights           336,776  a cause that is …\n" +
			"wetter-österrei…       12  -\n" +
			"short\n"},
		"unknown width": {true, 0, "" +
			"NAME                  ROWS  CAUSE\n" +
			"flights            336,776  a cause that is long and has breaks\n" +
			"wetter-österreich       12  -\n" +
			"short\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, out, _ := capture(test.tty, test.width)
			s.Table(headers, rows)
			if out.String() != test.want {
				t.Errorf("got\n%s\nwant\n%s", out, test.want)
			}
		})
	}
}

func TestColourCountsForNothingInTables(t *testing.T) {
	s, out, _ := capture(true, 80)
	s.Color = true
	s.Table([]string{"STATE", "N"}, [][]string{{s.Good("done"), "1"}, {s.Bad("failed"), "20"}})
	if plain, want := escapes.ReplaceAllString(out.String(), ""), "STATE    N\ndone     1\nfailed  20\n"; plain != want {
		t.Errorf("got\n%s\nwant\n%s", plain, want)
	}
	if !strings.Contains(out.String(), "\x1b[32mdone\x1b[0m") {
		t.Errorf("no colour in %q", out)
	}
	s, out, _ = capture(false, 0)
	s.Color = true // forced: data in a pipe stays plain all the same
	s.Table([]string{"STATE"}, [][]string{{s.Good("done")}})
	if out.String() != "STATE\ndone\n" {
		t.Errorf("%q", out)
	}
}

func TestFields(t *testing.T) {
	s, out, _ := capture(false, 0)
	s.Fields([2]string{"id", "1"}, [2]string{"cause", "a\tb"})
	if out.String() != "id\t1\ncause\ta b\n" {
		t.Errorf("%q", out)
	}
	s, out, _ = capture(true, 80)
	s.Fields([2]string{"id", "1"}, [2]string{"cause", "x"})
	if out.String() != "id     1\ncause  x\n" {
		t.Errorf("%q", out)
	}
}

func TestErrorTellsWhatAndWhatNext(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
		code int
	}{
		"none": {nil, "", 0},
		"fault": {fault.New(fault.NotFound, "there is no model %q", "m").WithHint("list them").At(fault.Position{File: "trimtab.yaml", Line: 3, Column: 7}),
			"error: trimtab.yaml:3:7: there is no model \"m\"\nhint: list them\n", 3},
		"details": {fault.New(fault.GateRefused, "auc >= 0.6 does not hold").With("auc", 0.51234567).With("clauses", []string{"x"}).With("n", 12),
			"error: auc >= 0.6 does not hold\n  auc: 0.5123\n  n: 12\n", 6},
		"wrapped":         {fmt.Errorf("apply: %w", fault.New(fault.Conflict, "in use").WithHint("wait")), "error: apply: in use\nhint: wait\n", 5},
		"plain":           {errors.New("disk"), "error: disk\n", 1},
		"denied":          {fault.New(fault.Denied, "no"), "error: no\n", 4},
		"unauthenticated": {fault.New(fault.Unauthenticated, "who"), "error: who\n", 4},
		"invalid":         {fault.New(fault.Invalid, "bad"), "error: bad\n", 1},
		"usage":           {&UsageError{Err: errors.New("unknown flag: --x"), Command: "trimtab ls"}, "error: unknown flag: --x\nhint: see `trimtab ls --help`\n", 2},
		"interrupted":     {fmt.Errorf("wait: %w", context.Canceled), "interrupted\n", 130},
		"job canceled":    {fault.New(fault.Canceled, "job 1 was canceled"), "error: job 1 was canceled\n", 1},
		"silent":          {&Silent{Err: fault.New(fault.GateRefused, "told")}, "", 6},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, out := capture(false, 0)
			s.Error(test.err)
			if out.String() != test.want || ExitCode(test.err) != test.code {
				t.Errorf("exit %d, %q; want exit %d, %q", ExitCode(test.err), out, test.code, test.want)
			}
		})
	}
}

// stepped is an IO whose clock the test moves.
func stepped(tty bool) (s *IO, err *bytes.Buffer, tick func(time.Duration)) {
	s, _, err = capture(tty, 200)
	at := time.Unix(0, 0)
	s.now = func() time.Time { return at }
	return s, err, func(d time.Duration) { at = at.Add(d) }
}

func TestProgressBar(t *testing.T) {
	s, out, tick := stepped(true)
	p := &Progress{io: s, title: "ingest", start: s.now(), stop: make(chan struct{})}
	tick(200 * time.Millisecond)
	p.draw()
	if got := out.String(); !strings.Contains(got, "ingest  200 ms") {
		t.Errorf("before the first number: %q", got)
	}
	out.Reset()
	tick(1800 * time.Millisecond)
	p.Update(500, 2000, "rows", "flights.csv")
	p.draw()
	want := "\ringest  ██████░░░░░░░░░░░░░░░░░░  25 %, 500 of 2,000 rows, 250/s, 6.0 s left, flights.csv\x1b[K"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out, want)
	}
	out.Reset()
	p.Update(3<<20, 0, "bytes", "")
	p.draw()
	if got := out.String(); !strings.Contains(got, "ingest  3.0 MiB, 1.5 MiB/s") {
		t.Errorf("without a total: %q", got)
	}
	out.Reset()
	p.Done()
	p.Done()
	if out.String() != "\r\x1b[K" {
		t.Errorf("the bar is not wiped: %q", out)
	}
}

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	s, out, tick := stepped(false)
	p := &Progress{io: s, title: "ingest", start: s.now(), lastLine: s.now(), stop: make(chan struct{})}
	for range 100 { // 10 s
		tick(100 * time.Millisecond)
		p.Update(50, 100, "rows", "")
		p.draw()
	}
	p.Done()
	want := "ingest: 50 %, 50 of 100 rows, 10/s, 5.0 s left\ningest: 50 %, 50 of 100 rows, 5/s, 10.0 s left\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestProgressRunsByItself(t *testing.T) {
	s, _, _ := capture(true, 80)
	shown := make(chan struct{}, 1000)
	s.Err = notify{shown}
	p := s.Progress("work")
	select {
	case <-shown:
	case <-time.After(10 * time.Second):
		t.Error("nothing is shown")
	}
	p.Done()
}

type notify struct{ seen chan struct{} }

func (n notify) Write(b []byte) (int, error) {
	select {
	case n.seen <- struct{}{}:
	default:
	}
	return len(b), nil
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		Count(0):                               "0",
		Count(-1234567):                        "-1,234,567",
		Count(math.MinInt64):                   "-9,223,372,036,854,775,808",
		Bytes(1023):                            "1023 B",
		Bytes(1 << 20):                         "1.0 MiB",
		Rate(12345):                            "12.3k/s",
		Rate(2.5e6):                            "2.5M/s",
		Rate(0.5):                              "0.5/s",
		Duration(1500 * time.Microsecond):      "1 ms",
		Duration(90 * time.Second):             "1m 30s",
		Duration(25*time.Hour + 5*time.Minute): "25h 5m",
		Duration(50 * time.Hour):               "2d 2h",
		Duration(-time.Second):                 "-1.0 s",
		Number(0.123456):                       "0.1235",
		Number(2):                              "2",
		Number(math.NaN()):                     "-",
		Time(time.Time{}):                      "-",
		Time(time.Unix(0, 0)):                  "1970-01-01 00:00:00",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	for before, want := range map[time.Duration]string{
		30 * time.Second: "30s ago", 5 * time.Minute: "5m ago", 5 * time.Hour: "5h ago", 100 * time.Hour: "4d ago",
		-time.Hour: "2026-01-10 13:00",
	} {
		if got := Ago(now.Add(-before), now); got != want {
			t.Errorf("%v: got %q, want %q", before, got, want)
		}
	}
	if Ago(time.Time{}, now) != "-" {
		t.Error("the zero time is no time ago")
	}
}
