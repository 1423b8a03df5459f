package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// acquire takes the lock of a state directory for this process. The kernel lets go of it when the process ends, in
// whatever way, so there is no stale lock to clean up. The file holds the process id for people and for doctor.
func acquire(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "open the lock of the state directory").
			WithHint("check that %s is writable", dir)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder, err := io.ReadAll(io.LimitReader(f, 32))
		pid := strings.TrimSpace(string(holder))
		if err != nil || pid == "" {
			pid = "unknown"
		}
		return nil, fault.New(fault.Conflict, "another server uses the state directory %s (process %s)", dir, pid).
			With("pid", pid).WithHint("use that server, stop it, or choose another directory with --dir")
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
		}
	}
	return f, nil
}

// Holder is the id of the process that holds the lock of a state directory now; "" when none does.
func Holder(dir string) string {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return ""
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return "" // the shared lock goes with the file
	}
	holder, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(holder)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
