package track

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/trimtab-ml/trimtab/internal/filter"
)

// defaultRows is how many rows a table has when nobody says.
const defaultRows = 100

// maxColumns bounds the columns of a table and of its groups.
const maxColumns = 2000

// tableColumn is one column of a table: an attribute by its name, or a key.
type tableColumn struct {
	kind filter.Kind
	name string
}

// kindsOf are the words before the dot of a column.
var kindsOf = map[string]filter.Kind{"metric": filter.Metric, "metrics": filter.Metric, "param": filter.Param, "params": filter.Param, "parameter": filter.Param,
	"parameters": filter.Param, "tag": filter.Tag, "tags": filter.Tag, "attribute": filter.Attribute, "attributes": filter.Attribute, "attr": filter.Attribute,
	"run": filter.Attribute}

// attributesOf are the names of attributes, with the one that stands for them.
var attributesOf = map[string]string{"name": "run_name", "run_name": "run_name", "status": "status", "stage": "stage", "start_time": "start_time", "end_time": "end_time",
	"user_id": "user_id", "experiment_id": "experiment_id", "run_id": "run_id", "artifact_uri": "artifact_uri"}

func parseColumn(s string) (tableColumn, error) {
	word, key, dotted := strings.Cut(s, ".")
	if !dotted {
		word, key = "attribute", s
	}
	kind, ok := kindsOf[word]
	if !ok {
		return tableColumn{}, invalid("column %q is of no known kind", cut(text(s), 300)).WithHint("write metrics.KEY, params.KEY, tags.KEY or attributes.NAME")
	}
	if n := len(key); n > 1 && key[0] == key[n-1] && (key[0] == '`' || key[0] == '"') {
		key = key[1 : n-1]
	}
	if kind != filter.Attribute {
		return tableColumn{kind, key}, nil
	}
	name, ok := attributesOf[key]
	if !ok {
		return tableColumn{}, invalid("column %q names no attribute of a run", cut(text(s), 300)).
			WithHint("the attributes are name, status, stage, start_time, end_time, user_id, experiment_id, run_id and artifact_uri")
	}
	return tableColumn{kind, name}, nil
}

