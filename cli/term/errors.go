package term

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The exit codes of the program. They are part of its contract.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitDenied      = 4
	ExitConflict    = 5
	ExitGateRefused = 6
	ExitInterrupted = 130
)

// UsageError is a mistake on the command line: an unknown flag, a missing argument.
type UsageError struct {
	Err     error
	Command string // of which help is offered
}

// Error is the text of the mistake.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the mistake.
func (e *UsageError) Unwrap() error { return e.Err }

// Silent is an error that was told already; it only sets the exit code to that of Err.
type Silent struct{ Err error }

// Error is the text of the error.
func (e *Silent) Error() string { return e.Err.Error() }

// Unwrap gives the error.
func (e *Silent) Unwrap() error { return e.Err }

// Ended is the end of a program of the user's that a command ran: its code is the command's, and nothing more is said.
type Ended struct{ Code int }

// Error names the code.
func (e *Ended) Error() string { return fmt.Sprintf("the program ended with code %d", e.Code) }

// ExitCode is the one mapping from errors to exit codes.
func ExitCode(err error) int {
	var usage *UsageError
	var ended *Ended
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &ended):
		return ended.Code
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	switch fault.CodeOf(err) {
	case fault.NotFound:
		return ExitNotFound
	case fault.Denied, fault.Unauthenticated:
		return ExitDenied
	case fault.Conflict:
		return ExitConflict
	case fault.GateRefused:
		return ExitGateRefused
	}
	return ExitFailure
}

// Error tells a person what failed and what to do next.
func (s *IO) Error(err error) {
	var silent *Silent
	var usage *UsageError
	var ended *Ended
	switch {
	case err == nil || errors.As(err, &silent) || errors.As(err, &ended):
		return
	case errors.Is(err, context.Canceled):
		s.Sayf("interrupted\n")
		return
	}
	s.Sayf("%s %s\n", s.Bad("error:"), err)
	var f *fault.Error
	if errors.As(err, &f) {
		keys := make([]string, 0, len(f.Details))
		for key := range f.Details {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			if text := detail(f.Details[key]); text != "" && !strings.Contains(err.Error(), text) {
				s.Sayf("  %s %s\n", s.Dim(key+":"), text)
			}
		}
	}
	hint := fault.HintOf(err)
	if hint == "" && errors.As(err, &usage) && usage.Command != "" {
		hint = fmt.Sprintf("see `%s --help`", usage.Command)
	}
	if hint != "" {
		s.Sayf("%s %s\n", s.Dim("hint:"), hint)
	}
}

// detail is a value that fits on a line; structures are for programs.
func detail(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool, int, int64, uint64:
		return fmt.Sprint(v)
	case float64:
		return Number(v)
	}
	return ""
}
