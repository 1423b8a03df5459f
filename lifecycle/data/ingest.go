package data

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// Ingest makes the files of a request the next version of a dataset: it reads those that were not read before, quarantines the rows that
// fail the contract, profiles what passed and records the version. When nothing changed it returns the version that is there, with New false.
//
// A version that its contract refuses gives fault.GateRefused with the clause and the values in its details, and leaves no version behind.
// Blobs are stored first and the catalog is written last, in one transaction: a crash leaves at most blobs that nothing names.
// progress may be nil; it is called with bytes of the files.
func (s *Service) Ingest(ctx context.Context, req IngestRequest, progress func(done, total int64, unit, message string)) (*Version, error) {
	release, err := s.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if progress == nil {
		progress = func(int64, int64, string, string) {}
	}
	v, err := s.ingest(ctx, req, progress)
	if fault.Is(err, fault.GateRefused) {
		refusal := s.events.Append(ctx, nil, govern.Event{Project: req.Project, At: req.AsOf, Kind: "dataset.refused", Subject: "dataset/" + req.Dataset,
			Level: govern.Bad, Message: fmt.Sprintf("%s: %s", req.Dataset, err)})
		if refusal != nil {
			return nil, fmt.Errorf("%w (and the refusal could not be recorded: %v)", err, refusal)
		}
	}
	return v, err
}

func (s *Service) ingest(ctx context.Context, req IngestRequest, progress func(done, total int64, unit, message string)) (*Version, error) {
	before, err := s.Latest(ctx, req.Project, req.Dataset)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	patterns := req.Files
	if len(patterns) == 0 {
		patterns = req.Spec.Files
	}
	sources, err := resolve(req.Dir, patterns, req.Spec.Format)
	if err != nil {
		return nil, err
	}
	r, err := newReading(req.Spec, s.keys, before)
	if err != nil {
		return nil, err
	}
	g, done, err := newStaging(ctx, s.duck, s.blobs)
	if err != nil {
		return nil, err
	}
	defer done()
	files, err := s.stageAll(ctx, g, r, sources, progress)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, src := range sources {
		total += src.size
	}
	progress(total, total, "bytes", "checking")
	v := &Version{Project: req.Project, Dataset: req.Dataset, Cause: req.Cause, AsOf: cmp.Or(req.AsOf, clock.Wall{}.Now())}
	var rows int64
	failed, examples := map[string]int64{}, map[string]string{}
	mostly, err := mostlyOf(req.Spec, func(name string) (table.Kind, bool) { k, ok := r.kinds[name]; return k, ok })
	if err != nil {
		return nil, err
	}
	var quarantine []string
	for i, st := range files {
		for _, p := range st.Parts {
			p.Source = sources[i].name // the same bytes may have another name now
			v.Parts = append(v.Parts, p)
		}
		v.Sources = append(v.Sources, sources[i].name)
		v.Quarantined += st.Quarantined
		rows += st.Rows
		for name, n := range st.Failed {
			failed[name] += n
			examples[name] = cmp.Or(examples[name], st.Examples[name])
		}
		if st.QuarantineBlob != "" {
			quarantine = append(quarantine, st.QuarantineBlob)
		}
	}
	for _, name := range sortedKeys(failed) {
		share, ok := mostly[name]
		if !ok {
			share = mostlyDefault
		}
		if err := refuseMostly(name, share, failed[name], rows, examples[name]); err != nil {
			return nil, err
		}
	}
	extra, err := g.unique(ctx, v, req.Spec, rows)
	if err != nil {
		return nil, err
	}
	if v.QuarantineBlob, err = g.gather(ctx, append(quarantine, extra...)); err != nil {
		return nil, err
	}
	if before != nil {
		for _, p := range before.Parts {
			if p.Kind == Served {
				v.Parts = append(v.Parts, p)
			}
		}
	}
	if err := s.check(ctx, v, req); err != nil {
		return nil, err
	}
	v.describe(r, before)
	return s.commit(ctx, nil, v, before, func() error {
		progress(total, total, "bytes", "profiling")
		return s.profile(ctx, g.duck, v)
	})
}

