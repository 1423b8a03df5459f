package worker

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

const (
	journalLines = 200
	journalLine  = 4 << 10 // a longer line is cut
	journalFile  = 1 << 20 // a longer file becomes the old one
)

// journal is the log of one model: the last lines in memory, and a file that is bounded by keeping one old one beside it.
type journal struct {
	mu    sync.Mutex
	lines [journalLines]string
	next  int
	path  string // "" = memory only
	file  *os.File
	size  int64
}

func newJournal(path string) *journal { return &journal{path: path} }

// add keeps a line. A file that cannot be written is not written: the model answers all the same, and memory has the line.
func (j *journal) add(line string) {
	if len(line) > journalLine {
		line = line[:journalLine] + " …"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines[j.next%journalLines] = line
	j.next++
	if j.path == "" {
		return
	}
	if j.file == nil {
		f, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			j.path = ""
			return
		}
		j.file = f
		if info, err := f.Stat(); err == nil {
			j.size = info.Size()
		}
	}
	n, err := io.WriteString(j.file, time.Now().UTC().Format("2006-01-02T15:04:05.000Z ")+line+"\n")
	j.size += int64(n)
	if err != nil {
		j.path = ""
	} else if j.size > journalFile {
		_ = j.file.Close()
		j.file, j.size = nil, 0
		_ = os.Rename(j.path, j.path+".1") // else it goes on growing: better than losing lines
	}
}

// last is at most n lines, the newest last.
func (j *journal) last(n int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for i := max(0, j.next-min(n, journalLines)); i < j.next; i++ {
		out = append(out, j.lines[i%journalLines])
	}
	return out
}

// follow adds the lines of a stream until it ends.
func (j *journal) follow(r io.Reader) {
	in := bufio.NewReaderSize(r, journalLine)
	for {
		line, err := in.ReadSlice('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			j.add(string(bytes.ToValidUTF8(line, []byte("\uFFFD"))))
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		_ = j.file.Close() // lines are in memory too
		j.file = nil
	}
	j.path = ""
}
