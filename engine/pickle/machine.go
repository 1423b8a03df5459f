package pickle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	maxText  = 4 << 10 // a longer text is no name
	maxLine  = 16 << 20
	maxStack = 4 << 20
	maxMemo  = 8 << 20
)

// The symbolic values: nil for None, bool, int64, string, []byte (small), tuple, *dict, *object, global, and opaque for the rest.
type (
	opaque struct{}
	absent struct{} // a place of the memo that is not filled
	mark   struct{}
	tuple  []any
	global struct{ module, name string }
	dict   struct{ items map[string]any } // those with a text as key
	object struct {
		class any // what was called, or whose instance it is
		args  tuple
		state *dict
		build any // the state that is no dict
	}
)

// machine is the stack machine of one pickle.
type machine struct {
	scan   *scan
	in     *bufio.Reader
	at     int64
	frame  int64 // where the frame ends
	stack  []any
	memo   []any
	puts   int64 // places of the memo that are filled
	joblib bool  // who loads it reads arrays between the instructions
	acted  bool  // it imported or called something
	result any
}

func newMachine(s *scan, in *bufio.Reader) *machine {
	return &machine{scan: s, in: in, joblib: true}
}

var errStack = fault.New(fault.Invalid, "the pickle takes more from its stack than there is")

func (m *machine) push(v any) error {
	if len(m.stack) >= maxStack {
		return fault.New(fault.TooLarge, "the pickle has more than %d values on its stack", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

func (m *machine) pop() (any, error) {
	n := len(m.stack)
	if n == 0 {
		return nil, errStack
	}
	v := m.stack[n-1]
	if _, isMark := v.(mark); isMark {
		return nil, errStack
	}
	m.stack = m.stack[:n-1]
	return v, nil
}

// top is the last value, which stays.
func (m *machine) top() (any, error) {
	v, err := m.pop()
	if err == nil {
		m.stack = append(m.stack, v)
	}
	return v, err
}

// toMark takes all values above the last mark, and the mark.
func (m *machine) toMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, isMark := m.stack[i].(mark); isMark {
			items := m.stack[i+1:]
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, errStack
}

func (m *machine) byte() (byte, error) {
	b, err := m.in.ReadByte()
	m.at++
	return b, err
}

// number reads n bytes, little-endian.
func (m *machine) number(n int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(m.in, b[:n]); err != nil {
		return 0, err
	}
	m.at += int64(n)
	return binary.LittleEndian.Uint64(b[:]), nil
}

func (m *machine) skip(n uint64) error {
	for n > 0 {
		step := int(min(n, 1<<30))
		got, err := m.in.Discard(step)
		m.at += int64(got)
		if err != nil {
			return err
		}
		n -= uint64(step)
	}
	return nil
}

// bytes reads a value with its length; a long one is skipped.
func (m *machine) bytes(width int) ([]byte, bool, error) {
	n, err := m.number(width)
	if err != nil {
		return nil, false, err
	}
	if n > maxText {
		return nil, false, m.skip(n)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(m.in, b)
	m.at += int64(n)
	return b, true, err
}

func (m *machine) text(width int) error {
	b, whole, err := m.bytes(width)
	if err != nil {
		return err
	}
	if !whole {
		return m.push(opaque{})
	}
	return m.push(string(b))
}

func (m *machine) line() (string, error) {
	var out []byte
	for {
		part, err := m.in.ReadSlice('\n')
		m.at += int64(len(part))
		out = append(out, part...)
		if err == nil {
			return string(out[:len(out)-1]), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if len(out) > maxLine {
			return "", fault.New(fault.Invalid, "a line of the pickle does not end")
		}
	}
}

// renamed are modules that Python 3 finds under another name when it loads a pickle of Python 2.
var renamed = map[string]string{"__builtin__": "builtins", "copy_reg": "copyreg"}

// name imports.
func (m *machine) name(module, name string) error {
	m.acted = true
	if to, ok := renamed[module]; ok {
		module = to
	}
	if err := m.scan.imported(module, name); err != nil {
		return err
	}
	return m.push(global{module, name})
}

// run follows the instructions to STOP.
func (m *machine) run() error {
	for {
		op, err := m.byte()
		if err == nil {
			if op == '.' {
				m.result, err = m.pop()
				return err
			}
			err = m.step(op)
		}
		if err != nil {
			return unreadable(err)
		}
	}
}

func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		n, err := m.byte()
		if n > 5 {
			return fault.New(fault.Invalid, "there is no protocol %d of pickle", n)
		}
		m.scan.report.Protocol = max(m.scan.report.Protocol, int(n))
		return err
	case 0x95: // FRAME
		n, err := m.number(8)
		m.frame = m.at + int64(min(n, 1<<62))
		return err
	case '(':
		return m.push(mark{})
	case '0':
		if n := len(m.stack); n > 0 { // a mark too
			m.stack = m.stack[:n-1]
			return nil
		}
		return errStack
	case '1':
		_, err := m.toMark()
		return err
	case '2':
		v, err := m.top()
		if err != nil {
			return err
		}
		return m.push(v)
	}
	if done, err := m.constant(op); done {
		return err
	}
	if done, err := m.container(op); done {
		return err
	}
	if done, err := m.remember(op); done {
		return err
	}
	if done, err := m.act(op); done {
		return err
	}
	return fault.New(fault.Invalid, "byte %d, %#x, is no instruction of a pickle", m.at-1, op)
}

// remember puts into the memo and gets from it.
func (m *machine) remember(op byte) (bool, error) {
	put := func(n int64, err error) (bool, error) {
		if err != nil {
			return true, err
		}
		v, err := m.top()
		if err != nil {
			return true, err
		}
		if n < 0 || n >= maxMemo {
			return true, fault.New(fault.TooLarge, "the pickle has more than %d objects", maxMemo)
		}
		for int64(len(m.memo)) <= n {
			m.memo = append(m.memo, absent{})
		}
		if _, empty := m.memo[n].(absent); empty {
			m.puts++
		}
		m.memo[n] = v
		return true, nil
	}
	get := func(n int64, err error) (bool, error) {
		if err != nil {
			return true, err
		}
		if n < 0 || n >= int64(len(m.memo)) || m.memo[n] == (absent{}) {
			return true, fault.New(fault.Invalid, "the pickle takes from its memo what it has not put there")
		}
		return true, m.push(m.memo[n])
	}
	line := func() (int64, error) {
		text, err := m.line()
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fault.New(fault.Invalid, "%.20q is no place in the memo of a pickle", text)
		}
		return n, nil
	}
	number := func(width int) (int64, error) {
		n, err := m.number(width)
		return int64(n), err
	}
	switch op {
	case 'p':
		return put(line())
	case 'q':
		return put(number(1))
	case 'r':
		return put(number(4))
	case 0x94: // MEMOIZE: at the number of places that are filled
		return put(m.puts, nil)
	case 'g':
		return get(line())
	case 'h':
		return get(number(1))
	case 'j':
		return get(number(4))
	}
	return false, nil
}

// act imports and calls.
func (m *machine) act(op byte) (bool, error) {
	switch op {
	case 'c', 'i':
		module, err := m.line()
		if err != nil {
			return true, err
		}
		name, err := m.line()
		if err != nil {
			return true, err
		}
		if op == 'i' { // INST: of what lies above the mark
			if _, err := m.toMark(); err != nil {
				return true, err
			}
			if err := m.name(module, name); err != nil {
				return true, err
			}
			class, err := m.pop()
			if err != nil {
				return true, err
			}
			return true, m.create(class, nil, false)
		}
		return true, m.name(module, name)
	case 0x93: // STACK_GLOBAL
		name, err := m.pop()
		if err != nil {
			return true, err
		}
		module, err := m.pop()
		if err != nil {
			return true, err
		}
		a, okA := module.(string)
		b, okB := name.(string)
		if !okA || !okB {
			return true, fault.New(fault.Invalid, "the pickle hides what it imports: the name is computed")
		}
		return true, m.name(a, b)
	case 0x82, 0x83, 0x84: // EXT: whatever a registry of the process says
		n, err := m.number(1 << (op - 0x82))
		if err != nil {
			return true, err
		}
		return true, m.name("copyreg", "extension "+strconv.FormatUint(n, 10))
	case 'P':
		if _, err := m.line(); err != nil {
			return true, err
		}
		return true, m.push(opaque{})
	case 'Q':
		if _, err := m.pop(); err != nil {
			return true, err
		}
		return true, m.push(opaque{})
	case 'o': // OBJ
		items, err := m.toMark()
		if err != nil {
			return true, err
		}
		if len(items) == 0 {
			return true, errStack
		}
		return true, m.create(items[0], nil, false)
	case 'R', 0x81: // REDUCE, NEWOBJ
		args, err := m.pop()
		if err != nil {
			return true, err
		}
		class, err := m.pop()
		if err != nil {
			return true, err
		}
		return true, m.create(class, args, op == 0x81)
	case 0x92: // NEWOBJ_EX
		if _, err := m.pop(); err != nil {
			return true, err
		}
		args, err := m.pop()
		if err != nil {
			return true, err
		}
		class, err := m.pop()
		if err != nil {
			return true, err
		}
		return true, m.create(class, args, false)
	case 'b': // BUILD
		state, err := m.pop()
		if err != nil {
			return true, err
		}
		on, err := m.top()
		if err != nil {
			return true, err
		}
		return true, m.build(on, state)
	}
	return false, nil
}

// create calls. An instance of joblib's array must come about in the way that joblib writes, or what is read after it is not known.
func (m *machine) create(class, args any, plain bool) error {
	m.acted = true
	t, _ := args.(tuple)
	if isWrapper(class) && (!plain || len(t) > 0) || slices.ContainsFunc(t, isWrapper) {
		return errHidden
	}
	return m.push(&object{class: class, args: t})
}

func (m *machine) build(on, state any) error {
	o, ok := on.(*object)
	if !ok {
		return nil
	}
	d, ok := state.(*dict)
	if !ok {
		o.build = state
		if isWrapper(o.class) || isWrapper(state) {
			return errHidden
		}
		return nil
	}
	if o.state == nil {
		o.state = &dict{items: map[string]any{}}
	}
	for k, v := range d.items {
		set(o.state, k, v)
	}
	if isWrapper(o.class) {
		return m.array(o.state)
	}
	return nil
}
