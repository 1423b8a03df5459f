package catalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// connector opens connections that treat arguments and errors alike in both dialects.
type connector struct {
	connect func(ctx context.Context) (driver.Conn, error)
	begin   func(ctx context.Context, c driver.Conn) (driver.Tx, error) // nil = as the driver does
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.connect(ctx)
	if err != nil {
		return nil, wrap(err, "connect to the catalog")
	}
	return &conn{engine: inner.(engine), begin: c.begin}, nil
}

// Driver is asked for by the interface and used by nobody: connections are opened by Connect alone.
func (c connector) Driver() driver.Driver { return nil }

// outcome is the error of a driver as a fault. ErrBadConn passes: with it a driver asks for another connection.
func outcome(err error, what string) error {
	if err == driver.ErrBadConn {
		return err
	}
	return wrap(err, "%s", what)
}

// engine is what both drivers offer.
type engine interface {
	driver.Conn
	driver.Pinger
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type conn struct {
	engine
	begin func(ctx context.Context, c driver.Conn) (driver.Tx, error)
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.begin != nil {
		tx, err := c.begin(ctx, c.engine)
		return tx, outcome(err, "begin a transaction")
	}
	tx, err := c.engine.BeginTx(ctx, opts)
	return tx, outcome(err, "begin a transaction")
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.engine.ExecContext(ctx, query, args)
	return result, outcome(err, "write to the catalog")
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.engine.QueryContext(ctx, query, args)
	if err != nil {
		return nil, outcome(err, "read the catalog")
	}
	return rows{r}, nil
}

// ResetSession has the driver look whether a connection that was idle is still good.
func (c *conn) ResetSession(ctx context.Context) error {
	if r, ok := c.engine.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

// CheckNamedValue makes of an argument what both dialects keep alike, or refuses it.
func (c *conn) CheckNamedValue(arg *driver.NamedValue) (err error) {
	if text, ok := arg.Value.(foreign); ok {
		arg.Value = string(text)
		return nil
	}
	if arg.Value, err = driver.DefaultParameterConverter.ConvertValue(arg.Value); err != nil {
		return err
	}
	switch v := arg.Value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return fault.New(fault.Invalid, "a text is not UTF-8: %.40q", v)
		}
		if strings.IndexByte(v, 0) >= 0 {
			return fault.New(fault.Invalid, "a text has a zero byte in it: %.40q", v)
		}
	case bool:
		arg.Value = int64(0)
		if v {
			arg.Value = int64(1)
		}
	case float64:
		if math.IsNaN(v) {
			arg.Value = nil
		}
	case time.Time:
		return errors.New("a time is kept as microseconds: use Micros")
	}
	return nil
}

// rows gives the errors of reading on as faults.
type rows struct{ driver.Rows }

func (r rows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if err == nil || err == io.EOF { // the interface asks for the very value
		return err
	}
	return outcome(err, "read the catalog")
}
