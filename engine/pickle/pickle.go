// Package pickle reads what a Python pickle would import, without running any of it.
//
// A pickle is a program for a small stack machine, and one of its instructions calls whatever it imported: loading one runs what its
// author wanted. Scan follows the instructions (all protocols, pickletools.py of Python 3.13 lists them) with values that are symbols,
// through compression, zip archives and the arrays that joblib writes between instructions, and lists every import. Check compares
// them with what a flavour of model needs.
//
// It owns the instructions and the lists. It must never load anything, nor know where a file came from. A file that passes is not
// proven to be harmless: it imports nothing but what models of its kind are made of, and the sandbox of the worker holds the rest.
package pickle

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	// MaxBytes bounds what is read, unpacked.
	MaxBytes = 16 << 30
	// maxSpool bounds an archive that does not come as a file.
	maxSpool   = 1 << 30
	maxEntries = 10_000
	maxImports = 10_000
)

// Danger is what is known of an import.
type Danger string

// The grades.
const (
	Safe      Danger = "safe"      // models are made of it
	Code      Danger = "code"      // cloudpickle's way of bringing functions along: they can do anything
	Unknown   Danger = "unknown"   // nothing is known
	Dangerous Danger = "dangerous" // it runs programs or code, opens files or connections, or reaches what does
)

// Import is a name that a pickle imports.
type Import struct {
	Module string `json:"module"`
	Name   string `json:"name"`
	Danger Danger `json:"danger"`
}

// String is module.name.
func (i Import) String() string { return i.Module + "." + i.Name }

// Report is what a file holds.
type Report struct {
	Format      string   `json:"format"`                // pickle, joblib, torch, zip, npy
	Compression string   `json:"compression,omitempty"` // gzip, zlib, bz2
	Protocol    int      `json:"protocol"`              // the highest
	Pickles     int      `json:"pickles"`               // programs in the file
	Imports     []Import `json:"imports"`               // each once, by name
	Bytes       int64    `json:"bytes"`                 // read, unpacked
	Arrays      int      `json:"arrays,omitempty"`      // that joblib wrote between instructions
	Trailing    bool     `json:"trailing,omitempty"`    // there are bytes after the last program that are none
}

// Verdict is the worst of the imports.
func (r Report) Verdict() Danger {
	worst := Safe
	for _, i := range r.Imports {
		if grade(i.Danger) > grade(worst) {
			worst = i.Danger
		}
	}
	return worst
}

func grade(d Danger) int { return slices.Index([]Danger{Safe, Code, Unknown, Dangerous}, d) }

// Scan reads a file to its end and lists what it imports. A file that is no pickle, that is cut, or that hides what it does from a static
// reader is fault.Invalid. When r is an io.ReaderAt and an io.Seeker, as files are, archives are read in place.
func Scan(r io.Reader) (Report, error) {
	s := &scan{seen: map[Import]bool{}}
	err := s.file(r)
	slices.SortFunc(s.report.Imports, func(a, b Import) int { return strings.Compare(a.String(), b.String()) })
	return s.report, err
}

// scan gathers the report.
type scan struct {
	report Report
	seen   map[Import]bool
}

func (s *scan) imported(module, name string) error {
	i := Import{Module: module, Name: name}
	if s.seen[i] {
		return nil
	}
	if len(s.seen) >= maxImports {
		return fault.New(fault.Invalid, "the pickle imports more than %d names", maxImports)
	}
	s.seen[i] = true
	i.Danger = danger(module, name)
	s.report.Imports = append(s.report.Imports, i)
	return nil
}

// counted counts what is read and stops beyond a bound.
type counted struct {
	r io.Reader
	n *int64
}

