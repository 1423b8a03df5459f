package track

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/filter"
)

// shortID is the 32 lower-case digits of a usual run id.
type shortID [16]byte

func shortenID(id string) (s shortID, ok bool) {
	if len(id) != 32 {
		return s, false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return s, false
		}
	}
	_, err := hex.Decode(s[:], []byte(id))
	return s, err == nil
}

// id is the run's id.
func (b *base) id(slot int32) string {
	if odd, ok := b.odd[slot]; ok {
		return odd
	}
	return hex.EncodeToString(b.ids[slot][:])
}

// baseRow is what a refresh reads of a changed run.
type baseRow struct {
	number, experiment, revision, started int64
	finished                              sql.NullInt64
	id, name, state, user, stage, uri     string
}

const baseColumns = `number, experiment_id, revision, started_at, finished_at, id, name, state, user_id, stage, artifact_uri`

// readBase calls f with runs in the order of their numbers; the row is reused.
func (x *index) readBase(ctx context.Context, condition string, f func(*baseRow), args ...any) error {
	rows, err := x.db.Read().QueryContext(ctx, `SELECT `+baseColumns+` FROM runs WHERE workspace_id = 'default' AND number IS NOT NULL`+condition+` ORDER BY number`, args...)
	if err != nil {
		return fmt.Errorf("read runs: %w", err)
	}
	defer rows.Close()
	var r baseRow
	for rows.Next() {
		if err := rows.Scan(&r.number, &r.experiment, &r.revision, &r.started, &r.finished, &r.id, &r.name, &r.state, &r.user, &r.stage, &r.uri); err != nil {
			return fmt.Errorf("read runs: %w", err)
		}
		f(&r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read runs: %w", err)
	}
	return nil
}

// refresh takes in what changed in the catalog. The caller has the turn.
func (x *index) refresh(ctx context.Context) error {
	var revision, epoch int64
	err := x.db.Read().QueryRowContext(ctx, `SELECT a.value, b.value FROM track_counters a, track_counters b
		WHERE a.workspace_id = 'default' AND a.name = 'revision' AND b.workspace_id = 'default' AND b.name = 'epoch'`).Scan(&revision, &epoch)
	if err != nil {
		return fmt.Errorf("read the revision of runs: %w", err)
	}
	if !x.loaded || revision < x.revision || epoch < x.epoch {
		return x.reload(ctx, revision, epoch)
	}
	if epoch != x.epoch {
		if err := x.prune(ctx); err != nil {
			return err
		}
		if x.gone > len(x.numbers)/2 {
			return x.reload(ctx, revision, epoch)
		}
	}
	if revision != x.revision {
		return x.takeChanges(ctx, revision, epoch)
	}
	if epoch != x.epoch {
		x.mu.Lock()
		x.epoch = epoch
		x.mu.Unlock()
	}
	return nil
}

func (x *index) reload(ctx context.Context, revision, epoch int64) error {
	fresh := newBase()
	err := x.readBase(ctx, "", func(r *baseRow) {
		fresh.put(r)
		revision = max(revision, r.revision)
	})
	if err != nil {
		return err
	}
	fresh.pack()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reset()
	x.base, x.loaded, x.revision, x.epoch = fresh, true, revision, epoch
	return nil
}

// prune marks the runs that were removed for good.
func (x *index) prune(ctx context.Context) error {
	rows, err := x.db.Read().QueryContext(ctx, `SELECT number FROM runs WHERE workspace_id = 'default' AND number IS NOT NULL ORDER BY number`)
	if err != nil {
		return fmt.Errorf("read the numbers of runs: %w", err)
	}
	defer rows.Close()
	here := make([]int64, 0, len(x.numbers))
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return fmt.Errorf("read the numbers of runs: %w", err)
		}
		here = append(here, n)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the numbers of runs: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for slot, n := range x.numbers {
		for len(here) > 0 && here[0] < n {
			here = here[1:]
		}
		if (len(here) == 0 || here[0] != n) && x.stages[slot] != slotGone {
			x.stages[slot] = slotGone
			x.gone++
		}
	}
	return nil
}

