package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TokenFile is the name of the file in the state directory that holds the token.
const TokenFile = "token"

// token reads the token of a state directory, or makes one with 256 random bits on the first start. The file is
// readable by its owner only; a file that others can read is refused rather than trusted.
func token(dir string) (string, error) {
	path := filepath.Join(dir, TokenFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Denied, "%s can be read by others (mode %o)", path, info.Mode().Perm()).
			WithHint("chmod 600 %s, or delete it for a new token", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if len(text) < 16 {
		return "", fault.New(fault.Invalid, "the token in %s is shorter than 16 characters", path).
			WithHint("delete the file for a new token")
	}
	return text, nil
}

// createToken makes a token and writes it.
func createToken(path string) (string, error) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	text := hex.EncodeToString(secret[:])
	if err := writeSecret(path, []byte(text+"\n")); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return text, nil
}

// writeSecret writes a file for its owner's eyes, whole or not at all.
func writeSecret(path string, secret []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(secret)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// loopback reports whether a listener's address can be reached from this machine only.
func loopback(addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}
