package worker

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"

	"github.com/trimtab-ml/trimtab/engine/predictor"
)

// launcherName is how this program calls itself to become the launcher of a worker: a process that takes away from itself what a worker
// must not have and then becomes the interpreter. It has to be a process of its own since most of these measures are for good and
// cannot be taken between fork and exec of a Go program.
const launcherName = "trimtab-worker-exec"

// launchFD is the worker's end of the pipe.
const launchFD = 3

// launch is what the launcher is told, as JSON in its only argument.
type launch struct {
	Argv      []string `json:"argv"`
	ReadOnly  []string `json:"read_only"`  // files and folders that may be read and executed
	ReadWrite []string `json:"read_write"` // folders that are the worker's own
	Network   bool     `json:"network"`
	Apart     bool     `json:"apart"` // it already is in namespaces of its own
	Memory    int64    `json:"memory"`
	Files     uint64   `json:"files"`
	Processes uint64   `json:"processes"`
	Report    int      `json:"report"` // the descriptor that takes the report
	Probe     bool     `json:"probe"`  // print the rungs and end
}

// init makes any program that holds this package able to be the launcher: the server, and the tests of whoever uses workers. Nothing
// happens unless it was started under the launcher's name.
func init() {
	if len(os.Args) == 2 && os.Args[0] == launcherName {
		os.Exit(runLauncher(os.Args[1]))
	}
}

func runLauncher(text string) int {
	var l launch
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		fmt.Fprintln(os.Stderr, launcherName+":", err)
		return 2
	}
	rungs := l.confine()
	if l.Probe {
		if err := json.NewEncoder(os.Stdout).Encode(rungs); err != nil {
			return 1
		}
		return 0
	}
	header, err := json.Marshal(hello{Language: launcherName, Rungs: rungs})
	if err == nil {
		_, err = writeTo(l.Report, rawFrame(frameHello, header))
	}
	if err == nil {
		err = become(l.Argv)
	}
	header, _ = json.Marshal(problem{Kind: "load", Message: fmt.Sprintf("%s could not be started: %v", l.Argv[0], err)})
	_, _ = writeTo(l.Report, rawFrame(frameError, header)) // nobody else is left to tell
	return 1
}

// hello is the header of a HELLO.
type hello struct {
	Protocol int              `json:"protocol"`
	Language string           `json:"language"`
	Version  string           `json:"version"`
	Rungs    []predictor.Rung `json:"rungs,omitempty"`
}

func rawFrame(kind frameType, header []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(fixed+len(header)))
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	return append(b, header...)
}
