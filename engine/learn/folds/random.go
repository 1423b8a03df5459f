package folds

// twister is MT19937 (Matsumoto and Nishimura, ACM TOMACS 8, 1998) behind the operations of numpy's RandomState, which
// is frozen: the same seed gives the same numbers there and here.
type twister struct {
	state [624]uint32
	next  int
}

// newTwister seeds as RandomState(seed) does.
func newTwister(seed uint32) *twister {
	t := &twister{next: len(twister{}.state)}
	for i := range t.state {
		t.state[i] = seed
		seed = 1812433253*(seed^seed>>30) + uint32(i) + 1
	}
	return t
}

func (t *twister) uint32() uint32 {
	const n, m = len(t.state), 397
	if t.next == n {
		for i := range t.state {
			y := t.state[i]&0x80000000 | t.state[(i+1)%n]&0x7fffffff
			v := t.state[(i+m)%n] ^ y>>1
			if y&1 == 1 {
				v ^= 0x9908b0df
			}
			t.state[i] = v
		}
		t.next = 0
	}
	y := t.state[t.next]
	t.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// upTo is a number in [0, limit], by masking and rejection; limit fits 32 bits, as row numbers do.
func (t *twister) upTo(limit uint32) uint32 {
	if limit == 0 {
		return 0
	}
	mask := limit
	for shift := 1; shift < 32; shift *= 2 {
		mask |= mask >> shift
	}
	for {
		if v := t.uint32() & mask; v <= limit {
			return v
		}
	}
}

// shuffle is RandomState.shuffle.
func (t *twister) shuffle(v []int32) {
	for i := len(v) - 1; i > 0; i-- {
		j := t.upTo(uint32(i))
		v[i], v[j] = v[j], v[i]
	}
}

// permutation is RandomState.permutation of 0 to n-1.
func (t *twister) permutation(n int) []int32 {
	v := count(n)
	t.shuffle(v)
	return v
}

// choice is RandomState.choice of some of v, without replacement.
func (t *twister) choice(v []int32, some int) []int32 {
	out := make([]int32, some)
	for i, at := range t.permutation(len(v))[:some] {
		out[i] = v[at]
	}
	return out
}

// count is 0 to n-1.
func count(n int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32(i)
	}
	return v
}
