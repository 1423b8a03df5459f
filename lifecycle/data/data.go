// Package data turns files into datasets that can be trusted and found again.
//
// It owns datasets, their immutable versions and parts, the contract that rows must pass, the quarantine of those that did not, the
// profile of a version, and pseudonyms. A version is a manifest of content-addressed Parquet parts; the BLAKE3 hash of the manifest is
// its id, so the same bytes read in the same way are the same version, wherever and whenever.
// The package must never know models, features or deployments: who needs a version asks for its relation.
package data

import (
	"context"
	"embed"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// Schema is the migrations of this package's tables.
//
//go:embed schema/*.sql
var Schema embed.FS

// Kinds of parts.
const (
	Ingested = "ingest" // from a file
	Served   = "served" // rows that a deployment was asked about, joined with their outcomes
)

// Version is one immutable state of a dataset. ID is the hash of its manifest; Number counts from 1 within the dataset.
type Version struct {
	ID             string    `json:"id"`
	Project        string    `json:"project"`
	Dataset        string    `json:"dataset"`
	Number         int       `json:"number"`
	Rows           int64     `json:"rows"`
	Bytes          int64     `json:"bytes"`       // of the parts
	Quarantined    int64     `json:"quarantined"` // rows that failed, in QuarantineBlob
	Parts          []Part    `json:"parts"`
	Schema         []Field   `json:"schema"`
	QuarantineBlob string    `json:"quarantine_blob,omitempty"` // Parquet
	ProfileBlob    string    `json:"profile_blob,omitempty"`    // JSON of a Profile
	Sources        []string  `json:"sources"`
	Notes          []string  `json:"notes,omitempty"` // what a reader should know about how the files were read
	Cause          string    `json:"cause,omitempty"`
	Parent         string    `json:"parent,omitempty"` // id of the version before
	CreatedAt      time.Time `json:"created_at"`
	AsOf           time.Time `json:"as_of"` // nothing that was known later is in it
	New            bool      `json:"new"`   // made by this call, not found
}

// Part is one Parquet blob. Its rows keep the order of the source.
type Part struct {
	Blob       string           `json:"blob"`
	Rows       int64            `json:"rows"`
	Bytes      int64            `json:"bytes"`
	Kind       string           `json:"kind"`
	Source     string           `json:"source"`                // the file's name, or what served it
	SourceHash string           `json:"source_hash,omitempty"` // BLAKE3 of the source file
	Schema     []Field          `json:"schema"`
	Columns    map[string]Stats `json:"columns"`
}

// Stats is what is known of a column of a part without reading it. Times are microseconds UTC. Text that is personal or longer than
// 64 bytes shows no bounds.
type Stats struct {
	Nulls   int64    `json:"nulls"`
	Min     *float64 `json:"min,omitempty"`
	Max     *float64 `json:"max,omitempty"`
	MinText *string  `json:"min_text,omitempty"`
	MaxText *string  `json:"max_text,omitempty"`
}

// Field is a column of a version.
type Field struct {
	Name     string     `json:"name"`
	Kind     table.Kind `json:"kind"`
	SQLType  string     `json:"sql_type"`
	Nullable bool       `json:"nullable"` // some rows have no value
	Zone     string     `json:"zone,omitempty"`
	Unit     string     `json:"unit,omitempty"`
	Personal string     `json:"personal,omitempty"`
}

// IngestRequest says which files are to become the next version of a dataset.
type IngestRequest struct {
	Project, Dataset string
	Spec             project.Dataset
	Dir              string    // what relative paths start from
	Files            []string  // paths and globs; empty = Spec.Files
	AsOf             time.Time // the project's now; zero = the machine's
	Cause            string
}

// ServedPart is rows that a deployment answered, as a Parquet file. Source names the stretch it covers, such as
// "served/flight-delays/2013-04-03": a part with the Source of an earlier one takes its place, because labels ripen.
type ServedPart struct {
	Path   string // a local file, which is moved into the store; empty when Blob is set
	Blob   string
	Source string
	// Personal marks columns that hold pseudonyms, so that their values are not shown.
	Personal map[string]string
}

// Service keeps datasets. It is safe for concurrent use; one ingest runs at a time, because it may use all the memory there is.
type Service struct {
	db     *catalog.DB
	blobs  blob.Store
	duck   *duck.DB
	events *govern.Service
	keys   pseudonymKeys
	busy   chan struct{}
}

// New makes the service. The secret keys the pseudonyms: it must stay the same for the life of the state directory.
func New(db *catalog.DB, blobs blob.Store, d *duck.DB, events *govern.Service, secret []byte) *Service {
	return &Service{db: db, blobs: blobs, duck: d, events: events, keys: newPseudonymKeys(secret), busy: make(chan struct{}, 1)}
}

// hold waits until no other ingest runs; the returned function lets the next one go.
func (s *Service) hold(ctx context.Context) (func(), error) {
	select {
	case s.busy <- struct{}{}:
		return func() { <-s.busy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Field finds a column of the version; nil when it has none of that name.
func (v *Version) Field(name string) *Field {
	for i := range v.Schema {
		if v.Schema[i].Name == name {
			return &v.Schema[i]
		}
	}
	return nil
}
