package data

import (
	"context"
	"io"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// QuarantinedRow is one row that failed, as JSON shows it.
type QuarantinedRow struct {
	Source string         `json:"source"`
	Line   int64          `json:"line,omitempty"`   // of the file, when the row could not be parsed; counts from 1
	Record int64          `json:"record,omitempty"` // among the rows of the file that could be parsed; counts from 1
	Reason string         `json:"reason"`
	Raw    string         `json:"raw,omitempty"` // the text of a line that could not be parsed; withheld when the dataset has personal columns
	Row    map[string]any `json:"row,omitempty"`
}

// QuarantineReason is a reason and how many rows have it. Values that differ from row to row are left out of it.
type QuarantineReason struct {
	Reason string `json:"reason"`
	Rows   int64  `json:"rows"`
}

// OpenQuarantine reads the Parquet file of a version's quarantine: _source, _line, _row, _reason, _raw and the dataset's columns. The caller
// closes it. A version without one gives fault.NotFound.
func (s *Service) OpenQuarantine(ctx context.Context, v *Version) (io.ReadCloser, error) {
	if v.QuarantineBlob == "" {
		return nil, fault.New(fault.NotFound, "%s version %d has no rows in quarantine", v.Dataset, v.Number)
	}
	return s.blobs.Open(ctx, v.QuarantineBlob)
}

// Quarantine lists rows that failed, with the reason, in the order of the files; limit 0 is 100.
func (s *Service) Quarantine(ctx context.Context, v *Version, limit int) ([]QuarantinedRow, error) {
	if v.QuarantineBlob == "" {
		return []QuarantinedRow{}, nil
	}
	if limit <= 0 {
		limit = 100
	}
	path, err := s.blobs.Path(ctx, v.QuarantineBlob)
	if err != nil {
		return nil, err
	}
	t, err := s.duck.Table(ctx, "SELECT * FROM read_parquet("+duck.Literal(path)+") LIMIT ?", limit)
	if err != nil {
		return nil, err
	}
	rows := make([]QuarantinedRow, t.Rows)
	for i := range rows {
		r := &rows[i]
		for _, c := range t.Columns {
			v := c.Value(i)
			if v.Null {
				continue
			}
			switch c.Name {
			case "_source":
				r.Source = v.S
			case "_line":
				r.Line = int64(v.F)
			case "_row":
				r.Record = int64(v.F)
			case "_reason":
				r.Reason = v.S
			case "_raw":
				r.Raw = v.S
			default:
				if r.Row == nil {
					r.Row = map[string]any{}
				}
				r.Row[c.Name] = native(c.Kind, v)
			}
		}
	}
	return rows, nil
}

// Reasons counts why rows are in quarantine, the most frequent first, at most 50.
func (s *Service) Reasons(ctx context.Context, v *Version) ([]QuarantineReason, error) {
	reasons := []QuarantineReason{}
	if v.QuarantineBlob == "" {
		return reasons, nil
	}
	path, err := s.blobs.Path(ctx, v.QuarantineBlob)
	if err != nil {
		return nil, err
	}
	// A row may have several; each is "column is VALUE, what it should be".
	t, err := s.duck.Table(ctx, `SELECT regexp_replace(reason, '(^[^=]* (?:is|=) )(?:''.*''|[^,'' ]+)(, | is there|$)', '\1…\2') AS reason, count(*) AS n
		FROM (SELECT unnest(string_split(_reason, '; ')) AS reason FROM read_parquet(`+duck.Literal(path)+`)) GROUP BY 1 ORDER BY n DESC, 1 LIMIT 50`)
	if err != nil {
		return nil, err
	}
	for i := range t.Rows {
		reasons = append(reasons, QuarantineReason{Reason: t.Columns[0].Strings[i], Rows: int64(t.Columns[1].Floats[i])})
	}
	return reasons, nil
}

// native is a cell as JSON and people know it.
func native(k table.Kind, v table.Value) any {
	switch k {
	case table.String:
		return strings.ToValidUTF8(v.S, "�")
	case table.Boolean:
		return v.F != 0
	case table.Datetime:
		return showTime(v.F)
	}
	return v.F
}
