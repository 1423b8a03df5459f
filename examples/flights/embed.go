// Package flights is the example project as bytes, so that the binary alone can run it from any folder.
package flights

import "embed"

// Files is trimtab.yaml and the data it names, and the replay.
//
//go:embed trimtab.yaml *.parquet
var Files embed.FS
