//go:build unix && !linux

package exec

import (
	"os"
	"syscall"
)

// attributes put a process in a group of its own. Only Linux ends it together with this process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// peakMemory is in bytes, as these systems count it.
func peakMemory(state *os.ProcessState) int64 {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		return int64(usage.Maxrss)
	}
	return 0
}
