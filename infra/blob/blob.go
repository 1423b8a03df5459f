// Package blob stores immutable bytes under the hash of what they are.
//
// It owns the layout of the content store (b3/<first two digits>/<BLAKE3 in hex>), the promise that a blob is either whole or not there,
// and the promise that bytes which do not match their hash are never handed out. It must never know what a blob means.
package blob

import (
	"context"
	"io"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Store is a set of blobs named by their BLAKE3 hash, 64 lower-case hex digits. Every adapter passes blobtest.Run.
// Implementations are safe for concurrent use. Putting bytes that are there already is not an error and stores nothing twice.
// A hash that is not there gives fault.NotFound, bytes that do not match their hash fault.Corrupt with the hash in the message.
type Store interface {
	// Put stores what r gives. When it returns, the blob survives a crash of the machine.
	Put(ctx context.Context, r io.Reader) (hash string, size int64, err error)
	// PutFile stores a file and removes it from its place, by moving it where that is possible.
	PutFile(ctx context.Context, path string) (hash string, size int64, err error)
	// Open reads a blob. The caller closes it.
	Open(ctx context.Context, hash string) (io.ReadCloser, error)
	// Path is a local file with the blob's bytes, for programs that read files. It must not be written to, and not be kept for
	// longer than the version that names it.
	Path(ctx context.Context, hash string) (string, error)
	// Has tells whether a blob is there, without reading it.
	Has(ctx context.Context, hash string) (bool, error)
	// Delete removes a blob; one that is not there is not an error.
	Delete(ctx context.Context, hash string) error
	// List calls f with every blob, in the order of the hashes, until f returns an error, which it returns.
	List(ctx context.Context, f func(hash string, size int64) error) error
}

// Valid tells whether s has the form of a hash, so that no other text ever becomes part of a path.
func Valid(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func checkHash(hash string) error {
	if !Valid(hash) {
		return fault.New(fault.Invalid, "%.80q is not the hash of a blob", hash).WithHint("a hash is 64 lower-case hex digits")
	}
	return nil
}

// ReadAll reads a small blob whole.
func ReadAll(ctx context.Context, s Store, hash string) ([]byte, error) {
	r, err := s.Open(ctx, hash)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
