package track

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// CollectJob is the kind of the jobs that remove what nothing holds.
const CollectJob = "collect_garbage"

// BlobHolder is a package that keeps blobs. What a holder does not name is garbage, so a package that puts blobs has to be one.
type BlobHolder interface {
	Blobs(ctx context.Context, f func(hash string) error) error
}

// Sweeper is the store that garbage is swept from (*blob.Guard). Sweep keeps blobs that were put a short while ago; Recent tells which.
type Sweeper interface {
	List(ctx context.Context, f func(hash string, size int64) error) error
	Sweep(ctx context.Context, hash string) (bool, error)
	Recent(hash string) bool
}

// CollectorConfig is what a Collector is made of.
type CollectorConfig struct {
	Runs    *Service
	Blobs   Sweeper
	Holders []BlobHolder // besides Runs
	Jobs    *queue.Queue // nil = only Run
	Grace   time.Duration
	Log     *slog.Logger // nil = nowhere
}

// Collector removes what people have deleted once its time is over, and then the bytes that nothing holds any more. A blob goes when it
// was found without a holder twice, with the grace period between. It is safe for concurrent use; runs of it must not overlap, which
// the queue sees to.
type Collector struct{ cfg CollectorConfig }

// NewCollector makes a collector and registers its kind of job.
func NewCollector(cfg CollectorConfig) *Collector {
	if cfg.Grace <= 0 {
		cfg.Grace = 24 * time.Hour
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{cfg: cfg}
	if cfg.Jobs != nil {
		cfg.Jobs.Register(CollectJob, func(ctx context.Context, r *queue.Running) error {
			var req CollectRequest
			if err := r.Decode(&req); err != nil {
				return err
			}
			report, err := c.Run(ctx, req, func(done, total int64, message string) { r.Progress(done, total, "blobs", message) })
			if err != nil {
				return err
			}
			return r.Result(report)
		})
	}
	return c
}

// CollectRequest says how far a collection goes.
type CollectRequest struct {
	DryRun    bool           `json:"dry_run" doc:"count what would go, and remove nothing"`
	OlderThan *time.Duration `json:"older_than,omitempty" doc:"remove everything that was deleted longer ago, whatever the retention of its experiment says"`
	Grace     *time.Duration `json:"grace,omitempty" doc:"how long bytes stay that nothing holds; none = a day"`
}

// CollectReport is what went, or would go.
type CollectReport struct {
	DryRun       bool  `json:"dry_run"`
	Expired      int64 `json:"expired" doc:"runs that were deleted because their experiment keeps only so many; they can still be restored"`
	Runs         int64 `json:"runs" doc:"removed for good"`
	Experiments  int64 `json:"experiments"`
	LoggedModels int64 `json:"logged_models"`
	Points       int64 `json:"points" doc:"runs whose metric points were left over"`
	Snapshots    int64 `json:"snapshots" doc:"file lists of registered versions that are deleted"`
	Uploads      int64 `json:"uploads" doc:"unfinished ones that saw nothing for a day"`
	UploadBytes  int64 `json:"upload_bytes"`
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"`
	WaitingBlobs int64 `json:"waiting_blobs" doc:"held by nothing, and kept for the grace period"`
	WaitingBytes int64 `json:"waiting_bytes"`
}

// Start has a collection run in the background. While one waits or runs, that one is given.
func (c *Collector) Start(ctx context.Context, req CollectRequest, cause string) (queue.Job, error) {
	for name, d := range map[string]*time.Duration{"older_than": req.OlderThan, "grace": req.Grace} {
		if d != nil && *d < 0 {
			return queue.Job{}, fault.New(fault.Invalid, "%s must not be negative", name)
		}
	}
	return c.cfg.Jobs.Enqueue(ctx, nil, queue.Enqueue{Kind: CollectJob, Key: fmt.Sprintf("dry=%v", req.DryRun), Cause: cause, Args: req})
}

// Keep starts a collection every day until ctx ends. The first comes an hour after the start, when what was interrupted has been done again.
func (c *Collector) Keep(ctx context.Context) {
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		wait.Reset(24 * time.Hour)
		if _, err := c.Start(ctx, CollectRequest{}, "schedule"); err != nil && ctx.Err() == nil {
			c.cfg.Log.Error("garbage collection was not started", "error", err)
		}
	}
}

