package filter

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"
)

// class says what a piece of the text is: first the tokens of the lexer, then the groups that are made of them.
type class uint8

const (
	space class = iota
	newline
	comment
	assignment
	punctuation
	wildcard
	name
	builtin
	placeholder
	command
	keyword
	ordering // ASC, DESC, with NULLS FIRST or LAST
	dml
	ddl
	dcl
	cte
	hexadecimal
	float
	integer
	text   // in single quotes
	symbol // in double quotes
	comparator
	operator
	unknown

	identifier // from here on: groups
	comparison
	parenthesis
	brackets
	choice // CASE to END
	function
	operation
	typedLiteral
	where
	list
	comments
	statement
)

func (c class) isGroup() bool   { return c >= identifier }
func (c class) isSpace() bool   { return c == space || c == newline }
func (c class) isKeyword() bool { return c >= keyword && c <= cte }
func (c class) isNumber() bool  { return c == integer || c == float }

// node is a token or a group of nodes, which cover source[start:end] without gaps.
type node struct {
	class      class
	start, end int
	kids       []*node
	said       string // what it says when that is not the source: the joined operators
}

//go:embed keywords.txt
var keywordList string

// keywords tells which bare words are not names: the words that the SQL lexer of MLflow knows (sqlparse 0.6.1, BSD licence).
var keywords = func() map[string]class {
	classes := map[string]class{"keyword": keyword, "builtin": builtin, "dml": dml, "ddl": ddl, "dcl": dcl, "cte": cte,
		"operator": operator}
	words := make(map[string]class, 900)
	for line := range strings.Lines(keywordList) {
		fields := strings.Fields(line)
		for _, w := range fields[1:] {
			words[w] = classes[fields[0]]
		}
	}
	return words
}()

// phrase is a sequence of words that the lexer takes as one token.
type phrase struct {
	words []string
	class class
}

// phrases by their first word, longest first.
var phrases = func() map[string][]phrase {
	m := map[string][]phrase{}
	add := func(c class, texts ...string) {
		for _, t := range texts {
			words := strings.Fields(t)
			m[words[0]] = append(m[words[0]], phrase{words, c})
		}
	}
	add(keyword, "END IF", "END LOOP", "END WHILE", "END FOR", "END CASE", "IF NOT EXISTS", "IF EXISTS", "NOT NULL", "UNION ALL",
		"GROUP BY", "ORDER BY", "PRIMARY KEY", "HANDLER FOR")
	for _, o := range []string{"ASC", "DESC"} {
		add(ordering, o+" NULLS FIRST", o+" NULLS LAST", o)
	}
	add(ordering, "NULLS FIRST", "NULLS LAST")
	add(ddl, "CREATE OR REPLACE", "CREATE")
	add(builtin, "DOUBLE PRECISION")
	for _, o := range []string{"LIKE", "ILIKE", "RLIKE", "REGEXP BINARY", "REGEXP"} {
		add(comparator, "NOT "+o, o)
	}
	return m
}()

// neverNames are keywords even where a name could stand.
var neverNames = map[string]bool{"CASE": true, "IN": true, "VALUES": true, "USING": true, "FROM": true, "AS": true}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// startsName: A to Z and À to Ü in either case, with the letters that fold into them.
func startsName(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= 0xC0 && r <= 0xDC, r >= 0xE0 && r <= 0xFC && r != 0xF7:
		return true
	}
	return r == 0x130 || r == 0x131 || r == 0x17F || r == 0x212A || r == 0x212B
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// lexer cuts a text into tokens by the rules of MLflow's SQL lexer, in their order, without its backtracking.
type lexer struct {
	source string
	quotes [256]bool // first bytes of the openers that are known to have no partner in the rest of the text
}

// lex gives the tokens; they cover the text without gaps. It takes linear time.
func lex(source string) []*node {
	l := lexer{source: source}
	var tokens []*node
	for at := 0; at < len(source); {
		c, end := l.next(at)
		tokens = append(tokens, &node{class: c, start: at, end: end})
		at = end
	}
	return tokens
}

func (l *lexer) rune(at int) rune {
	if at >= len(l.source) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(l.source[at:])
	return r
}