// stageAll gives what each source became, reading only those that were not read this way before.
func (s *Service) stageAll(ctx context.Context, g *staging, r *reading, sources []source, progress func(done, total int64, unit, message string)) ([]*staged, error) {
	var total, done int64
	for _, src := range sources {
		total += src.size
	}
	pinned := map[string]bool{}
	for name := range r.kinds {
		pinned[name] = true
	}
	files := make([]*staged, len(sources))
	looks := make([]*sniffed, len(sources))
	readings := make([]string, len(sources))
	for i := range sources {
		src := &sources[i]
		progress(done, 2*total, "bytes", "looking at "+src.name)
		if err := src.digest(ctx); err != nil {
			return nil, err
		}
		done += src.size
		var err error
		if readings[i], err = r.hash(src.format); err != nil {
			return nil, err
		}
		if files[i], err = s.findStaged(ctx, src.hash, readings[i]); err != nil {
			return nil, err
		}
		if files[i] != nil && len(pinned) > 0 && r.usable(files[i]) {
			r.recall(files[i])
			continue
		}
		if looks[i], err = sniff(ctx, g.duck, src); err != nil {
			return nil, err
		}
		r.meet(looks[i].columns, pinned)
	}
	for i := range sources {
		src := &sources[i]
		if files[i] == nil || !r.usable(files[i]) {
			progress(done, 2*total, "bytes", "reading "+src.name)
			if looks[i] == nil {
				var err error
				if looks[i], err = sniff(ctx, g.duck, src); err != nil {
					return nil, err
				}
			}
			st, err := g.read(ctx, src, looks[i], r)
			if err != nil {
				return nil, err
			}
			if err := s.storeStaged(ctx, src.hash, readings[i], st); err != nil {
				return nil, err
			}
			files[i] = st
		}
		done += src.size
	}
	return files, r.complete(files)
}

// check judges the version as a whole.
func (s *Service) check(ctx context.Context, v *Version, req IngestRequest) error {
	var rows int64
	for _, p := range v.Parts {
		if p.Kind == Ingested {
			rows += p.Rows
		}
	}
	if rows == 0 {
		return fault.New(fault.GateRefused, "every row of %s is in quarantine", req.Dataset).With("clause", "rows").With("rows", 0).
			WithHint("the first reason is in the event log; correct the data or the contract")
	}
	return refuseWhole(req.Spec.Contract, rows, v.AsOf, func(column string) (time.Time, error) {
		var newest *float64
		for _, p := range v.Parts {
			for _, f := range p.Schema {
				if f.Name == column && f.Kind != "datetime" {
					return time.Time{}, fault.New(fault.Invalid, "fresh is for datetime columns, %q is a %s", column, f.Kind)
				}
			}
			if m := p.Columns[column].Max; m != nil && p.Kind == Ingested && (newest == nil || *m > *newest) {
				newest = m
			}
		}
		if newest == nil {
			return time.Time{}, unknownColumn("fresh", column)
		}
		return time.UnixMicro(int64(*newest)).UTC(), nil
	})
}

// describe fills in what follows from the parts: rows, bytes and the schema, in the order in which columns were met.
func (v *Version) describe(r *reading, before *Version) {
	v.Rows, v.Bytes, v.Schema = 0, 0, nil
	index := map[string]int{}
	for _, p := range v.Parts {
		v.Rows += p.Rows
		v.Bytes += p.Bytes
		for _, f := range p.Schema {
			if i, ok := index[f.Name]; ok {
				v.Schema[i].Nullable = v.Schema[i].Nullable || f.Nullable
				continue
			}
			index[f.Name] = len(v.Schema)
			nullable := f.Nullable
			if p.Kind == Ingested && r != nil {
				f = r.field(f.Name) // zone and unit are of the request, not of the day the part was made
			} else if before != nil && before.Field(f.Name) != nil {
				f = *before.Field(f.Name)
			}
			f.Nullable = nullable
			v.Schema = append(v.Schema, f)
		}
	}
	for i, f := range v.Schema {
		for _, p := range v.Parts {
			if !slices.ContainsFunc(p.Schema, func(g Field) bool { return g.Name == f.Name }) {
				v.Schema[i].Nullable = true
			}
		}
	}
}

