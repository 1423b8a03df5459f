package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// requestTimeout is after how long a request without an answer counts as failed.
const requestTimeout = 60 * time.Second

// connection is one kept connection that asks for one prediction at a time. It writes and reads on the caller's goroutine, which
// costs the machine that also serves less than net/http's client does.
type connection struct {
	host string
	conn net.Conn
	read *bufio.Reader
	head []byte
	out  []byte
	body []byte // of the caller, kept between requests
}

func newConnection(base string) (*connection, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	c := &connection{host: u.Host}
	c.head = fmt.Appendf(nil, "POST /api/v1/deployments/%s/predict HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: ", deployment, u.Host)
	return c, nil
}

// close ends the connection; the next request opens a new one.
func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is on its way
		c.conn = nil
	}
}

// predict posts one prepared body and returns the id of its prediction. Any other answer than 2xx is an error.
func (c *connection) predict(ctx context.Context, body []byte) (id string, err error) {
	if c.conn == nil {
		var d net.Dialer
		if c.conn, err = d.DialContext(ctx, "tcp", c.host); err != nil {
			return "", err
		}
		c.read = bufio.NewReader(c.conn)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return "", err
	}
	c.out = strconv.AppendInt(append(c.out[:0], c.head...), int64(len(body)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return "", problem(http.MethodPost, "predict", res)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var out struct {
		Predictions []struct {
			ID string `json:"id"`
		} `json:"predictions"`
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return "", err
	}
	if len(out.Predictions) != 1 {
		return "", fmt.Errorf("one row asked, %d predictions answered", len(out.Predictions))
	}
	return out.Predictions[0].ID, nil
}
