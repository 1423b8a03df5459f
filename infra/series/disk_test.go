package series

import (
	"errors"
	"strings"
	"sync"
	"syscall"
)

var errPower = errors.New("the power is off")

// frail is a disk that breaks. It does not sync: tests end processes, not machines.
type frail struct {
	Disk
	mu     sync.Mutex
	budget int  // operations until the power goes off; negative: never
	used   int  // operations that changed something
	full   bool // writes fail half way
	stuck  bool // truncating fails too
	deaf   bool // files of the log do not sync
}

// step spends an operation. When the power is off nothing changes any more; torn is true for the operation at which it goes off.
func (d *frail) step() (torn bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.budget >= 0 && d.used >= d.budget {
		torn = d.used == d.budget
		d.used++
		return torn, errPower
	}
	d.used++
	return false, nil
}

// spent is how many operations there were, and isOff whether the power went off; the store may still be at work.
func (d *frail) spent() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

func (d *frail) isOff() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.budget >= 0 && d.used > d.budget
}

func (d *frail) Create(path string) (File, error) {
	if d.isFull() && !strings.HasSuffix(path, ".log") {
		return nil, syscall.ENOSPC
	}
	if _, err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.Disk.Create(path)
	if err != nil {
		return nil, err
	}
	return &frailFile{f, d, strings.HasSuffix(path, ".log")}, nil
}

func (d *frail) isFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

func (d *frail) set(full, stuck bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.stuck = full, stuck
}

func (d *frail) Rename(from, to string) error {
	if _, err := d.step(); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

func (d *frail) Remove(path string) error {
	if _, err := d.step(); err != nil {
		return err
	}
	return d.Disk.Remove(path)
}

func (d *frail) SyncDir(string) error {
	_, err := d.step()
	return err
}

type frailFile struct {
	File
	disk *frail
	log  bool
}

func (f *frailFile) WriteAt(b []byte, at int64) (int, error) {
	if torn, err := f.disk.step(); err != nil {
		if torn {
			_, _ = f.File.WriteAt(b[:len(b)*2/3], at)
		}
		return 0, err
	}
	if f.disk.isFull() {
		n, _ := f.File.WriteAt(b[:len(b)*2/3], at)
		return n, syscall.ENOSPC
	}
	return f.File.WriteAt(b, at)
}

func (f *frailFile) Truncate(size int64) error {
	if _, err := f.disk.step(); err != nil {
		return err
	}
	f.disk.mu.Lock()
	stuck := f.disk.stuck
	f.disk.mu.Unlock()
	if stuck {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

func (f *frailFile) Sync() error {
	_, err := f.disk.step()
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.log && f.disk.deaf {
		return syscall.EIO
	}
	return err
}