// takeChanges reads the runs that changed since the last time, with their cells when there are columns to put them in.
func (x *index) takeChanges(ctx context.Context, revision, epoch int64) error {
	var rows []baseRow
	if err := x.readBase(ctx, ` AND revision > $1`, func(r *baseRow) { rows = append(rows, *r) }, x.revision); err != nil {
		return err
	}
	known := len(x.numbers)
	for i := range rows {
		// A new run has a higher number than all before it. Should that ever not hold, start over.
		if _, ok := x.slot(rows[i].number); !ok && known > 0 && rows[i].number < x.numbers[known-1] {
			return x.reload(ctx, revision, epoch)
		}
	}
	var cells []changedCells
	// Reading whole documents pays for a few runs only; for many, the columns are read again when they are needed.
	forget := len(rows) > min(max(2000, known/8), 10_000)
	if len(rows) > 0 && len(x.columns) > 0 && !forget {
		var err error
		if cells, err = x.readCells(ctx, x.revision); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if forget {
		clear(x.columns)
	}
	for i := range rows {
		x.put(&rows[i])
		revision = max(revision, rows[i].revision)
	}
	for i := range cells {
		if slot, ok := x.slot(cells[i].number); ok {
			x.putCells(slot, &cells[i])
		}
	}
	for key, c := range x.columns {
		if c.texts != nil && (c.texts.full || c.texts.wasteful()) {
			delete(x.columns, key)
		}
	}
	for _, c := range []**texts{&x.names, &x.users, &x.states, &x.uris} {
		if (*c).wasteful() {
			*c = (*c).packed()
		}
	}
	x.revision, x.epoch = revision, epoch
	return nil
}

func newBase() base {
	return base{odd: map[int32]string{}, names: newTexts(0), users: newTexts(0), states: newTexts(0), uris: newTexts(0), order: map[int64]uint32{}}
}

// pack gives back the room to grow.
func (b *base) pack() {
	b.numbers, b.ids, b.stages, b.started, b.finished, b.experiment = slices.Clip(b.numbers), slices.Clip(b.ids), slices.Clip(b.stages),
		slices.Clip(b.started), slices.Clip(b.finished), slices.Clip(b.experiment)
	b.names = b.names.packed()
}

// slot finds the slot of runs.number.
func (b *base) slot(number int64) (int32, bool) {
	i, ok := slices.BinarySearch(b.numbers, number)
	return int32(i), ok
}

// put takes in the attributes of a run. A run that is not known yet has the highest number.
func (b *base) put(r *baseRow) {
	slot, ok := b.slot(r.number)
	if !ok {
		slot = int32(len(b.numbers))
		short, usual := shortenID(r.id)
		if !usual {
			b.odd[slot] = r.id
		}
		b.numbers, b.ids = append(b.numbers, r.number), append(b.ids, short)
		b.stages, b.started, b.finished, b.experiment = append(b.stages, 0), append(b.started, 0), append(b.finished, 0), append(b.experiment, 0)
	}
	number, ok := b.order[r.experiment]
	if !ok {
		number = uint32(len(b.experimentIDs))
		b.order[r.experiment] = number
		b.experimentIDs, b.changed = append(b.experimentIDs, strconv.FormatInt(r.experiment, 10)), append(b.changed, 0)
	}
	b.changed[number] = max(b.changed[number], r.revision)
	b.experiment[slot] = number
	b.stages[slot] = slotActive
	if r.stage != StageActive {
		b.stages[slot] = slotDeleted
	}
	b.started[slot] = millis(r.started)
	b.finished[slot] = noTime
	if r.finished.Valid {
		b.finished[slot] = time.UnixMicro(r.finished.Int64).UnixMilli()
	}
	b.names.set(slot, r.name)
	b.users.set(slot, r.user)
	b.states.set(slot, strings.ToUpper(r.state))
	b.uris.unset(slot)
	if !usual(r.uri, b.experimentIDs[number], r.id) {
		b.uris.set(slot, r.uri)
	}
}

// millis is a time of the catalog as MLflow shows it: 0 when the client gave none.
func millis(micros int64) int64 {
	if micros == 0 {
		return 0
	}
	return catalog.Time(micros).UnixMilli()
}

// usualURI is where a run keeps its files unless somebody has said otherwise.
func usualURI(experiment, id string) string {
	return scheme + experiment + "/" + id + "/" + artifactsDir
}

// usual reports whether uri is usualURI, without making that.
func usual(uri, experiment, id string) bool {
	for _, part := range []string{scheme, experiment, "/", id, "/"} {
		var ok bool
		if uri, ok = strings.CutPrefix(uri, part); !ok {
			return false
		}
	}
	return uri == artifactsDir
}

// changedCells are the parameters, metrics, tags and datasets of a run.
type changedCells struct {
	number   int64
	doc      document
	latest   map[string]float64
	readings []reading
}

func (x *index) readCells(ctx context.Context, since int64) ([]changedCells, error) {
	rows, err := x.db.Read().QueryContext(ctx, `SELECT number, document, latest FROM runs WHERE workspace_id = 'default' AND number IS NOT NULL AND revision > $1`, since)
	if err != nil {
		return nil, fmt.Errorf("read changed runs: %w", err)
	}
	defer rows.Close()
	var out []changedCells
	for rows.Next() {
		var c changedCells
		var doc, packed []byte
		if err := rows.Scan(&c.number, &doc, &packed); err != nil {
			return nil, fmt.Errorf("read changed runs: %w", err)
		}
		if err := json.Unmarshal(doc, &c.doc); err != nil {
			return nil, fmt.Errorf("decode run number %d: %w", c.number, err)
		}
		points, err := unpackLatest(packed)
		if err != nil {
			return nil, fmt.Errorf("decode the metrics of run number %d: %w", c.number, err)
		}
		c.latest = make(map[string]float64, len(points))
		for key, p := range points {
			c.latest[key] = p.Value
		}
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read changed runs: %w", err)
	}
	if x.columns[readingsKey] == nil {
		return out, nil
	}
	datasets := map[int64]Dataset{}
	var ids []any
	for _, c := range out {
		for _, link := range c.doc.Datasets {
			if _, ok := datasets[link.ID]; !ok {
				datasets[link.ID] = Dataset{}
				ids = append(ids, link.ID)
			}
		}
	}
	for chunk := range slices.Chunk(ids, 500) {
		if err := readDatasets(ctx, x.db.Read(), datasets, `id IN (`+placeholders(1, len(chunk))+`)`, chunk...); err != nil {
			return nil, err
		}
	}
	for i := range out {
		for _, link := range out[i].doc.Datasets {
			d := datasets[link.ID]
			out[i].readings = append(out[i].readings, reading{dataset: link.ID, name: d.Name, digest: d.Digest, context: contextOf(link.Tags)})
		}
	}
	return out, nil
}

func contextOf(tags []Tag) string {
	for _, t := range tags {
		if t.Key == TagContext {
			return t.Value
		}
	}
	return ""
}

// putCells sets what a run has in every column that is loaded.
func (x *index) putCells(slot int32, c *changedCells) {
	for key, column := range x.columns {
		switch key.kind {
		case filter.Metric:
			if v, ok := c.latest[key.name]; ok {
				column.numbers.set(slot, v)
			} else {
				column.numbers.unset(slot)
			}
		case filter.Dataset:
			delete(column.readings.of, slot)
			for _, r := range c.readings {
				column.readings.add(slot, r)
			}
		default:
			from := c.doc.Params
			if key.kind == filter.Tag {
				from = c.doc.Tags
			}
			if v, ok := from[key.name]; ok {
				column.texts.set(slot, v)
			} else {
				column.texts.unset(slot)
			}
		}
	}
}