// Run collects at once. progress may be nil.
func (c *Collector) Run(ctx context.Context, req CollectRequest, progress func(done, total int64, message string)) (*CollectReport, error) {
	if progress == nil {
		progress = func(int64, int64, string) {}
	}
	report := &CollectReport{DryRun: req.DryRun}
	progress(0, 0, "what was deleted")
	if err := c.cfg.Runs.expire(ctx, req, report); err != nil {
		return nil, fmt.Errorf("remove what was deleted: %w", err)
	}
	points, err := c.cfg.Runs.SweepPoints(ctx, req.DryRun)
	if err != nil {
		return nil, err
	}
	report.Points = int64(points)
	if !req.DryRun {
		if report.Uploads, report.UploadBytes, err = c.cfg.Runs.SweepUploads(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.sweep(ctx, req, report, progress); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	c.cfg.Log.Info("garbage was collected", "dry_run", req.DryRun, "runs", report.Runs, "experiments", report.Experiments, "blobs", report.Blobs, "bytes", report.Bytes)
	if req.DryRun || report.Runs+report.Experiments+report.LoggedModels+report.Blobs == 0 {
		return report, nil
	}
	return report, c.cfg.Runs.db.Write(ctx, func(tx *catalog.Tx) error {
		return c.cfg.Runs.events.Append(ctx, tx, govern.Event{Kind: "garbage.collected", Subject: "server",
			Message: fmt.Sprintf("%d runs, %d experiments and %d bytes that nothing held were removed", report.Runs, report.Experiments, report.Bytes)})
	})
}

// key is a hash in half the memory.
type key [32]byte

func keyOf(hash string) (k key, ok bool) {
	if len(hash) != 2*len(k) {
		return k, false
	}
	_, err := hex.Decode(k[:], []byte(hash))
	return k, err == nil
}

// sweep marks what is held and sweeps the rest.
func (c *Collector) sweep(ctx context.Context, req CollectRequest, report *CollectReport, progress func(done, total int64, message string)) error {
	// The store is listed before the holders speak: what comes in later is not listed, and what is held later by a row of now is marked.
	type loose struct {
		hash string
		size int64
	}
	progress(0, 0, "what there is")
	sizes := map[key]int64{}
	err := c.cfg.Blobs.List(ctx, func(hash string, size int64) error {
		if k, ok := keyOf(hash); ok {
			sizes[k] = size
		}
		return nil
	})
	if err != nil {
		return err
	}
	total := int64(len(sizes))
	mark := func(holder BlobHolder, n int) error {
		progress(0, total, fmt.Sprintf("what is held, %d of %d", n, len(c.cfg.Holders)+1))
		return holder.Blobs(ctx, func(hash string) error {
			if k, ok := keyOf(hash); ok {
				delete(sizes, k)
			}
			return nil
		})
	}
	for i, holder := range c.cfg.Holders {
		if err := mark(holder, i+1); err != nil {
			return err
		}
	}
	known, err := c.candidates(ctx)
	if err != nil {
		return err
	}
	grace := c.cfg.Grace
	if req.Grace != nil {
		grace = *req.Grace
	}
	now := c.cfg.Runs.now()
	due := func(k key) bool {
		seen, ok := known[hex.EncodeToString(k[:])]
		return ok && now.Sub(seen) >= grace || grace == 0
	}
	if err := c.dropSnapshots(ctx, req, report, func(k key) bool { _, loose := sizes[k]; return loose && due(k) }); err != nil {
		return err
	}
	if err := mark(c.cfg.Runs, len(c.cfg.Holders)+1); err != nil {
		return err
	}
	var gone, fresh []string
	var ready []loose
	for k, size := range sizes {
		hash := hex.EncodeToString(k[:])
		old := due(k)
		if _, ok := known[hash]; !ok {
			fresh = append(fresh, hash)
		}
		delete(known, hash)
		if old {
			ready = append(ready, loose{hash, size})
			continue
		}
		report.WaitingBlobs, report.WaitingBytes = report.WaitingBlobs+1, report.WaitingBytes+size
	}
	for hash := range known { // held again, or not there any more
		gone = append(gone, hash)
	}
	if req.DryRun {
		for _, b := range ready {
			report.Blobs, report.Bytes = report.Blobs+1, report.Bytes+b.size
		}
		return nil
	}
	if err := c.note(ctx, fresh, now, gone); err != nil {
		return err
	}
	gone = gone[:0]
	for i, b := range ready {
		progress(int64(i), int64(len(ready)), "sweep")
		swept, err := c.cfg.Blobs.Sweep(ctx, b.hash)
		if err != nil {
			return err
		}
		if swept {
			report.Blobs, report.Bytes = report.Blobs+1, report.Bytes+b.size
			gone = append(gone, b.hash)
		} else {
			report.WaitingBlobs, report.WaitingBytes = report.WaitingBlobs+1, report.WaitingBytes+b.size
		}
	}
	return c.note(ctx, nil, now, gone)
}

// dropSnapshots removes the file lists of versions that are gone: a snapshot is named by the hash of its manifest, a blob that its
// version holds.
func (c *Collector) dropSnapshots(ctx context.Context, req CollectRequest, report *CollectReport, gone func(k key) bool) error {
	snapshots, err := c.cfg.Runs.ListArtifacts(ctx, Snapshots)
	if err != nil {
		return err
	}
	for _, snapshot := range snapshots {
		k, ok := keyOf(snapshot.Path)
		if !ok || !gone(k) || c.cfg.Blobs.Recent(snapshot.Path) {
			continue
		}
		report.Snapshots++
		if req.DryRun {
			continue
		}
		err := c.cfg.Runs.db.Write(ctx, func(tx *catalog.Tx) error {
			if c.cfg.Blobs.Recent(snapshot.Path) { // it is being registered again
				report.Snapshots--
				return nil
			}
			return c.cfg.Runs.Unlink(ctx, tx, Snapshots+"/"+snapshot.Path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// candidates are the blobs that were found without a holder, and when.
func (c *Collector) candidates(ctx context.Context) (map[string]time.Time, error) {
	rows, err := c.cfg.Runs.db.Read().QueryContext(ctx, `SELECT hash, seen_at FROM blob_candidates`)
	if err != nil {
		return nil, fmt.Errorf("read candidates: %w", err)
	}
	defer rows.Close()
	known := map[string]time.Time{}
	for rows.Next() {
		var hash string
		var at int64
		if err := rows.Scan(&hash, &at); err != nil {
			return nil, fmt.Errorf("read candidates: %w", err)
		}
		known[hash] = catalog.Time(at)
	}
	return known, rows.Err()
}

// note writes down new candidates and forgets others, in short transactions.
func (c *Collector) note(ctx context.Context, fresh []string, now time.Time, gone []string) error {
	const some = 500
	write := func(hashes []string, one func(tx *catalog.Tx, hash string) error) error {
		for len(hashes) > 0 {
			n := min(some, len(hashes))
			err := c.cfg.Runs.db.Write(ctx, func(tx *catalog.Tx) error {
				for _, hash := range hashes[:n] {
					if err := one(tx, hash); err != nil {
						return fmt.Errorf("write candidates: %w", err)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			hashes = hashes[n:]
		}
		return nil
	}
	err := write(fresh, func(tx *catalog.Tx, hash string) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO blob_candidates (hash, seen_at) VALUES ($1, $2) ON CONFLICT (workspace_id, hash) DO NOTHING`, hash, catalog.Micros(now))
		return err
	})
	if err != nil {
		return err
	}
	return write(gone, func(tx *catalog.Tx, hash string) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM blob_candidates WHERE workspace_id = 'default' AND hash = $1`, hash)
		return err
	})
}
