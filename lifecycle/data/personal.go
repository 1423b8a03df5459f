package data

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/trimtab-ml/trimtab/infra/duck"
)

// What may be done with a personal column.
const (
	Pseudonymise = "pseudonymise"
	Drop         = "drop"
)

// pseudonymKeys are the two keys of the nested hash. They are derived from the secret, so that the secret itself never enters SQL.
type pseudonymKeys struct{ inner, outer string }

func newPseudonymKeys(secret []byte) pseudonymKeys {
	derive := func(purpose string) string {
		sum := sha256.Sum256(append([]byte("trimtab pseudonym v1 "+purpose+"\x00"), secret...))
		return hex.EncodeToString(sum[:])
	}
	return pseudonymKeys{inner: derive("inner"), outer: derive("outer")}
}

// fingerprint tells two secrets apart without telling anything about them.
func (k pseudonymKeys) fingerprint() string {
	sum := sha256.Sum256([]byte("fingerprint" + k.outer))
	return hex.EncodeToString(sum[:8])
}

// Pseudonymise replaces a value by a token of 32 hex digits: the same for the same value everywhere in this installation, and not to be
// reversed without the secret. The token is the first 128 bits of SHA-256(outer key, hex SHA-256(inner key, value)), the nested
// construction of HMAC (RFC 2104) with text keys of fixed length, because DuckDB has SHA-256 but no HMAC. The empty text stays empty: it is missing.
func (s *Service) Pseudonymise(text string) string { return s.keys.token(text) }

func (k pseudonymKeys) token(text string) string {
	if text == "" {
		return ""
	}
	inner := sha256.Sum256([]byte(k.inner + text))
	outer := sha256.Sum256([]byte(k.outer + hex.EncodeToString(inner[:])))
	return hex.EncodeToString(outer[:16])
}

// sql is token as an expression over a text expression. Null stays null.
func (k pseudonymKeys) sql(text string) string {
	return "substr(sha256(" + duck.Literal(k.outer) + " || sha256(" + duck.Literal(k.inner) + " || nullif(" + text + ", ''))), 1, 32)"
}
