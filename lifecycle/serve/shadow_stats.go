package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// ShadowStats is how a shadow differs from the champion on the same rows.
type ShadowStats struct {
	Version       int            `json:"version"`
	Against       int            `json:"against" doc:"the champion it was compared with; another champion begins the comparison anew"`
	Rows          int64          `json:"rows" doc:"compared"`
	Errors        int64          `json:"errors" doc:"rows that the champion answered and the shadow could not"`
	Dropped       int64          `json:"dropped" doc:"rows that were not compared, because the shadow did not keep up; since the server started"`
	Waiting       int            `json:"waiting" doc:"requests that it has still to answer"`
	Flips         int64          `json:"flips" doc:"rows with another decision"`
	Scored        int64          `json:"scored" doc:"rows whose scores can be compared: both versions have the same classes"`
	Difference    float64        `json:"mean_difference" doc:"mean of |difference|: of probabilities half the sum over the classes, of a regression the values"`
	Shift         float64        `json:"mean_shift" doc:"mean of shadow less champion: of the positive's probability, or of the value"`
	ShiftLo       float64        `json:"mean_shift_lo" doc:"of the 95 % interval"`
	ShiftHi       float64        `json:"mean_shift_hi"`
	Greatest      float64        `json:"greatest_difference"`
	Rank          float64        `json:"rank_correlation" doc:"Spearman's, over the last rows compared"`
	RankLo        float64        `json:"rank_correlation_lo" doc:"of the 95 % interval"`
	RankHi        float64        `json:"rank_correlation_hi"`
	RankRows      int            `json:"rank_rows"`
	P50MS         float64        `json:"p50_ms" doc:"of the shadow, per row"`
	P99MS         float64        `json:"p99_ms"`
	ChampionP50MS float64        `json:"champion_p50_ms" doc:"on the same rows"`
	ChampionP99MS float64        `json:"champion_p99_ms"`
	LastError     string         `json:"last_error,omitempty"`
	Since         time.Time      `json:"since"`
	Disagreements []Disagreement `json:"disagreements" doc:"the rows that differ most, the greatest difference first"`
}

// Disagreement is a row of which shadow and champion said different things.
type Disagreement struct {
	PredictionID string  `json:"prediction_id"`
	Key          string  `json:"key"`
	Champion     float64 `json:"champion" doc:"the positive's probability, that of the champion's class, or the value"`
	Shadow       float64 `json:"shadow"`
	Label        string  `json:"label,omitempty" doc:"the champion's decision"`
	ShadowLabel  string  `json:"shadow_label,omitempty"`
	Difference   float64 `json:"difference"`
}

const (
	rankRows      = 1000 // of the rank correlation
	disagreements = 20
	keepEvery     = 5 * time.Second
)

// pair is a row as both versions answered it.
type pair struct {
	id, key, task      string
	champion, shadow   []float64
	label, shadowLabel string
	tookUS, shadowUS   int64
}

// tally is the running comparison of a shadow with a champion.
type tally struct {
	mu      sync.Mutex
	changed bool
	tallied
}

// tallied is what is kept of a tally.
type tallied struct {
	Version, Against            int
	Since                       time.Time
	Rows, Scored, Flips, Errors int64
	Sum, Signed, Squares        float64
	Greatest                    float64
	LastError                   string
	Last                        [][2]float64 // champion and shadow of the last rows, in a ring
	Next                        int
	Took, Shadow                map[int]int64 // latencies: cells and their counts
	Worst                       []Disagreement
}

// tallies are those of a deployment, by shadow version.
type tallies struct {
	mu   sync.Mutex
	all  map[int]*tally
	last time.Time // when they were stored
}

// of is the tally of a shadow against a champion: a new one where another champion answers now.
func (t *tallies) of(version, against int) *tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have := t.all[version]; have != nil && have.Against == against {
		return have
	}
	if t.all == nil {
		t.all = map[int]*tally{}
	}
	n := &tally{tallied: tallied{Version: version, Against: against, Since: time.Now().UTC(), Took: map[int]int64{}, Shadow: map[int]int64{}}}
	t.all[version] = n
	return n
}

