package data

import (
	"context"
	"fmt"

	"github.com/trimtab-ml/trimtab/infra/blob"
)

// Blobs calls f with every blob that a version or a file that was read before holds: parts, quarantines, profiles and manifests.
func (s *Service) Blobs(ctx context.Context, f func(hash string) error) error {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT id, document FROM data_versions UNION ALL SELECT '', document FROM data_staged`)
	if err != nil {
		return fmt.Errorf("list the blobs of datasets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, document string
		if err := rows.Scan(&id, &document); err != nil {
			return fmt.Errorf("list the blobs of datasets: %w", err)
		}
		if err := blob.Find(id+" "+document, f); err != nil {
			return err
		}
	}
	return rows.Err()
}
