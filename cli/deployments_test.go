package cli

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func readOutcomes(t *testing.T, next func() (any, error)) (string, error) {
	t.Helper()
	var out []string
	for {
		o, err := next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, "\n"), nil
		}
		if err != nil {
			return strings.Join(out, "\n"), err
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
}

func TestOutcomesFromCSV(t *testing.T) {
	next, err := csvOutcomes(strings.NewReader("\uFEFFkey,at,arr_delay,note\nAA|1,2013-04-01 10:00:00,12.5,late\nAA|2,,,\n"), "f.csv")
	if err != nil {
		t.Fatal(err)
	}
	got, err := readOutcomes(t, next)
	want := `{"at":"2013-04-01T10:00:00Z","key":"AA|1","values":{"arr_delay":12.5,"note":"late"}}` + "\n" + `{"key":"AA|2","values":{"arr_delay":null,"note":null}}`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	next, err = csvOutcomes(strings.NewReader("prediction_id,label\nx,true\ny,\n"), "f.csv")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readOutcomes(t, next); err != nil || got != `{"label":true,"prediction_id":"x"}`+"\n"+`{"label":null,"prediction_id":"y"}` {
		t.Errorf("%v\n%s", err, got)
	}
	for text, want := range map[string]string{
		"key,known_at\na,soon\n": "f.csv:2: known_at is no time",
		"key,label\na\n":         "wrong number of fields",
		"":                       "read the header",
	} {
		next, err := csvOutcomes(strings.NewReader(text), "f.csv")
		if err == nil {
			_, err = readOutcomes(t, next)
		}
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestOutcomesFromJSONLines(t *testing.T) {
	got, err := readOutcomes(t, jsonOutcomes(strings.NewReader("{\"key\":\"a\",\"label\":null}\n\n{\"key\":\"b\",\"label\":1}"), "f.jsonl"))
	if err != nil || got != `{"key":"a","label":null}`+"\n"+`{"key":"b","label":1}` {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := readOutcomes(t, jsonOutcomes(strings.NewReader("{\"key\":\"a\"}\n[1]"), "f.jsonl")); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "outcome 2") {
		t.Error(err)
	}
}
