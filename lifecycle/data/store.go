package data

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Latest is the newest version of a dataset; fault.NotFound when there is none.
func (s *Service) Latest(ctx context.Context, project, dataset string) (*Version, error) {
	return latest(ctx, s.db.Read(), project, dataset)
}

func latest(ctx context.Context, q catalog.Querier, project, dataset string) (*Version, error) {
	row := q.QueryRowContext(ctx, `SELECT document FROM data_versions WHERE workspace_id = $1 AND project = $2 AND dataset = $3
		ORDER BY number DESC LIMIT 1`, catalog.Workspace, project, dataset)
	v, err := scanVersion(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "the project %q has no version of a dataset %q", project, dataset).
			WithHint("trimtab apply ingests the datasets of the file; trimtab data ls shows those that are there")
	}
	return v, err
}

// Get is the version of that number.
func (s *Service) Get(ctx context.Context, project, dataset string, number int) (*Version, error) {
	row := s.db.Read().QueryRowContext(ctx, `SELECT document FROM data_versions WHERE workspace_id = $1 AND project = $2 AND dataset = $3
		AND number = $4`, catalog.Workspace, project, dataset, number)
	v, err := scanVersion(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "the dataset %q of the project %q has no version %d", dataset, project, number).
			WithHint("trimtab data show %s lists its versions", dataset)
	}
	return v, err
}

// ByID is the newest version with that manifest.
func (s *Service) ByID(ctx context.Context, id string) (*Version, error) {
	row := s.db.Read().QueryRowContext(ctx, `SELECT document FROM data_versions WHERE workspace_id = $1 AND id = $2
		ORDER BY created_at DESC, number DESC LIMIT 1`, catalog.Workspace, id)
	v, err := scanVersion(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no dataset version %q", id)
	}
	return v, err
}

// Versions lists a dataset's versions, newest first.
func (s *Service) Versions(ctx context.Context, project, dataset string) ([]*Version, error) {
	return s.list(ctx, `SELECT document FROM data_versions WHERE workspace_id = $1 AND project = $2 AND dataset = $3
		ORDER BY number DESC`, catalog.Workspace, project, dataset)
}

// Datasets lists the newest version of every dataset of a project, by name.
func (s *Service) Datasets(ctx context.Context, project string) ([]*Version, error) {
	return s.list(ctx, `SELECT v.document FROM data_versions v WHERE v.workspace_id = $1 AND v.project = $2 AND v.number = (
		SELECT max(n.number) FROM data_versions n WHERE n.workspace_id = v.workspace_id AND n.project = v.project AND n.dataset = v.dataset)
		ORDER BY v.dataset`, catalog.Workspace, project)
}

func (s *Service) list(ctx context.Context, query string, args ...any) ([]*Version, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list dataset versions: %w", err)
	}
	defer rows.Close()
	versions := []*Version{}
	for rows.Next() {
		v, err := scanVersion(rows)
		if err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	return versions, rows.Err()
}

func scanVersion(row interface{ Scan(...any) error }) (*Version, error) {
	var document string
	if err := row.Scan(&document); err != nil {
		return nil, fmt.Errorf("read a dataset version: %w", err)
	}
	v := &Version{}
	if err := json.Unmarshal([]byte(document), v); err != nil {
		return nil, fmt.Errorf("read a dataset version: %w", err)
	}
	return v, nil
}

func insertVersion(ctx context.Context, tx *catalog.Tx, v *Version) error {
	stored := *v
	stored.New = false
	document, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO data_versions (workspace_id, project, dataset, number, id, created_at, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		catalog.Workspace, v.Project, v.Dataset, v.Number, v.ID, catalog.Micros(v.CreatedAt), string(document))
	if err != nil {
		return fmt.Errorf("store a dataset version: %w", err)
	}
	return nil
}

// staged is what one source file became under one reading of it.
type staged struct {
	Parts []Part `json:"parts"`
	// Kinds is the file's columns as they were read, before any was dropped or replaced.
	Kinds          map[string]table.Kind `json:"kinds"`
	Rows           int64                 `json:"rows"` // read, whether they passed or not
	Failed         map[string]int64      `json:"failed"`
	Quarantined    int64                 `json:"quarantined"`
	QuarantineBlob string                `json:"quarantine_blob,omitempty"`
	Unreadable     int64                 `json:"unreadable"` // of the quarantined: rows that could not be parsed at all
	// Examples is the first row that failed each rule, with why; no values of personal columns.
	Examples map[string]string `json:"examples,omitempty"`
}

func (s *Service) findStaged(ctx context.Context, sourceHash, readingHash string) (*staged, error) {
	var document string
	err := s.db.Read().QueryRowContext(ctx, `SELECT document FROM data_staged WHERE workspace_id = $1 AND source_hash = $2 AND reading_hash = $3`,
		catalog.Workspace, sourceHash, readingHash).Scan(&document)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a file read before: %w", err)
	}
	found := &staged{}
	if err := json.Unmarshal([]byte(document), found); err != nil {
		return nil, fmt.Errorf("look for a file read before: %w", err)
	}
	// A part that went missing or bad is made again from its source.
	for _, p := range found.Parts {
		if _, err := s.blobs.Path(ctx, p.Blob); err != nil {
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
				return nil, nil
			}
			return nil, err
		}
	}
	return found, nil
}

func (s *Service) storeStaged(ctx context.Context, sourceHash, readingHash string, st *staged) error {
	document, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO data_staged (workspace_id, source_hash, reading_hash, document) VALUES ($1, $2, $3, $4)
			ON CONFLICT (workspace_id, source_hash, reading_hash) DO UPDATE SET document = excluded.document`,
			catalog.Workspace, sourceHash, readingHash, string(document))
		return err
	})
}
