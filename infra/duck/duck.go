// Package duck runs SQL over local files with DuckDB inside the process.
//
// It owns the in-memory database, its connections and its limits, and the fast ways between result chunks and engine/table columns.
// The database holds no state worth keeping: whatever must last is written to Parquet and stored as a blob. The package must never
// know what a dataset, a contract or a project is, and never reach the network: extensions can be neither installed nor loaded.
package duck

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Options bounds what the database may use. The zero value is good for a laptop.
type Options struct {
	MemoryLimit string // DuckDB's spelling, default "512MB"; what does not fit spills to TempDir
	Threads     int    // default: the number of CPUs, at least 2 where there are 2, at most 8
	TempDir     string // a folder of this process alone, emptied by Open; default: a new folder of the system's temporary directory
}

// DB is an in-memory DuckDB. It is safe for concurrent use: each call takes a connection of its own.
type DB struct {
	database mapping.Database
	temp     string
	own      bool // temp was made by Open

	mu     sync.Mutex
	idle   []*Session
	closed bool
}

// Open starts a database.
func Open(o Options) (*DB, error) {
	if o.MemoryLimit == "" {
		o.MemoryLimit = "512MB"
	}
	if o.Threads <= 0 {
		o.Threads = min(runtime.NumCPU(), 8)
	}
	own := o.TempDir == ""
	if own {
		dir, err := os.MkdirTemp("", "trimtab-duck-*")
		if err != nil {
			return nil, fmt.Errorf("make the folder where DuckDB spills: %w", err)
		}
		o.TempDir = dir
	}
	if err := empty(o.TempDir); err != nil {
		return nil, fmt.Errorf("make the folder where DuckDB spills: %w", err)
	}
	var config mapping.Config
	if mapping.CreateConfig(&config) == mapping.StateError {
		return nil, fmt.Errorf("DuckDB cannot make its configuration")
	}
	defer mapping.DestroyConfig(&config)
	settings := [][2]string{
		{"memory_limit", o.MemoryLimit},
		{"threads", strconv.Itoa(o.Threads)},
		{"temp_directory", o.TempDir},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"preserve_insertion_order", "true"},
	}
	for _, s := range settings {
		if mapping.SetConfig(config, s[0], s[1]) == mapping.StateError {
			return nil, fmt.Errorf("DuckDB refuses the setting %s = %s", s[0], s[1])
		}
	}
	d := &DB{temp: o.TempDir, own: own}
	var message string
	if mapping.OpenExt(":memory:", &d.database, config, &message) == mapping.StateError {
		return nil, fmt.Errorf("open DuckDB: %s", message)
	}
	if err := d.Exec(context.Background(), "SET GLOBAL TimeZone = 'UTC'"); err != nil {
		mapping.Close(&d.database)
		return nil, err
	}
	return d, nil
}

// Close ends the database. Sessions that are still in use are a defect of the caller.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	for _, s := range d.idle {
		mapping.Disconnect(&s.conn)
	}
	d.idle = nil
	mapping.Close(&d.database)
	if d.own {
		return os.RemoveAll(d.temp)
	}
	return nil
}

// TempDir is the folder for files that need not outlive the process; the next Open removes what is left there.
func (d *DB) TempDir() string { return d.temp }

// empty makes the folder, without what an earlier process left in it.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range left {
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Session is one connection: temporary tables and variables live as long as it does. It is for one goroutine.
type Session struct {
	db   *DB
	conn mapping.Connection
	used bool // has made something that must not outlive the session
}

// Session opens a connection of its own for statements that share temporary tables or variables. Close it.
func (d *DB) Session(context.Context) (*Session, error) {
	s, err := d.take()
	if err != nil {
		return nil, err
	}
	s.used = true
	return s, nil
}

// Close gives the connection back, or ends it when it may hold temporary things.
func (s *Session) Close() {
	d := s.db
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.used || d.closed || len(d.idle) >= 8 {
		mapping.Disconnect(&s.conn)
		return
	}
	d.idle = append(d.idle, s)
}

func (d *DB) take() (*Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("DuckDB is closed")
	}
	if n := len(d.idle); n > 0 {
		s := d.idle[n-1]
		d.idle = d.idle[:n-1]
		return s, nil
	}
	s := &Session{db: d}
	if mapping.Connect(d.database, &s.conn) == mapping.StateError {
		return nil, fmt.Errorf("DuckDB gives no connection")
	}
	return s, nil
}

