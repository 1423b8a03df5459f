package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Past is what an import knows of the life of a model before it came here.
type Past struct {
	CreatedAt time.Time // zero = as it is here
	UpdatedAt time.Time // zero = CreatedAt
	Versions  []PastVersion
}

// PastVersion is the same of one of its versions.
type PastVersion struct {
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
	User      string // who made it there; "" = nobody says
}

const maxUser = 256

// SetPast gives an imported model and its versions the times that they had, and versions the user who made them. Only what carries the mark
// of an import (track.TagImported) is changed. Events say that and by whom; those of the import itself keep the time of the import.
func (s *Service) SetPast(ctx context.Context, name string, p Past) (*Model, error) {
	times := []time.Time{p.CreatedAt, p.UpdatedAt}
	for _, v := range p.Versions {
		times = append(times, v.CreatedAt, v.UpdatedAt)
		if len(v.User) > maxUser {
			return nil, fault.New(fault.Invalid, "the user of %s v%d has more than %d bytes", name, v.Version, maxUser)
		}
	}
	for _, at := range times {
		if at.Year() < 1 || at.Year() > 9999 {
			return nil, fault.New(fault.Invalid, "%d milliseconds since 1970 is not in the years 1 to 9999", at.UnixMilli())
		}
	}
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		m, err := s.find(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, past := range p.Versions {
			if err := s.setPastOf(ctx, tx, name, past); err != nil {
				return err
			}
		}
		if p.CreatedAt.IsZero() {
			return nil
		}
		if m.Tags[track.TagImported] == "" {
			return fault.New(fault.Conflict, "model %s was made here: its times stay", name)
		}
		created, updated := span(p.CreatedAt, p.UpdatedAt)
		_, err = tx.ExecContext(ctx, `UPDATE models SET created_at = $1, updated_at = $2 WHERE workspace_id = 'default' AND name = $3`,
			catalog.Micros(created), catalog.Micros(updated), name)
		if err != nil {
			return fmt.Errorf("date model: %w", err)
		}
		return s.event(ctx, tx, "model.imported", "model/"+name, fmt.Sprintf("model %s imported from %s", name, m.Tags[track.TagImported]),
			map[string]any{"model": name, "from": m.Tags[track.TagImported], "created_at": created, "updated_at": updated})
	})
	if err != nil {
		return nil, err
	}
	return s.Model(ctx, name)
}

func (s *Service) setPastOf(ctx context.Context, tx *catalog.Tx, model string, past PastVersion) error {
	v, err := s.get(ctx, tx, model, past.Version)
	if err != nil {
		return err
	}
	if v.Tags[track.TagImported] == "" {
		return fault.New(fault.Conflict, "%s v%d was made here: its times stay", model, past.Version)
	}
	if v.Imported == nil {
		v.Imported = &Imported{At: v.CreatedAt, By: v.Actor}
	}
	v.Imported.User = past.User
	if !past.CreatedAt.IsZero() {
		v.CreatedAt, v.UpdatedAt = span(past.CreatedAt, past.UpdatedAt)
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode version: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE model_versions SET created_at = $1, updated_at = $2, document = $3 WHERE workspace_id = 'default' AND model = $4 AND version = $5`,
		catalog.Micros(v.CreatedAt), catalog.Micros(v.UpdatedAt), string(doc), model, past.Version)
	if err != nil {
		return fmt.Errorf("date version: %w", err)
	}
	message := fmt.Sprintf("%s v%d imported from %s", model, past.Version, v.Tags[track.TagImported])
	return s.events.Append(ctx, tx, govern.Event{Project: v.Project, Kind: "version.imported", Subject: subject(model, past.Version), Level: govern.Info, Message: message,
		Data: map[string]any{"model": model, "version": past.Version, "from": v.Tags[track.TagImported], "created_at": v.CreatedAt, "updated_at": v.UpdatedAt, "user": past.User}})
}

// span is from when to when something changed.
func span(created, updated time.Time) (time.Time, time.Time) {
	if updated.IsZero() {
		updated = created
	}
	return created.UTC().Truncate(time.Microsecond), updated.UTC().Truncate(time.Microsecond)
}
