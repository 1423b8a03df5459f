package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Formats of files that ScoreFile reads and writes.
const (
	Parquet = "parquet"
	CSV     = "csv"
)

// ScoreFile scores every row of the file at in with a version and writes the rows with their scores to out, in the same order.
// Columns are found by name; ones that the version does not know stay as they are. Added are score (binary: of the positive class;
// regression: the value) or score_CLASS per class, and prediction for classes. Nothing is logged.
func (s *Service) ScoreFile(ctx context.Context, model string, version int, in, inFormat, out, outFormat string) (int, error) {
	pkg, err := s.models.LoadPackage(ctx, model, version)
	if err != nil {
		return 0, err
	}
	defer pkg.Close()
	sig := &pkg.Signature
	if sig.Task == registry.TaskTensors {
		return 0, fault.New(fault.Invalid, "%s v%d answers tensors, and not rows with scores", model, version).WithHint("ask it over HTTP: /v2/models")
	}
	t, err := s.readRows(ctx, sig, in, inFormat)
	if err != nil {
		return 0, err
	}
	for i := range sig.Inputs {
		want := &sig.Inputs[i]
		have := t.Column(want.Name)
		if have == nil {
			continue // features names the missing ones that matter
		}
		if (want.Kind == table.String) != (have.Kind == table.String) && t.Rows > 0 {
			return 0, fault.New(fault.Invalid, "column %q is %s, the model expects %s", want.Name, have.Kind, want.Kind).WithHint("trimtab models show %s prints the signature", model)
		}
	}
	f, err := features(sig, t)
	if err != nil {
		return 0, err
	}
	var scores []float64
	var labels []string
	if pkg.Learned != nil && !pkg.Wide {
		scores, err = predict(&fit{fitted: pkg.Fitted, model: pkg.Learned}, f)
	} else {
		scores, labels, err = askForeign(ctx, pkg, f)
	}
	if err != nil {
		return 0, err
	}
	addScores(t, learn.Task(sig.Task), sig.Classes, scores, pkg.Outputs(), pkg.Threshold, labels)
	if outFormat == CSV {
		return t.Rows, s.writeCSV(ctx, t, out)
	}
	return t.Rows, s.duck.WriteParquet(ctx, t, out)
}

// askForeign has a version of another library answer the columns of features.
func askForeign(ctx context.Context, pkg *registry.Package, f *table.Table) (scores []float64, labels []string, err error) {
	const block = 10_000
	for from := 0; from < f.Rows; from += block {
		rows := make([][]table.Value, min(block, f.Rows-from))
		for i := range rows {
			rows[i] = make([]table.Value, len(f.Columns))
			for j, c := range f.Columns {
				rows[i][j] = c.Value(from + i)
			}
		}
		s, l, err := pkg.Ask(ctx, rows)
		if err != nil {
			return nil, nil, err
		}
		scores, labels = append(scores, s...), append(labels, l...)
	}
	return scores, labels, nil
}

func (s *Service) writeCSV(ctx context.Context, t *table.Table, out string) error {
	parquet := out + ".parquet.tmp"
	if err := s.duck.WriteParquet(ctx, t, parquet); err != nil {
		return err
	}
	defer removeQuietly(parquet)
	if err := s.duck.Exec(ctx, fmt.Sprintf("COPY (SELECT * FROM read_parquet(%s)) TO %s (FORMAT csv, HEADER)", duck.Literal(parquet), duck.Literal(out))); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// readRows reads the file. The text of a CSV is read as the signature's kinds, with the words for a missing value that ingest knows.
func (s *Service) readRows(ctx context.Context, sig *registry.Signature, path, format string) (*table.Table, error) {
	unreadable := func(err error) error {
		return fault.Wrap(err, fault.Invalid, "the rows to score can't be read as %s", format)
	}
	switch format {
	case Parquet:
		t, err := s.duck.Table(ctx, "SELECT * FROM read_parquet("+duck.Literal(path)+")")
		if err != nil {
			return nil, unreadable(err)
		}
		return t, nil
	case CSV:
		from := "read_csv(" + duck.Literal(path) + ", all_varchar = true)"
		names, err := s.duck.Table(ctx, "SELECT column_name FROM (DESCRIBE SELECT * FROM "+from+")")
		if err != nil {
			return nil, unreadable(err)
		}
		columns := make([]string, names.Rows)
		for i, name := range names.Columns[0].Strings {
			columns[i] = duck.Quote(name)
			if want, _ := sig.Input(name); want != nil && want.Kind != table.String {
				columns[i] = fmt.Sprintf("CASE WHEN trim(%s) NOT IN (%s) THEN CAST(trim(%s) AS %s) END AS %s", columns[i], missing(), columns[i], duck.SQLType(want.Kind), columns[i])
			}
		}
		t, err := s.duck.Table(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+from)
		if err != nil {
			return nil, unreadable(err)
		}
		return t, nil
	}
	return nil, fault.New(fault.Invalid, "format %q can't be scored", format).WithHint("use %s or %s", Parquet, CSV)
}

// missing is the words for a missing value as a list of SQL.
func missing() string {
	words := []string{"''"}
	for _, w := range data.MissingWords() {
		words = append(words, duck.Literal(w))
	}
	return strings.Join(words, ", ")
}

// addScores adds the columns of an answer. labels are those that the model itself gave; nil = they follow from the scores.
func addScores(t *table.Table, task learn.Task, classes []string, scores []float64, k int, threshold float64, labels []string) {
	column := func(name string, j int) {
		c := &table.Column{Name: free(t, name), Kind: table.Double, Floats: make([]float64, t.Rows)}
		for i := range t.Rows {
			c.Floats[i] = scores[i*k+j]
		}
		t.Add(c)
	}
	if task != learn.Multiclass {
		column("score", 0)
	}
	if task == learn.Regression {
		return
	}
	decided := &table.Column{Name: "prediction", Kind: table.String, Strings: make([]string, t.Rows)}
	for i := range t.Rows {
		best := 0
		if task == learn.Binary {
			if scores[i] >= threshold {
				best = 1
			}
		} else {
			for j := range k {
				if scores[i*k+j] > scores[i*k+best] {
					best = j
				}
			}
		}
		if decided.Strings[i] = classes[best]; labels != nil {
			decided.Strings[i] = labels[i]
		}
	}
	if task == learn.Multiclass {
		for j, class := range classes {
			column("score_"+class, j)
		}
	}
	decided.Name = free(t, decided.Name)
	t.Add(decided)
}

// free is name, or name with underscores before it when the rows have such a column already.
func free(t *table.Table, name string) string {
	for t.Column(name) != nil {
		name = "_" + name
	}
	return name
}
