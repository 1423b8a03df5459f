package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Variables with the files that https needs where the system's own do not do.
const (
	caVariable         = "TRIMTAB_CA"          // who signs the server's certificate, beside those that the system trusts
	clientCertVariable = "TRIMTAB_CLIENT_CERT" // the certificate that a server with --tls-client-ca asks for
	clientKeyVariable  = "TRIMTAB_CLIENT_KEY"  // and its private key
)

var errOtherCertificate = errors.New("the server shows another certificate than the one that it was started with")

// clientTLS is how a command speaks https. certificate is the file that the server of this machine says it shows: that one is trusted,
// whoever signed it and whatever its names are, and no other. "" = a server elsewhere, which is checked as usual.
func clientTLS(certificate string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if name := os.Getenv(caVariable); name != "" {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s", caVariable)
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, fault.New(fault.Invalid, "%s: %s holds no certificate in PEM", caVariable, name)
		}
	}
	if cert, key := os.Getenv(clientCertVariable), os.Getenv(clientKeyVariable); cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s and %s", clientCertVariable, clientKeyVariable)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if certificate != "" {
		config.InsecureSkipVerify = true // VerifyConnection is stricter: one certificate
		config.VerifyConnection = func(state tls.ConnectionState) error {
			b, err := os.ReadFile(certificate) // at every handshake: it may be a new one
			if err != nil {
				return fault.Wrap(err, fault.Unavailable, "read the server's certificate").WithHint("use --server, and %s for who signed it", caVariable)
			}
			block, _ := pem.Decode(b)
			if block == nil || len(state.PeerCertificates) == 0 || !bytes.Equal(block.Bytes, state.PeerCertificates[0].Raw) {
				return errOtherCertificate
			}
			return nil
		}
	}
	return config, nil
}
