package pipeline

import "os"

// removeQuietly takes away a temporary file; one that stays is cleaned with its folder.
func removeQuietly(path string) { _ = os.Remove(path) }
