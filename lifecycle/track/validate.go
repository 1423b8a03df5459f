package track

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Limits that MLflow's clients know (mlflow 3.17.2, utils/validation.py). Lengths are of characters.
const (
	MaxMetrics = 1000 // in a batch
	MaxParams  = 100
	MaxTags    = 100
	MaxEntries = 1000 // metrics, parameters and tags together

	maxKey            = 250
	maxParam          = 6000 // longer values are cut, as MLflow's server does
	maxTag            = 8000 // cut too
	maxExperimentName = 500
	maxExperimentTag  = 20000
	maxRoot           = 2048
	maxName           = 250 // of a run
	maxModelName      = 500
	maxDatasetName    = 500
	maxDigest         = 36
	maxSource         = 65535
	maxSchema         = 1048575
	maxProfile        = 16777215
	maxInputKey       = 255
	maxInputValue     = 500
)

// runForm reports whether id can be that of a run or a model: 1 to 256 letters, digits, '_' and '-', the first a letter or a digit.
func runForm(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '_' || c == '-')) {
			return false
		}
	}
	return id != "" && len(id) <= 256
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...)
}

func invalidValue(where, shown, why string) error {
	return invalid("Invalid value %s for parameter '%s' supplied: %s", shown, where, why)
}

// tooLong is MLflow's sentence about a length.
func tooLong(what string, limit int) error {
	return invalid("'%s' exceeds the maximum length of %d characters", what, limit)
}

func checkLength(what string, limit int, value string) error {
	if len(value) > limit && utf8.RuneCountInString(value) > limit {
		return tooLong(what, limit)
	}
	return nil
}

// cut shortens to a number of characters.
func cut(value string, limit int) string {
	if len(value) <= limit {
		return value
	}
	n := 0
	for i := range value {
		if n == limit {
			return value[:i]
		}
		n++
	}
	return value
}

// plain are the bytes that a name may hold: letters, digits, _ - . : space and slash; other scripts take the slow way.
var plain = func() (t [256]bool) {
	for c := range 128 {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-.: /", byte(c)) >= 0
	}
	return t
}()

// where says which part of a request a name is, without building the text before it is needed.
type where struct {
	list  string // "" when there is no list
	index int
	field string
}

func (w where) String() string {
	if w.list == "" {
		return w.field
	}
	return fmt.Sprintf("%s[%d].%s", w.list, w.index, w.field)
}

// checkName refuses names with other characters and names that a file system would read as another name.
func checkName(key string, w where) error {
	slashes, ascii := false, true
	for i := range len(key) {
		c := key[i]
		if !plain[c] {
			ascii = false
			break
		}
		slashes = slashes || c == '/'
	}
	if !ascii {
		if err := checkScript(key, w); err != nil {
			return err
		}
		slashes = strings.Contains(key, "/")
	}
	if key == "" || key == "." || strings.HasPrefix(key, "..") || slashes && !clean(key) { // MLflow refuses "..a" too
		return badPath(key, w)
	}
	return nil
}

// clean reports whether a path with slashes is relative and the shortest of its names: what path.Clean would leave alone.
func clean(key string) bool {
	start := 0
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			continue
		}
		if part := key[start:i]; part == "" || part == "." || part == ".." {
			return false
		}
		start = i + 1
	}
	return true
}

func checkScript(key string, w where) error {
	if !utf8.ValidString(key) {
		return invalid("Invalid value for parameter '%s' supplied: it is not UTF-8 text", w)
	}
	for _, r := range key {
		if r < 128 && !plain[r] || r >= 128 && !unicode.IsLetter(r) && !unicode.IsNumber(r) {
			return invalidValue(w.String(), pyJSON(key), "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).")
		}
	}
	return nil
}

func badPath(key string, w where) error {
	name := path.Clean(key)
	if strings.HasPrefix(key, "//") && !strings.HasPrefix(key, "///") {
		name = "/" + name // POSIX keeps exactly two
	}
	return invalidValue(w.String(), pyJSON(key), "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to "+pyRepr(name))
}

func checkMetric(m *Metric, list string, index int) error {
	if err := checkName(m.Key, where{list, index, "name"}); err != nil {
		return err
	}
	if m.At < 0 {
		return invalidValue(where{list, index, "timestamp"}.String(), strconv.FormatInt(m.At, 10),
			fmt.Sprintf("metric '%s' (value=%s). Timestamp must be a nonnegative long (64-bit integer) ", m.Key, pyFloat(m.Value)))
	}
	return checkLength("Metric name", maxKey, m.Key)
}

// checkParam returns the parameter with its value cut to what is stored.
func checkParam(p Param, list string, index int) (Param, error) {
	if err := checkName(p.Key, where{list, index, "key"}); err != nil {
		return p, err
	}
	if err := checkLength("Param key", maxKey, p.Key); err != nil {
		return p, err
	}
	p.Value = cut(text(p.Value), maxParam)
	return p, nil
}

