package rollout

import (
	"fmt"
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// JudgeShadow makes the checks of a shadow: the champion's rows were all answered by both, and nobody saw the shadow's answers.
func JudgeShadow(st *serve.ShadowStats, abortWhen *project.Condition) ([]Check, string, string, error) {
	seen := st.Rows + st.Errors
	e := Evidence{Champion: ArmStats{Requests: seen, P50MS: st.ChampionP50MS, P99MS: st.ChampionP99MS},
		Canary: ArmStats{Requests: seen, Errors: st.Errors, P50MS: st.P50MS, P99MS: st.P99MS}}
	values := map[string]float64{"n": float64(seen)}
	checks := []Check{errorCheck(e, values), latencyCheck(e, values)}
	rank := Check{Name: "Rank correlation", Limit: fmt.Sprintf("≥ %.2f", MinRankCorrelation), Bound: MinRankCorrelation, N: int64(st.RankRows), Verdict: Waiting}
	shift := Check{Name: "Mean score", Limit: fmt.Sprintf("± %.2f", MaxMeanShift), Bound: MaxMeanShift, N: st.Scored, Verdict: Waiting}
	if st.Scored < MinPaired {
		rank.Note = fmt.Sprintf("%d of %d compared rows", st.Scored, MinPaired)
		shift.Note = rank.Note
	} else {
		values["rank_correlation"], values["mean_shift"] = st.Rank, st.Shift
		rank.judgeRank(st.Rank, st.RankLo, st.RankHi, int64(st.RankRows))
		shift.judgeShift(st.Shift, st.ShiftLo, st.ShiftHi, st.Scored)
	}
	checks = append(checks, rank, shift)
	if st.Rows >= MinPaired {
		share := float64(st.Flips) / float64(st.Rows)
		i := evaluate.Wilson(float64(st.Flips), float64(st.Rows), 0.95)
		checks = append(checks, Check{Name: "Other decisions", Unit: "share of rows", Canary: &share, Limit: "informs", N: st.Rows, Verdict: Pass,
			Difference: &registry.Measure{Value: share, Lo: &i.Lo, Hi: &i.Hi, N: st.Rows}})
	}
	return withCondition(checks, abortWhen, values, seen)
}

// JudgeApart makes the checks of an A/B test, whose versions answer different rows: errors, latency and, as it becomes known, the truth
// of each one's own rows. It informs; who wins is for people to say.
func JudgeApart(e Evidence, champion, contender []feedback.Labeled, abortWhen *project.Condition) ([]Check, string, string, error) {
	values := map[string]float64{"n": float64(e.Canary.Requests)}
	checks := []Check{errorCheck(e, values), latencyCheck(e, values)}
	a, na := ownLoss(champion)
	b, nb := ownLoss(contender)
	if na >= minServed && nb >= minServed {
		checks = append(checks, Check{Name: "Log loss, own rows", Champion: &a, Canary: &b, Limit: "informs", N: int64(min(na, nb)), Verdict: Pass})
	}
	return withCondition(checks, abortWhen, values, e.Canary.Requests)
}

// ownLoss is the log loss of rows whose truth is known.
func ownLoss(rows []feedback.Labeled) (loss float64, n int) {
	var y, p []float64
	for _, r := range rows {
		if !math.IsNaN(r.Label) && len(r.Scores) == 1 {
			y, p = append(y, r.Label), append(p, r.Scores[0])
		}
	}
	if len(y) == 0 {
		return 0, 0
	}
	return evaluate.LogLoss(y, p), len(y)
}

func withCondition(checks []Check, abortWhen *project.Condition, values map[string]float64, n int64) ([]Check, string, string, error) {
	if abortWhen != nil {
		c, err := conditionCheck(abortWhen, values, n)
		if err != nil {
			return nil, "", "", err
		}
		checks = append(checks, c)
	}
	checks, verdict, summary := concluded(checks)
	return checks, verdict, summary, nil
}
