package worker

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/predictor"
)

// holds tells whether a rung is said to hold.
func holds(p *Pool, name string) bool {
	return slices.ContainsFunc(p.Status().Isolated, func(r predictor.Rung) bool { return r.Name == name && r.Holds })
}

// What Status says of a rung is true: a worker tries to get out.
func TestSandbox(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "hunter2")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := behaving(t, Spec{Environ: map[string]string{"MODEL_SETTING": "1"}})
	for _, r := range p.Status().Isolated {
		t.Logf("%s: %v %s", r.Name, r.Holds, r.Reason)
	}
	for _, test := range []struct{ rung, do string }{
		{rungFiles, "read " + secret}, {rungFiles, "write " + secret}, {rungFiles, "write " + filepath.Join(p.spec.Dir, "predict.py")}, {rungFiles, "read /etc/passwd"},
		{rungNetwork, "connect " + listener.Addr().String()},
	} {
		_, err := do(t.Context(), p, test.do)
		if held := holds(p, test.rung); held && err == nil {
			t.Errorf("%s: it can, and %q is said to hold", test.do, test.rung)
		} else if !held {
			t.Logf("%s is not held here: %v", test.do, err)
		}
	}
	names, err := do(t.Context(), p, "env")
	if err != nil || strings.Contains(names, "SECRET") || !strings.Contains(names, "MODEL_SETTING") {
		t.Errorf("its environment is %s, %v", names, err)
	}
	// What it needs it can: its own folder to read, its temporary one to write.
	if got, err := do(t.Context(), p, "read "+filepath.Join(p.spec.Dir, "predict.py")); err != nil || got == "" {
		t.Errorf("its own program: %q, %v", got, err)
	}
	if p.Status().Restarts != 0 {
		t.Error("a worker was lost")
	}
	tmp, err := filepath.Glob(filepath.Join(p.manager.options.Dir, "tmp", "*"))
	if err != nil || len(tmp) != 1 {
		t.Fatal(tmp, err)
	}
	if _, err := do(t.Context(), p, "write "+filepath.Join(tmp[0], "x")); err != nil {
		t.Errorf("its temporary folder: %v", err)
	}

	open := behaving(t, Spec{Network: true})
	if _, err := do(t.Context(), open, "connect "+listener.Addr().String()); err != nil {
		t.Errorf("with the network allowed: %v", err)
	}
	if holds(open, rungNetwork) {
		t.Error("the network is said to be closed")
	}
}

// Where the kernel has nothing to offer, everything runs and every rung says so. The launcher itself is asked, in a process without
// namespaces, in one that may not use Landlock or seccomp again: inside of another sandbox.
func TestRungsTellTheTruth(t *testing.T) {
	m := manager(t, python(t))
	rungs, err := m.Rungs()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range rungs {
		if names[r.Name] || r.Holds == (r.Reason != "") {
			t.Errorf("%+v", r)
		}
		names[r.Name] = true
	}
	for _, name := range []string{rungGroup, rungEnvironment, rungNamespaces, rungFiles, rungNetwork} {
		if !names[name] {
			t.Errorf("nothing is said of %s", name)
		}
	}
	plain, err := probe(false)
	if err != nil || len(plain) < 2 {
		t.Errorf("without namespaces: %v, %v", plain, err)
	}
}

// The launcher is nothing that a caller of the program can reach by its arguments alone.
func TestLauncherNeedsItsName(t *testing.T) {
	text, err := json.Marshal(launch{Probe: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(os.Args[0], "-test.run=^$", string(text)).CombinedOutput()
	if err != nil || strings.Contains(string(out), rungFiles) {
		t.Errorf("%s, %v", out, err)
	}
}
