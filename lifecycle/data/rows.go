package data

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/trimtab-ml/trimtab/infra/duck"
)

// Rows opens all rows of a version as one Parquet file, in the order of its parts. Personal columns are as they are stored:
// pseudonymised, or gone.
func (s *Service) Rows(ctx context.Context, v *Version) (io.ReadCloser, error) {
	if len(v.Parts) == 1 {
		return s.blobs.Open(ctx, v.Parts[0].Blob)
	}
	rel, err := s.Relation(ctx, v, "")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.duck.TempDir(), "rows-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to export into: %w", err)
	}
	defer os.RemoveAll(dir) // what is open can be read to its end
	path := filepath.Join(dir, "rows.parquet")
	if err := s.duck.Exec(ctx, "COPY (SELECT * FROM "+rel+") TO "+duck.Literal(path)+" ("+duck.ParquetOptions+")"); err != nil {
		return nil, fmt.Errorf("export %s v%d: %w", v.Dataset, v.Number, err)
	}
	return os.Open(path)
}
