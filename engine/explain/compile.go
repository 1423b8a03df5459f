package explain

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// compiled is a tree prepared for Shapley values by quadrature.
//
// On the way to a leaf of value v stand d different features. Feature i has the share z_i of training rows that its
// splits on the way let pass, and o_i, 1 when the row itself passes all of them, else 0. Over random orders of the
// features the contribution of feature i at the leaf is
//
//	v (o_i - z_i) ∫ Π_{j≠i} (z_j (1-t) + o_j t) dt  over t in [0, 1]
//
// because a feature comes before i with probability t when i comes at t. The integrand is a polynomial of degree d-1:
// quadrature with m >= d/2 points is exact, and all that is added up at a point is positive, where the usual recursion
// divides its way back and loses digits. At each point the product is carried down the tree and sums of leaves are
// carried up, so that a tree costs m steps per node and no table of 2^d patterns is needed. A feature that is split on
// again below has its factor replaced on the way down, and its first contribution taken back, on the way up.
type compiled struct {
	source *tree.Tree
	output int
	places int // nodes
	nodes  []node
	shares []share // per node
	chunks int     // of lanes points each
	plain  bool    // no categories and no zeros that count as missing
	coefs  []float64
}

// node is a split. Places number the nodes of the tree breadth first from the root at 0, siblings side by side.
type node struct {
	threshold    float32 // for float32 values: the tree's own rounded down
	feature      uint32  // whose contribution the split makes
	place        uint32
	left         uint32 // place of the left child; the right one follows
	above        uint32 // place below the last split above on the same feature, on the way here; 0 when there is none
	missingRight uint32 // 1 when NaN goes right
	number       int32  // in the tree
	column       uint32 // that is compared: feature, unless columns are put together (see newTrees)
}

// share is what training rows say about a split: the share of them that all splits on its feature let pass on the way
// to it, to its left and to its right child; and the value of the child when that is a leaf, else 1.
type share struct {
	above, left, right    float64
	leftValue, rightValue float64
}

// maxPath bounds the different features on one path, and so the work that a hostile file can ask for.
const maxPath = 1024

// compiler holds what the trees of an ensemble share while they are prepared.
type compiler struct {
	e    *tree.Ensemble
	of   []int32  // per column: the feature it counts for; nil when they are the same
	last []uint32 // per feature: place below its last split on the way; 0 when there is none
}

// feature is the one that a split on the column counts for.
func (c *compiler) feature(column int32) int32 {
	if c.of == nil || column == tree.Leaf {
		return column
	}
	return c.of[column]
}

// compile prepares a tree whose leaf values are multiplied by scale and gives its expected value.
func (c *compiler) compile(t *tree.Tree, scale float64) (*compiled, float64, error) {
	out := &compiled{source: t, output: t.Output, plain: t.Set == nil && c.e.ZeroMissing == nil}
	numbers, inner := []int32{0}, make([]int32, len(t.Feature))
	for at := 0; at < len(numbers); at++ {
		n := numbers[at]
		if t.Feature[n] == tree.Leaf {
			if math.IsInf(t.Value[n], 0) {
				return nil, 0, fault.New(fault.NotSupported, "a leaf of the model is infinite, which cannot be split among features")
			}
			continue
		}
		inner[n] = int32(len(out.nodes))
		s := node{threshold: tree.Floor32(t.Threshold[n]), feature: uint32(c.feature(t.Feature[n])), place: uint32(at), left: uint32(len(numbers)),
			missingRight: 1, number: n, column: uint32(t.Feature[n])}
		if t.MissingLeft[n] {
			s.missingRight = 0
		}
		out.nodes = append(out.nodes, s)
		numbers = append(numbers, t.Left[n], t.Right[n])
	}
	out.places = len(numbers)
	widest, err := c.ways(out, inner)
	if err != nil {
		return nil, 0, err
	}
	out.chunks = (widest + 2*lanes - 1) / (2 * lanes)

	passed, reach := make([]float64, out.places), make([]float64, out.places)
	passed[0], reach[0] = 1, 1
	var expected float64
	out.shares = make([]share, len(out.nodes))
	if len(out.nodes) == 0 {
		expected = float64(t.Value[0] * scale)
	}
	for i := range out.nodes {
		s := &out.nodes[i]
		left, right, err := parts(t, s.number)
		if err != nil {
			return nil, 0, err
		}
		z := passed[s.above]
		out.shares[i] = share{above: z, left: z * left, right: z * right, leftValue: 1, rightValue: 1}
		passed[s.left], passed[s.left+1] = z*left, z*right
		reach[s.left], reach[s.left+1] = reach[s.place]*left, reach[s.place]*right
		for side, value := range []*float64{&out.shares[i].leftValue, &out.shares[i].rightValue} {
			if child := numbers[int(s.left)+side]; t.Feature[child] == tree.Leaf {
				*value = t.Value[child] * scale
				expected += float64(*value * reach[int(s.left)+side])
			}
		}
	}
	return out, expected, nil
}

