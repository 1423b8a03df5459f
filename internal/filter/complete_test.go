package filter

import (
	"strings"
	"testing"
)

var someKeys = Known{
	Metrics: []string{"loss", "val/loss", "auc"},
	Params:  []string{"lr", "learning rate"},
	Tags:    []string{"team", "release"},
	Values:  map[string][]string{"params.lr": {"0.1", "0.01"}, "tags.team": {"it's", "b"}, "user_id": {"ann"}, "run_id": {"r1", "r2"}},
}

// TestComplete shows what is offered at the bar, and what is replaced: between the brackets.
func TestComplete(t *testing.T) {
	for _, c := range []struct {
		noun Noun
		text string // | is the cursor
		want string // the first suggestions
	}{
		{Runs, "|", "[] run_id run_name user_id status start_time end_time artifact_uri metrics.auc metrics.loss metrics.`val/loss`"},
		{Runs, "met|", "[met] metrics.auc metrics.loss metrics.`val/loss`"},
		{Runs, "metrics.l|", "[metrics.l] metrics.loss"},
		{Runs, "loss|", "[loss] metrics.loss metrics.`val/loss`"},
		{Runs, "metrics.`val|", "[metrics.`val] metrics.`val/loss`"},
		{Runs, "params.\"learning r|", "[params.\"learning r] params.`learning rate`"},
		{Runs, "met|rics.auc > 1", "[metrics.auc] metrics.auc metrics.loss metrics.`val/loss`"},
		{Runs, "metrics.loss |", "[] > >= < <= = !="},
		{Runs, "metrics.loss >|", "[>] > >="},
		{Runs, "metrics.loss > |", "[]"},
		{Runs, "metrics.loss > 0.1 |", "[] AND"},
		{Runs, "metrics.loss > 0.1 a|", "[a] AND"},
		{Runs, "metrics.loss > 0.1 AND |", "[] run_id run_name"},
		{Runs, "metrics.loss > 0.1 AND status |", "[] = != LIKE ILIKE"},
		{Runs, "tags.team I|", "[I] ILIKE IS NULL IS NOT NULL"},
		{Runs, "tags.team IS NULL |", "[] AND"},
		{Runs, "tags.team IS NOT NULL |", "[] AND"},
		{Runs, "status = |", "[] 'RUNNING' 'SCHEDULED' 'FINISHED' 'FAILED' 'KILLED'"},
		{Runs, "status = 'F|", "['F] 'FINISHED' 'FAILED'"},
		{Runs, "status = 'FINISHED'|", "[] AND"},
		{Runs, "tags.team = |", `[] "it's" 'b'`},
		{Runs, "params.lr = '0.0|", "['0.0] '0.01'"},
		{Runs, "attr.user_id LIKE |", "[] 'ann'"},
		{Runs, "run_id |", "[] = != LIKE ILIKE IN NOT IN"},
		{Runs, "run_id IN |", "[] ("},
		{Runs, "run_id IN (|", "[] 'r1' 'r2'"},
		{Runs, "run_id IN ('r1', '|", "['] 'r1' 'r2'"},
		{Runs, "run_id IN ('r1') |", "[] AND"},
		{Runs, "é = 'é' AND dataset|", "[dataset] datasets.context datasets.digest datasets.name"},
		{Experiments, "|", "[] name experiment_id creation_time last_update_time tags.release tags.team"},
		{Experiments, "tags.team |", "[] = != LIKE ILIKE IS NULL IS NOT NULL"},
		{RegisteredModels, "tags.`mlflow.prompt.is_prompt` = |", "[] 'true' 'false'"},
		{ModelVersions, "version_number |", "[] > >="},
		{LoggedModels, "cre|", "[cre] creation_timestamp"},
		{LoggedModels, "metrics.loss <|", "[<] < <="},
		{Runs, "foo bar baz |", "[]"},
	} {
		text := strings.Replace(c.text, "|", "", 1)
		before, _, _ := strings.Cut(c.text, "|")
		cursor := len([]rune(before)) // the texts have no character of two units
		got := Complete(c.noun, text, cursor, someKeys)
		said := "[]"
		if len(got) > 0 {
			said = "[" + string([]rune(text)[got[0].From:got[0].To]) + "]"
		}
		for _, s := range got {
			said += " " + s.Text
		}
		if said != c.want && !(strings.HasPrefix(said, c.want+" ") && strings.HasPrefix(c.want, "[] ")) {
			t.Errorf("%s: %s\n\tgives %s\n\twant  %s", c.noun, c.text, said, c.want)
		}
	}
}

// TestWhatIsOfferedFits follows the first suggestions from nothing to a filter that parses.
func TestWhatIsOfferedFits(t *testing.T) {
	for _, n := range nouns {
		for pick := range 12 {
			text := ""
			for range 5 {
				all := Complete(n, text, len(text), someKeys)
				if len(all) == 1 && all[0].Text == "AND" {
					break
				}
				if len(all) == 0 { // a number, or a value that nobody knows
					all = []Suggestion{{Text: "'1'", From: len(text)}}
					if _, err := Parse(n, text+"'1'"); err != nil {
						all[0].Text = "1"
					}
				}
				s := all[pick%len(all)]
				if s.Text == "(" {
					s.Text = "('1')"
				}
				text = text[:s.From] + s.Text + " "
			}
			if _, err := Parse(n, text); err != nil {
				t.Errorf("%s: %q: %v", n, text, err)
			}
		}
	}
}

func FuzzComplete(f *testing.F) {
	for _, s := range []string{"", "metrics.`val", "run_id IN ('a', ", "tags.x = \"", "a AND b", "𝄞 = '"} {
		f.Add(0, s, len(s))
	}
	f.Fuzz(func(t *testing.T, noun int, s string, cursor int) {
		if noun < 0 || noun >= len(nouns) {
			return
		}
		for _, g := range Complete(nouns[noun], s, cursor, someKeys) {
			if g.From < 0 || g.To < g.From || g.To > len(s) {
				t.Fatalf("%q at %d: %+v", s, cursor, g)
			}
		}
	})
}