func (t *tally) failed(rows int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = true
	t.Errors += int64(rows)
	t.LastError = clip(err.Error())
}

// compare counts a row.
func (t *tally) compare(p *pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = true
	t.Rows++
	t.Took[cellOf(p.tookUS)]++
	t.Shadow[cellOf(p.shadowUS)]++
	flipped := p.label != p.shadowLabel
	if flipped {
		t.Flips++
	}
	d := Disagreement{PredictionID: p.id, Key: p.key, Label: p.label, ShadowLabel: p.shadowLabel}
	if len(p.champion) == len(p.shadow) && len(p.champion) > 0 && finite(p.champion) && finite(p.shadow) {
		shown := 0
		for i := range p.champion {
			d.Difference += math.Abs(p.shadow[i] - p.champion[i])
			if p.task == taskMulticlass && p.champion[i] > p.champion[shown] {
				shown = i
			}
		}
		if p.task == taskMulticlass {
			d.Difference /= 2
		}
		if p.task == "" {
			d.Difference /= float64(len(p.champion)) // of tensors: the mean over their numbers
		}
		d.Champion, d.Shadow = p.champion[shown], p.shadow[shown]
		signed := d.Shadow - d.Champion
		t.Scored++
		t.Sum += d.Difference
		t.Signed += signed
		t.Squares += signed * signed
		t.Greatest = max(t.Greatest, d.Difference)
		if last := [2]float64{d.Champion, d.Shadow}; len(t.Last) < rankRows {
			t.Last = append(t.Last, last)
		} else {
			t.Last[t.Next] = last
			t.Next = (t.Next + 1) % rankRows
		}
	}
	if d.Difference == 0 && !flipped {
		return
	}
	worse := func(a, b *Disagreement) bool { return a.Difference > b.Difference }
	at := sort.Search(len(t.Worst), func(i int) bool { return worse(&d, &t.Worst[i]) })
	if at < disagreements {
		d.Key, d.Label, d.ShadowLabel = clip(d.Key), clip(d.Label), clip(d.ShadowLabel)
		t.Worst = slices.Insert(t.Worst, at, d)
		t.Worst = t.Worst[:min(len(t.Worst), disagreements)]
	}
}

// stats makes the figures of a tally.
func (t *tally) stats() ShadowStats {
	t.mu.Lock()
	s := ShadowStats{Version: t.Version, Against: t.Against, Rows: t.Rows, Scored: t.Scored, Errors: t.Errors, Flips: t.Flips, Greatest: t.Greatest, LastError: t.LastError, Since: t.Since,
		RankRows: len(t.Last), RankLo: -1, RankHi: 1, Disagreements: append([]Disagreement{}, t.Worst...)}
	champion, shadow := make([]float64, len(t.Last)), make([]float64, len(t.Last))
	for i, p := range t.Last {
		champion[i], shadow[i] = p[0], p[1]
	}
	if n := float64(t.Scored); n > 0 {
		s.Difference, s.Shift = t.Sum/n, t.Signed/n
		half := 1.959963984540054 * math.Sqrt(max(0, t.Squares/n-s.Shift*s.Shift)/n) // 97.5 % point of the normal
		s.ShiftLo, s.ShiftHi = s.Shift-half, s.Shift+half
	}
	took, own := latencies(t.Took), latencies(t.Shadow)
	t.mu.Unlock()
	s.ChampionP50MS, s.ChampionP99MS = took.quantile(0.5), took.quantile(0.99)
	s.P50MS, s.P99MS = own.quantile(0.5), own.quantile(0.99)
	if s.Rank, s.RankLo, s.RankHi = evaluate.Spearman(champion, shadow); math.IsNaN(s.Rank) {
		s.Rank, s.RankLo, s.RankHi = 0, 0, 0 // one side answers a constant: there is no order to agree on
	}
	return s
}

func latencies(counts map[int]int64) *totals {
	var t totals
	for cell, n := range counts {
		if cell >= 0 && cell < cells {
			t.latency[cell] = n
		}
	}
	return &t
}

