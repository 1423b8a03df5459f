package project

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Canonical is the file as JSON in its one form: keys in the order of the types, defaults filled in, no comments. Files
// that mean the same have the same canonical form.
func (f *File) Canonical() ([]byte, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("writing the canonical file: %w", err)
	}
	return b, nil
}

// Hash is the BLAKE3 of the canonical form in hex.
func (f *File) Hash() (string, error) {
	b, err := f.Canonical()
	if err != nil {
		return "", err
	}
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// ReadCanonical reads what Canonical wrote. It does not check the file again.
func ReadCanonical(b []byte) (*File, error) {
	f := &File{}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the stored file cannot be read")
	}
	if f.Model != nil {
		for _, p := range f.Model.Prepare {
			wholeNumbers(p)
		}
	}
	return f, nil
}