func parseColumns(all []string) ([]tableColumn, error) {
	if len(all) > maxColumns {
		return nil, invalid("a table can have at most %d columns, not %d", maxColumns, len(all))
	}
	out := make([]tableColumn, len(all))
	for i, s := range all {
		c, err := parseColumn(s)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// keysOf are the columns of the index that table columns need.
func keysOf(columns []tableColumn) []columnKey {
	var keys []columnKey
	for _, c := range columns {
		if c.kind != filter.Attribute {
			keys = append(keys, columnKey(c))
		}
	}
	return keys
}

// RunTable gives the asked cells of runs: string, float64, int64 (times in milliseconds) or nil. Rows are those from Offset on, Limit of
// them (0 = 100). Groups are counted over all runs that were found, the largest first.
func (s *Service) RunTable(ctx context.Context, t TableQuery) (*Table, error) {
	if t.Offset < 0 {
		return nil, invalid("Invalid value %d for parameter 'offset' supplied: It must not be negative", t.Offset)
	}
	limit, err := pageSize(t.Limit, defaultRows, maxRuns)
	if err != nil {
		return nil, err
	}
	q, err := readQuestion(&t.RunSearch)
	if err != nil {
		return nil, err
	}
	columns, err := parseColumns(t.Columns)
	if err != nil {
		return nil, err
	}
	groups, err := parseColumns(t.GroupBy)
	if err != nil {
		return nil, err
	}
	needed, liked := append(columnsFor(q.clauses, q.orders), keysOf(groups)...), keysOf(columns)
	if err := s.settle(ctx, q, slices.Concat(needed, liked)); err != nil {
		return nil, err
	}
	out := &Table{IDs: []string{}, Rows: [][]any{}}
	var numbers []int64
	var missing []int // columns that the index does not hold
	err = s.index.look(ctx, needed, liked, func() {
		x := s.index
		all := x.sorted(q)
		out.Total = int64(len(all))
		slots := all[min(t.Offset, len(all)):]
		slots = slots[:min(limit, len(slots))]
		cells := make([]any, len(slots)*len(columns))
		for i, slot := range slots {
			numbers = append(numbers, x.numbers[slot])
			out.IDs = append(out.IDs, x.id(slot))
			out.Rows = append(out.Rows, cells[i*len(columns):(i+1)*len(columns):(i+1)*len(columns)])
		}
		for i, c := range columns {
			get := x.cells(c)
			if get == nil {
				missing = append(missing, i)
				continue
			}
			for row, slot := range slots {
				out.Rows[row][i] = get(slot)
			}
		}
		out.Groups = x.groups(all, groups)
	})
	if err != nil || len(missing) == 0 {
		return out, err
	}
	return out, s.fillCells(ctx, out, numbers, columns, missing)
}

// fillCells reads cells of a page from the rows of its runs: a column of the index would be read for all runs.
func (s *Service) fillCells(ctx context.Context, t *Table, numbers []int64, columns []tableColumn, missing []int) error {
	rows := make(map[int64][]any, len(numbers))
	for i, n := range numbers {
		rows[n] = t.Rows[i]
	}
	var words, metrics []int
	for _, i := range missing {
		if columns[i].kind == filter.Metric {
			metrics = append(metrics, i)
		} else {
			words = append(words, i)
		}
	}
	doc, packed := `''`, `NULL`
	if len(words) > 0 {
		doc = "document"
	}
	if len(metrics) > 0 {
		packed = "latest"
	}
	for chunk := range slices.Chunk(numbers, 500) {
		args := make([]any, len(chunk))
		for i, n := range chunk {
			args[i] = n
		}
		found, err := s.db.Read().QueryContext(ctx, `SELECT number, `+doc+`, `+packed+` FROM runs WHERE workspace_id = 'default' AND number IN (`+placeholders(1, len(args))+`)`, args...)
		if err != nil {
			return fmt.Errorf("read the cells of runs: %w", err)
		}
		for found.Next() {
			var number int64
			var doc, packed []byte
			if err = found.Scan(&number, &doc, &packed); err == nil {
				err = fillRow(rows[number], columns, words, metrics, doc, packed)
			}
			if err != nil {
				found.Close()
				return fmt.Errorf("read the cells of runs: %w", err)
			}
		}
		if err := cmp.Or(found.Err(), found.Close()); err != nil {
			return fmt.Errorf("read the cells of runs: %w", err)
		}
	}
	return nil
}

func fillRow(row []any, columns []tableColumn, words, metrics []int, doc, packed []byte) error {
	if len(words) > 0 {
		var d struct {
			Params map[string]string `json:"params"`
			Tags   map[string]string `json:"tags"`
		}
		if err := json.Unmarshal(doc, &d); err != nil {
			return err
		}
		for _, i := range words {
			from := d.Params
			if columns[i].kind == filter.Tag {
				from = d.Tags
			}
			if v, ok := from[columns[i].name]; ok {
				row[i] = v
			}
		}
	}
	if len(metrics) == 0 {
		return nil
	}
	points, err := unpackLatest(packed)
	if err != nil {
		return err
	}
	for _, i := range metrics {
		if p, ok := points[columns[i].name]; ok {
			row[i] = p.Value
		}
	}
	return nil
}

// cells reads a column of a table from the index; nil when it is not there.
func (x *index) cells(c tableColumn) func(slot int32) any {
	words := func(column *texts) func(int32) any {
		return func(slot int32) any {
			if v, ok := column.get(slot); ok {
				return strings.Clone(v)
			}
			return nil
		}
	}
	if c.kind != filter.Attribute {
		column := x.columns[columnKey(c)]
		switch {
		case column == nil:
			return nil
		case column.texts != nil:
			return words(column.texts)
		}
		return func(slot int32) any {
			if v, ok := column.numbers.get(slot); ok {
				return v
			}
			return nil
		}
	}
	switch c.name {
	case "start_time":
		return func(slot int32) any {
			if x.started[slot] == 0 { // the client gave none
				return nil
			}
			return x.started[slot]
		}
	case "end_time":
		return func(slot int32) any {
			if x.finished[slot] == noTime {
				return nil
			}
			return x.finished[slot]
		}
	case "experiment_id":
		return func(slot int32) any { return x.experimentIDs[x.experiment[slot]] }
	case "run_id":
		return func(slot int32) any { return x.id(slot) }
	case "artifact_uri":
		return func(slot int32) any { return strings.Clone(x.uri(slot)) }
	case "stage":
		return func(slot int32) any {
			if x.stages[slot] == slotDeleted {
				return StageDeleted
			}
			return StageActive
		}
	}
	return words(x.attribute(c.name))
}

// groups counts slots by their values in columns; nil for no columns.
func (x *index) groups(slots []int32, columns []tableColumn) []Group {
	if len(columns) == 0 {
		return nil
	}
	gets := make([]func(int32) any, len(columns))
	for i, c := range columns {
		gets[i] = x.cells(c)
	}
	places := map[string]int{}
	out := []Group{}
	var key []byte
	for _, slot := range slots {
		key = key[:0]
		for _, get := range gets {
			key = appendKey(key, get(slot))
		}
		place, ok := places[string(key)]
		if !ok {
			place = len(out)
			places[string(key)] = place
			g := Group{Values: make([]any, len(columns))}
			for i, get := range gets {
				g.Values[i] = get(slot)
			}
			out = append(out, g)
		}
		out[place].Count++
	}
	slices.SortStableFunc(out, func(a, b Group) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

// appendKey writes what tells a value from others of its column.
func appendKey(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, 0)
	case string:
		return append(append(strconv.AppendInt(append(b, 1), int64(len(v)), 10), ':'), v...)
	default:
		return fmt.Appendf(b, "\x02%v;", v)
	}
}

// maxListed bounds the slots in lists.
const maxListed = 4 << 20

// lists remembers the last answers, so that scrolling through one sorts it once.
type lists struct {
	mu  sync.Mutex
	all []list // the latest used first
}

type list struct {
	question string
	moment   moment
	slots    []int32
}

// moment is what an answer depends on, beside the question.
type moment struct {
	layout         uint64
	epoch, changed int64
}

func (l *lists) get(question string, at moment) ([]int32, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, one := range l.all {
		if one.question == question && one.moment == at {
			copy(l.all[1:i+1], l.all[:i])
			l.all[0] = one
			return one.slots, true
		}
	}
	return nil, false
}

func (l *lists) put(one list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(old list) bool { return old.question == one.question })
	l.all = slices.Insert(l.all, 0, one)
	total := 0
	for i, old := range l.all {
		if total += len(old.slots); i > 0 && (i == 8 || total > maxListed) {
			clear(l.all[i:])
			l.all = l.all[:i]
			return
		}
	}
}

func (l *lists) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}

func (l *lists) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(0)
	for _, one := range l.all {
		n += 4 * int64(cap(one.slots))
	}
	return n
}

// sorted is the whole answer to a question, in order. It must not be changed.
func (x *index) sorted(q *question) []int32 {
	at := moment{layout: x.layout, epoch: x.epoch}
	for _, e := range q.experiments {
		if n, ok := x.order[e]; ok {
			at.changed = max(at.changed, x.changed[n])
		}
	}
	question := q.text()
	if slots, ok := x.lists.get(question, at); ok {
		return slots
	}
	slots := x.candidates(q.experiments, q.view, q.clauses)
	slots = newSorter(x.sortings(q.orders)).first(slots, len(slots))
	x.lists.put(list{question, at, slots})
	return slots
}

func (q *question) text() string {
	doc, err := json.Marshal(q.binding)
	if err != nil {
		panic(fmt.Sprintf("a binding is made of strings: %v", err))
	}
	return string(doc)
}
