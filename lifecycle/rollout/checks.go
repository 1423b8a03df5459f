package rollout

import (
	"fmt"
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// The guards that every canary has. Paired: the champion scores each canary row too, so that both are compared on the same rows
// and a change in the traffic can't be taken for a change of the model.
const (
	// MinPaired rows are needed before paired scores can abort or pass.
	MinPaired = 200
	// MinRankCorrelation between the scores of champion and canary. On flights, releases trained on later data keep 0.42 and more at
	// 200 rows, one trained on shuffled labels 0.11 and less (1 % and 99 % points of a resampling study).
	MinRankCorrelation = 0.3
	// MaxMeanShift of the mean probability. Retraining after prior drift moves the mean by up to 0.1 and should.
	MaxMeanShift = 0.2
	// minServed requests are needed before errors and latency are judged.
	minServed = 50

	z95 = 1.959963984540054 // 97.5 % point of the normal
)

// Evidence is what the checks are made from.
type Evidence struct {
	Paired   []feedback.Labeled // rows that the canary answered and the champion scored too
	Champion ArmStats
	Canary   ArmStats
}

// ArmStats is how an arm answered since the rollout began.
type ArmStats struct {
	Requests, Errors int64
	P50MS, P99MS     float64
}

// Judge makes the checks and the verdict over them: one failed check fails, then inconclusive before waiting before pass.
func Judge(e Evidence, abortWhen *project.Condition) ([]Check, string, string, error) {
	var checks []Check
	values := map[string]float64{"n": float64(e.Canary.Requests)}
	errors := errorCheck(e, values)
	latency := latencyCheck(e, values)
	checks = append(checks, errors, latency)
	checks = append(checks, pairedChecks(e.Paired, values)...)
	checks = append(checks, truthChecks(e.Paired)...)
	return withCondition(checks, abortWhen, values, e.Canary.Requests)
}

// concluded is the verdict over checks.
func concluded(checks []Check) ([]Check, string, string) {
	verdict := Pass
	for _, v := range []string{Waiting, Inconclusive, Fail} {
		for _, c := range checks {
			if c.Verdict == v {
				verdict = v
			}
		}
	}
	return checks, verdict, sentence(checks, verdict)
}

func errorCheck(e Evidence, values map[string]float64) Check {
	c := Check{Name: "Errors", Unit: "share of requests", Limit: "abort_when", N: e.Canary.Requests, Verdict: Waiting}
	if e.Champion.Requests > 0 {
		rate := float64(e.Champion.Errors) / float64(e.Champion.Requests)
		c.Champion = &rate
	}
	if e.Canary.Requests >= minServed {
		rate := float64(e.Canary.Errors) / float64(e.Canary.Requests)
		i := evaluate.Wilson(float64(e.Canary.Errors), float64(e.Canary.Requests), 0.95)
		values["error_rate"] = rate
		c.Canary, c.Verdict = &rate, Pass
		c.Difference = &registry.Measure{Value: rate, Lo: &i.Lo, Hi: &i.Hi, N: e.Canary.Requests}
	}
	return c
}

func latencyCheck(e Evidence, values map[string]float64) Check {
	c := Check{Name: "Latency p99", Unit: "ms", Limit: "abort_when", N: e.Canary.Requests, Verdict: Waiting}
	if e.Champion.Requests > 0 {
		p := e.Champion.P99MS
		c.Champion = &p
	}
	if e.Canary.Requests >= minServed {
		p := e.Canary.P99MS
		values["p50_ms"], values["p99_ms"] = e.Canary.P50MS, p
		c.Canary, c.Verdict = &p, Pass
	}
	return c
}

// pairedChecks compares the scores of both versions on the same rows: order (rank correlation) and level (mean shift).
func pairedChecks(rows []feedback.Labeled, values map[string]float64) []Check {
	n := int64(len(rows))
	rank := Check{Name: "Rank correlation", Limit: fmt.Sprintf("≥ %.2f", MinRankCorrelation), Bound: MinRankCorrelation, N: n, Verdict: Waiting}
	shift := Check{Name: "Mean score", Limit: fmt.Sprintf("± %.2f", MaxMeanShift), Bound: MaxMeanShift, N: n, Verdict: Waiting}
	if n < MinPaired {
		rank.Note = fmt.Sprintf("%d of %d paired rows", n, MinPaired)
		shift.Note = rank.Note
		return []Check{rank, shift}
	}
	canary, champion := make([]float64, n), make([]float64, n)
	var sum, squares, meanCanary, meanChampion float64
	for i, r := range rows {
		canary[i], champion[i] = r.Scores[0], r.Champion[0]
		d := canary[i] - champion[i]
		sum += d
		squares += d * d
		meanCanary += canary[i]
		meanChampion += champion[i]
	}
	meanCanary /= float64(n)
	meanChampion /= float64(n)

	rho, lo, hi := evaluate.Spearman(canary, champion)
	if math.IsNaN(rho) {
		rho, lo, hi = 0, 0, 0 // one side answers a constant: there is no order to agree on
	}
	values["rank_correlation"] = rho
	rank.judgeRank(rho, lo, hi, n)

	mean := sum / float64(n)
	half := z95 * math.Sqrt(math.Max(0, squares/float64(n)-mean*mean)/float64(n))
	low, high := mean-half, mean+half
	values["mean_shift"] = mean
	shift.Champion, shift.Canary = &meanChampion, &meanCanary
	shift.judgeShift(mean, low, high, n)
	return []Check{rank, shift}
}

func (c *Check) judgeRank(rho, lo, hi float64, n int64) {
	c.Difference = &registry.Measure{Value: rho, Lo: &lo, Hi: &hi, N: n}
	switch {
	case hi < MinRankCorrelation || lo == hi && rho < MinRankCorrelation:
		c.Verdict = Fail
	case lo < MinRankCorrelation:
		c.Verdict = Inconclusive
	default:
		c.Verdict = Pass
	}
}

func (c *Check) judgeShift(mean, low, high float64, n int64) {
	c.Difference = &registry.Measure{Value: mean, Lo: &low, Hi: &high, N: n}
	switch {
	case low > MaxMeanShift || high < -MaxMeanShift:
		c.Verdict = Fail
	case high > MaxMeanShift || low < -MaxMeanShift:
		c.Verdict = Inconclusive
	default:
		c.Verdict = Pass
	}
}

// truthChecks compares both versions with the outcomes that are known already. They inform; truth mostly comes after the rollout,
// so that too few of it holds nothing back.
func truthChecks(rows []feedback.Labeled) []Check {
	var y, canary, champion []float64
	for _, r := range rows {
		if !math.IsNaN(r.Label) && len(r.Scores) == 1 {
			y = append(y, r.Label)
			canary = append(canary, r.Scores[0])
			champion = append(champion, r.Champion[0])
		}
	}
	if len(y) < MinPaired {
		return nil
	}
	a, b := evaluate.LogLoss(y, champion), evaluate.LogLoss(y, canary)
	diff, lo, hi := evaluate.PairedBootstrap(y, canary, champion, evaluate.LogLoss, 200, 1)
	return []Check{{Name: "Log loss, same rows", Champion: &a, Canary: &b, Limit: "informs", N: int64(len(y)), Verdict: Pass,
		Difference: &registry.Measure{Value: diff, Lo: &lo, Hi: &hi, N: int64(len(y))}}}
}

func conditionCheck(cond *project.Condition, values map[string]float64, n int64) (Check, error) {
	c := Check{Name: "abort_when", Limit: cond.String(), N: n, Verdict: Waiting}
	for _, name := range cond.Names() {
		if _, ok := values[name]; !ok {
			c.Note = "no value for " + name + " yet"
			return c, nil
		}
	}
	bad, err := cond.Eval(values)
	if err != nil {
		return c, err
	}
	c.Verdict = Pass
	if bad {
		c.Verdict = Fail
		for _, name := range cond.Names() {
			c.Note += fmt.Sprintf("%s = %.4g ", name, values[name])
		}
	}
	return c, nil
}

func sentence(checks []Check, verdict string) string {
	passed := 0
	var worst Check
	for _, c := range checks {
		if c.Verdict == Pass {
			passed++
		}
		if c.Verdict == verdict && worst.Name == "" {
			worst = c
		}
	}
	switch verdict {
	case Pass:
		return fmt.Sprintf("All %d checks pass", len(checks))
	case Fail:
		s := worst.Name + " is out of its limit " + worst.Limit
		if d := worst.Difference; d != nil && d.Lo != nil {
			s += fmt.Sprintf(": %.3f, %.3f to %.3f, n %d", d.Value, *d.Lo, *d.Hi, d.N)
		} else if worst.Note != "" {
			s += ": " + worst.Note
		}
		return s
	case Inconclusive:
		return fmt.Sprintf("Not decided: %d of %d checks pass, the interval of %s crosses its limit", passed, len(checks), worst.Name)
	default:
		return fmt.Sprintf("Not yet decided: %d of %d checks pass, %s needs more rows", passed, len(checks), worst.Name)
	}
}
