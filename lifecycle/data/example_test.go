package data_test

import (
	"context"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// TestExampleIsClean ingests every dataset of examples/flights as its own file describes it, twice.
func TestExampleIsClean(t *testing.T) {
	const dir = "../../examples/flights"
	text, err := os.ReadFile(dir + "/trimtab.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file, err := project.ParseFile("trimtab.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	want := map[string]int64{"flights": 80789, "weather": 26115, "planes": 3322}
	for name, spec := range file.Data {
		for range 2 {
			v, err := h.Ingest(context.Background(), data.IngestRequest{Project: file.Project, Dataset: name, Spec: spec, Dir: dir}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if v.Number != 1 || v.Rows+v.Quarantined != want[name] || v.Quarantined > 1 {
				t.Errorf("%s version %d has %d rows, %d in quarantine; want %d in all", name, v.Number, v.Rows, v.Quarantined, want[name])
			}
		}
	}
}
