package serve

import "strings"

// JoinKey makes a key of its parts: they are joined by "|", and a "|" or "\" inside a part is escaped by "\".
func JoinKey(parts []string) string {
	n := len(parts)
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			b = append(b, '|')
		}
		b = appendKeyPart(b, p)
	}
	return string(b)
}

func appendKeyPart(b []byte, p string) []byte {
	if !strings.ContainsAny(p, `|\`) {
		return append(b, p...)
	}
	for i := range len(p) {
		if p[i] == '|' || p[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, p[i])
	}
	return b
}

// SplitKey is the inverse of JoinKey.
func SplitKey(key string) []string {
	var parts []string
	var b []byte
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == '\\' && i+1 < len(key):
			i++
			b = append(b, key[i])
		case key[i] == '|':
			parts = append(parts, string(b))
			b = b[:0]
		default:
			b = append(b, key[i])
		}
	}
	return append(parts, string(b))
}
