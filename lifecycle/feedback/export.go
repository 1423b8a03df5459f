package feedback

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// exportRows is how many predictions an export holds in memory at a time.
const exportRows = 50_000

// Export writes the log of a deployment to one Parquet file at path, sorted by (at, key, prediction_id): what was asked, what was
// answered, what the champion would have answered where a canary did, and what turned out to be true. Columns are those of newLayout.
// A deployment without a log is fault.NotFound.
func (s *Service) Export(ctx context.Context, deployment, path string) error {
	l := s.logOf(deployment)
	if l == nil {
		return fault.New(fault.NotFound, "nothing was logged for %q yet", deployment).WithHint("send it a prediction first")
	}
	l.layout.RLock()
	defer l.layout.RUnlock()
	if err := l.damaged(math.MinInt64, math.MaxInt64); err != nil {
		return err
	}
	picks := l.picks(math.MinInt64, math.MaxInt64, math.MaxInt64, func(*entry) bool { return true })
	columns := newLayout(signaturesOf(picks), true)
	work, err := os.MkdirTemp(s.cfg.Dir, "work-")
	if err != nil {
		return fmt.Errorf("export the log of %q: %w", deployment, err)
	}
	defer os.RemoveAll(work)
	var files []string
	for from := 0; from == 0 || from < len(picks); from += exportRows {
		b := newBuilder(columns)
		err := s.read(ctx, l, picks[from:min(from+exportRows, len(picks))], func(k *pick, p serve.Prediction) error {
			b.add(&p, k)
			return nil
		})
		if err != nil {
			return err
		}
		file := filepath.Join(work, strconv.Itoa(len(files))+".parquet")
		if err := s.cfg.Duck.WriteParquet(ctx, b.t, file); err != nil {
			return fmt.Errorf("export the log of %q: %w", deployment, err)
		}
		files = append(files, duck.Literal(file))
	}
	err = s.cfg.Duck.Exec(ctx, "COPY (SELECT * FROM read_parquet(["+strings.Join(files, ", ")+"]) ORDER BY \"at\", \"key\", prediction_id) TO "+duck.Literal(path)+" ("+duck.ParquetOptions+")")
	if err != nil {
		return fmt.Errorf("export the log of %q: %w", deployment, err)
	}
	return nil
}

// signaturesOf lists the signatures of picks in the order of their numbers.
func signaturesOf(picks []pick) []*registry.Signature {
	seen := map[uint16]*signed{}
	for i := range picks {
		seen[picks[i].schema.number] = picks[i].schema
	}
	list := make([]*signed, 0, len(seen))
	for _, s := range seen {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *signed) int { return cmp.Compare(a.number, b.number) })
	out := make([]*registry.Signature, len(list))
	for i, s := range list {
		out[i] = s.sig
	}
	return out
}
