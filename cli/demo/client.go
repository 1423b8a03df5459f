package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// client speaks the public API with a fixed number of kept connections.
type client struct {
	base string
	http *http.Client
}

func newClient(base string, connections int) *client {
	return &client{base: base, http: &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{
		MaxIdleConns: connections + 4, MaxIdleConnsPerHost: connections + 4, DisableCompression: true}}}
}

func (c *client) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/health", nil)
	if err != nil {
		return false
	}
	res, err := c.http.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// call sends in as JSON and decodes the answer into out; either may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return problem(method, path, res)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("decode the answer of %s %s: %w", method, path, err)
	}
	return nil
}

func problem(method, path string, res *http.Response) error {
	var p struct {
		Code   fault.Code `json:"code"`
		Detail string     `json:"detail"`
		Hint   string     `json:"hint"`
	}
	data, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // what could be read is shown
	if json.Unmarshal(data, &p) != nil || p.Detail == "" {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, data)
	}
	return fault.New(p.Code, "%s", p.Detail).WithHint("%s", p.Hint)
}

// download writes the answer of a GET to a file.
func (c *client) download(ctx context.Context, path, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	return c.toFile(req, path, file)
}

// score uploads a Parquet file and writes the scored one.
func (c *client) score(ctx context.Context, version int, in, out string) error {
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	path := fmt.Sprintf("/api/v1/models/%s/versions/%d/score", url.PathEscape(model), version)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, f)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/vnd.apache.parquet")
	req.Header.Set("Accept", "application/vnd.apache.parquet")
	return c.toFile(req, path, out)
}

func (c *client) toFile(req *http.Request, path, file string) error {
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return problem(req.Method, path, res)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, res.Body); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}
