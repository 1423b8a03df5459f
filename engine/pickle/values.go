package pickle

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// constant pushes a value that stands in the pickle.
func (m *machine) constant(op byte) (bool, error) {
	number := func(n int) (bool, error) {
		v, err := m.number(n)
		if err != nil {
			return true, err
		}
		if n == 4 {
			v = uint64(int64(int32(v)))
		}
		return true, m.push(int64(v))
	}
	long := func(width int) (bool, error) {
		b, whole, err := m.bytes(width)
		if err != nil {
			return true, err
		}
		if !whole || len(b) > 8 {
			if len(b) <= 16 && whole {
				return true, m.push(b)
			}
			return true, m.push(opaque{})
		}
		var v int64
		for i := len(b) - 1; i >= 0; i-- {
			v = v<<8 | int64(b[i])
		}
		if n := len(b); n > 0 && n < 8 && b[n-1]&0x80 != 0 {
			v -= 1 << (8 * n)
		}
		return true, m.push(v)
	}
	blob := func(width int) (bool, error) {
		if _, _, err := m.bytes(width); err != nil {
			return true, err
		}
		return true, m.push(opaque{})
	}
	switch op {
	case 'N':
		return true, m.push(nil)
	case 0x88:
		return true, m.push(true)
	case 0x89:
		return true, m.push(false)
	case 'J':
		return number(4)
	case 'K':
		return number(1)
	case 'M':
		return number(2)
	case 'G':
		if _, err := m.number(8); err != nil {
			return true, err
		}
		return true, m.push(opaque{})
	case 0x8a:
		return long(1)
	case 0x8b:
		return long(4)
	case 'F', 'I', 'L':
		line, err := m.line()
		if err != nil {
			return true, err
		}
		v, err := strconv.ParseInt(strings.TrimSuffix(line, "L"), 10, 64)
		switch {
		case op == 'I' && (line == "00" || line == "01"):
			return true, m.push(line == "01")
		case op == 'F' || err != nil:
			return true, m.push(opaque{})
		}
		return true, m.push(v)
	case 'S', 'V':
		line, err := m.line()
		if err != nil {
			return true, err
		}
		if strings.ContainsRune(line, '\\') || len(line) > maxText {
			return true, m.push(opaque{}) // what its escapes mean is not worked out
		}
		if op == 'S' {
			line = strings.Trim(strings.TrimSpace(line), `'"`)
		}
		return true, m.push(line)
	case 'X', 'T':
		return true, m.text(4)
	case 'U', 0x8c:
		return true, m.text(1)
	case 0x8d:
		return true, m.text(8)
	case 'B':
		return blob(4)
	case 'C':
		return blob(1)
	case 0x8e, 0x96:
		return blob(8)
	case 0x97: // NEXT_BUFFER: of outside of the pickle
		return true, m.push(opaque{})
	case 0x98:
		return true, nil
	}
	return false, nil
}

// container builds lists, tuples, dicts and sets.
func (m *machine) container(op byte) (bool, error) {
	switch op {
	case ']', 0x8f:
		return true, m.push(opaque{})
	case ')':
		return true, m.push(tuple(nil))
	case '}':
		return true, m.push(&dict{})
	case 0x85, 0x86, 0x87:
		n := int(op-0x85) + 1
		out := make(tuple, n)
		for i := n - 1; i >= 0; i-- {
			var err error
			if out[i], err = m.pop(); err != nil {
				return true, err
			}
		}
		return true, errors.Join(contained(out), m.push(out))
	case 't':
		items, err := m.toMark()
		if err != nil {
			return true, err
		}
		return true, errors.Join(contained(items), m.push(tuple(slices.Clone(items))))
	case 'l', 0x91:
		items, err := m.toMark()
		if err != nil {
			return true, err
		}
		return true, errors.Join(contained(items), m.push(opaque{}))
	case 'd', 'u':
		items, err := m.toMark()
		if err != nil {
			return true, err
		}
		d := &dict{}
		var on any = d
		if op == 'u' {
			if on, err = m.top(); err != nil {
				return true, err
			}
		} else if err := m.push(d); err != nil {
			return true, err
		}
		for i := 0; i+1 < len(items); i += 2 {
			set(on, items[i], items[i+1])
		}
		return true, contained(items)
	case 's':
		value, err := m.pop()
		if err != nil {
			return true, err
		}
		key, err := m.pop()
		if err != nil {
			return true, err
		}
		on, err := m.top()
		set(on, key, value)
		return true, errors.Join(contained([]any{key, value}), err)
	case 'a':
		v, err := m.pop()
		return true, errors.Join(contained([]any{v}), err)
	case 'e', 0x90:
		items, err := m.toMark()
		return true, errors.Join(contained(items), err)
	}
	return false, nil
}

// contained refuses the class of joblib's arrays inside of something: from there it could become the class of anything.
func contained(items []any) error {
	if slices.ContainsFunc(items, isWrapper) {
		return errHidden
	}
	return nil
}

// set keeps an item of a dict with a text as its key; beyond some the dict is no state of anything.
func set(on, key, value any) {
	d, ok := on.(*dict)
	name, text := key.(string)
	if !ok || !text || len(d.items) >= 64 {
		return
	}
	if d.items == nil {
		d.items = map[string]any{}
	}
	d.items[name] = value
}
