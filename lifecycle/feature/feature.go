// Package feature joins what was known of an entity at a moment onto the rows of that moment.
//
// It owns the rules of the point-in-time join and writes them as SQL, which the caller runs. It must never know a model, and it reads no
// data itself. What it promises: a row of the base never sees a value of a later time than its own, and no row of the base is lost or
// doubled, whatever the views hold.
package feature

import (
	"fmt"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/duck"
)

// View is columns of a relation, found by entity and, when the relation has a time, as of the row's time.
type View struct {
	Name   string
	From   string // relation in SQL, in the order of its files
	Entity []string
	Time   string // datetime column of the relation; "" when it has none: then entities are joined by equality alone
	Select []string
	MaxAge time.Duration // older values count as missing; exactly this old is not older; 0 is any age
	// Unique says that the relation has at most one row per entity and time, which a dataset with that key promises. Otherwise the last of
	// such rows in the order of the files counts, as a correction does, and finding it costs a sort of the relation.
	Unique bool
}

// JoinSQL is a query with the columns of base and, after them, those of each view under their own names, in the order of views. Its rows are
// those of base, each once, in no certain order.
//
// Of a view with a time a row gets the values of the latest row at or before baseTime, also when that row holds a null: it was what was
// known. Of a view without a time it gets the entity's last row in the order of the files. An entity that is null or unknown, and a value
// older than MaxAge, give nulls. A base without a time (baseTime "") cannot tell before from after: views must then have none.
//
// base and the views' From are what may follow FROM. A name that base and a view share would be there twice, so the caller leaves it out of one.
func JoinSQL(base, baseTime string, views []View) string {
	columns, joins := []string{"b.*"}, ""
	for i, v := range views {
		alias := fmt.Sprintf("v%d", i)
		var on []string
		for _, e := range v.Entity {
			on = append(on, fmt.Sprintf("b.%s = %s.%s", duck.Quote(e), alias, duck.Quote(e)))
		}
		join := " LEFT JOIN "
		if v.Time != "" {
			join = " ASOF LEFT JOIN "
			on = append(on, fmt.Sprintf("b.%s >= %s.%s", duck.Quote(baseTime), alias, duck.Quote(v.Time)))
		}
		for _, c := range v.Select {
			value := alias + "." + duck.Quote(c)
			if v.Time != "" && v.MaxAge > 0 {
				value = fmt.Sprintf("CASE WHEN %s.%s >= b.%s - to_microseconds(%d) THEN %s END",
					alias, duck.Quote(v.Time), duck.Quote(baseTime), v.MaxAge.Microseconds(), value)
			}
			columns = append(columns, value+" AS "+duck.Quote(c))
		}
		joins += join + v.known() + " " + alias + " ON " + strings.Join(on, " AND ")
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + base + " b" + joins
}

// known is the relation with one row per entity and time.
func (v View) known() string {
	var quoted []string
	seen := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			if n != "" && !seen[n] {
				seen[n] = true
				quoted = append(quoted, duck.Quote(n))
			}
		}
	}
	add(v.Entity...)
	add(v.Time)
	key := strings.Join(quoted, ", ")
	add(v.Select...)
	rows := "SELECT " + strings.Join(quoted, ", ") + " FROM " + v.From
	if v.Time != "" {
		rows += " WHERE " + duck.Quote(v.Time) + " IS NOT NULL"
	}
	if v.Unique {
		return "(" + rows + ")"
	}
	// Rows are numbered as they are read, which is the order of the files.
	return fmt.Sprintf("(SELECT * EXCLUDE (__nth) FROM (SELECT *, row_number() OVER () AS __nth FROM (%s)) QUALIFY row_number() OVER (PARTITION BY %s ORDER BY __nth DESC) = 1)", rows, key)
}
