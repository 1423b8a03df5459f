package track

import (
	"context"
	"fmt"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/filter"
	"github.com/trimtab-ml/trimtab/internal/pagetoken"
)

// Pages of runs.
const (
	maxRuns     = 50000
	defaultRuns = 1000
)

// question is a search for runs that was read and found right.
type question struct {
	experiments []int64
	view        View
	clauses     []filter.Clause
	orders      []filter.Order
	binding     pagetoken.Binding
}

func readQuestion(q *RunSearch) (*question, error) {
	if err := q.View.check(); err != nil {
		return nil, err
	}
	out := &question{view: q.View}
	if out.view == "" {
		out.view = ViewActive
	}
	scope := []string{string(out.view)}
	for _, id := range q.Experiments {
		n, err := parseExperiment(id)
		if err != nil {
			return nil, err
		}
		out.experiments = append(out.experiments, n)
	}
	slices.Sort(out.experiments)
	out.experiments = slices.Compact(out.experiments)
	for _, n := range out.experiments {
		scope = append(scope, fmt.Sprint(n))
	}
	var err error
	if out.clauses, err = filter.Parse(filter.Runs, q.Filter); err != nil {
		return nil, err
	}
	orders, err := filter.ParseOrder(filter.Runs, q.OrderBy)
	if err != nil {
		return nil, err
	}
	out.orders = filter.Total(filter.Runs, orders)
	out.binding = pagetoken.Binding{Noun: filter.Runs, Filter: q.Filter, Order: q.OrderBy, Scope: scope}
	return out, nil
}

// place is where the page before ended; nil at the first.
func (q *question) place(token string) ([]filter.Value, error) {
	if token == "" {
		return nil, nil
	}
	t, err := pagetoken.Decode(token, q.binding)
	if err != nil {
		return nil, err
	}
	fits := len(t.Values) == len(q.orders)
	for i := 0; fits && i < len(t.Values); i++ {
		fits = t.Values[i].Numeric == q.orders[i].Numeric || t.Values[i].Null
	}
	if !fits {
		return nil, invalid("Invalid page token: it is damaged").WithHint("start again from the first page: send the request without page_token")
	}
	return t.Values, nil
}

// settle writes what was logged to the runs of a question's experiments, when keys look at metrics.
func (s *Service) settle(ctx context.Context, q *question, keys []columnKey) error {
	if !slices.ContainsFunc(keys, func(k columnKey) bool { return k.kind == filter.Metric }) {
		return nil
	}
	return s.flushOf(ctx, q.experiments)
}

// flushOf writes what was logged to runs of experiments up to now to the catalog.
func (s *Service) flushOf(ctx context.Context, experiments []int64) error {
	return s.flushStates(ctx, slices.DeleteFunc(s.states.unwritten(), func(st *state) bool {
		_, asked := slices.BinarySearch(experiments, st.experiment)
		return !asked
	}))
}

// SearchRuns finds runs of experiments, the latest started first when no order is asked for. Runs that come, go or change while a
// client turns pages move no others to another page. Experiments that are not there have no runs.
func (s *Service) SearchRuns(ctx context.Context, search RunSearch) ([]*Run, string, error) {
	size, err := pageSize(search.MaxResults, defaultRuns, maxRuns)
	if err != nil {
		return nil, "", err
	}
	q, err := readQuestion(&search)
	if err != nil {
		return nil, "", err
	}
	place, err := q.place(search.PageToken)
	if err != nil {
		return nil, "", err
	}
	keys := columnsFor(q.clauses, q.orders)
	if err := s.settle(ctx, q, keys); err != nil {
		return nil, "", err
	}
	var numbers []int64
	next := ""
	err = s.index.look(ctx, keys, nil, func() {
		x := s.index
		slots := x.candidates(q.experiments, q.view, q.clauses)
		order := newSorter(x.sortings(q.orders))
		if place != nil {
			slots = order.after(slots, place)
		}
		more := len(slots) > size
		slots = order.first(slots, size)
		if more {
			last := slots[len(slots)-1]
			next = pagetoken.Encode(pagetoken.Token{Values: order.values(last), ID: x.id(last)}, q.binding)
		}
		for _, slot := range slots {
			numbers = append(numbers, x.numbers[slot])
		}
	})
	if err != nil {
		return nil, "", err
	}
	records, err := s.recordsOf(ctx, numbers)
	if err != nil {
		return nil, "", err
	}
	runs, err := s.completeAll(ctx, records)
	return runs, next, err
}

// recordsOf reads runs by their numbers, in that order; those that were removed meanwhile are left out.
func (s *Service) recordsOf(ctx context.Context, numbers []int64) ([]*record, error) {
	byNumber := make(map[int64]*record, len(numbers))
	for chunk := range slices.Chunk(numbers, 500) {
		args := make([]any, len(chunk))
		for i, n := range chunk {
			args[i] = n
		}
		records, err := s.records(ctx, s.db.Read(), `SELECT `+recordColumns+` FROM runs WHERE workspace_id = 'default' AND number IN (`+placeholders(1, len(args))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			byNumber[r.number] = r
		}
	}
	out := make([]*record, 0, len(numbers))
	for _, n := range numbers {
		if r := byNumber[n]; r != nil {
			out = append(out, r)
		}
	}
	return out, nil
}
