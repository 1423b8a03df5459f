//go:build !linux

package worker

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/trimtab-ml/trimtab/engine/predictor"
)

// The names of the rungs, as Status shows them.
const (
	rungGroup       = "process group"
	rungEnvironment = "environment"
	rungNamespaces  = "namespaces"
	rungFiles       = "files"
	rungNetwork     = "network"
	rungMemory      = "memory"
)

func writeTo(fd int, b []byte) (int, error) { return os.NewFile(uintptr(fd), "pipe").Write(b) }

func become(argv []string) error { return syscall.Exec(argv[0], argv, os.Environ()) }

// confine has nothing to offer outside of Linux, and says so.
func (l *launch) confine() []predictor.Rung {
	reason := errors.New("only Linux has it").Error()
	return []predictor.Rung{{Name: rungFiles, Reason: reason}, {Name: rungNetwork, Reason: reason}}
}

func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func selfPath() (string, error) { return os.Executable() }

// resident asks ps, which counts in kilobytes.
func resident(pid int) int64 {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return n << 10
}
