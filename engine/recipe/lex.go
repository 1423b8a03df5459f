package recipe

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenQuotedName
	tokenNumber
	tokenText
	tokenSymbol
)

// token is a piece of the source. column is 1-based and counts runes.
type token struct {
	kind   tokenKind
	text   string // name as written, symbol, or the content of a text
	number float64
	column int
}

// invalid is a fault at a column of the expression.
func invalid(column int, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At(fault.Position{Column: column})
}

// lexer reads tokens from src. It works on bytes and counts runes for the columns of errors.
type lexer struct {
	src    string
	offset int
	column int
}

func (l *lexer) peek() rune {
	r, _ := utf8.DecodeRuneInString(l.src[l.offset:])
	return r
}

func (l *lexer) advance() rune {
	r, size := utf8.DecodeRuneInString(l.src[l.offset:])
	l.offset += size
	l.column++
	return r
}

func (l *lexer) done() bool { return l.offset >= len(l.src) }

func isNameStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }
func isNamePart(r rune) bool  { return isNameStart(r) || unicode.IsDigit(r) }
func isDigit(r rune) bool     { return r >= '0' && r <= '9' }

func (l *lexer) next() (token, error) {
	for !l.done() && unicode.IsSpace(l.peek()) {
		l.advance()
	}
	t := token{column: l.column + 1}
	if l.done() {
		return t, nil
	}
	start := l.offset
	r := l.advance()
	switch {
	case isNameStart(r):
		for !l.done() && isNamePart(l.peek()) {
			l.advance()
		}
		t.kind, t.text = tokenName, l.src[start:l.offset]
		return t, nil
	case isDigit(r), r == '.' && !l.done() && isDigit(l.peek()):
		return l.number(start, t)
	case r == '\'':
		text, err := l.quoted('\'', t.column, "text")
		t.kind, t.text = tokenText, text
		return t, err
	case r == '"' || r == '`':
		text, err := l.quoted(r, t.column, "column name")
		if err == nil && text == "" {
			err = invalid(t.column, "a column name is empty")
		}
		t.kind, t.text = tokenQuotedName, text
		return t, err
	}
	t.kind, t.text = tokenSymbol, string(r)
	if !l.done() {
		if two := string(r) + string(l.peek()); strings.Contains(" <= >= <> != == || ", " "+two+" ") {
			l.advance()
			t.text = two
		}
	}
	if !strings.Contains(" + - * / % ( ) , = == != <> < <= > >= ", " "+t.text+" ") {
		return t, symbolFault(t)
	}
	return t, nil
}

func symbolFault(t token) error {
	f := invalid(t.column, "unexpected %q", t.text)
	switch t.text {
	case "&", "||", "|":
		return f.WithHint("write and, or, not")
	case "!":
		return f.WithHint("write not, or != for unequal")
	case "^":
		return f.WithHint("there is no power operator; multiply, or use exp and log")
	}
	return f
}

func (l *lexer) number(start int, t token) (token, error) {
	for !l.done() {
		r := l.peek()
		exponentSign := (r == '+' || r == '-') && (l.src[l.offset-1] == 'e' || l.src[l.offset-1] == 'E')
		if !isNamePart(r) && r != '.' && !exponentSign {
			break
		}
		l.advance()
	}
	t.kind, t.text = tokenNumber, l.src[start:l.offset]
	f, err := strconv.ParseFloat(t.text, 64)
	if err != nil || strings.ContainsAny(t.text, "_xXpP") {
		return t, invalid(t.column, "%q is not a number", t.text)
	}
	t.number = f
	return t, nil
}

// quoted reads up to the closing quote; a doubled quote stands for itself.
func (l *lexer) quoted(quote rune, column int, what string) (string, error) {
	var b strings.Builder
	for !l.done() {
		r := l.advance()
		if r != quote {
			b.WriteRune(r)
			continue
		}
		if l.done() || l.peek() != quote {
			return b.String(), nil
		}
		l.advance()
		b.WriteRune(quote)
	}
	return "", invalid(column, "this %s has no closing %c", what, quote)
}
