package learning

import (
	"bufio"
	"encoding/csv"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// writeCSV writes a table with a header. Numbers have as many digits as they need to be read back exactly, missing
// cells are empty, times are RFC 3339.
func writeCSV(t *table.Table, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<16)
	w := csv.NewWriter(buffered)
	record := make([]string, len(t.Columns))
	for j, c := range t.Columns {
		record[j] = c.Name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for i := range t.Rows {
		for j, c := range t.Columns {
			record[j] = cell(c, i)
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return buffered.Flush()
}

func cell(c *table.Column, i int) string {
	if c.IsNull(i) {
		return ""
	}
	switch c.Kind {
	case table.String:
		return c.Strings[i]
	case table.Boolean:
		return strconv.FormatBool(c.Floats[i] != 0)
	case table.Datetime:
		return time.UnixMicro(int64(c.Floats[i])).UTC().Format(time.RFC3339Nano)
	case table.Long:
		return strconv.FormatFloat(c.Floats[i], 'f', -1, 64)
	}
	return strconv.FormatFloat(c.Floats[i], 'g', -1, 64)
}