func (l *lexer) before(at int) rune {
	r, _ := utf8.DecodeLastRuneInString(l.source[:at])
	if at == 0 {
		return 0
	}
	return r
}

func (l *lexer) has(at int, prefix string) bool { return strings.HasPrefix(l.source[at:], prefix) }

// word is the end of the word characters from at.
func (l *lexer) word(at int) int {
	for at < len(l.source) {
		r, size := utf8.DecodeRuneInString(l.source[at:])
		if !isWord(r) {
			break
		}
		at += size
	}
	return at
}

func (l *lexer) spaces(at int) int {
	for at < len(l.source) {
		r, size := utf8.DecodeRuneInString(l.source[at:])
		if !unicode.IsSpace(r) {
			break
		}
		at += size
	}
	return at
}

// next is the class and the end of the token at at.
func (l *lexer) next(at int) (class, int) {
	s := l.source
	r, size := utf8.DecodeRuneInString(s[at:])
	switch {
	case !l.quotes['*'] && l.has(at, "/*"):
		if end := strings.Index(s[at+2:], "*/"); end >= 0 {
			return comment, at + 2 + end + 2
		}
		l.quotes['*'] = true
	case l.has(at, "--") || l.has(at, "# "):
		end := strings.IndexAny(s[at:], "\r\n")
		if end < 0 {
			return comment, len(s)
		}
		if l.has(at+end, "\r\n") {
			end++
		}
		return comment, at + end + 1
	case l.has(at, "\r\n"):
		return newline, at + 2
	case r == '\r' || r == '\n':
		return newline, at + 1
	case unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F:
		return space, at + size
	case l.has(at, ":="):
		return assignment, at + 2
	case l.has(at, "::"):
		return punctuation, at + 2
	case r == '*':
		return wildcard, at + 1
	case r == '`' || r == '´':
		if end := l.quoted(at, size, string(r)); end > 0 {
			return name, end
		}
	case r == '?':
		return placeholder, at + 1
	case l.has(at, "%s"):
		return placeholder, at + 2
	case l.has(at, "%("):
		if end := l.word(at + 2); end > at+2 && l.has(end, ")s") {
			return placeholder, end + 2
		}
	case r == '$' || r == ':':
		if end := l.word(at + 1); end > at+1 && !isWord(l.before(at)) {
			return placeholder, end
		}
	case r == '\\':
		if end := l.word(at + 1); end > at+1 {
			return command, end
		}
	case r == '@' || r == '#':
		from := at + 1
		if l.has(at, "##") {
			from++
		}
		if end := l.word(from); startsName(l.rune(from)) && end > from+utf8.RuneLen(l.rune(from)) {
			return name, end
		}
	}
	if c, end := l.bareWord(at, r); end > 0 {
		return c, end
	}
	if c, end := l.number(at); end > 0 {
		return c, end
	}
	return l.rest(at, r, size)
}

// bareWord takes the words that are names, or keywords, by what stands around them.
func (l *lexer) bareWord(at int, r rune) (class, int) {
	if !startsName(r) {
		return 0, 0
	}
	end := l.word(at)
	upper := strings.ToUpper(l.source[at:end])
	if neverNames[upper] {
		return keyword, end
	}
	dot := l.spaces(end)
	beforeDot := dot < len(l.source) && l.source[dot] == '.' && (dot+1 >= len(l.source) || !isDigit(l.source[dot+1]))
	afterDot := at > 0 && l.source[at-1] == '.'
	if beforeDot || afterDot || end < len(l.source) && l.source[end] == '(' {
		return name, end
	}
	return 0, 0
}

