package data_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

const victimState = "TRIMTAB_TEST_VICTIM_STATE"

var victimSpec = project.Dataset{Files: project.Strings{"a.csv"}, Key: []string{"n"}, Contract: []project.Check{{Column: "x", Between: []float64{0, 95}}}}

// TestKilledIngest kills a process that ingests, at each of its stages: afterwards no half version is visible, every blob that is there is whole,
// nothing temporary is left, and the same ingest gives the same version as one that was never killed.
func TestKilledIngest(t *testing.T) {
	if state := os.Getenv(victimState); state != "" {
		victim(t, state)
		return
	}
	var text strings.Builder
	text.WriteString("n,x,filler\n")
	for i := range 50_000 {
		fmt.Fprintf(&text, "%d,%d,some text in row %d\n", i, i%100, i)
	}
	whole := newHouse(t)
	whole.write(t, "a.csv", text.String())
	want := whole.mustIngest(t, victimSpec)
	for _, stage := range []string{"looking at a.csv", "reading a.csv", "checking", "profiling"} {
		t.Run(stage, func(t *testing.T) {
			state := t.TempDir()
			catalogtest.In(t, state) // made here: it must outlive the child
			child := exec.Command(os.Args[0], "-test.run=^TestKilledIngest$", "-test.count=1")
			child.Env = append(os.Environ(), victimState+"="+state, "TRIMTAB_TEST_VICTIM_DIR="+whole.dir)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			seen := false
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if lines.Text() == "victim: "+stage {
					seen = true
					break
				}
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait() // killed, or just ended
			if !seen {
				t.Fatal("the process never came to this stage")
			}
			h := openHouse(t, whole.dir, state, blob.Disk{})
			for _, dir := range []string{"temp", "blobs/temp"} {
				if left, _ := os.ReadDir(filepath.Join(state, dir)); len(left) > 0 {
					t.Errorf("%s is left in %s", left[0].Name(), dir)
				}
			}
			if err := h.blobs.List(context.Background(), func(hash string, _ int64) error {
				_, err := h.blobs.Path(context.Background(), hash)
				return err
			}); err != nil {
				t.Error(err)
			}
			if v, err := h.Latest(context.Background(), "p", "d"); err == nil && v.ID != want.ID || err != nil && !fault.Is(err, fault.NotFound) {
				t.Errorf("a half version is visible: %+v, %v", v, err)
			}
			if v := h.mustIngest(t, victimSpec); v.ID != want.ID || v.Rows != want.Rows || v.Quarantined != want.Quarantined {
				t.Errorf("afterwards %d rows, %d in quarantine, id %s; want %d, %d, %s", v.Rows, v.Quarantined, v.ID, want.Rows, want.Quarantined, want.ID)
			}
		})
	}
}

// victim is the process that is killed: it tells its stages on standard output.
func victim(t *testing.T, state string) {
	h := openHouse(t, os.Getenv("TRIMTAB_TEST_VICTIM_DIR"), state, blob.Disk{})
	if _, err := h.Ingest(context.Background(), data.IngestRequest{Project: "p", Dataset: "d", Spec: victimSpec, Dir: h.dir}, func(_, _ int64, _, message string) {
		fmt.Println("victim: " + message)
	}); err != nil {
		t.Fatal(err)
	}
}
