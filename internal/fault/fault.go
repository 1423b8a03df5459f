// Package fault is the one error type of Trimtab: what failed, why, where and what to do next.
//
// Every package returns these for mistakes a caller can make or must handle. An error that is not a
// fault is a defect or an unexpected condition of the machine; doors show it as CodeInternal and keep its text
// for the log. The code is mapped to an HTTP status in api/route and to an exit code in cli/term, and nowhere else.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the machine-readable class of a fault. Codes are part of the public API.
type Code string

// The codes, in the order a reader meets them.
const (
	Invalid         Code = "invalid"           // the request or the file says something that cannot be
	NotFound        Code = "not_found"         // the named thing does not exist
	Conflict        Code = "conflict"          // the thing exists already, is in use, or changed meanwhile
	Denied          Code = "denied"            // the caller may not do this
	Unauthenticated Code = "unauthenticated"   // the caller did not say who they are
	GateRefused     Code = "gate_refused"      // a gate or a contract was not met
	NotSupported    Code = "not_supported_yet" // a part of the design that is not built yet
	FormatNotServed Code = "format_not_served" // a model version that no engine here can serve
	TooLarge        Code = "too_large"         // a body, a line or a batch is over its bound
	TooMany         Code = "too_many_requests" // the server sheds load; retry later
	Unavailable     Code = "unavailable"       // something needed is not there now; retry may help
	Corrupt         Code = "corrupt"           // stored bytes do not match their hash
	Canceled        Code = "canceled"          // the caller or an operator stopped the work
	Internal        Code = "internal"          // a defect, or a machine that fails
)

// Position is a place in a file, 1-based; zero fields are unknown.
type Position struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is file:line:column with the unknown parts left out.
func (p Position) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			s += fmt.Sprintf(":%d", p.Column)
		}
	}
	return strings.TrimPrefix(s, ":")
}

// Error is a fault. Message says what failed and why in one sentence, Hint what to do next.
type Error struct {
	Code     Code
	Message  string
	Hint     string
	Position Position
	Details  map[string]any // values a program may want: the clause, the column, the counts
	Cause    error
}

// New makes a fault from a format.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault that keeps cause for errors.Is and errors.As and shows its text after the message.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// WithHint sets the next step and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// At sets the place and returns e.
func (e *Error) At(p Position) *Error {
	e.Position = p
	return e
}

// With adds a detail and returns e.
func (e *Error) With(key string, value any) *Error {
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details[key] = value
	return e
}

// Error is the text without the hint: position, message, cause.
func (e *Error) Error() string {
	var b strings.Builder
	if p := e.Position.String(); p != "" {
		b.WriteString(p)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf is the code of the first fault in err's chain; Internal when there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Code
	}
	return Internal
}

// HintOf is the hint of the first fault in err's chain that has one.
func HintOf(err error) string {
	for err != nil {
		var f *Error
		if !errors.As(err, &f) {
			return ""
		}
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Cause
	}
	return ""
}

// Is reports whether err is a fault with the code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
