// Package id makes the identifiers of catalog rows, predictions and requests: UUIDv7 as 32 lower-case hex digits,
// so that ids sort by the time they were made.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// source hands out random bytes in blocks, because one system call per prediction would show in the profile.
type source struct {
	mu   sync.Mutex
	pool [4096]byte
	left int
}

var random source

func (s *source) fill(dst []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left < len(dst) {
		// crypto/rand.Read never returns an error since Go 1.24: it ends the program instead.
		_, _ = rand.Read(s.pool[:])
		s.left = len(s.pool)
	}
	from := len(s.pool) - s.left
	copy(dst, s.pool[from:from+len(dst)])
	clear(s.pool[from : from+len(dst)])
	s.left -= len(dst)
}

// New makes an id from the wall clock and 74 random bits (RFC 9562, UUID version 7).
// It is safe for concurrent use.
func New() string {
	var u [16]byte
	random.fill(u[6:])
	ms := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint16(u[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(u[2:6], uint32(ms))
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return hex.EncodeToString(u[:])
}

// Valid reports whether s has the form of an id: 32 lower-case hex digits.
func Valid(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
