package demo

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"time"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
)

// Summary is what a replay comes to.
type Summary struct {
	WallS       float64 `json:"wall_s"`
	Requests    int64   `json:"requests"`
	Failed      int64   `json:"failed"`
	Lost        int64   `json:"lost"`
	Alerts      int     `json:"alerts"`
	Retrainings int     `json:"retrainings"`
	Promotions  int     `json:"promotions"`
	Rollbacks   int     `json:"rollbacks"`
	Months      []Month `json:"months"`
	Year        Month   `json:"year"`
}

// Month compares the living model with the first one, never retrained, on the same labelled rows.
type Month struct {
	Month         string  `json:"month"`
	N             int     `json:"n"`
	AUCLive       float64 `json:"auc_live"`
	AUCFrozen     float64 `json:"auc_frozen"`
	LogLossLive   float64 `json:"log_loss_live"`
	LogLossFrozen float64 `json:"log_loss_frozen"`
}

// summary exports the log, scores it with the first champion, and counts what happened.
func (r *replay) summary(ctx context.Context) (*Summary, error) {
	out := &Summary{Requests: r.requests.Load(), Failed: r.failed.Load(), Months: []Month{}}
	if err := r.count(ctx, out); err != nil {
		return nil, err
	}
	exported, scored := filepath.Join(r.dir, "log.parquet"), filepath.Join(r.dir, "frozen.parquet")
	if err := r.client.download(ctx, "/api/v1/deployments/"+deployment+"/log.parquet", exported); err != nil {
		return nil, err
	}
	if err := r.client.score(ctx, 1, exported, scored); err != nil {
		return nil, err
	}
	db, err := duck.Open(duck.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	t, err := db.Table(ctx, "SELECT prediction_id, \"at\", score AS live, _score AS frozen, label FROM read_parquet("+duck.Literal(scored)+") ORDER BY \"at\", prediction_id")
	if err != nil {
		return nil, fmt.Errorf("read the scored log: %w", err)
	}
	out.Lost = r.lost(t.Column("prediction_id"))
	out.Months, out.Year = months(t)
	out.WallS = math.Round(time.Since(r.start).Seconds()*10) / 10
	return out, nil
}

// lost is the ids that the client was answered and that the log does not hold.
func (r *replay) lost(logged *table.Column) int64 {
	have := make(map[string]bool, logged.Len())
	for _, id := range logged.Strings {
		have[id] = true
	}
	var lost int64
	for _, id := range r.answered {
		if !have[id] {
			lost++
		}
	}
	return lost
}

func months(t *table.Table) ([]Month, Month) {
	type rows struct{ y, live, frozen []float64 }
	all := &rows{}
	by := map[string]*rows{}
	var names []string
	at, live, frozen, label := t.Column("at"), t.Column("live"), t.Column("frozen"), t.Column("label")
	for i := range t.Rows {
		if label.IsNull(i) {
			continue
		}
		name := time.UnixMicro(int64(at.Floats[i])).In(localZone).Format("2006-01")
		m := by[name]
		if m == nil {
			m = &rows{}
			by[name] = m
			names = append(names, name)
		}
		for _, into := range []*rows{m, all} {
			into.y = append(into.y, label.Floats[i])
			into.live = append(into.live, live.Floats[i])
			into.frozen = append(into.frozen, frozen.Floats[i])
		}
	}
	month := func(name string, m *rows) Month {
		return Month{Month: name, N: len(m.y), AUCLive: round4(evaluate.AUC(m.y, m.live)), AUCFrozen: round4(evaluate.AUC(m.y, m.frozen)),
			LogLossLive: round4(evaluate.LogLoss(m.y, m.live)), LogLossFrozen: round4(evaluate.LogLoss(m.y, m.frozen))}
	}
	out := []Month{}
	for _, name := range names {
		out = append(out, month(name, by[name]))
	}
	return out, month("all", all)
}

func round4(v float64) float64 {
	if math.IsNaN(v) {
		return 0 // a month of one class has no AUC; n says how little there is
	}
	return math.Round(v*1e4) / 1e4
}

// count reads alerts, trainings and rollouts.
func (r *replay) count(ctx context.Context, out *Summary) error {
	var alerts struct {
		Items []struct {
			Level string `json:"level"`
		} `json:"items"`
	}
	if err := r.client.call(ctx, http.MethodGet, "/api/v1/alerts?project="+projectName+"&limit=1000", nil, &alerts); err != nil {
		return err
	}
	for _, a := range alerts.Items {
		if a.Level != monitor.Notice { // that the year is not the winter of training is no alarm
			out.Alerts++
		}
	}
	var triggers struct {
		Items []struct {
			State  string `json:"state"`
			Policy string `json:"policy"`
		} `json:"items"`
	}
	if err := r.client.call(ctx, http.MethodGet, "/api/v1/projects/"+projectName+"/retrain", nil, &triggers); err != nil {
		return err
	}
	for _, t := range triggers.Items {
		if t.State != "held" && t.Policy != "manual" {
			out.Retrainings++
		}
	}
	var rollouts struct {
		Items []struct {
			State string `json:"state"`
			From  int    `json:"from"`
		} `json:"items"`
	}
	if err := r.client.call(ctx, http.MethodGet, "/api/v1/deployments/"+deployment+"/rollouts", nil, &rollouts); err != nil {
		return err
	}
	for _, ro := range rollouts.Items {
		switch {
		case ro.State == "promoted" && ro.From > 0:
			out.Promotions++
		case ro.State == "aborted":
			out.Rollbacks++
		}
	}
	return nil
}

// Print writes the summary as a table.
func (s *Summary) Print(io *term.IO) {
	rows := [][]string{}
	line := func(m Month) []string {
		return []string{m.Month, fmt.Sprint(m.N), fmt.Sprintf("%.3f", m.AUCLive), fmt.Sprintf("%.3f", m.AUCFrozen),
			fmt.Sprintf("%.4f", m.LogLossLive), fmt.Sprintf("%.4f", m.LogLossFrozen), fmt.Sprintf("%+.4f", m.LogLossLive-m.LogLossFrozen)}
	}
	for _, m := range s.Months {
		rows = append(rows, line(m))
	}
	rows = append(rows, line(s.Year))
	io.Table([]string{"month", "labelled", "AUC live", "frozen", "log loss live", "frozen", "difference"}, rows)
	fmt.Fprintf(io.Out, "\n%d requests, %d failed, %d lost; %d alerts, %d retrainings, %d promotions, %d rollbacks; %.0f s\n",
		s.Requests, s.Failed, s.Lost, s.Alerts, s.Retrainings, s.Promotions, s.Rollbacks, s.WallS)
}