func (c counted) Read(p []byte) (int, error) {
	if *c.n > MaxBytes {
		return 0, fault.New(fault.TooLarge, "the file has more than %d bytes when it is unpacked", int64(MaxBytes))
	}
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// file finds out what a file is by its first bytes.
func (s *scan) file(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var unpacked io.Reader
	err = nil // a short file is one too
	switch {
	case len(head) == 0:
		return fault.New(fault.Invalid, "the file is empty")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return s.archive(r, in)
	case bytes.HasPrefix(head, []byte("\x93NUMPY")):
		s.report.Format = "npy"
		return s.npy(bufio.NewReaderSize(counted{in, &s.report.Bytes}, 64<<10))
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		s.report.Compression = "gzip"
		unpacked, err = gzip.NewReader(in)
	case head[0] == 0x78 && len(head) > 1 && (int(head[0])<<8|int(head[1]))%31 == 0:
		s.report.Compression = "zlib"
		unpacked, err = zlib.NewReader(in)
	case bytes.HasPrefix(head, []byte("BZh")):
		s.report.Compression = "bz2"
		unpacked = bzip2.NewReader(in)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ")), bytes.HasPrefix(head, []byte("\x5d\x00")), bytes.HasPrefix(head, []byte("\x04\x22\x4d\x18")):
		return fault.New(fault.Invalid, "the pickle is packed with xz, lzma or lz4, which cannot be looked into").WithHint("save it with gzip or zlib, or unpacked: joblib.dump(model, file, compress=(\"gzip\", 3))")
	default:
		unpacked = in
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the file cannot be unpacked")
	}
	s.report.Format = "pickle"
	return s.programs(bufio.NewReaderSize(counted{unpacked, &s.report.Bytes}, 64<<10), true)
}

// legacyTorch is the number that torch.save wrote first before it wrote archives: 0x1950a86a20f9469cfc6c.
var legacyTorch = []byte{0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

// programs reads one pickle after the other, the first as joblib would if it may. What follows the first and is none is data.
func (s *scan) programs(in *bufio.Reader, joblib bool) error {
	most := 0
	for n := 0; most == 0 || n < most; n++ {
		head, err := in.Peek(1)
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return unreadable(err)
		}
		if n > 0 && head[0] != 0x80 {
			s.report.Trailing = true
			return nil
		}
		m := newMachine(s, in)
		m.joblib = joblib
		if err := m.run(); err != nil {
			if n > 0 && most == 0 && !m.acted {
				s.report.Trailing = true // it only began like one
				return nil
			}
			return err
		}
		s.report.Pickles++
		if long, ok := m.result.([]byte); ok && n == 0 && bytes.Equal(long, legacyTorch) {
			s.report.Format = "torch"
			most = 5 // the number, the protocol, the system, the object, the keys; then come the tensors
		}
	}
	s.report.Trailing = true
	return nil
}

// archive reads the pickles of a zip file: torch.save, TorchScript, npz.
func (s *scan) archive(r io.Reader, begun *bufio.Reader) error {
	var at io.ReaderAt
	var size int64
	if file, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok {
		end, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		at, size = file, end
	} else {
		b, err := io.ReadAll(io.LimitReader(begun, maxSpool+1))
		if err != nil {
			return err
		}
		if len(b) > maxSpool {
			return fault.New(fault.TooLarge, "the archive has more than %d bytes", maxSpool)
		}
		at, size = bytes.NewReader(b), int64(len(b))
	}
	archive, err := zip.NewReader(at, size)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the archive cannot be read")
	}
	if len(archive.File) > maxEntries {
		return fault.New(fault.Invalid, "the archive has %d files, more than %d", len(archive.File), maxEntries)
	}
	s.report.Format = "zip"
	for _, f := range archive.File {
		base, suffix := path.Base(f.Name), path.Ext(f.Name)
		if base == "data.pkl" {
			s.report.Format = "torch"
		}
		if suffix != ".pkl" && suffix != ".pickle" && suffix != ".npy" {
			continue
		}
		if err := s.entry(f); err != nil {
			return fault.Wrap(err, fault.CodeOf(err), "%s in the archive", f.Name)
		}
	}
	return nil
}

func (s *scan) entry(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "it cannot be unpacked")
	}
	defer r.Close()
	in := bufio.NewReaderSize(counted{r, &s.report.Bytes}, 64<<10)
	if path.Ext(f.Name) == ".npy" {
		return s.npy(in)
	}
	return s.programs(in, false)
}

// npy looks at an array of numpy's own format: only one of objects holds a pickle.
func (s *scan) npy(in *bufio.Reader) error {
	head := make([]byte, 8)
	if _, err := io.ReadFull(in, head); err != nil {
		return unreadable(err)
	}
	width := 2
	if head[6] >= 2 {
		width = 4
	}
	if _, err := io.ReadFull(in, head[:width]); err != nil {
		return unreadable(err)
	}
	size := 0
	for i := width - 1; i >= 0; i-- {
		size = size<<8 | int(head[i])
	}
	if size > 1<<20 {
		return fault.New(fault.Invalid, "the header of the array has %d bytes", size)
	}
	header := make([]byte, size)
	if _, err := io.ReadFull(in, header); err != nil {
		return unreadable(err)
	}
	if !bytes.Contains(header, []byte("O'")) {
		return nil
	}
	return s.programs(in, false)
}

func unreadable(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "the pickle ends in the middle of an instruction")
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "the pickle cannot be read")
}
