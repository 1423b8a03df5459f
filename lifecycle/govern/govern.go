// Package govern records who did what: one append-only table of events that is the audit trail and the activity feed.
//
// It owns events, the notion of an actor, and the webhooks that tell others of events. It must never know a noun of another package: they describe what
// happened to them in an Event, inside the transaction in which it happened, so that record and fact agree.
package govern

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// Schema holds the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// The levels of an event: what a reader should feel.
const (
	Info      = "info"
	Good      = "good"
	Attention = "attention"
	Bad       = "bad"
)

// Event is one thing that happened. Events are never changed and never deleted.
type Event struct {
	ID       string         `json:"id"`                                           // ascending in the order of recording
	At       time.Time      `json:"at" doc:"when, by the project's clock"`        // the project's clock; zero = Recorded
	Recorded time.Time      `json:"recorded" doc:"when, by the server's clock"`   // set by Append
	Project  string         `json:"project" doc:"empty for the server itself"`    //
	Kind     string         `json:"kind" example:"version.registered"`            // noun.verb
	Subject  string         `json:"subject" example:"model/flight-delays/3"`      // noun/name[/part]
	Actor    string         `json:"actor" doc:"who, or which part of the server"` // empty = the context's actor
	Level    string         `json:"level" enum:"info,good,attention,bad"`         // empty = info
	Message  string         `json:"message" doc:"one sentence for people"`        //
	Data     map[string]any `json:"data,omitempty" doc:"the numbers and names of the message, for programs"`
}

// Filter selects events. Zero fields do not restrict.
type Filter struct {
	Project string
	Kind    string // exact, or a prefix that ends in ".": "version."
	Subject string // exact, or a prefix that ends in "/": "model/flight-delays/"
	After   string // only events recorded after this id, oldest first; without it the newest come first
	Limit   int    // 0 = 100, at most 1,000
}

// DefaultLimit and MaxLimit bound List.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// watchBuffer is how many events a watcher may be behind before the oldest are dropped for it; the stream's reader
// notices nothing, because it can List after the last id it has seen.
const watchBuffer = 256

