package registry

import (
	"encoding/json"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Bounds of what people may write, in characters; they are MLflow's.
const (
	maxTagKey   = 250
	maxTagValue = 100_000
	maxAlias    = 255
	maxName     = 256
)

// Stages of a version, older than aliases. They carry no meaning of their own here.
const (
	StageNone       = "None"
	StageStaging    = "Staging"
	StageProduction = "Production"
	StageArchived   = "Archived"
)

var stages = []string{StageNone, StageStaging, StageProduction, StageArchived}

var (
	aliasForm        = regexp.MustCompile(`^[\p{L}\p{N}_-]*$`)
	aliasVersionForm = regexp.MustCompile(`^[vV]\d+$`)
	tagKeyForm       = regexp.MustCompile(`^[/\p{L}\p{N}_.\- :]*$`)
)

func missing(field string) error {
	return fault.New(fault.Invalid, "Missing value for required parameter '%s'.", field)
}

func quoted(text string) string {
	doc, err := json.Marshal(text)
	if err != nil {
		return strconv.Quote(text)
	}
	return string(doc)
}

// unclean tells whether a name, read as a path, would be another path.
func unclean(name string) bool {
	return path.Clean(name) != name || name == "." || strings.HasPrefix(name, "..") || strings.HasPrefix(name, "/")
}

func badPath(field, name string) error {
	return fault.New(fault.Invalid, "Invalid value %s for parameter '%s' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to '%s'",
		quoted(name), field, path.Clean(name))
}

func checkModelName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return missing("name")
	case strings.ContainsAny(name, "/:"):
		return fault.New(fault.Invalid, "Invalid model name '%s'. Names cannot contain '/' or ':'.", name)
	case unclean(name):
		return badPath("name", name)
	case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		return fault.New(fault.Invalid, "Invalid model name %q. Names are text without NUL.", name)
	case utf8.RuneCountInString(name) > maxName:
		return tooLong("name", maxName)
	}
	return nil
}

func tooLong(field string, limit int) error {
	return fault.New(fault.Invalid, "'%s' exceeds the maximum length of %d characters", field, limit)
}

func checkTagKey(key string) error {
	switch {
	case !tagKeyForm.MatchString(key):
		return fault.New(fault.Invalid, "Invalid value %s for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).", quoted(key))
	case unclean(key):
		return badPath("key", key)
	case utf8.RuneCountInString(key) > maxTagKey:
		return tooLong("key", maxTagKey)
	}
	return nil
}

func checkTag(t track.Tag) error {
	if err := checkTagKey(t.Key); err != nil {
		return err
	}
	if utf8.RuneCountInString(t.Value) > maxTagValue {
		return tooLong("value", maxTagValue)
	}
	return nil
}

func checkTags(tags []track.Tag) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range tags {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		out[t.Key] = t.Value
	}
	return out, nil
}

func checkAlias(alias string) error {
	switch {
	case alias == "":
		return fault.New(fault.Invalid, "Registered model alias name cannot be empty.")
	case !aliasForm.MatchString(alias):
		return fault.New(fault.Invalid, "Invalid alias name: '%s'. Names may only contain alphanumerics, underscores (_), and dashes (-).", alias)
	case utf8.RuneCountInString(alias) > maxAlias:
		return tooLong("Registered model alias name", maxAlias)
	}
	return nil
}

// checkAliasFree refuses the names that mean something by themselves.
func checkAliasFree(alias string) error {
	switch {
	case strings.EqualFold(alias, "latest"):
		return fault.New(fault.Invalid, "'latest' alias name (case insensitive) is reserved.")
	case aliasVersionForm.MatchString(alias):
		return fault.New(fault.Invalid, "Version alias name '%s' is reserved.", alias)
	}
	return nil
}

func canonicalStage(stage string) (string, error) {
	for _, known := range stages {
		if strings.EqualFold(stage, known) {
			return known, nil
		}
	}
	return "", fault.New(fault.Invalid, "Invalid Model Version stage: %s. Value must be one of %s.", stage, strings.Join(stages, ", "))
}

// ParseVersion reads the number of a version as clients send it: decimal digits and nothing else.
func ParseVersion(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || strings.TrimLeft(text, "0123456789") != "" {
		return 0, fault.New(fault.Invalid, "Parameter 'version' must be an integer, got '%s'.", text)
	}
	return n, nil
}
