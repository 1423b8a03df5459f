package mlp

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/gemm"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// tensor is parameters with their gradient and Adam's moments.
type tensor struct {
	w, grad, first, second []float32
	rate                   float32 // factor on the learning rate
}

func newTensor(n int, rate float32) *tensor {
	all := make([]float32, 4*n)
	return &tensor{w: all[:n:n], grad: all[n : 2*n : 2*n], first: all[2*n : 3*n : 3*n], second: all[3*n:], rate: rate}
}

// Adam's decay rates (Kingma and Ba, arXiv:1412.6980), the second as RealMLP has it.
const (
	beta1 = .9
	beta2 = .95
	tiny  = 1e-8
)

// layer is a linear map: out = in weight / sqrt(inputs) + bias.
type layer struct {
	inputs, outputs int
	weight, bias    *tensor
	unit            float32 // one over the root of the inputs

	z, out, grad []float32 // of the rows of a batch
}

// trainer is one training run.
type trainer struct {
	*Learner
	model   *Model
	x       *table.Matrix
	y       []float64
	weights []float64 // of mean 1; nil for all ones
	seed    uint64
	workers int

	scale  *tensor // one factor per input
	layers []*layer
	input  []float32 // a batch of scaled inputs
	raw    []float32 // the same before the factors
	multi  gemm.Multiplier

	steps        int
	valid        *table.Matrix
	validY       []float64
	best         float64
	bestEpoch    int
	kept         [][]float32 // parameters of the best epoch
	rate         float64
	epochs, size int // planned epochs, rows of a batch
}

func newTrainer(l *Learner, m *Model, x *table.Matrix, y, weights []float64, seed uint64, workers int) *trainer {
	t := &trainer{Learner: l, model: m, x: x, y: y, seed: seed, workers: workers, best: math.Inf(1), rate: l.LearningRate, epochs: l.Epochs}
	if t.rate == 0 {
		t.rate = .04
		if m.task == learner.Regression {
			t.rate = .07
		}
	}
	if t.epochs == 0 {
		const work = 256 * 10_000 // rows that 256 epochs are for
		t.epochs = min(256, max(20, work/max(x.Rows, 1)))
	}
	t.size = min(l.Batch, x.Rows)
	if weights != nil {
		var total float64
		for _, w := range weights {
			total += w
		}
		t.weights = make([]float64, len(weights))
		for i, w := range weights {
			t.weights[i] = w / total * float64(len(weights))
		}
	}
	t.scale = newTensor(x.Cols, 6)
	for j := range t.scale.w {
		t.scale.w[j] = 1
	}
	inputs := x.Cols
	for k, outputs := range append(append([]int(nil), l.Hidden...), m.outputs) {
		y := &layer{inputs: inputs, outputs: outputs, weight: newTensor(inputs*outputs, 1), bias: newTensor(outputs, .1), unit: float32(1 / math.Sqrt(float64(inputs)))}
		if k < len(l.Hidden) { // the last layer starts at zero
			for i := range y.weight.w {
				y.weight.w[i] = normal(seed, uint64(2*k), uint64(i))
			}
			for i := range y.bias.w {
				y.bias.w[i] = normal(seed, uint64(2*k+1), uint64(i))
			}
		}
		t.layers = append(t.layers, y)
		inputs = outputs
	}
	t.reserve(max(t.size, evaluated))
	return t
}

// evaluated are the rows predicted at a time.
const evaluated = 1024

func (t *trainer) reserve(rows int) {
	p := t.x.Cols
	t.raw, t.input = make([]float32, rows*p), make([]float32, rows*p)
	for _, y := range t.layers {
		y.z, y.out, y.grad = make([]float32, rows*y.outputs), make([]float32, rows*y.outputs), make([]float32, rows*y.outputs)
	}
}

// watch follows the loss on rows that are not trained on.
func (t *trainer) watch(x *table.Matrix, y []float64) { t.valid, t.validY = x, y }