// Service appends and lists events. It is safe for concurrent use.
type Service struct {
	db      *catalog.DB
	wanted  atomic.Pointer[func(kind string) bool]
	deliver atomic.Pointer[func(context.Context, *catalog.Tx, Event) error] // nil until there are webhooks

	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

type watcher struct {
	project string
	events  chan Event
}

// New makes the service on a catalog that was opened with Schema.
func New(db *catalog.DB) *Service {
	return &Service{db: db, watchers: map[*watcher]struct{}{}}
}

// Append records e in tx, or in a transaction of its own when tx is nil. ID and Recorded are set here, Actor is taken
// from the context when empty. Watchers hear of the event after the commit.
func (s *Service) Append(ctx context.Context, tx *catalog.Tx, e Event) error {
	if tx == nil {
		return s.db.Write(ctx, func(tx *catalog.Tx) error { return s.Append(ctx, tx, e) })
	}
	if e.Kind == "" || !strings.Contains(e.Kind, ".") {
		return fmt.Errorf("event kind %q: want noun.verb", e.Kind)
	}
	switch e.Level = cmp.Or(e.Level, Info); e.Level {
	case Info, Good, Attention, Bad:
	default:
		return fmt.Errorf("event %s: unknown level %q", e.Kind, e.Level)
	}
	e.Recorded = time.Now().UTC().Truncate(time.Microsecond)
	if e.At.IsZero() {
		e.At = e.Recorded
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Actor = cmp.Or(e.Actor, Actor(ctx))
	var err error
	if e.ID, err = nextID(ctx, tx); err != nil {
		return err
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Kind, err)
	}
	if len(e.Data) == 0 {
		data = []byte("{}")
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO events
		(workspace_id, id, at, recorded, project, kind, subject, actor, level, message, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		catalog.Workspace, e.ID, catalog.Micros(e.At), catalog.Micros(e.Recorded), e.Project, e.Kind, e.Subject,
		e.Actor, e.Level, e.Message, string(data))
	if err != nil {
		return fmt.Errorf("record event %s: %w", e.Kind, err)
	}
	tx.OnCommit(func() { s.broadcast(e) })
	return s.tell(ctx, tx, e)
}

// Notify tells webhooks of something that is worth no record, in tx, or in a transaction of its own when tx is nil. ID and Recorded are set
// here.
func (s *Service) Notify(ctx context.Context, tx *catalog.Tx, e Event) error {
	if !s.Wanted(e.Kind) {
		return nil
	}
	if tx == nil {
		return s.db.Write(ctx, func(tx *catalog.Tx) error { return s.Notify(ctx, tx, e) })
	}
	e.ID, e.Recorded = id.New(), time.Now().UTC().Truncate(time.Microsecond)
	if e.At.IsZero() {
		e.At = e.Recorded
	}
	e.Actor, e.Level = cmp.Or(e.Actor, Actor(ctx)), cmp.Or(e.Level, Info)
	return s.tell(ctx, tx, e)
}

// Wanted reports whether a webhook wants a kind of events. It is cheap: what happens often asks before it makes an event for Notify.
func (s *Service) Wanted(kind string) bool {
	wanted := s.wanted.Load()
	return wanted != nil && (*wanted)(kind)
}

func (s *Service) tell(ctx context.Context, tx *catalog.Tx, e Event) error {
	if deliver := s.deliver.Load(); deliver != nil {
		return (*deliver)(ctx, tx, e)
	}
	return nil
}

// nextID makes an id greater than every id in the table, so that a reader may ask for what came after the last one
// it saw: within one millisecond chance would order the ids, and a machine's clock can go back. There is one writer at a
// time, also among servers, so the order of ids is the order of commits.
func nextID(ctx context.Context, tx *catalog.Tx) (string, error) {
	var last string
	row := tx.QueryRowContext(ctx, "SELECT coalesce(max(id), '') FROM events WHERE workspace_id = $1", catalog.Workspace)
	if err := row.Scan(&last); err != nil {
		return "", fmt.Errorf("read the last event: %w", err)
	}
	next := id.New()
	if next <= last {
		next = successor(last)
	}
	return next, nil
}

// successor is the next id in order: the hexadecimal number plus one.
func successor(id string) string {
	digits := []byte(id)
	for i := len(digits) - 1; i >= 0; i-- {
		switch digits[i] {
		case 'f':
			digits[i] = '0'
			continue
		case '9':
			digits[i] = 'a'
		default:
			digits[i]++
		}
		break
	}
	return string(digits)
}

// List gives the events that match f: the newest first, or, with After, the oldest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Event, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fault.New(fault.Invalid, "limit %d is outside 1..%d", f.Limit, MaxLimit)
	}
	where, args := []string{"workspace_id = $1"}, []any{catalog.Workspace}
	add := func(clause string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(clause, len(args)))
	}
	if f.Project != "" {
		add("project = $%d", f.Project)
	}
	if f.Kind != "" {
		prefix(add, "kind", f.Kind, ".")
	}
	if f.Subject != "" {
		prefix(add, "subject", f.Subject, "/")
	}
	order := "DESC"
	if f.After != "" {
		if !id.Valid(f.After) {
			return nil, fault.New(fault.Invalid, "after: %q is not an event id", f.After)
		}
		add("id > $%d", f.After)
		order = "ASC"
	}
	args = append(args, cmp.Or(f.Limit, DefaultLimit))
	rows, err := s.db.Read().QueryContext(ctx, fmt.Sprintf(
		`SELECT id, at, recorded, project, kind, subject, actor, level, message, data FROM events
		WHERE %s ORDER BY id %s LIMIT $%d`, strings.Join(where, " AND "), order, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	defer rows.Close()
	events := []Event{}
	for rows.Next() {
		var e Event
		var at, recorded int64
		var data string
		if err := rows.Scan(&e.ID, &at, &recorded, &e.Project, &e.Kind, &e.Subject, &e.Actor, &e.Level, &e.Message, &data); err != nil {
			return nil, fmt.Errorf("list events: %w", err)
		}
		e.At, e.Recorded = catalog.Time(at), catalog.Time(recorded)
		if data != "{}" {
			if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
				return nil, fmt.Errorf("event %s: %w", e.ID, err)
			}
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return events, nil
}

// prefix adds an equality, or a range of everything that starts with value when value ends in separator.
// The range is on bytes, the same in both dialects, and uses the index.
func prefix(add func(string, any), column, value, separator string) {
	if !strings.HasSuffix(value, separator) {
		add(column+" = $%d", value)
		return
	}
	add(column+" >= $%d", value)
	end := []byte(value)
	end[len(end)-1]++
	add(column+" < $%d", string(end))
}

// Watch gives every event of a project ("" = of all) committed from now on, and a function that ends the watch and
// closes the channel. A watcher that is more than 256 events behind loses the oldest of them; it can List after
// the last id that it saw.
func (s *Service) Watch(project string) (<-chan Event, func()) {
	w := &watcher{project: project, events: make(chan Event, watchBuffer)}
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	return w.events, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
		close(w.events)
	})
}

func (s *Service) broadcast(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		if w.project != "" && w.project != e.Project {
			continue
		}
		for sent := false; !sent; {
			select {
			case w.events <- e:
				sent = true
			default:
				select {
				case <-w.events:
				default:
				}
			}
		}
	}
}
