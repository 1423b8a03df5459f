package track

import (
	"context"
	"fmt"
	"slices"
)

// Keys gives the names that runs of experiments have used, in order. The names of tags that were taken away stay among them.
func (s *Service) Keys(ctx context.Context, experiments []string) (*Keys, error) {
	ids := make([]int64, len(experiments))
	for i, id := range experiments {
		n, err := parseExperiment(id)
		if err != nil {
			return nil, err
		}
		ids[i] = n
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if err := s.flushOf(ctx, ids); err != nil {
		return nil, err
	}
	out := &Keys{Params: []string{}, Metrics: []string{}, Tags: []string{}}
	lists := map[int64]*[]string{kindParam: &out.Params, kindMetric: &out.Metrics, kindTag: &out.Tags}
	for chunk := range slices.Chunk(ids, 500) {
		if err := s.addKeys(ctx, lists, chunk); err != nil {
			return nil, err
		}
	}
	for _, list := range lists {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return out, nil
}

func (s *Service) addKeys(ctx context.Context, lists map[int64]*[]string, experiments []int64) error {
	args := make([]any, len(experiments))
	for i, n := range experiments {
		args[i] = n
	}
	rows, err := s.db.Read().QueryContext(ctx, `SELECT DISTINCT k.kind, k.name FROM experiment_keys e JOIN track_keys k ON k.workspace_id = 'default' AND k.id = e.key_id
		WHERE e.workspace_id = 'default' AND e.experiment_id IN (`+placeholders(1, len(args))+`)`, args...)
	if err != nil {
		return fmt.Errorf("read the names in experiments: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind int64
		var word string
		if err := rows.Scan(&kind, &word); err != nil {
			return fmt.Errorf("read the names in experiments: %w", err)
		}
		if list := lists[kind]; list != nil {
			*list = append(*list, word)
		}
	}
	return rows.Err()
}