// ways walks every path, sets above of the nodes and gives the most different features on a path. Its stack is its own:
// the tree of a hostile file may be one long path.
func (c *compiler) ways(out *compiled, inner []int32) (widest int, err error) {
	type step struct {
		number int32  // node to go to; -1 leaves an edge again
		place  uint32 // of the node, or what last was before the edge
		by     int32  // feature of the edge; -1 into the root
	}
	t, different := out.source, 0
	stack := []step{{0, 0, -1}}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if s.number < 0 {
			if c.last[s.by] = s.place; s.place == 0 {
				different--
			}
			continue
		}
		if s.by >= 0 {
			before := c.last[s.by]
			if before == 0 {
				different++
				widest = max(widest, different)
			}
			c.last[s.by] = s.place
			stack = append(stack, step{-1, before, s.by})
		}
		f := c.feature(t.Feature[s.number])
		if f == tree.Leaf {
			continue
		}
		n := &out.nodes[inner[s.number]]
		n.above = c.last[f]
		stack = append(stack, step{t.Right[s.number], n.left + 1, f}, step{t.Left[s.number], n.left, f})
	}
	if widest > maxPath {
		return 0, fault.New(fault.NotSupported, "a tree reads %d features on one path; at most %d can be explained", widest, maxPath)
	}
	return widest, nil
}

// parts is the share of a split's training rows that went left and right: each child's cover over the split's own,
// or over the sum of both where the split's own is not nearly that. Where no training row came by, half of them
// count as having gone each way.
func parts(t *tree.Tree, n int32) (left, right float64, err error) {
	l, r, own := t.Cover[t.Left[n]], t.Cover[t.Right[n]], t.Cover[n]
	if !(l >= 0 && r >= 0 && l+r <= math.MaxFloat64) {
		return 0, 0, fault.New(fault.NotSupported, "a node of the model says that %v training rows went left and %v right", l, r)
	}
	sum := l + r
	if sum == 0 {
		return 0.5, 0.5, nil
	}
	if !(math.Abs(own-sum) <= 1e-3*sum) { // single precision sums differ a little, and other libraries divide by own
		own = sum
	}
	return l / own, r / own, nil
}

// Lanes are the points that a step of the kernel computes at once. A node has one of three states for a row, each with
// its factors: the factors of the product and of the contribution, to the left and to the right.
const (
	lanes = 4
	//lint:file-ignore U1000 the assembly uses the states and the offsets by name
	// barred: the row failed a split above on the same feature, which therefore contributed there already.
	barred = 0
	// wentLeft and wentRight: it passed all of them, and this one to the left, or right.
	wentLeft  = 1
	wentRight = 2

	perState = 4 * lanes // down left, down right, up left, up right
	perNode  = 3 * perState
)

// fill writes the factors of chunk c, perNode for each node, to dst.
func (t *compiled) fill(c int, q *rule, dst []float64) {
	for i := range t.shares {
		s := &t.shares[i]
		out := dst[i*perNode : (i+1)*perNode]
		bar, left, right := out[:perState], out[perState:2*perState], out[2*perState:]
		for lane := range lanes {
			t, rest := q.t[c*lanes+lane], q.rest[c*lanes+lane]
			above := float64(s.above*rest) + t
			taken := (1 - s.above) / above
			pass := [2]float64{float64(s.left*rest) + t, float64(s.right*rest) + t}
			fail := [2]float64{s.left * rest, s.right * rest}
			z := [2]float64{s.left, s.right}
			value := [2]float64{s.leftValue, s.rightValue}
			for side := range 2 {
				down, up := side*lanes+lane, (2+side)*lanes+lane
				yes, no := left, right
				if side == 1 {
					yes, no = right, left
				}
				bar[down], bar[up] = 0, 0
				if s.above > 0 {
					bar[down] = z[side] / s.above * value[side]
				}
				yes[down] = pass[side] / above * value[side]
				yes[up] = (1-z[side])/pass[side] - taken
				no[down] = fail[side] / above * value[side]
				no[up] = -1/rest - taken
			}
		}
	}
}

// rule is a quadrature rule.
type rule struct{ t, rest, weight []float64 }

func newRule(chunks int) *rule {
	t, rest, weight := points(chunks * lanes)
	return &rule{t, rest, weight}
}
