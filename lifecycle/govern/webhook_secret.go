package govern

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key of the webhooks: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("the key of the webhooks: %w", err)
	}
	return aead, nil
}

// setSecret encrypts a secret for a webhook: the id is authenticated with it, so that one row's secret is of no use in another.
func (w *Webhooks) setSecret(s *stored, secret string) error {
	if len(secret) > maxWebhookSecret {
		return fault.New(fault.Invalid, "the secret of a webhook has at most %d bytes", maxWebhookSecret)
	}
	s.secret, s.Signed = []byte{}, secret != ""
	if secret == "" {
		return nil
	}
	nonce := make([]byte, w.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	s.secret = w.aead.Seal(nonce, nonce, []byte(secret), []byte(s.ID))
	return nil
}

// secretOf decrypts the secret of a webhook; "" when it has none.
func (w *Webhooks) secretOf(s *stored) (string, error) {
	if len(s.secret) == 0 {
		return "", nil
	}
	n := w.aead.NonceSize()
	if len(s.secret) < n {
		return "", fault.New(fault.Corrupt, "the secret of webhook %s is damaged", s.Name).WithHint("set it again")
	}
	secret, err := w.aead.Open(nil, s.secret[:n], s.secret[n:], []byte(s.ID))
	if err != nil {
		return "", fault.New(fault.Corrupt, "the secret of webhook %s was encrypted with another key", s.Name).
			WithHint("restore webhook.key of the state directory from a backup, or set the secret again")
	}
	return string(secret), nil
}

// sign is the signature of a delivery as Standard Webhooks has it (https://www.standardwebhooks.com, "Signature scheme"): HMAC-SHA256 over
// id, time and body. A secret of theirs begins with whsec_ and is base64.
func sign(secret, id, at string, body []byte) string {
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			key = decoded
		}
	}
	return signWith(key, id, at, body)
}

func signWith(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
