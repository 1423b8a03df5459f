// Package series stores the points of metrics: (step, time, value) by owner and key.
//
// It owns a folder with a write-ahead log, segment files and a manifest, and these promises: a point that was acknowledged survives
// kill -9 and is there once; a call is visible whole or not at all; a chart reads a pyramid of extremes and not the points.
// An owner is a name and nothing more: this package must never know what a run is, nor what a metric means.
//
// # How it works
//
// Append writes one frame to the log and then to tables in memory. When those tables reach Options.MemoryLimit, or nothing was
// written for a while, they become segment files: an owner with many points gets a file of its own, all others share one (a pack).
// Segments are merged in size tiers, so that an owner has few of them. In a segment the points of a key are sorted by (time, step,
// value) and lie in compressed blocks of 4,096; above them lies a pyramid whose chunks of 256, 1,024, 4,096 … points know their first,
// least, greatest and last point. A key whose steps do not follow time has its points a second time, in the order of steps.
//
// The identity of a point is its key, time, step and the bits of its value. The same point in two segments would be counted twice, so
// a flush drops what older segments hold already; that costs a look at blocks only where ranges overlap.
//
// The manifest names the segments that count and the first log file that still matters: it is replaced in one rename, and files that
// it does not name are removed when the store opens. What an owner has in segments up to a number can be hidden, which is how Delete and Seal
// end pieces of shared files before those are rewritten.
package series

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bounds of what comes from outside.
const (
	MaxKey     = 1000    // bytes of a key: 250 characters of any script
	MaxEntries = 1 << 20 // entries of one Append
)

const (
	defaultSyncEvery   = 50 * time.Millisecond
	defaultMemoryLimit = 64 << 20
	idleAfter          = 30 * time.Second // without an append, the tables in memory become segments
)

var ownerForm = regexp.MustCompile(`^[a-zA-Z0-9][\w\-]{0,255}$`)

// Options say where a store is and what it may use.
type Options struct {
	Dir         string                // made if needed; one process at a time may own it
	SyncEvery   time.Duration         // longest time from an Append to its fsync; 50 ms when 0
	Log         *slog.Logger          // none when nil
	Metrics     prometheus.Registerer // none when nil
	MemoryLimit int64                 // bytes of points held in memory before they become segments; 64 MiB when 0
	Disk        FS                    // the real one when nil

	ownPoints int64 // how many points give an owner a file of its own; the default when 0
}

// Store is a set of series. Its methods may be called by any number of goroutines.
type Store struct {
	dir     string
	disk    FS
	log     *slog.Logger
	limit   int64
	every   time.Duration
	metrics *metrics
	// ownPoints is how many points give an owner a file of its own.
	ownPoints int64

	queueMu sync.Mutex
	queue   []*call

	// commit is held by the one that writes to the log. Tables in memory change only under commit and mu together,
	// so its holder may read them without mu.
	commit sync.Mutex
	wal    *logFile

	// flushing lets one flush run, compacting one merge. Taken before commit and mu.
	flushing, compacting sync.Mutex
	manifestMu           sync.Mutex // one manifest is written at a time; taken before mu

	mu      sync.RWMutex
	mem     *memory
	frozen  *memory         // being flushed, or nil
	deleted map[string]bool // while frozen is there: owners that were deleted meanwhile
	set     segmentSet
	floor   uint64 // log files below hold nothing that is not in segments

	replayed    logEnd // the log file before this process; belongs to the holder of commit
	frozenFloor uint64 // the floor when frozen is in segments; belongs to the holder of flushing

	sealMu  sync.Mutex
	sealing []string

	last     atomic.Int64 // unix nanoseconds of the latest append
	suspect  atomic.Bool  // a sync of the log failed: what is in memory may not be in the log after a power cut
	unsynced chan struct{}
	kick     chan struct{}
	ending   chan struct{}
	workers  sync.WaitGroup
	closed   atomic.Bool
}