// Exec runs one statement, with ? parameters; without parameters it may be several, divided by semicolons.
func (d *DB) Exec(ctx context.Context, sql string, args ...any) error {
	s, err := d.take()
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Exec(ctx, sql, args...)
}

// Exec is DB.Exec on this connection.
func (s *Session) Exec(ctx context.Context, sql string, args ...any) error {
	res, err := s.run(ctx, sql, args)
	if err != nil {
		return err
	}
	mapping.DestroyResult(res)
	return nil
}

// Error is what DuckDB says went wrong. Class is its first words, such as "Conversion Error" or "Invalid Input Error".
type Error struct {
	Class   string
	Message string
}

// Error is DuckDB's own text.
func (e *Error) Error() string {
	if e.Class == "" {
		return e.Message
	}
	return e.Class + ": " + e.Message
}

func newError(text string) *Error {
	if class, message, ok := strings.Cut(text, ": "); ok && len(class) < 40 && strings.HasSuffix(class, "rror") {
		return &Error{Class: class, Message: message}
	}
	return &Error{Message: text}
}

// run executes and leaves the result to the caller, who destroys it. A context that ends interrupts the query.
func (s *Session) run(ctx context.Context, sql string, args []any) (*mapping.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stop := s.interruptOn(ctx)
	res, err := s.execute(sql, args)
	stop()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return res, nil
}

func (s *Session) execute(sql string, args []any) (*mapping.Result, error) {
	var res mapping.Result
	if len(args) == 0 {
		if mapping.Query(s.conn, sql, &res) == mapping.StateError {
			defer mapping.DestroyResult(&res)
			return nil, newError(mapping.ResultError(&res))
		}
		return &res, nil
	}
	var stmt mapping.PreparedStatement
	defer mapping.DestroyPrepare(&stmt)
	if mapping.Prepare(s.conn, sql, &stmt) == mapping.StateError {
		return nil, newError(mapping.PrepareError(stmt))
	}
	if n := int(mapping.NParams(stmt)); n != len(args) {
		return nil, fmt.Errorf("the statement has %d parameters, %d were given", n, len(args))
	}
	for i, a := range args {
		if err := bind(stmt, mapping.IdxT(i+1), a); err != nil {
			return nil, err
		}
	}
	if mapping.ExecutePrepared(stmt, &res) == mapping.StateError {
		defer mapping.DestroyResult(&res)
		return nil, newError(mapping.ResultError(&res))
	}
	return &res, nil
}

func bind(stmt mapping.PreparedStatement, i mapping.IdxT, arg any) error {
	state := mapping.StateSuccess
	switch v := arg.(type) {
	case nil:
		state = mapping.BindNull(stmt, i)
	case bool:
		state = mapping.BindBoolean(stmt, i, v)
	case int:
		state = mapping.BindInt64(stmt, i, int64(v))
	case int64:
		state = mapping.BindInt64(stmt, i, v)
	case float64:
		state = mapping.BindDouble(stmt, i, v)
	case string:
		value := mapping.CreateVarcharLength(v, mapping.IdxT(len(v)))
		state = mapping.BindValue(stmt, i, value)
		mapping.DestroyValue(&value)
	case time.Time:
		state = mapping.BindTimestamp(stmt, i, mapping.NewTimestamp(v.UnixMicro()))
	default:
		return fmt.Errorf("parameter %d is a %T, which is not a SQL value", i, arg)
	}
	if state == mapping.StateError {
		return fmt.Errorf("DuckDB refuses parameter %d", i)
	}
	return nil
}

// interruptOn interrupts the connection's query when ctx ends, again and again until the returned function is called,
// because an interrupt that arrives before the query has begun is lost.
func (s *Session) interruptOn(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			mapping.Interrupt(s.conn)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(done); <-ended }
}

// Quote makes an identifier: any text is safe in it.
func Quote(ident string) string { return `"` + strings.ReplaceAll(ident, `"`, `""`) + `"` }

// Literal makes a text literal: any text is safe in it.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Number makes a number literal that keeps every bit; NaN and the infinities are cast from text.
func Number(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Literal(strconv.FormatFloat(f, 'g', -1, 64)) + "::DOUBLE"
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

// List makes a list of text literals, for read_parquet and IN.
func List(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = Literal(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
