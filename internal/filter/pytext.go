package filter

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Python's way with texts, as far as MLflow's messages and lists show it.

// repr is s as Python prints it in a message: in single quotes, or in double quotes when it holds single ones only.
func repr(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7F || r > 0x7F && r <= 0xFF && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xFF && r <= 0xFFFF && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r) && r != ' ':
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

// reprFloat is a float as Python prints it.
func reprFloat(v float64) string {
	if math.IsInf(v, 0) {
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+"))
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func reprAll(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = repr(s)
	}
	return strings.Join(quoted, ", ")
}

// set is a Python set of texts; its order there is by chance, here it is sorted.
func set(items ...string) string {
	items = slices.Clone(items)
	slices.Sort(items)
	return "{" + reprAll(items) + "}"
}

// literal reads a Python literal that stands in parentheses: texts, numbers and constants. other is how Python shows it
// when something else than texts is in it. ok is false where it is no literal.
func literal(s string) (texts []string, other string, ok bool) {
	p := literalParser{s: s}
	v, ok := p.group()
	p.blank()
	if !ok || p.at < len(s) {
		return nil, "", false
	}
	if !v.tuple {
		v = literalValue{tuple: true, items: []literalValue{v}}
	}
	for _, item := range v.items {
		if item.tuple || !item.isText {
			return nil, v.String(), true
		}
		texts = append(texts, item.said)
	}
	return texts, "", true
}

// literalValue is a text, something else that said shows, or a tuple.
type literalValue struct {
	said   string
	isText bool
	tuple  bool
	items  []literalValue
}

func (v literalValue) String() string {
	switch {
	case v.isText:
		return repr(v.said)
	case !v.tuple:
		return v.said
	}
	shown := make([]string, len(v.items))
	for i, item := range v.items {
		shown[i] = item.String()
	}
	if len(shown) == 1 {
		return "(" + shown[0] + ",)"
	}
	return "(" + strings.Join(shown, ", ") + ")"
}

type literalParser struct {
	s  string
	at int
}

func (p *literalParser) blank() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n\f", p.s[p.at]) >= 0 {
		p.at++
	}
}

func (p *literalParser) skip(c byte) bool {
	p.blank()
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

// group reads what stands in one pair of parentheses: a value, or a tuple where there is a comma or nothing. What it
// reads nests no deeper than maxDepth, because the grouping saw to that.
func (p *literalParser) group() (v literalValue, ok bool) {
	if !p.skip('(') {
		return v, false
	}
	if p.skip(')') {
		return literalValue{tuple: true}, true
	}
	for {
		p.blank()
		var item literalValue
		if p.at < len(p.s) && p.s[p.at] == '(' {
			item, ok = p.group()
		} else {
			item, ok = p.atom()
		}
		if !ok {
			return v, false
		}
		v.items = append(v.items, item)
		comma := p.skip(',')
		v.tuple = v.tuple || comma
		if p.skip(')') {
			if !v.tuple {
				return item, true
			}
			return v, true
		}
		if !comma {
			return v, false
		}
	}
}

// atom reads texts that stand beside each other, which are one, or a number or a constant.
func (p *literalParser) atom() (v literalValue, ok bool) {
	var b strings.Builder
	for {
		p.blank()
		from, raw := p.at, false
		if p.at < len(p.s) && strings.IndexByte("rRuU", p.s[p.at]) >= 0 {
			raw = p.s[p.at]|0x20 == 'r'
			p.at++
		}
		if p.at >= len(p.s) || p.s[p.at] != '\'' && p.s[p.at] != '"' {
			p.at = from
			break
		}
		part, fine := p.quoted(raw)
		if !fine {
			return v, false
		}
		b.WriteString(part)
		v.isText = true
	}
	if v.isText {
		v.said = b.String()
		return v, true
	}
	end := p.at
	for end < len(p.s) && strings.IndexByte(" \t\r\n\f(),'\"", p.s[end]) < 0 {
		end++
	}
	v.said = p.s[p.at:end]
	p.at = end
	_, err := strconv.ParseFloat(v.said, 64)
	return v, err == nil || v.said == "None" || v.said == "True" || v.said == "False"
}

// quoted reads one text in quotes, with Python's escapes.
func (p *literalParser) quoted(raw bool) (string, bool) {
	s, quote := p.s, p.s[p.at]
	i := p.at + 1
	triple := strings.HasPrefix(s[p.at:], strings.Repeat(string(quote), 3))
	if triple {
		i += 2
	}
	var b strings.Builder
	for i < len(s) {
		c := s[i]
		switch {
		case c == quote && !triple:
			p.at = i + 1
			return b.String(), true
		case c == quote && strings.HasPrefix(s[i:], strings.Repeat(string(quote), 3)):
			p.at = i + 3
			return b.String(), true
		case (c == '\n' || c == '\r') && !triple:
			return "", false
		case c == '\\' && i+1 < len(s) && !raw:
			text, size, fine := unescape(s[i:])
			if !fine {
				return "", false
			}
			b.WriteString(text)
			i += size
		case c == '\\' && i+1 < len(s):
			b.WriteString(s[i : i+2])
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return "", false
}

// unescape reads one escape of Python at the start of s, and says how long it is.
func unescape(s string) (text string, size int, ok bool) {
	if i := strings.IndexByte("\n\\'\"abfnrtv", s[1]); i >= 0 {
		return []string{"", "\\", "'", "\"", "\a", "\b", "\f", "\n", "\r", "\t", "\v"}[i], 2, true
	}
	hex := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
	if hex > 0 {
		if len(s) < 2+hex {
			return "", 0, false
		}
		v, err := strconv.ParseUint(s[2:2+hex], 16, 32)
		if err != nil || !utf8.ValidRune(rune(v)) || v > unicode.MaxRune {
			return "", 0, false
		}
		return string(rune(v)), 2 + hex, true
	}
	if s[1] >= '0' && s[1] <= '7' {
		size = 2
		for size < len(s) && size < 4 && s[size] >= '0' && s[size] <= '7' {
			size++
		}
		v, _ := strconv.ParseUint(s[1:size], 8, 32)
		return string(rune(v)), size, true
	}
	if s[1] == 'N' {
		return "", 0, false
	}
	_, n := utf8.DecodeRuneInString(s[1:])
	return s[:1+n], 1 + n, true
}

// shellWords splits s as a shell does, with quotes and backslashes; ok is false when a quote is left open.
func shellWords(s string) (words []string, ok bool) {
	var b strings.Builder
	in, word := byte(0), false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case in == 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			if word {
				words = append(words, b.String())
			}
			b.Reset()
			word = false
		case in == 0 && (c == '\'' || c == '"'):
			in, word = c, true
		case in != 0 && c == in:
			in = 0
		case c == '\\' && in != '\'':
			if i+1 == len(s) {
				return nil, false
			}
			i++
			if in == '"' && s[i] != '"' && s[i] != '\\' {
				b.WriteByte(c)
			}
			b.WriteByte(s[i])
			word = true
		default:
			b.WriteByte(c)
			word = true
		}
	}
	if in != 0 {
		return nil, false
	}
	if word {
		words = append(words, b.String())
	}
	return words, true
}