// run trains epoch by epoch.
func (t *trainer) run(ctx context.Context, opt learner.Options) error {
	n := t.x.Rows
	order := make([]int, n)
	perEpoch := (n + t.size - 1) / t.size
	total := float64(perEpoch * t.epochs)
	step := 0
	for epoch := range t.epochs {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Canceled, "training stopped after %d of %d epochs", epoch, t.epochs)
		}
		shuffle(order, mix(t.seed, 0x65706f63, uint64(epoch)))
		var sum float64
		for lo := 0; lo < n; lo += t.size {
			rows := order[lo:min(lo+t.size, n)]
			at := float64(step) / total
			rate := t.rate * .5 * (1 - math.Cos(2*math.Pi*math.Log2(1+15*at))) // coslog4
			sum += t.step(rows, rate)
			step++
		}
		loss := sum / float64(n)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			if t.kept != nil {
				break
			}
			return fault.New(fault.Invalid, "mlp: the training diverged in epoch %d", epoch+1).WithHint("lower learning_rate, which is %g", t.rate)
		}
		valid := math.NaN()
		if t.valid != nil {
			valid = t.measure()
			if valid < t.best {
				t.best, t.bestEpoch = valid, epoch
				t.keep()
			}
		}
		if opt.Progress != nil {
			opt.Progress(epoch+1, t.epochs, loss)
		}
		if opt.Curve != nil {
			opt.Curve(epoch+1, t.epochs, loss, valid)
		}
		if opt.Prune != nil && opt.Prune(epoch+1, t.epochs, loss, valid) {
			return learner.ErrPruned
		}
		if opt.Enough != nil && opt.Enough() || t.Patience > 0 && t.valid != nil && epoch-t.bestEpoch >= t.Patience {
			break
		}
	}
	if t.kept != nil {
		for i, p := range t.tensors() {
			copy(p.w, t.kept[i])
		}
	}
	return nil
}

// tensors are all parameters.
func (t *trainer) tensors() []*tensor {
	out := []*tensor{t.scale}
	for _, y := range t.layers {
		out = append(out, y.weight, y.bias)
	}
	return out
}

func (t *trainer) keep() {
	all := t.tensors()
	if t.kept == nil {
		t.kept = make([][]float32, len(all))
		for i, p := range all {
			t.kept[i] = make([]float32, len(p.w))
		}
	}
	for i, p := range all {
		copy(t.kept[i], p.w)
	}
}

// forward computes the outputs of the rows in raw.
func (t *trainer) forward(rows int) []float32 {
	p := t.x.Cols
	each(t.workers, rows, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			in, out := t.raw[i*p:(i+1)*p], t.input[i*p:(i+1)*p]
			for j, v := range in {
				out[j] = v * t.scale.w[j]
			}
		}
	})
	in := t.input
	for k, y := range t.layers {
		t.multi.Multiply(y.z, gemm.Dense(rows, y.inputs, in), gemm.Dense(y.inputs, y.outputs, y.weight.w), t.workers)
		last := k == len(t.layers)-1
		each(t.workers, rows, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				z := y.z[i*y.outputs : (i+1)*y.outputs]
				shift(z, y.bias.w, y.unit)
				if !last {
					activate(t.model.activation, z, y.out[i*y.outputs:(i+1)*y.outputs])
				}
			}
		})
		in = y.out
	}
	return t.layers[len(t.layers)-1].z[:rows*t.model.outputs]
}

// step takes one step of Adam on a batch and returns its summed loss.
func (t *trainer) step(rows []int, rate float64) float64 {
	p := t.x.Cols
	for i, r := range rows {
		copy(t.raw[i*p:(i+1)*p], t.x.Data[r*p:(r+1)*p])
	}
	n := len(rows)
	out := t.forward(n)
	last := t.layers[len(t.layers)-1]
	loss := t.gradient(rows, out, last.grad)
	for k := len(t.layers) - 1; k >= 0; k-- {
		y := t.layers[k]
		g := gemm.Dense(n, y.outputs, y.grad)
		t.multi.Multiply(y.bias.grad, gemm.Ones(1, n), g, t.workers)
		if k == 0 {
			t.multi.Multiply(y.weight.grad, gemm.Dense(n, y.inputs, t.raw).T(), g, t.workers)
			t.share()
			break
		}
		b := t.layers[k-1]
		t.multi.Multiply(y.weight.grad, gemm.Dense(n, y.inputs, b.out).T(), g, t.workers)
		t.multi.Multiply(b.grad, g, gemm.Dense(y.inputs, y.outputs, y.weight.w).T(), t.workers)
		each(t.workers, n, func(lo, hi int) {
			lo, hi = lo*y.inputs, hi*y.inputs
			slope(t.model.activation, b.z[lo:hi], b.out[lo:hi], b.grad[lo:hi], y.unit)
		})
	}
	t.steps++
	t.adam(t.scale, rate, 1)
	for _, y := range t.layers {
		t.adam(y.weight, rate, y.unit)
		t.adam(y.bias, rate, 1)
	}
	return loss
}

