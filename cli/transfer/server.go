package transfer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	api      = "/api/2.0/mlflow/"
	proxyAPI = "/api/2.0/mlflow-artifacts/artifacts"

	page       = 1000
	maxHistory = 25000
)

// Server is a server that speaks MLflow's REST API: MLflow's own, or Trimtab. It is both a source and a sink, and safe for concurrent use.
type Server struct {
	base    string
	name    string
	auth    string
	native  bool // Trimtab: it takes runs and logged models with their ids
	http    *http.Client
	places  *Places
	retries int
	touched sync.Map // ids of experiments that were written to, and whether their times have to be set again
}

// NewServer is an MLflow server. MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME with MLFLOW_TRACKING_PASSWORD, or a user in the
// address say who asks; MLFLOW_TRACKING_INSECURE_TLS=true trusts any certificate.
func NewServer(address string) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fault.New(fault.Invalid, "%q is not the address of a server", address).WithHint("write it like http://127.0.0.1:5000")
	}
	req := &http.Request{Header: http.Header{}}
	name, password := os.Getenv("MLFLOW_TRACKING_USERNAME"), os.Getenv("MLFLOW_TRACKING_PASSWORD")
	if u.User != nil {
		name = u.User.Username()
		password, _ = u.User.Password()
	}
	if name != "" {
		req.SetBasicAuth(name, password)
	} else if token := os.Getenv("MLFLOW_TRACKING_TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	u.User = nil
	s := newServer(strings.TrimSuffix(u.String(), "/"), req.Header.Get("Authorization"))
	if os.Getenv("MLFLOW_TRACKING_INSECURE_TLS") == "true" {
		s.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	return s, nil
}

// NewTrimtab is a Trimtab server. name is what it is called in reports and marks, where its address changes with every start.
func NewTrimtab(base, token, name string) *Server {
	auth := ""
	if token != "" {
		auth = "Bearer " + token
	}
	s := newServer(base, auth)
	s.native, s.name = true, name
	return s
}

func newServer(base, auth string) *Server {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2 * workers
	s := &Server{base: base, auth: auth, http: &http.Client{Transport: transport}, retries: 6}
	s.places = &Places{proxy: s}
	return s
}

// Address is without user and password.
func (s *Server) Address() string { return cmp.Or(s.name, s.base) }

// Close lets go of the connections.
func (s *Server) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// Place reads the files at a URI through the server, or where they are.
func (s *Server) Place(uri string) (Place, string) { return s.places.At(uri) }

// do sends one request. A server that is busy is asked again; body is then made anew.
func (s *Server) do(ctx context.Context, method, path string, header http.Header, body func() io.Reader) (*http.Response, error) {
	for try := 0; ; try++ {
		var b io.Reader
		if body != nil {
			b = body()
		}
		req, err := http.NewRequestWithContext(ctx, method, s.base+path, b)
		if err != nil {
			return nil, fmt.Errorf("make a request: %w", err)
		}
		for name, values := range header {
			req.Header[name] = values
		}
		if s.auth != "" {
			req.Header.Set("Authorization", s.auth)
		}
		res, err := s.http.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			var inner *url.Error
			if errors.As(err, &inner) {
				err = inner.Err
			}
			return nil, fault.Wrap(err, fault.Unavailable, "no answer from %s", s.base).WithHint("is the server running?")
		}
		if res.StatusCode < 300 {
			return res, nil
		}
		busy := res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable
		if !busy || try == s.retries || (b != nil && body == nil) {
			return nil, refusal(res)
		}
		wait := time.Second << try / 2
		if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
			wait = time.Duration(after) * time.Second
		}
		res.Body.Close()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// refusal makes a fault of an error answer, MLflow's or ours.
func refusal(res *http.Response) error {
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // half a message is better than none
	var said struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
		Detail  string `json:"detail"`
	}
	_ = json.Unmarshal(body, &said) // it may be a page of a proxy
	message := said.Message
	if message == "" {
		message = said.Detail
	}
	if message == "" {
		message = res.Status
	}
	code := fault.Internal
	switch {
	case said.Code == "RESOURCE_ALREADY_EXISTS", res.StatusCode == http.StatusConflict:
		code = fault.Conflict
	case res.StatusCode == http.StatusUnauthorized:
		return fault.New(fault.Unauthenticated, "%s wants to know who asks", res.Request.URL.Host).
			WithHint("set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN")
	case res.StatusCode == http.StatusForbidden:
		code = fault.Denied
	case res.StatusCode == http.StatusNotFound:
		code = fault.NotFound
	case res.StatusCode < 500:
		code = fault.Invalid
	case res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusBadGateway:
		code = fault.Unavailable
	}
	return fault.New(code, "%s %s: %s", res.Request.Method, res.Request.URL.Path, message)
}

// call sends in as JSON, or as a query with GET, and reads the answer into out.
func (s *Server) call(ctx context.Context, method, path string, in any, out any) error {
	if !strings.HasPrefix(path, "/") {
		path = api + path
	}
	var body func() io.Reader
	header := http.Header{}
	if query, ok := in.(url.Values); ok {
		path += "?" + query.Encode()
	} else if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = func() io.Reader { return bytes.NewReader(b) }
		header.Set("Content-Type", "application/json")
	}
	res, err := s.do(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Wrap(err, fault.Internal, "%s %s: the answer is not MLflow's", method, path).WithHint("is %s the address of an MLflow server?", s.base)
	}
	return nil
}

// number is a float64 as MLflow writes it: NaN and the infinities are strings.
type number float64

// MarshalJSON writes a number or one of MLflow's strings.
func (n number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	switch {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads both.
func (n *number) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return err
	}
	*n = number(f)
	return nil
}

// integer is an int64 that may come as a string.
type integer int64

// UnmarshalJSON reads both.
func (n *integer) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	*n = integer(v)
	return err
}

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func pairs(m map[string]string) []pair {
	out := []pair{}
	for _, key := range sortedKeys(m) {
		out = append(out, pair{key, m[key]})
	}
	return out
}

func unpair(list []pair) map[string]string {
	m := make(map[string]string, len(list))
	for _, p := range list {
		m[p.Key] = p.Value
	}
	return m
}