// checkTag returns the tag with its value cut to what is stored.
func checkTag(t Tag, list string, index int) (Tag, error) {
	w := where{list, index, "key"}
	if err := checkName(t.Key, w); err != nil {
		return t, err
	}
	if err := checkLength(w.String(), maxKey, t.Key); err != nil {
		return t, err
	}
	t.Value = cut(text(t.Value), maxTag)
	return t, nil
}

// text is value as both catalogs can keep it: PostgreSQL refuses NUL and what is not UTF-8.
func text(value string) string {
	if strings.IndexByte(value, 0) >= 0 {
		value = strings.ReplaceAll(value, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}

// checkTime refuses what RFC 3339 cannot write.
func checkTime(name string, t *time.Time) error {
	if t != nil && (t.Year() < 0 || t.Year() > 9999) {
		return invalid("Invalid value %d for parameter '%s' supplied: it must be milliseconds since 1970 of a year up to 9999", t.UnixMilli(), name)
	}
	return nil
}

func checkBatch(b *Batch) error {
	for i := range b.Metrics {
		if err := checkMetric(&b.Metrics[i], "metrics", i); err != nil {
			return err
		}
	}
	var err error
	params := make([]Param, len(b.Params))
	for i, p := range b.Params {
		if params[i], err = checkParam(p, "params", i); err != nil {
			return err
		}
	}
	tags := make([]Tag, len(b.Tags))
	for i, t := range b.Tags {
		if tags[i], err = checkTag(t, "tags", i); err != nil {
			return err
		}
	}
	b.Params, b.Tags = params, tags
	for _, limit := range []struct {
		what       string
		limit, got int
	}{
		{"metrics", MaxMetrics, len(b.Metrics)}, {"params", MaxParams, len(b.Params)}, {"tags", MaxTags, len(b.Tags)},
		{"metrics, params, and tags", MaxEntries, len(b.Metrics) + len(b.Params) + len(b.Tags)},
	} {
		if limit.got > limit.limit {
			return invalid("A batch logging request can contain at most %d %s. Got %d %s. Please split up %s across multiple requests and try again.",
				limit.limit, limit.what, limit.got, limit.what, limit.what)
		}
	}
	return checkUnique(b.Params)
}

func checkUnique(params []Param) error {
	if len(params) < 2 {
		return nil
	}
	seen, twice := make(map[string]struct{}, len(params)), []string{}
	for _, p := range params {
		if _, ok := seen[p.Key]; ok {
			twice = append(twice, pyRepr(p.Key))
		}
		seen[p.Key] = struct{}{}
	}
	if len(twice) > 0 {
		return invalid("Duplicate parameter keys have been submitted: [%s]. Please ensure the request contains only one param value per param key.", strings.Join(twice, ", "))
	}
	return nil
}

// checkDataset checks what a client says about a dataset.
func checkDataset(in *DatasetInput) error {
	d := &in.Dataset
	for _, part := range []struct {
		name  string
		limit int
		value *string
	}{
		{"name", maxDatasetName, &d.Name}, {"digest", maxDigest, &d.Digest}, {"source", maxSource, &d.Source},
		{"schema", maxSchema, &d.Schema}, {"profile", maxProfile, &d.Profile}, {"source_type", maxDatasetName, &d.SourceType},
	} {
		if err := checkLength(part.name, part.limit, *part.value); err != nil {
			return err
		}
		*part.value = text(*part.value)
	}
	if d.Name == "" {
		return invalid("Dataset name cannot be None")
	}
	if d.Digest == "" {
		return invalid("Dataset digest cannot be None")
	}
	for i := range in.Tags {
		if in.Tags[i].Key == "" {
			return invalid("InputTag key cannot be None")
		}
		if err := checkLength("key", maxInputKey, in.Tags[i].Key); err != nil {
			return err
		}
		if err := checkLength("value", maxInputValue, in.Tags[i].Value); err != nil {
			return err
		}
		in.Tags[i] = Tag{Key: text(in.Tags[i].Key), Value: text(in.Tags[i].Value)}
	}
	return nil
}

func (m *Metric) point() series.Point { return series.Point{Step: m.Step, At: m.At, Value: m.Value} }

// pyJSON is text as Python's json.dumps writes it: in ASCII.
func pyJSON(text string) string {
	b := []byte{'"'}
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r < 0x20 || r > 0x7e && r < 0x10000 && r != 0x7f:
			b = fmt.Appendf(b, `\u%04x`, r)
		case r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b = append(b, byte(r))
		}
	}
	return string(append(b, '"'))
}

// pyRepr is text as Python's repr writes it.
func pyRepr(text string) string {
	quote := byte('\'')
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	b := []byte{quote}
	for _, r := range text {
		switch {
		case r == rune(quote) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20 || r == 0x7f:
			b = fmt.Appendf(b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r < 0x100:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, quote))
}

// pyFloat is a number as Python's repr writes it.
func pyFloat(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// parseExperiment reads an id: the digits 0 to 9, and no number in another script.
func parseExperiment(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 || id[0] == '+' || id[0] == '-' {
		return 0, invalid("Invalid experiment ID '%s'. Experiment ID must be a valid integer.", cut(text(id), 100))
	}
	return n, nil
}
