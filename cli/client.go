package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os/user"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Client speaks the native API. Paths are relative to /api/v1 ("projects/p") or absolute ("/health"); build them from
// names with Path. Errors are faults with the code, hint and details that the server sent. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	actor string
	local bool // the server lives as long as this command
	io    *term.IO
	http  *http.Client
}

// Path joins the parts of a path and escapes each, so that a name is one part whatever is in it.
func Path(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = url.PathEscape(part)
	}
	return strings.Join(escaped, "/")
}

func newClient(io *term.IO, address, token, certificate string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "%q is not the address of a server", address).
			WithHint("write it like http://127.0.0.1:7070")
	}
	if u.User != nil && token == "" {
		token, _ = u.User.Password()
	}
	actor := ""
	if who, err := user.Current(); err == nil {
		actor = who.Username
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	if u.Scheme == "https" {
		if transport.TLSClientConfig, err = clientTLS(certificate); err != nil {
			return nil, err
		}
	}
	return &Client{base: u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/"), token: strings.TrimSpace(token),
		actor: actor, io: io, http: &http.Client{Transport: transport}}, nil
}

// URL is the address of the server.
func (c *Client) URL() string { return c.base }

// Local reports whether the server lives only as long as this command.
func (c *Client) Local() bool { return c.local }

// Get reads the JSON at path into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.json(ctx, http.MethodGet, path, nil, out)
}

// Post sends in as JSON (nil = no body) and reads the answer into out (nil = ignored).
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.json(ctx, http.MethodPost, path, in, out)
}

func (c *Client) json(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	header := http.Header{}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
		header.Set("Content-Type", "application/json")
	}
	var answer bytes.Buffer
	if err := c.Do(ctx, method, path, header, body, &answer); err != nil {
		return err
	}
	if out == nil || answer.Len() == 0 {
		return nil
	}
	if err := json.Unmarshal(answer.Bytes(), out); err != nil {
		return fmt.Errorf("%s %s: the answer is not what it should be: %w", method, path, err)
	}
	return nil
}

// Do sends a request and copies the body of a good answer to out. It is for files and for what is not JSON.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, body io.Reader, out io.Writer) error {
	res, err := c.send(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(out, res.Body); err != nil {
		return c.unreachable(ctx, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	if !strings.HasPrefix(path, "/") {
		path = route.Prefix + "/" + path
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "make a request for %s", path)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.actor != "" {
		req.Header.Set("X-Trimtab-Actor", c.actor)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, problem(res)
	}
	return res, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fault.Wrap(err, fault.Unavailable, "no answer from %s", c.base).
		WithHint("is the server running? start one with `trimtab server`")
}

// problem makes a fault of an error answer.
func problem(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var p route.Problem
	if err != nil || kind != "application/problem+json" || json.Unmarshal(body, &p) != nil || p.Code == "" {
		return fault.New(fault.Internal, "the server answered %s to %s %s", res.Status, res.Request.Method, res.Request.URL.Path).
			WithHint("is this a Trimtab server?")
	}
	if p.Code == "method_not_allowed" {
		p.Code = fault.Invalid
	}
	f := &fault.Error{Code: p.Code, Message: p.Detail, Hint: p.Hint, Details: p.Details}
	if p.Code == fault.Internal {
		_ = f.With("request_id", p.RequestID)
	}
	return f
}

// Event is one event of a stream.
type Event struct {
	Name string
	ID   string
	Data json.RawMessage
}

// Stream calls fn for every event of a server-sent event stream until it ends, fn returns an error, or ctx ends.
func (c *Client) Stream(ctx context.Context, path string, fn func(Event) error) error {
	res, err := c.send(ctx, http.MethodGet, path, http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	var e Event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.Name = value
		case "id":
			e.ID = value
		case "data":
			e.Data = append(e.Data, value...)
		}
		if lines.Text() == "" {
			if e.Data != nil {
				if err := fn(e); err != nil {
					return err
				}
			}
			e = Event{}
		}
	}
	if err := lines.Err(); err != nil {
		return c.unreachable(ctx, err)
	}
	return ctx.Err()
}

// WaitJob waits until a job is final and shows its progress. The error of a failed job is the fault it failed with.
// When the command is interrupted, a job of a server of its own is canceled; one of a live server goes on.
func (c *Client) WaitJob(ctx context.Context, jobID string) (queue.Job, error) {
	progress := c.io.Progress("")
	defer progress.Done()
	var job queue.Job
	for !job.Final() {
		err := c.Stream(ctx, Path("jobs", jobID, "stream"), func(e Event) error {
			if err := json.Unmarshal(e.Data, &job); err != nil {
				return err
			}
			progress.Title(job.Kind)
			progress.Update(job.Progress.Done, job.Progress.Total, job.Progress.Unit, job.Progress.Message)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			progress.Done()
			return job, c.leave(ctx, jobID)
		case err != nil:
			return job, err
		}
	}
	progress.Done()
	switch job.State {
	case queue.Failed:
		return job, job.Error.Fault()
	case queue.Canceled:
		return job, fault.New(fault.Canceled, "job %s (%s) was canceled", job.ID, job.Kind)
	}
	return job, nil
}

// leave is what happens to a job whose waiter is interrupted.
func (c *Client) leave(ctx context.Context, jobID string) error {
	if !c.local {
		c.io.Sayf("the job goes on; see it with `trimtab jobs show %s`, end it with `trimtab jobs cancel %s`\n", jobID, jobID)
		return ctx.Err()
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := c.Post(last, Path("jobs", jobID, "cancel"), nil, nil); err != nil {
		c.io.Sayf("the job could not be canceled: %v\n", err)
	}
	return ctx.Err()
}
