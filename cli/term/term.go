// Package term is how the program talks to a person or to a pipe: tables, progress, colours, errors, exit codes.
//
// Standard output carries data, standard error carries talk. It owns the mapping of fault codes to exit codes and must
// never know a command.
package term

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// IO is the terminal, or the files and pipes that stand in for it.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	TTY    bool // Out is a terminal: tables are aligned, else they are tab-separated
	ErrTTY bool // Err is a terminal: progress is a bar, else a line now and then
	Color  bool // colours may be used on Out and Err
	Width  int  // columns of the terminal, 0 = unknown

	now func() time.Time // of progress; tests set it
}

// System is the IO of this process. NO_COLOR, CLICOLOR_FORCE and TERM=dumb are honoured.
func System() *IO {
	dumb := os.Getenv("TERM") == "dumb"
	s := &IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		TTY:    term.IsTerminal(int(os.Stdout.Fd())) && !dumb,
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())) && !dumb,
		now:    time.Now}
	s.Color = s.TTY && s.ErrTTY && os.Getenv("NO_COLOR") == ""
	if force := os.Getenv("CLICOLOR_FORCE"); force != "" && force != "0" && os.Getenv("NO_COLOR") == "" {
		s.Color = true
	}
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && s.Width == 0 {
			s.Width = width
		}
	}
	return s
}

// Plain is an IO without a terminal, for tests and for programs that capture output.
func Plain(in io.Reader, out, err io.Writer) *IO {
	return &IO{In: in, Out: out, Err: err, now: time.Now}
}

// Printf writes data to standard output.
func (s *IO) Printf(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

// Sayf writes talk to standard error.
func (s *IO) Sayf(format string, args ...any) { fmt.Fprintf(s.Err, format, args...) }

// JSON writes v to standard output as indented JSON.
func (s *IO) JSON(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (s *IO) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold makes a heading of text.
func (s *IO) Bold(text string) string { return s.paint("1", text) }

// Dim makes text step back.
func (s *IO) Dim(text string) string { return s.paint("2", text) }

// Good, Attention and Bad paint text by the level of what it tells. The words must tell it too.
func (s *IO) Good(text string) string { return s.paint("32", text) }

// Attention paints text that someone should look at.
func (s *IO) Attention(text string) string { return s.paint("33", text) }

// Bad paints text that tells of a failure.
func (s *IO) Bad(text string) string { return s.paint("31", text) }

// Level paints text by the level of an event: info, good, attention, bad.
func (s *IO) Level(level, text string) string {
	switch level {
	case "good":
		return s.Good(text)
	case "attention":
		return s.Attention(text)
	case "bad":
		return s.Bad(text)
	}
	return text
}