// share turns the gradient of the first layer's weights times the factors of its inputs, which the batch before the
// factors gives, into the gradients of both.
func (t *trainer) share() {
	y := t.layers[0]
	for j, factor := range t.scale.w {
		w, g := y.weight.w[j*y.outputs:(j+1)*y.outputs], y.weight.grad[j*y.outputs:(j+1)*y.outputs]
		var sum [4]float32 // four, as one would wait for itself
		for i, v := range g {
			sum[i%4] += float32(v * w[i])
			g[i] = v * factor
		}
		t.scale.grad[j] = (sum[0] + sum[1] + sum[2] + sum[3]) * y.unit
	}
}

// adam moves parameters against their gradient times unit.
func (t *trainer) adam(w *tensor, rate float64, unit float32) {
	by := adamFactors{
		unit: unit, size: float32(rate) * w.rate, tiny: tiny,
		keep1: beta1, take1: 1 - beta1, one: float32(1 / (1 - math.Pow(beta1, float64(t.steps)))),
		keep2: beta2, take2: 1 - beta2, two: float32(1 / (1 - math.Pow(beta2, float64(t.steps)))),
	}
	const block = 1 << 14
	shard.Run(t.workers, shard.Blocks(len(w.w), block), func(_, b int) {
		lo, hi := shard.Bounds(b, len(w.w), block)
		move(w.w[lo:hi], w.grad[lo:hi], w.first[lo:hi], w.second[lo:hi], &by)
	})
}

// gradient writes the gradient of the mean loss of a batch to grad, and returns the summed loss.
func (t *trainer) gradient(rows []int, out, grad []float32) (total float64) {
	k := t.model.outputs
	share := 1 / float64(len(rows))
	smooth := t.Smoothing
	p := make([]float64, k)
	for i, r := range rows {
		w := 1.0
		if t.weights != nil {
			w = t.weights[r]
		}
		y := t.y[r]
		row, g := out[i*k:(i+1)*k], grad[i*k:(i+1)*k]
		switch t.model.task {
		case learner.Binary:
			z := float64(row[0])
			target := float64(y*(1-smooth)) + smooth/2
			e := math.Exp(-math.Abs(z)) // does not overflow
			q := 1 / (1 + e)
			if z < 0 {
				q = e / (1 + e)
			}
			g[0] = float32((q - target) * w * share)
			total += float64(w * (max(z, 0) + math.Log1p(e) - float64(target*z))) // log(1+e^z) - target z
		case learner.Multiclass:
			top := row[0]
			for _, v := range row[1:] {
				top = max(top, v)
			}
			var sum float64
			for j, v := range row {
				p[j] = math.Exp(float64(v - top))
				sum += p[j]
			}
			for j, v := range row {
				target := smooth / float64(k)
				if j == int(y) {
					target += 1 - smooth
				}
				q := p[j] / sum
				g[j] = float32((q - target) * w * share)
				total -= float64(w * float64(target*(float64(v-top)-math.Log(sum))))
			}
		default:
			d := float64(row[0]) - (y-t.model.Centre)/t.model.Spread
			g[0] = float32(d * w * share)
			total += float64(w * float64(d*d) / 2)
		}
	}
	return total
}

// measure is the loss on the validation rows, as learner.MeanLoss defines it.
func (t *trainer) measure() float64 {
	k, p := t.model.outputs, t.valid.Cols
	out := make([]float64, t.valid.Rows*k)
	for lo := 0; lo < t.valid.Rows; lo += evaluated {
		n := min(evaluated, t.valid.Rows-lo)
		copy(t.raw, t.valid.Data[lo*p:(lo+n)*p])
		for i, v := range t.forward(n) {
			out[lo*k+i] = float64(v)
		}
	}
	t.model.link(out)
	return learner.MeanLoss(t.model.task, t.validY, out)
}

// store gives the network to the model, the factors of the inputs and of the parametrisation being in the weights.
func (t *trainer) store(m *Model) {
	for k, y := range t.layers {
		one := linear{Inputs: y.inputs, Outputs: y.outputs, Weight: make([]float32, len(y.weight.w)), Bias: append([]float32(nil), y.bias.w...)}
		for i := range y.inputs {
			factor := y.unit
			if k == 0 {
				factor *= t.scale.w[i]
			}
			for j := range y.outputs {
				one.Weight[i*y.outputs+j] = y.weight.w[i*y.outputs+j] * factor
			}
		}
		m.layers = append(m.layers, one)
	}
}

// shuffle puts the numbers below len(order) into an order drawn by the seed.
func shuffle(order []int, seed uint64) {
	for i := range order {
		order[i] = i
	}
	for i := len(order) - 1; i > 0; i-- {
		j := int(mix(seed, 1, uint64(i)) % uint64(i+1))
		order[i], order[j] = order[j], order[i]
	}
}
