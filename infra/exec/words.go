package exec

import (
	"maps"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Split takes a command line apart as a POSIX shell would, and does nothing else that a shell does: no variables, no
// patterns, no pipes. An unquoted character that would mean one of those is refused, since its writer expected more.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	open := false // a word has begun, be it empty quotes
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		switch c := runes[i]; c {
		case ' ', '\t', '\n', '\r':
			if open {
				words, open = append(words, word.String()), false
				word.Reset()
			}
		case '\\':
			if i++; i == len(runes) {
				return nil, fault.New(fault.Invalid, "the command ends with a backslash: %s", line)
			}
			if runes[i] != '\n' {
				word.WriteRune(runes[i])
				open = true
			}
		case '\'', '"':
			end, err := quoted(runes, i, &word)
			if err != nil {
				return nil, fault.New(fault.Invalid, "a quote in the command is never closed: %s", line)
			}
			i, open = end, true
		case '|', '&', ';', '<', '>', '(', ')', '`', '$', '*', '?':
			return nil, fault.New(fault.Invalid, "%q in the command would need a shell, and there is none: %s", c, line).
				WithHint("quote it if it is meant as it stands, or put the line into a script and run that")
		default:
			word.WriteRune(c)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fault.New(fault.Invalid, "the command names no program")
	}
	return words, nil
}

// quoted appends what is between the quote at start and its end, whose place it gives.
func quoted(runes []rune, start int, word *strings.Builder) (int, error) {
	mark := runes[start]
	for i := start + 1; i < len(runes); i++ {
		switch {
		case runes[i] == mark:
			return i, nil
		case mark == '"' && runes[i] == '\\' && i+1 < len(runes) && strings.ContainsRune("\"\\$`\n", runes[i+1]):
			if i++; runes[i] != '\n' {
				word.WriteRune(runes[i])
			}
		default:
			word.WriteRune(runes[i])
		}
	}
	return 0, fault.New(fault.Invalid, "no end")
}

// Join writes words as a line that Split takes apart again.
func Join(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if w == "" || strings.ContainsAny(w, " \t\r\n\\'\"|&;<>()`$*?#~[]{}!") {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
