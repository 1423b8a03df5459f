package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/cli/term"
)

const (
	// sampleBlobs and sampleBytes bound how much of the content store doctor reads.
	sampleBlobs = 200
	sampleBytes = 1 << 30
)

// checkBlobs reads a random sample of the content store and compares each file with the hash that is its name.
func checkBlobs(ctx context.Context, dir string) diagnosis {
	root := filepath.Join(dir, "blobs", "b3")
	var paths []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && len(entry.Name()) == 64 {
			paths = append(paths, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return ok("none yet")
	}
	if err != nil {
		return bad("check the permissions of the directory", "%v", err)
	}
	total := len(paths)
	rand.Shuffle(total, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	read, verified := int64(0), 0
	for _, path := range paths[:min(total, sampleBlobs)] {
		if ctx.Err() != nil || read > sampleBytes {
			break
		}
		size, sum, err := hashFile(path)
		if errors.Is(err, fs.ErrNotExist) { // collected meanwhile
			continue
		}
		if err != nil {
			return bad("is the disk sound?", "%v", err)
		}
		if sum != filepath.Base(path) {
			return bad("delete the file and ingest its source again, or restore it from a backup", "%s does not match its hash", path)
		}
		read += size
		verified++
	}
	return ok("%s of %s read and verified, %s", term.Count(int64(verified)), term.Count(int64(total)), term.Bytes(read))
}

func hashFile(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := blake3.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