// Open opens the store in o.Dir and replays its log. A torn end of the log, left by a crash, is cut at the last whole record and
// reported to o.Log. Damage elsewhere is fault.Corrupt with the file's name.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{dir: o.Dir, disk: o.Disk, log: o.Log, limit: o.MemoryLimit, every: o.SyncEvery, mem: newMemory(), ownPoints: defaultOwnPoints,
		unsynced: make(chan struct{}, 1), kick: make(chan struct{}, 1), ending: make(chan struct{})}
	if s.disk == nil {
		s.disk = Disk{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.limit <= 0 {
		s.limit = defaultMemoryLimit
	}
	if o.ownPoints > 0 {
		s.ownPoints = o.ownPoints
	}
	if s.every <= 0 {
		s.every = defaultSyncEvery
	}
	for _, d := range []string{s.dir, s.path("log"), s.path("segments"), s.path("temp")} {
		if err := s.disk.MkdirAll(d); err != nil {
			return nil, diskFault(err, "make the folder %s", d)
		}
	}
	if err := s.removeAll(s.path("temp"), func(string) bool { return true }); err != nil {
		return nil, err
	}
	if err := s.readManifest(); err != nil {
		return nil, err
	}
	if err := s.replay(ctx); err != nil {
		return nil, err
	}
	if err := s.disk.SyncDir(s.dir); err != nil {
		return nil, diskFault(err, "sync the folder %s", s.dir)
	}
	if s.mem.bytes >= s.limit {
		signal(s.kick)
	}
	var err error
	if s.metrics, err = newMetrics(o.Metrics, s); err != nil {
		return nil, err
	}
	s.last.Store(time.Now().UnixNano())
	s.workers.Add(2)
	go s.syncLoop()
	go s.keepLoop()
	return s, nil
}

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// removeAll removes the files of dir whose names are not wanted.
func (s *Store) removeAll(dir string, unwanted func(name string) bool) error {
	names, err := s.disk.ReadDir(dir)
	if err != nil {
		return diskFault(err, "read the folder %s", dir)
	}
	for _, name := range names {
		if !unwanted(name) {
			continue
		}
		if err := s.disk.Remove(filepath.Join(dir, name)); err != nil {
			return diskFault(err, "remove the unfinished file %s", name)
		}
	}
	return nil
}

// Close makes segments of what is in memory, so that the next Open is quick, and ends the store. If that fails the points are in the log.
// A second Close does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	close(s.ending)
	s.workers.Wait()
	flushed := s.flush()
	if flushed != nil {
		s.log.Warn("metric points stay in the log", "error", flushed)
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	s.metrics.unregister()
	if s.wal == nil {
		return nil
	}
	err := s.wal.file.Sync()
	return errors.Join(err, s.wal.file.Close())
}

func (s *Store) open() error {
	if s.closed.Load() {
		return fault.New(fault.Unavailable, "the store of metric points is closed")
	}
	return nil
}

func checkOwner(owner string) error {
	if len(owner) > 256 || !ownerForm.MatchString(owner) {
		return fault.New(fault.Invalid, "%.80q cannot own metric points", owner).
			WithHint("an owner is 1 to 256 letters, digits, '_' and '-', and begins with a letter or a digit")
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "a metric has no name")
	case len(key) > MaxKey:
		return fault.New(fault.Invalid, "the metric name %.40q… has %d bytes, at most %d are allowed", key, len(key), MaxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.Invalid, "the metric name %.80q is not UTF-8", key)
	}
	return nil
}

// diskFault names what the disk would not do. A full disk is a condition that passes: the caller may try again.
func diskFault(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	var already *fault.Error
	switch {
	case errors.As(err, &already):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(err, fault.Unavailable, "cannot %s: the disk is full", what).
			WithHint("free some space and try again; nothing that was stored before is lost")
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

// corrupt is the fault of bytes that are not what was written.
func corrupt(path, format string, args ...any) error {
	return fault.New(fault.Corrupt, "the file %s of metric points is corrupt: %s", path, fmt.Sprintf(format, args...)).
		WithHint("restore the file from a backup").With("file", path)
}
