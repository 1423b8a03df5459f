package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

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

// known is tokens made beforehand: an enumeration of values, and the list of their tokens in the same order, both of the ingest's connection.
// An enumeration and not a joined table, because a hash join does not keep the rows in their order.
type known struct{ enum, tokens string }

// sql is the token of a text, looked up where it is known and computed where it is not.
func (k known) sql(keys pseudonymKeys, text string) string {
	return "coalesce(getvariable(" + duck.Literal(k.tokens) + ")[enum_code(TRY_CAST(" + text + " AS " + k.enum + ")) + 1], " + keys.sql(text) + ")"
}

const (
	knownBytes = 16 << 20 // smaller files are not worth a look beforehand
	knownRows  = 100_000
)

// know computes the tokens of the values at the start of a big file, by personal column: two SHA-256 for each of five million rows would take
// twice as long as reading them, and most files repeat their people. A column whose values hardly repeat is left out.
func (g *staging) know(ctx context.Context, src *source, seen *sniffed, r *reading) (map[string]known, error) {
	out := map[string]known{}
	if src.size < knownBytes {
		return out, nil
	}
	for _, c := range seen.columns {
		if r.spec.Personal[c.name] != Pseudonymise {
			continue
		}
		types := map[string]string{}
		for _, other := range seen.columns {
			types[other.name] = "VARCHAR"
		}
		value, _ := conversion(c, r.kinds[c.name], seen.text, quick, types)
		k := known{enum: fmt.Sprintf("known_%d_%d", g.files, len(out)), tokens: fmt.Sprintf("tokens_%d_%d", g.files, len(out))}
		if err := g.knowColumn(ctx, k, r.keys, value, seen.from(types, "")); err != nil {
			var said *duck.Error
			if errors.As(err, &said) {
				continue // what is wrong with the file is found where it is read
			}
			return nil, err
		}
		out[c.name] = k
	}
	return out, nil
}

// knowColumn makes the enumeration and the tokens of one column; an error of class duck.Error when its values hardly repeat.
func (g *staging) knowColumn(ctx context.Context, k known, keys pseudonymKeys, value, from string) error {
	values := k.enum + "_values"
	if err := g.duck.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT DISTINCT (%s)::VARCHAR AS v FROM (SELECT * FROM %s LIMIT %d)", values, value, from, knownRows)); err != nil {
		return err
	}
	row, err := g.duck.Scalar(ctx, "SELECT count(v) AS n FROM "+values)
	if err != nil {
		return err
	}
	if n := row["n"].F; n == 0 || n > knownRows/10 {
		return &duck.Error{Message: "too many values to know"}
	}
	if err := g.duck.Exec(ctx, fmt.Sprintf("CREATE TEMP TYPE %s AS ENUM (SELECT v FROM %s WHERE v IS NOT NULL ORDER BY v)", k.enum, values)); err != nil {
		return err
	}
	return g.duck.Exec(ctx, fmt.Sprintf("SET VARIABLE %s = (SELECT list(%s ORDER BY v::%s) FROM %s WHERE v IS NOT NULL)", k.tokens, keys.sql("v"), k.enum, values))
}