// manifest is what a version is. Its canonical JSON (fields in this order, no white space) is stored as a blob, and the blob's hash is the id.
// Names of files, times and causes are not in it: they tell how the version came to be, not what it is.
type manifest struct {
	Format     int            `json:"format"`
	Dataset    string         `json:"dataset"`
	Schema     []Field        `json:"schema"`
	Parts      []manifestPart `json:"parts"`
	Quarantine string         `json:"quarantine,omitempty"`
}

type manifestPart struct {
	Blob       string `json:"blob"`
	Rows       int64  `json:"rows"`
	Kind       string `json:"kind"`
	SourceHash string `json:"source_hash,omitempty"`
	Served     string `json:"served,omitempty"`
}

func (v *Version) manifest() ([]byte, error) {
	m := manifest{Format: 1, Dataset: v.Dataset, Schema: v.Schema, Quarantine: v.QuarantineBlob}
	for _, p := range v.Parts {
		part := manifestPart{Blob: p.Blob, Rows: p.Rows, Kind: p.Kind, SourceHash: p.SourceHash}
		if p.Kind == Served {
			part.Served = p.Source
		}
		m.Parts = append(m.Parts, part)
	}
	return json.Marshal(m)
}

// commit stores the manifest and records the version, unless it is the one before. finish is called only for a new one.
func (s *Service) commit(ctx context.Context, tx *catalog.Tx, v, before *Version, finish func() error) (*Version, error) {
	document, err := v.manifest()
	if err != nil {
		return nil, err
	}
	if v.ID, _, err = s.blobs.Put(ctx, bytes.NewReader(document)); err != nil {
		return nil, err
	}
	if before != nil && before.ID == v.ID {
		return before, nil
	}
	if err := finish(); err != nil {
		return nil, err
	}
	v.CreatedAt, v.New = clock.Wall{}.Now(), true
	record := func(tx *catalog.Tx) error {
		now, err := latest(ctx, tx, v.Project, v.Dataset)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		v.Number = 1
		if now != nil {
			if before == nil || now.ID != before.ID {
				return fault.New(fault.Conflict, "the dataset %q got another version meanwhile", v.Dataset).WithHint("try again")
			}
			v.Number, v.Parent = now.Number+1, now.ID
		}
		if err := insertVersion(ctx, tx, v); err != nil {
			return err
		}
		level := govern.Info
		message := fmt.Sprintf("%s version %d: %s rows in %d parts", v.Dataset, v.Number, count(v.Rows), len(v.Parts))
		if v.Quarantined > 0 {
			level = govern.Attention
			message += fmt.Sprintf(", %s in quarantine", count(v.Quarantined))
		}
		return s.events.Append(ctx, tx, govern.Event{Project: v.Project, At: v.AsOf, Kind: "dataset.version", Subject: fmt.Sprintf("dataset/%s/%d", v.Dataset, v.Number),
			Level: level, Message: message, Data: map[string]any{"id": v.ID, "rows": v.Rows, "quarantined": v.Quarantined, "parts": len(v.Parts), "cause": v.Cause}})
	}
	if tx != nil {
		return v, record(tx)
	}
	if err := s.db.Write(ctx, record); err != nil {
		return nil, err
	}
	return v, nil
}

// gather joins the quarantines of the files into one; "" when there is none.
func (g *staging) gather(ctx context.Context, blobs []string) (string, error) {
	if len(blobs) < 2 {
		return first(blobs), nil
	}
	paths := make([]string, len(blobs))
	for i, hash := range blobs {
		var err error
		if paths[i], err = g.blobs.Path(ctx, hash); err != nil {
			return "", err
		}
	}
	path := g.path("quarantine")
	if err := g.duck.Exec(ctx, "COPY (SELECT * FROM read_parquet("+duck.List(paths)+", union_by_name = true)) TO "+duck.Literal(path)+" ("+duck.ParquetOptions+")"); err != nil {
		return "", diskOr(err, "write the quarantine")
	}
	hash, _, err := g.blobs.PutFile(ctx, path)
	return hash, err
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
