package feedback

import (
	"context"
	"fmt"
)

// Blobs calls f with every blob that holds a part of a log.
func (s *Service) Blobs(ctx context.Context, f func(hash string) error) error {
	rows, err := s.cfg.DB.Read().QueryContext(ctx, `SELECT blob FROM feedback_parts`)
	if err != nil {
		return fmt.Errorf("list the blobs of logs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			return fmt.Errorf("list the blobs of logs: %w", err)
		}
		if err := f(hash); err != nil {
			return err
		}
	}
	return rows.Err()
}
