package worker

import (
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/predictor"
)

// engines are the names in Status, by kind; the others are "python".
var engines = map[Kind]string{ONNXRuntime: "onnxruntime", R: "r"}

// metric takes a number that the model told.
func (p *Pool) metric(name string, value float64) {
	if len(name) > 100 {
		name = name[:100]
	}
	if _, known := p.values.Load(name); !known {
		n := 0
		p.values.Range(func(any, any) bool { n++; return n < 100 })
		if n >= 100 {
			return // a model that makes up names must not fill the memory of the server
		}
		p.values.Store(name, true)
	}
	p.manager.metrics.model.WithLabelValues(p.spec.Name, name).Set(value)
}

// ladder is all rungs, those of the server's side first.
func (p *Pool) ladder(told []predictor.Rung) []predictor.Rung {
	apart := predictor.Rung{Name: rungNamespaces, Holds: true}
	if err := p.manager.apart(); err != nil {
		apart = predictor.Rung{Name: rungNamespaces, Reason: err.Error()}
	} else if p.spec.Network {
		apart = predictor.Rung{Name: rungNamespaces, Reason: "the model may reach the network"}
	}
	out := []predictor.Rung{{Name: rungGroup, Holds: true}, {Name: rungEnvironment, Holds: true}, apart}
	out = append(out, told...)
	if p.spec.Network {
		out = append(out, predictor.Rung{Name: rungNetwork, Reason: "the model may reach it"})
	}
	if p.spec.Memory <= 0 {
		out = append(out, predictor.Rung{Name: rungMemory, Reason: "no ceiling is set"})
	}
	return out
}

// Status implements predictor.Reporter.
func (p *Pool) Status() predictor.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := predictor.Status{Engine: engines[p.spec.Kind], Isolated: p.rungs, Restarts: p.restarts, Queued: int64(len(p.waiting)), Log: p.journal.last(50), Since: p.since, Broken: p.broken}
	if s.Engine == "" {
		s.Engine = "python"
	}
	for w := range p.all {
		state, _ := w.state.Load().(string)
		memory := w.memory.Load()
		if memory == 0 {
			memory = resident(w.pid)
			w.memory.Store(memory)
		}
		s.Memory += memory
		s.Workers = append(s.Workers, predictor.Worker{PID: w.pid, State: state, Memory: memory, Requests: w.requests.Load(), Started: w.started.UTC()})
	}
	slices.SortFunc(s.Workers, func(a, b predictor.Worker) int { return a.Started.Compare(b.Started) })
	for range p.starting {
		s.Workers = append(s.Workers, predictor.Worker{State: "starting"})
	}
	return s
}

// Described is the model, its libraries and its outputs in one line, for logs.
func (m Model) Described() string {
	names := make([]string, 0, len(m.Versions))
	for k, v := range m.Versions {
		names = append(names, k+" "+v)
	}
	slices.Sort(names)
	return strings.TrimSpace(m.About.Estimator + " (" + strings.Join(names, ", ") + ")")
}

// Parallel is how many requests the pool answers at the same time once all its workers run.
func (p *Pool) Parallel() int { return p.spec.Max }
