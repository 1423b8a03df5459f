package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	// connectTimeout bounds how long a server may take to answer a new connection.
	connectTimeout = 10 * time.Second
	// idleLimit is after how long PostgreSQL gives up a transaction whose process does nothing: a frozen process must
	// not hold the writers' lock for ever.
	idleLimit = time.Minute
)

// postgres is a catalog in one schema of a PostgreSQL database.
type postgres struct {
	config *pgx.ConnConfig
	place  string
	lock   int64 // key of the advisory lock of writers
}

// newPostgres asks the server what has to be known before the first statement.
func newPostgres(ctx context.Context, address string) (_ dialect, err error) {
	p := &postgres{place: Redact(address)}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// The driver's text quotes the address: what it knows of passwords may be less than what we know.
		return nil, fault.New(fault.Invalid, "the address of the catalog, %s, cannot be read", p.place).
			WithHint("write postgres://user:password@host:5432/database; a character like @ in the password is written %%40")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "trimtab"
	}
	p.config = config
	db := p.connect(nil, nil)
	defer func() { err = errors.Join(err, db.Close()) }()
	var encoding, durable string
	var lock sql.NullInt64
	err = db.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_setting('synchronous_commit'),
		hashtextextended('trimtab catalog ' || current_schema(), 0)`).Scan(&encoding, &durable, &lock)
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeOf(err), "open the catalog %s", p.place)
	}
	if encoding != "UTF8" {
		return nil, fault.New(fault.Invalid, "the database of the catalog, %s, has the encoding %s", p.place, encoding).
			WithHint("make one with: createdb --encoding=UTF8 --template=template0")
	}
	if !lock.Valid {
		return nil, fault.New(fault.Invalid, "no schema of the search path exists in the database of the catalog, %s", p.place).
			WithHint("make the schema first, or leave search_path out of the address")
	}
	p.lock = lock.Int64
	if durable == "off" {
		p.config.RuntimeParams["synchronous_commit"] = "on"
	}
	return p, nil
}

// Redact is an address without its password, for logs and messages. What is not an address stays as it is.
func Redact(place string) string {
	if !IsURL(place) {
		return place
	}
	u, err := url.Parse(place)
	if err != nil {
		return "postgres://…"
	}
	query := u.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		if query.Has(secret) {
			query.Set(secret, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}

func (p *postgres) name() string { return p.place }

// connect opens a pool with more settings for the session, and with another way to begin transactions.
func (p *postgres) connect(settings map[string]string, begin func(context.Context, driver.Conn) (driver.Tx, error)) *sql.DB {
	config := p.config.Copy()
	maps.Copy(config.RuntimeParams, settings)
	inner := stdlib.GetConnector(*config)
	return sql.OpenDB(connector{connect: inner.Connect, begin: begin})
}

func (p *postgres) open(writing bool) *sql.DB {
	if !writing {
		return p.connect(map[string]string{"default_transaction_read_only": "on"}, nil)
	}
	return p.connect(map[string]string{
		"lock_timeout":                        fmt.Sprint(busyTimeout.Milliseconds()),
		"idle_in_transaction_session_timeout": fmt.Sprint(idleLimit.Milliseconds()),
	}, p.begin)
}

// begin starts a transaction and waits for the writers' lock, in one round trip. READ COMMITTED is needed: the lock is
// only a help when what is read after it is newer than it. PostgreSQL lets go of the lock after the commit is visible.
func (p *postgres) begin(ctx context.Context, c driver.Conn) (driver.Tx, error) {
	inner := c.(*stdlib.Conn).Conn()
	tx, err := inner.BeginTx(ctx, pgx.TxOptions{
		BeginQuery: fmt.Sprintf("begin isolation level read committed read write; select pg_advisory_xact_lock(%d)", p.lock)})
	if err != nil {
		return nil, err
	}
	return postgresTx{ctx: ctx, tx: tx}, nil
}

type postgresTx struct {
	ctx context.Context
	tx  pgx.Tx
}

func (t postgresTx) Commit() error { return t.tx.Commit(t.ctx) }

// Rollback does not end with the context, which is often why it is called.
func (t postgresTx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), connectTimeout)
	defer cancel()
	return t.tx.Rollback(ctx)
}

// migrate applies what is missing while a transaction on another connection holds the writers' lock: so writers of other
// processes wait, and so does everybody else who migrates. A lock of a transaction also works behind a pooler of
// connections, where a lock of a session would not.
func (p *postgres) migrate(ctx context.Context, migrations merged) (err error) {
	guard := p.connect(nil, p.begin)
	defer func() { err = errors.Join(err, guard.Close()) }()
	tx, err := guard.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	db := stdlib.OpenDB(*p.config) // as it is: the table of migrations has a BOOLEAN
	defer func() { err = errors.Join(err, db.Close()) }()
	return up(ctx, goose.DialectPostgres, db, migrations.collated())
}

// check reads every row of every table: PostgreSQL reports pages that it cannot read.
func (p *postgres) check(ctx context.Context, db *sql.DB) error {
	tables, err := p.tables(ctx, db)
	if err != nil {
		return wrap(err, "check the catalog %s", p.place)
	}
	for _, table := range tables {
		var rows int64
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
			return wrap(err, "check the table %s of the catalog %s", table, p.place)
		}
	}
	return nil
}

func (p *postgres) tables(ctx context.Context, q Querier) ([]string, error) {
	return names(q.QueryContext(ctx, `SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()
		AND tablename <> 'goose_db_version' ORDER BY tablename::text COLLATE "C"`))
}

func (p *postgres) vacant(ctx context.Context) error {
	tables, err := p.all(ctx)
	if err != nil {
		return wrap(err, "look into the catalog %s", p.place)
	}
	if len(tables) > 0 {
		return occupied(p.place)
	}
	return nil
}

func (p *postgres) clear(ctx context.Context) error {
	tables, err := p.all(ctx)
	if err != nil || len(tables) == 0 {
		return err
	}
	db := p.connect(nil, nil)
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "DROP TABLE "+strings.Join(tables, ", "))
	return err
}

// all lists every table of the schema, also that of the migrations, and also those of others.
func (p *postgres) all(ctx context.Context) (_ []string, err error) {
	db := p.connect(nil, nil)
	defer func() { err = errors.Join(err, db.Close()) }()
	return names(db.QueryContext(ctx, "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()"))
}
