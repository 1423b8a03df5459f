package feedback

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Schema holds the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

const (
	// syncEvery is how long a written prediction may wait for the disk at the level required. The promise is 50 ms; half of it is
	// left for the disk itself.
	syncEvery = 25 * time.Millisecond
	// queueLength is how many requests of level best_effort may wait for the writer.
	queueLength = 4096
)

// Config is what the service works with. Dir, DB, Blobs, Duck and Now are needed.
type Config struct {
	Dir   string // of the segments
	DB    *catalog.DB
	Blobs blob.Store
	Duck  *duck.DB
	Now   func(deployment string) time.Time // the clock of the deployment's project

	Create  func(path string) (File, error) // a new segment file; nil = on the disk
	Metrics prometheus.Registerer           // nil = none
	Log     *slog.Logger                    // nil = slog.Default()
}

// Service keeps the logs. It is safe for concurrent use.
type Service struct {
	cfg Config
	log *slog.Logger

	mu   sync.RWMutex
	logs map[string]*deploymentLog

	labels []func(ctx context.Context, deployment string, from, to time.Time)

	made sync.Map // source of a served part -> madePart

	queue   chan queued
	dirty   chan struct{}
	stop    chan struct{}
	ended   chan struct{} // closed once: Record refuses from then on
	workers sync.WaitGroup
	once    sync.Once

	metrics *metrics
}

// queued is a request of level best_effort on its way to the writer.
type queued struct {
	l       *deploymentLog
	buf     []byte
	entries []entry
	schemas []schema
}

var _ serve.Recorder = (*Service)(nil)

// Open reads the logs under cfg.Dir and starts the writer. Close ends it.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Create == nil {
		cfg.Create = openAppend
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Service{cfg: cfg, log: cfg.Log, logs: map[string]*deploymentLog{}, queue: make(chan queued, queueLength), dirty: make(chan struct{}, 1),
		stop: make(chan struct{}), ended: make(chan struct{})}
	s.metrics = newMetrics(s)
	names, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if s.logs[name], err = s.open(ctx, name); err != nil {
			return nil, errors.Join(fmt.Errorf("open the log of %q: %w", name, err), s.closeLogs())
		}
	}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(s.metrics); err != nil {
			return nil, errors.Join(fmt.Errorf("register the metrics of the log: %w", err), s.closeLogs())
		}
	}
	s.workers.Add(2)
	go s.syncLoop()
	go s.writeLoop()
	return s, nil
}

// Close writes what is queued, syncs and closes every log. Recording afterwards is fault.Unavailable. It may be called twice.
func (s *Service) Close() error {
	var err error
	s.once.Do(func() {
		close(s.ended)
		close(s.stop)
		s.workers.Wait()
		if s.cfg.Metrics != nil {
			s.cfg.Metrics.Unregister(s.metrics)
		}
		err = s.closeLogs()
	})
	return err
}

func (s *Service) closeLogs() error {
	var errs []error
	for _, l := range s.logs {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// known names the deployments that have a log: by the headers of their segments, and by the catalog of compacted parts.
func (s *Service) known(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	folders, err := os.ReadDir(s.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the folder of the logs: %w", err)
	}
	for _, f := range folders {
		files, err := os.ReadDir(filepath.Join(s.cfg.Dir, f.Name()))
		if err != nil {
			continue // a stray file
		}
		for _, file := range files {
			if !strings.HasSuffix(file.Name(), ".log") {
				continue
			}
			h, err := readHeader(filepath.Join(s.cfg.Dir, f.Name(), file.Name()))
			if err == nil && folder(h.Deployment) == f.Name() {
				found[h.Deployment] = true
				break
			}
		}
	}
	rows, err := s.cfg.DB.Read().QueryContext(ctx, `SELECT deployment FROM feedback_logs WHERE workspace_id = $1`, catalog.Workspace)
	if err != nil {
		return nil, fmt.Errorf("list the compacted logs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list the compacted logs: %w", err)
		}
		found[name] = true
	}
	names := make([]string, 0, len(found))
	for n := range found {
		names = append(names, n)
	}
	sort.Strings(names)
	return names, rows.Err()
}

// readHeader reads the header of a segment.
func readHeader(path string) (h header, err error) {
	file, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer file.Close()
	b := make([]byte, 64<<10)
	n, err := io.ReadFull(file, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return h, err
	}
	rest, ok := bytes.CutPrefix(b[:n], []byte(magic))
	if !ok || len(rest) < 2 {
		return h, errDamaged
	}
	payload, _ := frame(rest[2:])
	if payload == nil {
		return h, errDamaged
	}
	return h, json.Unmarshal(payload, &h)
}

// open reads the log of one deployment: compacted parts, then segments, then outcomes.
func (s *Service) open(ctx context.Context, name string) (*deploymentLog, error) {
	l := &deploymentLog{name: name, ix: newIndex(), bySig: map[*registry.Signature]*signed{}, byDigest: map[[32]byte]*signed{}, parts: map[int]*part{}}
	dir := filepath.Join(s.cfg.Dir, folder(name))
	if err := s.finishCompaction(ctx, name, dir); err != nil {
		return nil, err
	}
	if err := s.loadParts(ctx, l); err != nil {
		return nil, err
	}
	var err error
	l.predictions, err = openJournal(dir, header{Deployment: name, Kind: "predictions"}, s.cfg.Create, s.log, func(seg *segment, r record) error {
		if r.payload[0] != recordPrediction {
			return errDamaged
		}
		p, number, err := decodePrediction(r.payload)
		if err != nil || seg.schemas[number] == nil {
			return errDamaged
		}
		sc, err := l.schemaOf(seg.schemas[number])
		if err != nil {
			return err
		}
		e := l.entryOf(&p, sc.number)
		e.position = r.position
		l.ix.add(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	type received struct {
		position position
		outcome  Outcome
	}
	var outcomes []received
	l.outcomes, err = openJournal(dir, header{Deployment: name, Kind: "outcomes"}, s.cfg.Create, s.log, func(_ *segment, r record) error {
		if r.payload[0] != recordOutcome {
			return errDamaged
		}
		o, _, err := decodeOutcome(r.payload)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, received{r.position, o})
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, l.predictions.close())
	}
	for i := range outcomes {
		o := &outcomes[i].outcome
		if j := l.judge(o); j.answer.Status != Rejected {
			l.apply(o, j, outcomes[i].position)
		}
	}
	return l, nil
}

// logOf finds the log of a deployment; nil when nothing was recorded of it.
func (s *Service) logOf(deployment string) *deploymentLog {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.logs[deployment]
}

// need finds the log of a deployment, or begins it.
func (s *Service) need(deployment string) (*deploymentLog, error) {
	if l := s.logOf(deployment); l != nil {
		return l, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[deployment]; l != nil {
		return l, nil
	}
	l, err := s.open(context.Background(), deployment)
	if err != nil {
		return nil, err
	}
	s.logs[deployment] = l
	return l, nil
}

// OnLabels has f called after outcomes have changed labels: from and to are the least and the greatest At of the predictions they
// changed. It is meant for wiring, before the first outcome.
func (s *Service) OnLabels(f func(ctx context.Context, deployment string, from, to time.Time)) {
	s.labels = append(s.labels, f)
}
