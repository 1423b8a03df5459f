package feedback

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// part is a compacted Parquet file: predictions of one version and signature for one UTC day.
type part struct {
	number  int
	version int
	day     int64 // microseconds of its midnight
	schema  *signed
	blob    string
	rows    int
	bytes   int64
	bad     error // why it cannot be read
}

const dayMicros = int64(24 * time.Hour / time.Microsecond)

func dayOf(at int64) int64 {
	day := at / dayMicros
	if at%dayMicros < 0 {
		day--
	}
	return day * dayMicros
}

// move is a prediction on its way from a segment to a part.
type move struct {
	entry int32
	pick  pick
	p     serve.Prediction
}

// Compact moves predictions for whole UTC days before a time from segments to Parquet parts in the blob store. A segment is taken
// when it is sealed and all of its predictions are for such days. Readers see each prediction once at every moment; segments are
// deleted after the transaction that names the parts, and a crash in between is finished at the next start.
func (s *Service) Compact(ctx context.Context, deployment string, before time.Time) error {
	l := s.logOf(deployment)
	if l == nil {
		return nil
	}
	l.compacting.Lock()
	defer l.compacting.Unlock()
	if err := l.predictions.seal(); err != nil {
		return s.failed(err)
	}
	segments, groups := l.movable(dayOf(before.UnixMicro()))
	if len(segments) == 0 {
		return nil
	}
	work, err := os.MkdirTemp(s.cfg.Dir, "work-")
	if err != nil {
		return fmt.Errorf("compact the log of %q: %w", deployment, err)
	}
	defer os.RemoveAll(work)

	number := 0
	l.mu.RLock()
	for n := range l.parts {
		number = max(number, n)
	}
	l.mu.RUnlock()
	var parts []*part
	moved := map[int32]position{}
	for _, g := range groups {
		number++
		p := &part{number: number, version: g.version, day: g.day, schema: g.schema, rows: len(g.entries)}
		if err := s.writePart(ctx, l, p, g.entries, filepath.Join(work, "part.parquet"), moved); err != nil {
			return fmt.Errorf("compact the log of %q: %w", deployment, err)
		}
		parts = append(parts, p)
	}
	if err := s.cfg.DB.Write(ctx, func(tx *catalog.Tx) error { return storeParts(ctx, tx, deployment, parts, segments) }); err != nil {
		return err
	}
	l.layout.Lock()
	l.mu.Lock()
	for i, to := range moved {
		l.ix.entry(i).position = to
	}
	for _, p := range parts {
		l.parts[p.number] = p
	}
	l.mu.Unlock()
	err = l.predictions.remove(segments)
	l.layout.Unlock()
	if err != nil {
		return fmt.Errorf("delete compacted segments of %q: %w", deployment, err)
	}
	return s.forgetRetired(ctx, deployment)
}

// group is predictions that go into one part.
type group struct {
	version int
	day     int64
	schema  *signed
	entries []int32
}

// movable finds the sealed segments of which every prediction is for a time before limit, and groups their predictions.
func (l *deploymentLog) movable(limit int64) (segments []uint32, groups []group) {
	l.predictions.mu.Lock()
	candidates := map[uint32]bool{}
	for n, seg := range l.predictions.segments {
		if seg != l.predictions.active {
			candidates[n] = true
		}
	}
	l.predictions.mu.Unlock()

	l.mu.RLock()
	defer l.mu.RUnlock()
	for c := range l.ix.chunks {
		for k := range l.ix.chunks[c].entries {
			if e := &l.ix.chunks[c].entries[k]; e.position&inPart == 0 && e.at >= limit {
				delete(candidates, e.position.source())
			}
		}
	}
	type groupKey struct {
		version uint32
		schema  uint16
		day     int64
	}
	place := map[groupKey]int{}
	for c := range l.ix.chunks {
		for k := range l.ix.chunks[c].entries {
			e := &l.ix.chunks[c].entries[k]
			if e.position&inPart != 0 || !candidates[e.position.source()] {
				continue
			}
			key := groupKey{e.version, e.schema, dayOf(e.at)}
			g, ok := place[key]
			if !ok {
				g = len(groups)
				place[key] = g
				groups = append(groups, group{version: int(e.version), day: key.day, schema: l.schemas[e.schema]})
			}
			groups[g].entries = append(groups[g].entries, int32(c*chunkSize+k))
		}
	}
	for n := range candidates {
		segments = append(segments, n)
	}
	slices.Sort(segments)
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.version, b.version), cmp.Compare(a.schema.number, b.schema.number))
	})
	return segments, groups
}