// Shadow is how a version differed as the shadow of a deployment; version 0 is the shadow of now. fault.NotFound for one that never was.
func (s *Service) Shadow(deployment string, version int) (*ShadowStats, error) {
	e, err := s.find(deployment)
	if err != nil {
		return nil, err
	}
	route := e.live.Load().deployment.Route
	if version == 0 {
		version = route.Shadow
	}
	m := &e.mirror
	m.tallies.mu.Lock()
	t := m.tallies.all[version]
	m.tallies.mu.Unlock()
	if t == nil || version == route.Shadow && t.Against != route.Champion {
		if version == 0 || version != route.Shadow {
			return nil, fault.New(fault.NotFound, "%s has no shadow v%d", deployment, version).WithHint("trimtab deployments route %s --shadow VERSION --reason TEXT", deployment)
		}
		t = m.tallies.of(version, route.Champion)
	}
	st := t.stats()
	if version == route.Shadow {
		st.Dropped = m.dropped.Load()
		m.mu.Lock()
		st.Waiting = len(m.queue)
		m.mu.Unlock()
	}
	return &st, nil
}

// keepNow stores what changed, unless that was done a moment ago and it is not urgent.
func (m *mirror) keepNow(urgent bool) {
	m.tallies.mu.Lock()
	if !urgent && time.Since(m.tallies.last) < keepEvery {
		m.tallies.mu.Unlock()
		return
	}
	m.tallies.last = time.Now()
	all := make([]*tally, 0, len(m.tallies.all))
	for _, t := range m.tallies.all {
		all = append(all, t)
	}
	m.tallies.mu.Unlock()
	for _, t := range all {
		t.mu.Lock()
		changed := t.changed
		doc, err := json.Marshal(t.tallied)
		version := t.Version
		t.changed = false
		t.mu.Unlock()
		if !changed {
			continue
		}
		if err == nil {
			err = m.s.cfg.DB.Write(context.Background(), func(tx *catalog.Tx) error {
				_, err := tx.ExecContext(context.Background(), `INSERT INTO serve_shadows (workspace_id, deployment, version, document, updated_at) VALUES ($1, $2, $3, $4, $5)
					ON CONFLICT (workspace_id, deployment, version) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at`,
					catalog.Workspace, m.e.name, version, string(doc), time.Now().UnixMicro())
				return err
			})
		}
		if err != nil {
			m.s.log.Warn("the comparison with a shadow could not be stored", "deployment", m.e.name, "version", version, "error", err)
			t.mu.Lock()
			t.changed = true
			t.mu.Unlock()
		}
	}
}

// recall reads the tallies of all deployments from the catalog.
func (s *Service) recall(ctx context.Context) error {
	rows, err := s.cfg.DB.Read().QueryContext(ctx, `SELECT deployment, document FROM serve_shadows WHERE workspace_id = $1`, catalog.Workspace)
	if err != nil {
		return fmt.Errorf("list shadows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, doc string
		if err := rows.Scan(&name, &doc); err != nil {
			return fmt.Errorf("list shadows: %w", err)
		}
		t := &tally{}
		if err := json.Unmarshal([]byte(doc), &t.tallied); err != nil {
			return fmt.Errorf("read the shadow of %q: %w", name, err)
		}
		if e := s.endpoint(name); e != nil {
			if t.Took == nil {
				t.Took = map[int]int64{}
			}
			if t.Shadow == nil {
				t.Shadow = map[int]int64{}
			}
			e.mirror.tallies.mu.Lock()
			if e.mirror.tallies.all == nil {
				e.mirror.tallies.all = map[int]*tally{}
			}
			e.mirror.tallies.all[t.Version] = t
			e.mirror.tallies.mu.Unlock()
		}
	}
	return rows.Err()
}

// stopMirrors ends the work of all shadows and stores what they found. It waits for a shadow under way.
func (s *Service) stopMirrors() {
	s.stop()
	for _, e := range *s.deployments.Load() {
		e.mirror.stop()
	}
	s.mirrors.Wait()
	for _, e := range *s.deployments.Load() {
		e.mirror.keepNow(true)
	}
}
