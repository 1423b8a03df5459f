package pickle

import (
	"math/bits"
	"strconv"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// errHidden is a pickle that goes about joblib's arrays in a way in which a static reader and joblib may not read the same.
var errHidden = fault.New(fault.Invalid, "the pickle hides what it does: it makes an array of joblib's in a way that joblib does not")

// wrapper is the object in place of an array, whose bytes follow the instruction that builds it (joblib/numpy_pickle.py, read_array).
var wrapper = global{"joblib.numpy_pickle", "NumpyArrayWrapper"}

func isWrapper(v any) bool {
	g, ok := v.(global)
	return ok && g == wrapper
}

// array skips the bytes of an array, or reads the pickle that an array of objects is.
func (m *machine) array(state *dict) error {
	if !m.joblib || m.at < m.frame {
		return errHidden // who loads it would not read an array here: nobody else than joblib does, and that one after the frame
	}
	m.scan.report.Format = "joblib"
	m.scan.report.Arrays++
	shape, ok := state.items["shape"].(tuple)
	if !ok {
		return errHidden
	}
	kind, size, ok := dtype(state.items["dtype"])
	if !ok {
		return errHidden
	}
	if kind == 'O' {
		inner := newMachine(m.scan, m.in) // written by pickle itself
		inner.joblib = false
		err := inner.run()
		m.at += inner.at
		m.scan.report.Pickles++
		return err
	}
	total := size
	for _, d := range shape {
		n, ok := d.(int64)
		if !ok || n < 0 {
			return errHidden
		}
		high, low := bits.Mul64(total, uint64(n))
		if high != 0 || low > MaxBytes {
			return fault.New(fault.TooLarge, "an array of the file has more than %d bytes", int64(MaxBytes))
		}
		total = low
	}
	switch state.items["numpy_array_alignment_bytes"].(type) {
	case nil: // missing or None: no padding
	case int64:
		n, err := m.byte()
		if err != nil {
			return err
		}
		if err := m.skip(uint64(n)); err != nil {
			return err
		}
	default:
		return errHidden
	}
	return m.skip(total)
}

// dtype reads an element type as numpy pickles it: dtype("f8", False, True), then a state (3, "<", …, item size, alignment, flags).
func dtype(v any) (kind byte, size uint64, ok bool) {
	o, isObject := v.(*object)
	if !isObject || o.class != (global{"numpy", "dtype"}) || len(o.args) == 0 {
		return 0, 0, false
	}
	text, isText := o.args[0].(string)
	if !isText || len(text) < 2 {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(text[1:], 10, 31)
	if err != nil {
		return 0, 0, false
	}
	state, _ := o.build.(tuple)
	switch text[0] {
	case 'O':
		return 'O', n, true
	case 'U':
		n *= 4
	case 'V':
		if len(state) < 8 {
			return 0, 0, false
		}
		flags, isNumber := state[7].(int64)
		if !isNumber {
			return 0, 0, false
		}
		if flags&1 != 0 { // NPY_ITEM_HASOBJECT
			return 'O', n, true
		}
	case 'b', 'i', 'u', 'f', 'c', 'S', 'M', 'm':
	default:
		return 0, 0, false
	}
	// Types of any width take theirs from the state: it must be the same.
	if len(state) > 5 && (text[0] == 'U' || text[0] == 'S' || text[0] == 'V') {
		if told, isNumber := state[5].(int64); !isNumber || told != int64(n) {
			return 0, 0, false
		}
	}
	return text[0], n, true
}
