package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor/inferencepb"
	"github.com/trimtab-ml/trimtab/infra/port"
	"github.com/trimtab-ml/trimtab/server"
)

func dial(t *testing.T, s *server.Server, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	_, address, _ := strings.Cut(s.URL(), "://")
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestGRPCSharesThePort(t *testing.T) {
	s := start(t, server.Config{Version: "1.2.3"})
	conn := dial(t, s, insecure.NewCredentials())
	oip := inferencepb.NewGRPCInferenceServiceClient(conn)
	if r, err := oip.ServerMetadata(t.Context(), &inferencepb.ServerMetadataRequest{}); err != nil || r.Name != "trimtab" || r.Version != "1.2.3" {
		t.Errorf("%v %v", r, err)
	}
	if status, body := get(t, s.URL()+"/health"); status != http.StatusOK {
		t.Error(status, body)
	}
	if _, err := oip.ModelInfer(t.Context(), &inferencepb.ModelInferRequest{ModelName: "nobody", Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "FP32", Shape: []int64{1},
		Contents: &inferencepb.InferTensorContents{Fp32Contents: []float32{1}}}}}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, service := range r.GetListServicesResponse().GetService() {
		found[service.Name] = true
	}
	for _, name := range []string{"inference.GRPCInferenceService", "tensorflow.serving.PredictionService", "grpc.health.v1.Health"} {
		if !found[name] {
			t.Errorf("%s is not listed: %v", name, found)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	_, metrics := get(t, s.URL()+"/metrics")
	if want := `trimtab_http_requests_total{action="deployment.predict",route="/inference.GRPCInferenceService/ModelInfer",status="4xx"} 1`; !strings.Contains(metrics, want) {
		t.Errorf("the metrics lack %s", want)
	}
}

// TestGRPCOnAConnectionOfHTTP: a proxy may send requests of both by one connection, whose first one decides.
func TestGRPCOnAConnectionOfHTTP(t *testing.T) {
	s := start(t, server.Config{})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	res, err := client.Get(s.URL() + "/health")
	if err != nil || res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/grpc.health.v1.Health/Check", strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	if res, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "\x00\x00\x00\x00\x02\x08\x01" || res.Trailer.Get("Grpc-Status") != "0" { // status: SERVING
		t.Errorf("%q %v %v", body, res.Trailer, err)
	}
}

func TestGRPCAsksForTheToken(t *testing.T) {
	s := start(t, server.Config{Listen: "0.0.0.0:0", Token: "sesame-sesame-sesame"})
	conn := dial(t, s, insecure.NewCredentials())
	oip := inferencepb.NewGRPCInferenceServiceClient(conn)
	if _, err := oip.ServerMetadata(t.Context(), &inferencepb.ServerMetadataRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer sesame-sesame-sesame")
	if _, err := oip.ServerMetadata(ctx, &inferencepb.ServerMetadataRequest{}); err != nil {
		t.Error(err)
	}
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (files port.Files, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files = port.Files{Cert: filepath.Join(t.TempDir(), "server.crt"), Key: filepath.Join(t.TempDir(), "server.key")}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{files.Cert: cert, files.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return files, pool
}

func TestTLS(t *testing.T) {
	files, pool := selfSigned(t)
	dir := filepath.Join(t.TempDir(), "state")
	s := start(t, server.Config{Dir: dir, TLS: files})
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Error(s.URL())
	}
	if info, err := server.ReadInfo(dir); err != nil || info.URL != s.URL() || info.Certificate != files.Cert {
		t.Errorf("%+v %v", info, err)
	}
	for _, two := range []bool{false, true} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: two}}
		res, err := client.Get(s.URL() + "/health")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || (res.ProtoMajor == 2) != two {
			t.Error(res.Status, res.Proto)
		}
		client.CloseIdleConnections()
	}
	conn := dial(t, s, credentials.NewTLS(&tls.Config{RootCAs: pool}))
	if r, err := inferencepb.NewGRPCInferenceServiceClient(conn).ServerReady(t.Context(), &inferencepb.ServerReadyRequest{}); err != nil || !r.Ready {
		t.Errorf("%v %v", r, err)
	}
	half := server.New(server.Config{Dir: filepath.Join(t.TempDir(), "other"), Listen: "127.0.0.1:0", TLS: port.Files{Cert: files.Cert}})
	if err := half.Start(t.Context()); err == nil {
		t.Error("a certificate without its key is taken")
	}
}