// writePart writes the predictions of entries, sorted by (at, key, id), and notes where each will be.
func (s *Service) writePart(ctx context.Context, l *deploymentLog, p *part, entries []int32, path string, moved map[int32]position) error {
	l.mu.RLock()
	moves := make([]move, len(entries))
	picks := make([]pick, len(entries))
	at := map[position]int{}
	for k, i := range entries {
		picks[k] = pick{position: l.ix.entry(i).position, schema: p.schema}
		moves[k].entry = i
		at[picks[k].position] = k
	}
	l.mu.RUnlock()
	err := s.read(ctx, l, picks, func(k *pick, pr serve.Prediction) error {
		m := &moves[at[k.position]]
		m.pick, m.p = *k, pr
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.p.At, b.p.At), cmp.Compare(a.p.Key, b.p.Key), cmp.Compare(a.p.ID, b.p.ID))
	})
	b := newBuilder(newLayout([]*registry.Signature{p.schema.sig}, false))
	for row := range moves {
		b.add(&moves[row].p, &moves[row].pick)
		moved[moves[row].entry] = partPosition(p.number, row)
	}
	if err := s.cfg.Duck.WriteParquet(ctx, b.t, path); err != nil {
		return err
	}
	p.blob, p.bytes, err = s.cfg.Blobs.PutFile(ctx, path)
	return err
}

// storeParts names parts, and the segments they replace, in one transaction.
func storeParts(ctx context.Context, tx *catalog.Tx, deployment string, parts []*part, segments []uint32) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO feedback_logs (workspace_id, deployment) VALUES ($1, $2) ON CONFLICT DO NOTHING`, catalog.Workspace, deployment); err != nil {
		return fmt.Errorf("store the log: %w", err)
	}
	for _, p := range parts {
		document, err := json.Marshal(p.schema.sig)
		if err != nil {
			return fmt.Errorf("store a signature: %w", err)
		}
		sum := blake3.Sum256(document)
		digest := hex.EncodeToString(sum[:])
		if _, err := tx.ExecContext(ctx, `INSERT INTO feedback_signatures (workspace_id, digest, document) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			catalog.Workspace, digest, string(document)); err != nil {
			return fmt.Errorf("store a signature: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO feedback_parts (workspace_id, deployment, number, version, day, signature, blob, row_count, byte_count)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			catalog.Workspace, deployment, p.number, p.version, p.day, digest, p.blob, p.rows, p.bytes); err != nil {
			return fmt.Errorf("store a part of the log: %w", err)
		}
	}
	for _, n := range segments {
		if _, err := tx.ExecContext(ctx, `INSERT INTO feedback_retired (workspace_id, deployment, segment) VALUES ($1, $2, $3)`, catalog.Workspace, deployment, n); err != nil {
			return fmt.Errorf("retire a segment: %w", err)
		}
	}
	return nil
}

// finishCompaction deletes the segments that a transaction has retired and a crash has left.
func (s *Service) finishCompaction(ctx context.Context, deployment, dir string) error {
	rows, err := s.cfg.DB.Read().QueryContext(ctx, `SELECT segment FROM feedback_retired WHERE workspace_id = $1 AND deployment = $2`, catalog.Workspace, deployment)
	if err != nil {
		return fmt.Errorf("list retired segments: %w", err)
	}
	defer rows.Close()
	j := journal{dir: dir, head: header{Kind: "predictions"}}
	found := false
	for rows.Next() {
		var n uint32
		if err := rows.Scan(&n); err != nil {
			return fmt.Errorf("list retired segments: %w", err)
		}
		found = true
		if err := os.Remove(j.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete a retired segment: %w", err)
		}
	}
	if err := rows.Err(); err != nil || !found {
		return err
	}
	return s.forgetRetired(ctx, deployment)
}

