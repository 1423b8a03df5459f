package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	// CatalogFile is the name of the catalog in the state directory, when it is there.
	CatalogFile = "catalog.db"
	// catalogAddress is the name of the file that says where it is otherwise; a password is not in it.
	catalogAddress = "catalog.url"
)

// CatalogPlace is where the catalog of a state directory is: at the address that was asked for, at the one of the last
// time, or in the directory. A directory whose catalog is elsewhere must not get a second, empty one by a forgotten flag,
// nor the other way round: both would look as if everything were lost.
func CatalogPlace(dir, address string) (string, error) {
	if address != "" && !catalog.IsURL(address) {
		return "", fault.New(fault.Invalid, "the catalog %q is not an address of PostgreSQL", catalog.Redact(address)).
			WithHint("write postgres://user:password@host/database, or nothing for a file in the state directory")
	}
	b, err := os.ReadFile(filepath.Join(dir, catalogAddress))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fault.Wrap(err, fault.Unavailable, "read where the catalog is")
	}
	last := strings.TrimSpace(string(b))
	_, err = os.Stat(filepath.Join(dir, CatalogFile))
	switch file := err == nil; {
	case address == "" && last == "":
		return filepath.Join(dir, CatalogFile), nil
	case address == "" && hasSecret(last):
		return "", fault.New(fault.Invalid, "the catalog of %s is %s, and its password is not kept", dir, last).
			WithHint("give the whole address with --catalog or TRIMTAB_CATALOG")
	case address == "":
		return last, nil
	case file && last == "":
		return "", fault.New(fault.Invalid, "the state directory %s has its catalog in the file %s", dir, CatalogFile).
			WithHint("to move it: `trimtab backup --out b.tar.zst`, then `trimtab restore b.tar.zst --dir NEW --catalog URL`")
	}
	return address, nil
}

// hasSecret reports whether an address was longer before it was written down.
func hasSecret(address string) bool { return strings.Contains(address, "xxxxx") }

// rememberCatalog notes an address for the next start.
func rememberCatalog(dir, place string) error {
	if !catalog.IsURL(place) {
		return nil
	}
	path := filepath.Join(dir, catalogAddress)
	text := catalog.Redact(place) + "\n"
	if b, err := os.ReadFile(path); err == nil && string(b) == text {
		return nil
	}
	if err := writeSecret(path, []byte(text)); err != nil {
		return fault.Wrap(err, fault.Unavailable, "note where the catalog is").WithHint("is the disk full?")
	}
	return nil
}
