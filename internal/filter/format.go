package filter

import (
	"math"
	"strconv"
	"strings"
)

var plural = [...]string{"attributes", "metrics", "params", "tags", "datasets"}

// Format prints clauses as a filter that Parse reads back to the same clauses, for the same noun.
func Format(clauses []Clause) string {
	var b strings.Builder
	reserved := "" // quote characters that may not appear any more, because a value before ends in a backslash
	for i, c := range clauses {
		if i > 0 {
			b.WriteString(" AND ")
		}
		b.WriteString(c.field())
		b.WriteByte(' ')
		b.WriteString(string(c.Op))
		switch {
		case c.Op == IsNull || c.Op == IsNotNull:
		case c.Numeric:
			b.WriteByte(' ')
			b.WriteString(formatNumber(c.Number))
		case c.List != nil:
			b.WriteByte(' ')
			b.WriteString(formatList(c.List, reserved))
		default:
			quote := pickQuote(c.Text, reserved, clauses[i+1:])
			b.WriteByte(' ')
			b.WriteString(quote + c.Text + quote)
			if strings.HasSuffix(c.Text, `\`) {
				reserved += quote
			}
		}
	}
	return b.String()
}

// String is the clause as a user may write it, for messages and tests.
func (c Clause) String() string { return Format([]Clause{c}) }

// field is the left side of the clause.
func (c Clause) field() string {
	if c.Kind == Attribute {
		return c.Key
	}
	return plural[c.Kind] + "." + quoteKey(c.Kind, c.Key)
}

// quoteKey puts quotes around a key that needs them: the first form that reads back as the key.
func quoteKey(kind Kind, key string) string {
	if kind == Dataset || isPlain(key) {
		return key
	}
	for _, quote := range []string{"`", `"`, `'`, ""} {
		form := quote + key + quote
		source := "x." + form + " = 1"
		statements, err := parse(source)
		if err != nil || len(statements) != 1 {
			continue
		}
		kids := statements[0].kids
		if len(kids) != 1 || kids[0].class != comparison || kids[0].kids[0].text(source) != "x."+form || unquoteKey(form) != key {
			continue
		}
		return form
	}
	return "`" + key + "`"
}

// isPlain reports whether a key needs no quotes wherever it stands.
func isPlain(key string) bool {
	for i := range len(key) {
		c := key[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return key != "" && key[0] != '_' && !neverNames[strings.ToUpper(key)]
}

// formatNumber prints a number that the lexer reads; it knows no plus sign in exponents, and 1e999 is infinite.
func formatNumber(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "1e999"
	case math.IsInf(v, -1):
		return "-1e999"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53 && (v != 0 || !math.Signbit(v)):
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strings.Replace(strconv.FormatFloat(v, 'e', -1, 64), "e+", "e", 1)
}

// formatList prints a list with Python's escapes, so that no quote stands bare in it.
func formatList(items []string, reserved string) string {
	quote := "'"
	if strings.Contains(reserved, quote) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteByte('(')
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote)
		for _, r := range item {
			switch r {
			case '\\':
				b.WriteString(`\\`)
			case '\'':
				b.WriteString(`\x27`)
			case '"':
				b.WriteString(`\x22`)
			case '\n':
				b.WriteString(`\n`)
			case '\r':
				b.WriteString(`\r`)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteString(quote)
	}
	b.WriteByte(')')
	return b.String()
}

// pickQuote chooses the quotes of a value: such that it reads back, and that no reserved one is used. One that a value
// ending in a backslash takes may not occur after it.
func pickQuote(value, reserved string, rest []Clause) string {
	for _, quote := range []string{"'", `"`} {
		l := lexer{source: quote + value + quote}
		if strings.Contains(reserved, quote) || l.quoted(0, 1, quote) != len(l.source) {
			continue
		}
		if strings.HasSuffix(value, `\`) && mentions(rest, quote) {
			continue
		}
		return quote
	}
	return "'"
}

func mentions(clauses []Clause, quote string) bool {
	for _, c := range clauses {
		if strings.Contains(c.Text, quote) || strings.Contains(c.Key, quote) {
			return true
		}
	}
	return false
}