func (s *Service) forgetRetired(ctx context.Context, deployment string) error {
	return s.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM feedback_retired WHERE workspace_id = $1 AND deployment = $2`, catalog.Workspace, deployment)
		return err
	})
}

// loadParts indexes the compacted parts. One that does not match its hash is reported, and every reading of its day says so.
func (s *Service) loadParts(ctx context.Context, l *deploymentLog) error {
	rows, err := s.cfg.DB.Read().QueryContext(ctx, `SELECT p.number, p.version, p.day, p.blob, p.row_count, p.byte_count, s.document
		FROM feedback_parts p JOIN feedback_signatures s ON s.workspace_id = p.workspace_id AND s.digest = p.signature
		WHERE p.workspace_id = $1 AND p.deployment = $2 ORDER BY p.number`, catalog.Workspace, l.name)
	if err != nil {
		return fmt.Errorf("list the parts of the log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		p := &part{}
		var document string
		if err := rows.Scan(&p.number, &p.version, &p.day, &p.blob, &p.rows, &p.bytes, &document); err != nil {
			return fmt.Errorf("list the parts of the log: %w", err)
		}
		sig := &registry.Signature{}
		if err := json.Unmarshal([]byte(document), sig); err != nil {
			return fmt.Errorf("read the signature of a part of the log: %w", err)
		}
		if p.schema, err = l.schemaOf(sig); err != nil {
			return err
		}
		l.parts[p.number] = p
		open, err := s.openPart(ctx, p)
		if err != nil {
			p.bad = err
			s.log.Error("a part of the inference log cannot be read", "deployment", l.name, "day", time.UnixMicro(p.day).UTC().Format(time.DateOnly), "blob", p.blob, "error", err)
			continue
		}
		for row := range open.t.Rows {
			pr, err := open.row(row)
			if err != nil {
				return err
			}
			e := l.entryOf(&pr, p.schema.number)
			e.position = partPosition(p.number, row)
			l.ix.add(e)
		}
	}
	return rows.Err()
}

// openedPart is a part in memory.
type openedPart struct {
	part *part
	t    *table.Table
	cols map[string]*table.Column
	l    layout
}

func (s *Service) openPart(ctx context.Context, p *part) (*openedPart, error) {
	path, err := s.cfg.Blobs.Path(ctx, p.blob)
	if err != nil {
		return nil, err
	}
	t, err := s.cfg.Duck.Table(ctx, "SELECT * FROM read_parquet("+duck.Literal(path)+")")
	if err != nil {
		return nil, fmt.Errorf("read the part %s: %w", p.blob, err)
	}
	if t.Rows != p.rows {
		return nil, fault.New(fault.Corrupt, "the part %s has %d rows; the catalog says %d", p.blob, t.Rows, p.rows)
	}
	o := &openedPart{part: p, t: t, cols: map[string]*table.Column{}, l: newLayout([]*registry.Signature{p.schema.sig}, false)}
	for _, c := range t.Columns {
		o.cols[c.Name] = c
	}
	return o, nil
}

func (o *openedPart) row(i int) (serve.Prediction, error) {
	return decode(o.t, o.cols, o.l, o.part.schema.sig, i)
}

// partReader follows positions in parts. It keeps the last one open: positions come sorted.
type partReader struct {
	service *Service
	log     *deploymentLog
	open    *openedPart
}

func (r *partReader) read(ctx context.Context, at position) (serve.Prediction, error) {
	if n := int(at.source()); r.open == nil || r.open.part.number != n {
		r.log.mu.RLock()
		p := r.log.parts[n]
		r.log.mu.RUnlock()
		if p == nil {
			return serve.Prediction{}, fmt.Errorf("the log of %q has no part %d", r.log.name, n)
		}
		open, err := r.service.openPart(ctx, p)
		if err != nil {
			return serve.Prediction{}, err
		}
		r.open = open
	}
	return r.open.row(int(at.offset()))
}

// damaged gives the fault of a part that cannot be read and holds predictions of the range; nil when there is none.
func (l *deploymentLog) damaged(from, to int64) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, p := range l.parts {
		if p.bad != nil && p.day < to && p.day+dayMicros > from {
			return fault.Wrap(p.bad, fault.Corrupt, "the log of %q for %s cannot be read", l.name, time.UnixMicro(p.day).UTC().Format(time.DateOnly)).
				WithHint("restore the blob %s from a backup", p.blob)
		}
	}
	return nil
}
