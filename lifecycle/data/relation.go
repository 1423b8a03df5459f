package data

import (
	"context"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/duck"
)

// Relation is what to write after FROM to read the rows of a version's parts of a kind, in their order; all parts when kind is "".
// Every part was compared with its hash. A part that lacks a column of the others reads as null. Without parts the relation has the
// version's columns and no rows.
func (s *Service) Relation(ctx context.Context, v *Version, kind string) (string, error) {
	var paths []string
	for _, p := range v.Parts {
		if kind != "" && p.Kind != kind {
			continue
		}
		path, err := s.blobs.Path(ctx, p.Blob)
		if err != nil {
			return "", err
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		columns := make([]string, len(v.Schema))
		for i, f := range v.Schema {
			columns[i] = "NULL::" + f.SQLType + " AS " + duck.Quote(f.Name)
		}
		return "(SELECT " + strings.Join(columns, ", ") + " WHERE false)", nil
	}
	return "read_parquet(" + duck.List(paths) + ", union_by_name = true)", nil
}

// showTime writes microseconds UTC for people.
func showTime(us float64) string {
	t := time.UnixMicro(int64(us)).UTC()
	if t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 && t.Nanosecond() == 0 {
		return t.Format("2006-01-02")
	}
	return t.Format("2006-01-02 15:04:05.999999Z")
}