// number takes an integer, a decimal or a hexadecimal number. A number that runs into a letter gives back its last
// digit, as the expressions of the original do by backtracking. Only ASCII digits are digits here.
func (l *lexer) number(at int) (class, int) {
	s := l.source
	digits := func(i int) int {
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		return i
	}
	free := func(i int) bool { r := l.rune(i); return i >= len(s) || r != '_' && !startsName(r) }
	from := at
	if s[from] == '-' {
		from++
	}
	if from+2 < len(s) && s[from] == '0' && s[from+1]|0x20 == 'x' {
		i := from + 2
		for i < len(s) && (isDigit(s[i]) || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'f') {
			i++
		}
		if i > from+2 {
			return hexadecimal, i
		}
	}
	whole := digits(from)
	fraction := whole
	if whole < len(s) && s[whole] == '.' {
		fraction = digits(whole + 1)
	}
	if whole > from {
		for _, i := range []int{fraction, whole} { // 1.5e3, else 1e3
			if i == whole+1 || i >= len(s) || s[i]|0x20 != 'e' {
				continue
			}
			j := i + 1
			if j < len(s) && s[j] == '-' {
				j++
			}
			if end := digits(j); end > j {
				return float, end
			}
		}
	}
	if fraction > whole && (whole > from || fraction > whole+1) {
		switch {
		case free(fraction):
			return float, fraction
		case whole > from && fraction > whole+1, fraction > whole+2:
			return float, fraction - 1
		}
	}
	switch {
	case whole > from && free(whole):
		return integer, whole
	case whole > from+1:
		return integer, whole - 1
	}
	return 0, 0
}

// rest takes strings, phrases, other words, punctuation and operators.
func (l *lexer) rest(at int, r rune, size int) (class, int) {
	s := l.source
	switch r {
	case '\'':
		if end := l.quoted(at, 1, "'"); end > 0 {
			return text, end
		}
	case '"':
		if end := l.quoted(at, 1, `"`); end > 0 {
			return symbol, end
		}
	case '[':
		if before := l.before(at); !isWord(before) && before != ']' {
			if end := strings.IndexAny(s[at+1:], "[]"); end > 0 && s[at+1+end] == ']' {
				return name, at + 1 + end + 1
			}
		}
	}
	if isWord(r) {
		if c, end := l.phrase(at); end > 0 {
			return c, end
		}
		end := at
		for end < len(s) {
			w, n := utf8.DecodeRuneInString(s[end:])
			if !isWord(w) && (end == at || w != '$' && w != '#') {
				break
			}
			end += n
		}
		if c, known := keywords[strings.ToUpper(s[at:end])]; known {
			return c, end
		}
		return name, end
	}
	if strings.ContainsRune(";:()[],.", r) {
		return punctuation, at + 1
	}
	for _, op := range []string{"->>", "->", "#>>", "#>", "@>", "<@", "-", "#-"} {
		if l.has(at, op) {
			return operator, at + len(op)
		}
	}
	if end := l.run(at, "<>=~!"); end > at {
		return comparator, end
	}
	if end := l.run(at, "+/@#%^&|-"); end > at {
		return operator, end
	}
	return unknown, at + size
}

func (l *lexer) run(at int, of string) int {
	for at < len(l.source) && strings.IndexByte(of, l.source[at]) >= 0 {
		at++
	}
	return at
}

// phrase takes words like NOT NULL that are one token.
func (l *lexer) phrase(at int) (class, int) {
	first := l.word(at)
	for _, p := range phrases[strings.ToUpper(l.source[at:first])] {
		end, matched := first, true
		for _, w := range p.words[1:] {
			from := l.spaces(end)
			to := l.word(from)
			if from == end || !strings.EqualFold(l.source[from:to], w) {
				matched = false
				break
			}
			end = to
		}
		if matched {
			return p.class, end
		}
	}
	return 0, 0
}

// quoted is the end of the quoted text at at, or 0 when it does not end. A doubled quote, and in ' and " one after a
// backslash, stands for itself; when the text ends before a closing quote, the last of these closes it after all.
func (l *lexer) quoted(at, size int, quote string) int {
	if l.quotes[quote[0]] {
		return 0
	}
	s, last := l.source, 0
	for i := at + size; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], quote+quote):
			last = i + size
			i += 2 * size
		case strings.HasPrefix(s[i:], quote):
			return i + size
		case size == 1 && quote != "`" && s[i] == '\\' && strings.HasPrefix(s[i+1:], quote):
			last = i + 2
			i += 2
		default:
			i++
		}
	}
	if last == 0 {
		l.quotes[quote[0]] = true
	}
	return last
}
