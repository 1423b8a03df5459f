package filter

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxSuggestions is how many suggestions Complete gives at most.
const MaxSuggestions = 50

// Known is what a completion may offer beside the grammar.
type Known struct {
	Metrics []string
	Params  []string
	Tags    []string
	// Values are known values of keys; a key is written as in a filter without quotes: "params.lr", "user_id".
	Values map[string][]string
}

// SuggestionKind says what a suggestion is, for its icon.
type SuggestionKind string

// The kinds of suggestions.
const (
	SuggestKey      SuggestionKind = "key"
	SuggestOperator SuggestionKind = "operator"
	SuggestValue    SuggestionKind = "value"
	SuggestKeyword  SuggestionKind = "keyword"
)

// Suggestion is a text that may stand in place of [From, To) of the filter, counted in UTF-16 units as browsers do.
type Suggestion struct {
	Text string         `json:"text"`
	Kind SuggestionKind `json:"kind"`
	From int            `json:"from"`
	To   int            `json:"to"`
}

// knownValues are those of attributes that have few.
var knownValues = map[Noun]map[string][]string{
	Runs: {"status": {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"}, "datasets.context": {"train", "eval", "test"}},
}

// Complete says what may come next at the cursor, which counts UTF-16 units. It is quick enough for every key press, needs
// no filter that parses, and gives the best suggestions first; none where nothing fits.
func Complete(n Noun, text string, cursor int, known Known) []Suggestion {
	r, err := rulesOf(n)
	if err != nil || len(text) > MaxBytes || !utf8.ValidString(text) {
		return nil
	}
	at := bytesOf(text, cursor)
	w := scan(text[:at])
	if len(w.tokens) > maxTokens {
		return nil
	}
	to := at
	for to < len(text) {
		c, size := utf8.DecodeRuneInString(text[to:])
		if !isWord(c) && c != '.' || w.from == at { // nothing is typed yet, so nothing is replaced
			break
		}
		to += size
	}
	c := completer{rules: r, typed: text[w.from:at], kind: SuggestKey}
	switch w.state {
	case wantKey:
		c.keys(known)
	case wantOperator:
		c.kind = SuggestOperator
		c.operators(w.key)
	case wantValue, wantItem:
		c.kind = SuggestValue
		c.values(w.key, w.state == wantItem, known)
	case wantOpening:
		c.kind = SuggestOperator
		c.offer("(", "(")
	case wantAnd:
		c.kind = SuggestKeyword
		c.offer("AND", "AND")
	}
	from, end := len(utf16.Encode([]rune(text[:w.from]))), len(utf16.Encode([]rune(text[:to])))
	all := append(c.first, c.second...)
	if len(all) > MaxSuggestions {
		all = all[:MaxSuggestions]
	}
	for i := range all {
		all[i].From, all[i].To = from, end
	}
	return all
}

// bytesOf is the place in s that is cursor UTF-16 units from its start, within s.
func bytesOf(s string, cursor int) int {
	for i, r := range s {
		if cursor <= 0 {
			return i
		}
		cursor -= utf16.RuneLen(r)
	}
	return len(s)
}

// state is what the grammar wants next.
type state int

const (
	wantKey state = iota
	wantOperator
	wantOpening // of a list
	wantItem    // of a list
	wantValue
	wantAnd
)

// scanned is how far a filter has come at its end.
type scanned struct {
	tokens []*node
	state  state
	key    string // of the clause, as it is written
	from   int    // where the piece that is being typed starts; the end of the text when there is none
}

// scan reads a filter that breaks off. A quote that is open at the end starts the piece that is being typed.
func scan(s string) scanned {
	w := scanned{tokens: lex(s), from: len(s)}
	for i := 0; i < len(w.tokens); i++ {
		t := w.tokens[i]
		if t.class.isSpace() || t.class == comment {
			continue
		}
		end := i + 1 // of the piece: what stands together without white space
		open := t.class == unknown
		if w.state == wantKey {
			for end < len(w.tokens) && !open && !w.tokens[end].class.isSpace() && w.tokens[end].class != comparator {
				open = w.tokens[end].class == unknown
				end++
			}
		}
		if open || w.tokens[end-1].end == len(s) && !ends(w.state, w.tokens[end-1], s) {
			w.from = t.start
			return w
		}
		said := s[t.start:w.tokens[end-1].end]
		i = end - 1
		switch w.state {
		case wantKey:
			if t.class == keyword && strings.EqualFold(said, "AND") {
				continue
			}
			w.key, w.state = said, wantOperator
		case wantOperator:
			switch word := strings.ToUpper(said); {
			case t.class == comparator:
				w.state = wantValue
			case word == "IN":
				w.state = wantOpening
			case word == "NULL", strings.HasPrefix(word, "NOT") && strings.HasSuffix(word, "NULL"):
				w.state = wantAnd
			}
		case wantOpening:
			if said == "(" {
				w.state = wantItem
			}
		case wantItem:
			if said == ")" {
				w.state = wantAnd
			}
		case wantValue:
			w.state = wantAnd
		case wantAnd:
			w.state = wantKey
		}
	}
	return w
}

// ends reports whether a token that the text ends with is complete, so that the cursor stands behind it.
func ends(at state, t *node, s string) bool {
	switch at {
	case wantKey:
		return false
	case wantOperator:
		return t.class == comparator && !isWord(rune(s[t.start])) && s[t.start:] != "<" && s[t.start:] != ">" && s[t.start:] != "!"
	case wantValue:
		return t.class == text || t.class == symbol
	case wantOpening, wantItem:
		return t.class == text || t.class == symbol || t.class == punctuation
	}
	return false
}

// completer gathers suggestions that fit what is typed: first those that start with it, then those that hold it.
type completer struct {
	rules         *rules
	typed         string
	kind          SuggestionKind
	first, second []Suggestion
}

var bare = strings.NewReplacer("`", "", `"`, "", "'", "")

// offer takes text when plain, which is text without quotes, fits.
func (c *completer) offer(text, plain string) {
	typed, lower := strings.ToLower(bare.Replace(c.typed)), strings.ToLower(plain)
	s := Suggestion{Text: text, Kind: c.kind}
	_, key, _ := strings.Cut(lower, ".")
	switch {
	case strings.HasPrefix(lower, typed):
		c.first = append(c.first, s)
	case c.kind == SuggestKey && strings.HasPrefix(key, typed), len(typed) > 1 && strings.Contains(lower, typed):
		c.second = append(c.second, s)
	}
}

func (c *completer) keys(known Known) {
	n := c.rules.noun
	for _, a := range c.rules.attributes {
		if canonical[a] == "" && (n != LoggedModels || canonicalLogged[a] == "") {
			c.offer(a, a)
		}
	}
	list := func(kind Kind, keys []string) {
		keys = slices.Clone(keys)
		slices.Sort(keys)
		for _, k := range slices.Compact(keys) {
			c.offer(plural[kind]+"."+quoteKey(kind, k), plural[kind]+"."+k)
		}
	}
	if n == Runs || n == LoggedModels {
		list(Metric, known.Metrics)
		list(Param, known.Params)
	}
	list(Tag, known.Tags)
	if n == Runs {
		list(Dataset, []string{"name", "digest", "context"})
	}
}

// clauseKey is the kind and the name of a key as it is written; ok is false when it is none.
func (c *completer) clauseKey(written string) (kind Kind, key string, ok bool) {
	var err error
	if c.rules.noun == LoggedModels {
		kind, key, _, err = c.rules.loggedKey(written)
	} else {
		kind, key, err = c.rules.key(written, false)
	}
	return kind, key, err == nil
}

func (c *completer) numeric(kind Kind, key string) bool {
	return kind == Metric || kind == Attribute && slices.Contains(c.rules.numeric, key)
}

func (c *completer) operators(written string) {
	kind, key, ok := c.clauseKey(written)
	if !ok {
		return
	}
	n := c.rules.noun
	ops := []Op{Equal, NotEqual, Like, ILike}
	switch {
	case c.numeric(kind, key):
		ops = []Op{Greater, GreaterOrEqual, Less, LessOrEqual, Equal, NotEqual}
	case n == Experiments && key == "experiment_id" && kind == Attribute:
		ops = []Op{Equal, NotEqual, In, NotIn}
	case n == LoggedModels, kind == Dataset, kind == Attribute && slices.Contains(c.rules.lists, key):
		ops = append(ops, In, NotIn)
	case n == Runs && (kind == Param || kind == Tag), n == Experiments && kind == Tag:
		ops = append(ops, IsNull, IsNotNull)
	}
	for _, op := range ops {
		c.offer(string(op), string(op))
	}
}

func (c *completer) values(written string, item bool, known Known) {
	kind, key, ok := c.clauseKey(written)
	if !ok {
		return
	}
	if canonical[key] != "" && kind == Attribute {
		key = canonical[key]
	}
	name := key
	if kind != Attribute {
		name = plural[kind] + "." + key
	}
	values := append(slices.Clone(known.Values[name]), knownValues[c.rules.noun][name]...)
	if kind == Tag && key == PromptTag {
		values = append(values, "true", "false")
	}
	var seen []string
	for _, v := range values {
		if slices.Contains(seen, v) {
			continue
		}
		seen = append(seen, v)
		switch {
		case c.numeric(kind, key):
			c.offer(v, v)
		case item:
			form := formatList([]string{v}, "")
			c.offer(form[1:len(form)-1], v)
		default:
			quote := pickQuote(v, "", nil)
			c.offer(quote+v+quote, v)
		}
	}
}
