package track

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/filter"
)

// cellsOf is where the cells of a kind are.
var cellsOf = map[filter.Kind]struct {
	kind  int64
	query string
}{
	filter.Param:  {kindParam, cellQuery("run_params")},
	filter.Metric: {kindMetric, cellQuery("run_metrics")},
	filter.Tag:    {kindTag, cellQuery("run_tags")},
}

func cellQuery(table string) string {
	return `SELECT c.run, c.value FROM track_keys k JOIN ` + table + ` c ON c.workspace_id = 'default' AND c.key_id = k.id
		WHERE k.workspace_id = 'default' AND k.kind = $1 AND k.name = $2 ORDER BY c.key_id, c.run`
}

// load reads a column. It may hold values that are newer than the revision of the index: the next refresh brings them again.
// The caller has the turn.
func (x *index) load(ctx context.Context, key columnKey) (*column, error) {
	if key == readingsKey {
		return x.loadReadings(ctx)
	}
	from := cellsOf[key.kind]
	rows, err := x.db.Read().QueryContext(ctx, from.query, from.kind, key.name)
	if err != nil {
		return nil, fmt.Errorf("read the column %s: %w", key.name, err)
	}
	defer rows.Close()
	c := &column{}
	if key.kind == filter.Metric {
		c.numbers = &numbers{}
	} else {
		c.texts = newTexts(0)
	}
	slot := int32(0)
	for rows.Next() {
		var run int64
		var value float64
		var word string
		if c.numbers != nil {
			var v sql.NullFloat64
			err = rows.Scan(&run, &v)
			value = numberOf(v)
		} else {
			err = rows.Scan(&run, &word)
		}
		if err != nil {
			return nil, fmt.Errorf("read the column %s: %w", key.name, err)
		}
		for int(slot) < len(x.numbers) && x.base.numbers[slot] < run {
			slot++
		}
		switch {
		case int(slot) == len(x.base.numbers) || x.base.numbers[slot] != run:
			// A run that is newer than the index, or removed meanwhile.
		case c.numbers != nil:
			c.numbers.set(slot, value)
		default:
			c.texts.set(slot, word)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the column %s: %w", key.name, err)
	}
	if c.texts != nil {
		if c.texts.full {
			return nil, fault.New(fault.TooLarge, "the values of %q are too large to be searched: more than 4 GiB", key.name)
		}
		c.texts = c.texts.packed()
	}
	return c, nil
}

func (x *index) loadReadings(ctx context.Context) (*column, error) {
	rows, err := x.db.Read().QueryContext(ctx, `SELECT i.run, i.context, d.id, d.name, d.digest FROM run_inputs i
		JOIN run_datasets d ON d.workspace_id = 'default' AND d.id = i.dataset_id WHERE i.workspace_id = 'default'`)
	if err != nil {
		return nil, fmt.Errorf("read the datasets of runs: %w", err)
	}
	defer rows.Close()
	c := newReadings()
	for rows.Next() {
		var run int64
		var r reading
		if err := rows.Scan(&run, &r.context, &r.dataset, &r.name, &r.digest); err != nil {
			return nil, fmt.Errorf("read the datasets of runs: %w", err)
		}
		if slot, ok := x.slot(run); ok {
			c.add(slot, r)
		}
	}
	return &column{readings: c}, rows.Err()
}
