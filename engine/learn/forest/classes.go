package forest

// classes is the rows of a node by class, and how they lie on the two sides of a split while rows move from right to
// left. The Gini index needs the sums of squares only, which each move changes by a little.
type classes struct {
	class   []int32   // per row of the node's stretch
	weights []float64 // likewise
	sorted  []int32   // places in the stretch, by code of the column at hand

	all, left           []float64 // weight per class
	square              float64   // sum of the squares of all
	leftSquare, rightSq float64
	seen                []int32 // classes of the node
}

func newClasses(k, rows int) *classes {
	return &classes{class: make([]int32, rows), weights: make([]float64, rows), sorted: make([]int32, rows),
		all: make([]float64, k), left: make([]float64, k)}
}

// start begins a node of n rows.
func (c *classes) start(n int) {
	clear(c.all)
	c.seen = c.seen[:0]
	c.class, c.weights = c.class[:n], c.weights[:n]
}

// add puts the row at place i of the stretch.
func (c *classes) add(i int, class int32, w float64) {
	c.class[i], c.weights[i] = class, w
	if c.all[class] == 0 {
		c.seen = append(c.seen, class)
	}
	c.all[class] += w
}

// major is the class of the greatest weight, the lowest of equal ones.
func (c *classes) major() int32 {
	best := c.seen[0]
	c.square = 0
	for _, k := range c.seen {
		c.square += float64(c.all[k] * c.all[k])
		if c.all[k] > c.all[best] || c.all[k] == c.all[best] && k < best {
			best = k
		}
	}
	return best
}

// sort orders the places of the stretch by code, given how many rows each code has and where its rows begin.
func (c *classes) sort(codes []uint8, rows []uint32, list []entry) {
	var at [256]int32
	n := int32(0)
	for i := range list {
		list[i].at = n
		at[list[i].code] = n
		n += list[i].n
	}
	for i, row := range rows {
		code := codes[row]
		c.sorted[at[code]] = int32(i)
		at[code]++
	}
}

// reset puts all rows right.
func (c *classes) reset() {
	for _, k := range c.seen {
		c.left[k] = 0
	}
	c.leftSquare, c.rightSq = 0, c.square
}

// move puts the rows of one code left.
func (c *classes) move(e *entry) {
	for _, i := range c.sorted[e.at : e.at+e.n] {
		c.moveRow(i)
	}
}

// moveRow puts the row at place i of the stretch left.
func (c *classes) moveRow(i int32) {
	k, w := c.class[i], c.weights[i]
	l := c.left[k]
	c.leftSquare += float64(w * (2*l + w))
	c.rightSq -= float64(w * (2*(c.all[k]-l) - w))
	c.left[k] = l + w
}
