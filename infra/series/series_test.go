package series

import (
	"os"
	"testing"
)

// packsOf lists the packs of a store.
func packsOf(s *Store) []*segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.set.packs
}

// copyOf copies a folder as a crash would leave it.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}
