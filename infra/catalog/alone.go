package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// holdCheck is how often the server asks whether its connection still has the lock.
const holdCheck = 5 * time.Second

// alone takes an advisory lock of a session, which PostgreSQL lets go of when the process ends in whatever way.
func (p *postgres) alone(ctx context.Context, lost func(error)) (func() error, error) {
	db := p.connect(map[string]string{"application_name": "trimtab server"}, nil)
	db.SetMaxOpenConns(1)
	conn, err := p.take(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watcher sync.WaitGroup
	watcher.Go(func() { conn = p.keep(watching, db, conn, lost) })
	return func() error {
		stop()
		watcher.Wait()
		var err error
		if conn != nil {
			err = conn.Close()
		}
		return errors.Join(err, db.Close())
	}, nil
}

// take opens the connection that holds the lock.
func (p *postgres) take(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, wrap(err, "open the catalog %s", p.place)
	}
	var taken bool
	// The writers' key is of the same schema: two numbers of 32 bits are a space of keys of their own.
	err = conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock(hashtext('trimtab server'), hashtext(current_schema()))").Scan(&taken)
	if err == nil && taken {
		return conn, nil
	}
	if err == nil {
		err = fault.New(fault.Conflict, "another server uses the catalog %s%s", p.place, p.holder(ctx, conn)).
			WithHint("use that server, stop it, or give this one a catalog of its own")
	}
	return nil, errors.Join(wrap(err, "open the catalog %s", p.place), conn.Close())
}

// holder says from where the other server is connected; "" when that cannot be seen.
func (p *postgres) holder(ctx context.Context, conn *sql.Conn) string {
	var from string
	var since time.Time
	err := conn.QueryRowContext(ctx, `SELECT coalesce(host(a.client_addr), 'this machine'), a.backend_start
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND l.classid::bigint = hashtext('trimtab server')::bigint & 4294967295
		AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295`).Scan(&from, &since)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (from %s, since %s)", from, since.UTC().Format(time.DateTime))
}

// keep looks after the lock until ctx ends, and gives the connection that holds it then, which may be nil.
func (p *postgres) keep(ctx context.Context, db *sql.DB, conn *sql.Conn, lost func(error)) *sql.Conn {
	ticker := time.NewTicker(holdCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return conn
		case <-ticker.C:
		}
		if conn != nil {
			err := conn.PingContext(ctx)
			if err == nil || ctx.Err() != nil {
				continue
			}
			lost(wrap(err, "keep the catalog %s", p.place))
			_ = conn.Close() // it is broken
			conn = nil
		}
		again, err := p.take(ctx, db)
		if err != nil && ctx.Err() == nil {
			lost(err)
		}
		conn = again
	}
}
