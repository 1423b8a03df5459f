// Package script runs the program as a person would: each file in testdata is a script of commands, with what they
// print and the code they exit with.
package script

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/trimtab-ml/trimtab/cli"
	"github.com/trimtab-ml/trimtab/server"
	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// patience bounds every wait for a server; it only shows when something is broken.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trimtab": func() { os.Exit(cli.Main()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			if dir, err := peer.Environment(peer.Version); err == nil {
				env.Setenv("MLFLOW_ENVIRONMENT", dir)
			}
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"ready":  ready,
			"mode":   mode,
			"killed": killed,
		},
	})
}

// condition tells whether the locked environment of the MLflow client is there; make test, which makes it, must find it.
func condition(name string) (bool, error) {
	if name != "mlflow" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	_, err := peer.Environment(peer.Version)
	if err != nil && os.Getenv("TRIMTAB_PYTHON") != "" {
		return false, err
	}
	return err == nil, nil
}

// exits CODE PROGRAM [ARG...] runs a program and checks its exit code; its output is there for stdout and stderr.
func exits(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v exits with %d, want %d", args[1:], got, want)
	}
}

// ready DIR waits until the server on a state directory answers, and sets $URL, $ADDRESS and $PID.
func ready(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	dir := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		info, err := server.ReadInfo(dir)
		if err != nil {
			continue
		}
		res, err := http.Get(info.URL + "/health")
		if err != nil {
			continue
		}
		if err := res.Body.Close(); err == nil && res.StatusCode == http.StatusOK {
			ts.Setenv("URL", info.URL)
			ts.Setenv("ADDRESS", strings.TrimPrefix(info.URL, "http://"))
			ts.Setenv("PID", strconv.Itoa(info.PID))
			return
		}
	}
	ts.Fatalf("no server on %s within %v", dir, patience)
}

// mode FILE PERMISSIONS checks the permissions of a file.
func mode(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 2 {
		ts.Fatalf("usage: mode FILE PERMISSIONS")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// killed DIR ends the server on a state directory with the signal that no program can catch, and waits for the end.
func killed(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 1 {
		ts.Fatalf("usage: killed DIR")
	}
	dir := ts.MkAbs(args[0])
	info, err := server.ReadInfo(dir)
	ts.Check(err)
	process, err := os.FindProcess(info.PID)
	ts.Check(err)
	ts.Check(process.Kill())
	for deadline := time.Now().Add(patience); server.Holder(dir) != ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("process %d holds %s", info.PID, filepath.Base(dir))
		}
	}
}
