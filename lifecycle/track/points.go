package track

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// Point is one value of a metric.
type Point struct {
	Key   string    `json:"key"`
	Step  int64     `json:"step"`
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// points is one append-only file of JSON lines per run. A torn last line, left by a kill, is ignored by readers
// and never written after: a run that was killed gets no further points.
type points struct {
	dir  string
	mu   sync.Mutex
	open map[string]*os.File
}

func openPoints(dir string) (*points, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open metric files: %w", err)
	}
	return &points{dir: dir, open: map[string]*os.File{}}, nil
}

func (p *points) path(run string) (string, error) {
	if !id.Valid(run) {
		return "", fault.New(fault.NotFound, "there is no run %q", run)
	}
	return filepath.Join(p.dir, run+".jsonl"), nil
}

func (p *points) append(run string, pt Point) error {
	path, err := p.path(run)
	if err != nil {
		return err
	}
	line, err := json.Marshal(pt)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "metric %q at step %d cannot be stored", pt.Key, pt.Step)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.open[run]
	if f == nil {
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("open metric file: %w", err)
		}
		p.open[run] = f
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("append metric: %w", err)
	}
	return nil
}

func (p *points) close(run string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.open[run]; f != nil {
		_ = f.Close() // every line was written already
		delete(p.open, run)
	}
}

func (p *points) read(run, key string) ([]Point, error) {
	path, err := p.path(run)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []Point{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer f.Close()
	out := []Point{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var pt Point
		if json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &pt) != nil {
			continue // the torn last line
		}
		if key == "" || pt.Key == key {
			out = append(out, pt)
		}
	}
	return out, lines.Err()
}
