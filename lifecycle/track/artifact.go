package track

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bounds of a path. The length stays below what a B-tree page of PostgreSQL takes as a key.
const (
	maxPath  = 1500
	maxDepth = 64
)

// Snapshots is the folder of what registered versions hold. Nothing below it can be put or deleted by its path.
const Snapshots = "versions"

// Artifact is a file or a folder. Files are content-addressed: two with the same bytes share one blob.
type Artifact struct {
	Path       string // with slashes; what it is relative to is said where it is returned
	Dir        bool
	Size       int64  // of a file, in bytes
	Blob       string // of a file: the BLAKE3 hash of its bytes
	ModifiedAt time.Time
}

// Expect is what the sender says about the bytes; zero fields are not checked. Hashes are lower-case hex.
type Expect struct {
	Size   int64 // -1 or 0 = not said
	MD5    string
	SHA256 string
	BLAKE3 string
}

// Artifacts keeps the files of runs, logged models and registered versions: rows that give a path its blob. A path is what follows
// "mlflow-artifacts:/", for example "1/<run>/artifacts/model/MLmodel". Its methods are safe for concurrent use.
type Artifacts struct {
	db      *catalog.DB
	blobs   blob.Store
	uploads *uploads
	now     func() time.Time
}

// NewArtifacts keeps the bytes in blobs and the parts of unfinished uploads in the folder dir, which must survive a restart.
func NewArtifacts(db *catalog.DB, blobs blob.Store, dir string, now func() time.Time) (*Artifacts, error) {
	if now == nil {
		now = func() time.Time { return time.Now().UTC() }
	}
	u, err := openUploads(dir, now)
	if err != nil {
		return nil, err
	}
	return &Artifacts{db: db, blobs: blobs, uploads: u, now: now}, nil
}

// CleanPath checks a path that a client named and gives it without a slash at its end; "" is the root. What would leave the root when
// something behind this program decodes it once more is refused in every encoding.
func CleanPath(path string) (string, error) {
	invalid := func(why string) error {
		return fault.New(fault.Invalid, "Invalid path").WithHint("%s", why)
	}
	path = strings.TrimSuffix(path, "/")
	switch {
	case path == "":
		return "", nil
	case len(path) > maxPath:
		return "", invalid(fmt.Sprintf("a path has at most %d bytes", maxPath))
	case !utf8.ValidString(path):
		return "", invalid("a path is UTF-8")
	}
	parts := strings.Split(path, "/")
	if len(parts) > maxDepth {
		return "", invalid(fmt.Sprintf("a path has at most %d folders", maxDepth))
	}
	if slices.Contains(parts, "") {
		return "", invalid("a path has no slash at its start and no two together")
	}
	for seen := path; ; {
		if strings.ContainsFunc(seen, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			return "", invalid("a path has no control characters and no backslashes")
		}
		for part := range strings.SplitSeq(seen, "/") {
			if part == ".." || part == "." {
				return "", invalid("a path does not go up")
			}
		}
		if strings.HasPrefix(seen, "/") || len(seen) > 2 && seen[1] == ':' && seen[2] == '/' {
			return "", invalid("a path is relative")
		}
		decoded := unescape(seen)
		if decoded == seen {
			return path, nil
		}
		seen = decoded
	}
}

// unescape decodes the percent escapes that are whole and leaves the others, as careless decoders do.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+3 <= len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// writable refuses what clients must not change.
func writable(path string) error {
	if path == "" {
		return fault.New(fault.Invalid, "Invalid path").WithHint("name a file")
	}
	if path == Snapshots || strings.HasPrefix(path, Snapshots+"/") {
		return fault.New(fault.Denied, "%q belongs to a registered model version, and those do not change", path).
			WithHint("register a new version")
	}
	return nil
}

// PutArtifact stores the bytes of body at path, in place of what was there. When it returns they survive a crash of the machine.
// Bytes that are not what the sender said they are leave no trace. Memory does not grow with the size.
func (a *Artifacts) PutArtifact(ctx context.Context, path string, body io.Reader, want Expect) (*Artifact, error) {
	path, err := CleanPath(path)
	if err == nil {
		err = writable(path)
	}
	if err != nil {
		return nil, err
	}
	return a.store(ctx, path, newChecked(body, want))
}

// store writes the bytes and then the row that names them.
func (a *Artifacts) store(ctx context.Context, path string, body io.Reader) (*Artifact, error) {
	sum, size, err := a.blobs.Put(ctx, body)
	if err != nil {
		return nil, err
	}
	file := Artifact{Path: path, Blob: sum, Size: size, ModifiedAt: a.now()}
	err = a.db.Write(ctx, func(tx *catalog.Tx) error { return a.link(ctx, tx, file) })
	if err != nil {
		return nil, fmt.Errorf("put artifact: %w", err)
	}
	return &file, nil
}

// link writes the row of a file and those of its folders.
func (a *Artifacts) link(ctx context.Context, tx *catalog.Tx, file Artifact) error {
	at := catalog.Micros(file.ModifiedAt)
	// From the top, so that two writers lock in the same order; the update locks a folder that another writer is removing.
	for i := range len(file.Path) {
		if file.Path[i] != '/' {
			continue
		}
		folder := file.Path[:i]
		var blob string
		err := tx.QueryRowContext(ctx, `INSERT INTO artifacts (path, folder, modified_at) VALUES ($1, $2, $3)
			ON CONFLICT (workspace_id, path) DO UPDATE SET modified_at = excluded.modified_at RETURNING blob`, folder, parent(folder), at).Scan(&blob)
		if err != nil {
			return fmt.Errorf("write folder: %w", err)
		}
		if blob != "" {
			return fault.New(fault.Invalid, "Invalid path: %q is a file and cannot hold %q", folder, file.Path).WithHint("use another name")
		}
	}
	var kind string
	err := tx.QueryRowContext(ctx, `SELECT blob FROM artifacts WHERE workspace_id = 'default' AND path = $1`, file.Path).Scan(&kind)
	if err == nil && kind == "" {
		return fault.New(fault.Invalid, "Invalid path: %q is a folder", file.Path).WithHint("use another name")
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look for artifact: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO artifacts (path, folder, blob, size, modified_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace_id, path) DO UPDATE SET blob = excluded.blob, size = excluded.size, modified_at = excluded.modified_at`,
		file.Path, parent(file.Path), file.Blob, file.Size, at)
	if err != nil {
		return fmt.Errorf("write artifact: %w", err)
	}
	return nil
}

// LinkArtifacts puts files whose blobs are in the store below root, in the caller's transaction. Their paths are relative to root.
// No byte is copied.
func (a *Artifacts) LinkArtifacts(ctx context.Context, tx *catalog.Tx, root string, files []Artifact) error {
	root, err := CleanPath(root)
	if err != nil {
		return err
	}
	for _, file := range files {
		if file.Dir {
			continue
		}
		if file.Path, err = CleanPath(root + "/" + file.Path); err != nil {
			return err
		}
		if !blob.Valid(file.Blob) {
			return fmt.Errorf("link artifact %q: it has no blob", file.Path)
		}
		if file.ModifiedAt.IsZero() {
			file.ModifiedAt = a.now()
		}
		if err := a.link(ctx, tx, file); err != nil {
			return err
		}
	}
	return nil
}

// ArtifactReader is an open artifact. The caller closes it.
type ArtifactReader struct {
	Artifact
	*os.File
}

// OpenArtifact reads a file. A path that is missing or a folder gives fault.NotFound.
func (a *Artifacts) OpenArtifact(ctx context.Context, path string) (*ArtifactReader, error) {
	clean, err := CleanPath(path)
	if err != nil {
		return nil, err
	}
	file, err := a.StatArtifact(ctx, clean)
	if err != nil {
		return nil, err
	}
	if file.Dir {
		return nil, fault.New(fault.NotFound, "No such artifact: '%s'", clean).WithHint("it is a folder: list it and get its files")
	}
	local, err := a.blobs.Path(ctx, file.Blob)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.Corrupt, "the bytes of the artifact %q are lost", clean)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(local)
	if err != nil {
		return nil, fmt.Errorf("open artifact: %w", err)
	}
	return &ArtifactReader{Artifact: *file, File: f}, nil
}

// StatArtifact describes the file or folder at path, or gives fault.NotFound.
func (a *Artifacts) StatArtifact(ctx context.Context, path string) (*Artifact, error) {
	path, err := CleanPath(path)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return &Artifact{Dir: true}, nil
	}
	found, err := scanArtifacts(a.db.Read().QueryContext(ctx, `SELECT path, blob, size, modified_at FROM artifacts
		WHERE workspace_id = 'default' AND path = $1`, path))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "No such artifact: '%s'", path)
	}
	return &found[0], nil
}

// ListArtifacts gives what lies directly in a folder, by name; the paths are the names. A folder that is not there is empty, and so is
// a file: that is how clients tell one from the other.
func (a *Artifacts) ListArtifacts(ctx context.Context, folder string) ([]Artifact, error) {
	folder, err := CleanPath(folder)
	if err != nil {
		return nil, err
	}
	files, err := scanArtifacts(a.db.Read().QueryContext(ctx, `SELECT path, blob, size, modified_at FROM artifacts
		WHERE workspace_id = 'default' AND folder = $1`, folder))
	return relative(files, folder), err
}

const below = `WITH RECURSIVE below (path, blob, size, modified_at) AS (
		SELECT path, blob, size, modified_at FROM artifacts WHERE workspace_id = 'default' AND path = $1
		UNION ALL
		SELECT a.path, a.blob, a.size, a.modified_at FROM artifacts a JOIN below b ON a.folder = b.path WHERE a.workspace_id = 'default')`

// Tree gives every file below a folder, by path; the paths are relative to it. A file gives itself, with its name. What is not there
// gives nothing.
func (a *Artifacts) Tree(ctx context.Context, path string) ([]Artifact, error) {
	path, err := CleanPath(path)
	if err != nil {
		return nil, err
	}
	files, err := scanArtifacts(a.db.Read().QueryContext(ctx, below+` SELECT path, blob, size, modified_at FROM below WHERE blob <> ''`, path))
	if err != nil {
		return nil, err
	}
	if len(files) == 1 && files[0].Path == path {
		return relative(files, parent(path)), nil
	}
	return relative(files, path), nil
}

// DeleteArtifacts removes a file, or a folder with all that is below it. What is not there is no error. The bytes go with the next
// garbage collection, unless something else still holds them.
func (a *Artifacts) DeleteArtifacts(ctx context.Context, path string) error {
	path, err := CleanPath(path)
	if err == nil {
		err = writable(path)
	}
	if err != nil {
		return err
	}
	return a.db.Write(ctx, func(tx *catalog.Tx) error { return a.Unlink(ctx, tx, path) })
}

// Unlink removes what DeleteArtifacts does in the caller's transaction, snapshots of versions included.
func (a *Artifacts) Unlink(ctx context.Context, tx *catalog.Tx, path string) error {
	if path == "" {
		return errors.New("unlink: the root is not removed")
	}
	_, err := tx.ExecContext(ctx, below+` DELETE FROM artifacts WHERE workspace_id = 'default' AND path IN (SELECT path FROM below)`, path)
	if err != nil {
		return fmt.Errorf("delete artifacts: %w", err)
	}
	for folder := parent(path); folder != ""; folder = parent(folder) {
		// The update locks the folder, so that the statement after it sees what another writer has put there meanwhile.
		if _, err := tx.ExecContext(ctx, `UPDATE artifacts SET modified_at = modified_at WHERE workspace_id = 'default' AND path = $1`, folder); err != nil {
			return fmt.Errorf("delete artifacts: %w", err)
		}
		done, err := tx.ExecContext(ctx, `DELETE FROM artifacts WHERE workspace_id = 'default' AND path = $1 AND blob = ''
			AND NOT EXISTS (SELECT 1 FROM artifacts inside WHERE inside.workspace_id = 'default' AND inside.folder = $1)`, folder)
		if err != nil {
			return fmt.Errorf("delete artifacts: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// Blobs calls f with every blob that an artifact holds.
func (a *Artifacts) Blobs(ctx context.Context, f func(hash string) error) error {
	return eachText(ctx, a.db.Read(), f, `SELECT DISTINCT blob FROM artifacts WHERE blob <> ''`)
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)]
}

func relative(files []Artifact, folder string) []Artifact {
	for i := range files {
		if folder != "" {
			files[i].Path = files[i].Path[len(folder)+1:]
		}
	}
	slices.SortFunc(files, func(a, b Artifact) int { return strings.Compare(a.Path, b.Path) })
	return files
}

func scanArtifacts(rows *sql.Rows, err error) ([]Artifact, error) {
	if err != nil {
		return nil, fmt.Errorf("read artifacts: %w", err)
	}
	defer rows.Close()
	out := []Artifact{}
	for rows.Next() {
		var f Artifact
		var at int64
		if err := rows.Scan(&f.Path, &f.Blob, &f.Size, &at); err != nil {
			return nil, fmt.Errorf("read artifacts: %w", err)
		}
		f.Dir, f.ModifiedAt = f.Blob == "", catalog.Time(at)
		out = append(out, f)
	}
	return out, rows.Err()
}

// eachText calls f with the one column of every row.
func eachText(ctx context.Context, q catalog.Querier, f func(string) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		if err := f(text); err != nil {
			return err
		}
	}
	return rows.Err()
}

// checked is a reader that fails at its end unless the bytes are what the sender said.
type checked struct {
	r     io.Reader
	want  Expect
	size  int64
	sums  []hash.Hash
	names []string
	wants []string
}

func newChecked(r io.Reader, want Expect) *checked {
	c := &checked{r: r, want: want}
	add := func(name, sum string, h func() hash.Hash) {
		if sum != "" {
			c.names, c.wants, c.sums = append(c.names, name), append(c.wants, strings.ToLower(sum)), append(c.sums, h())
		}
	}
	add("MD5", want.MD5, md5.New)
	add("SHA-256", want.SHA256, sha256.New)
	add("BLAKE3", want.BLAKE3, func() hash.Hash { return blake3.New() })
	return c
}

// Read passes bytes on. What goes wrong on the sender's side is the sender's fault.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.size += int64(n)
	for _, h := range c.sums {
		h.Write(p[:n])
	}
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		var known *fault.Error
		if errors.As(err, &known) || errors.Is(err, context.Canceled) {
			return n, err
		}
		return n, fault.Wrap(err, fault.Invalid, "the upload ended early, after %d bytes", c.size).WithHint("send it again")
	}
	if c.want.Size > 0 && c.size != c.want.Size {
		return n, fault.New(fault.Invalid, "the upload has %d bytes and not the %d that were announced", c.size, c.want.Size).WithHint("send it again")
	}
	for i, h := range c.sums {
		if got := hex.EncodeToString(h.Sum(nil)); got != c.wants[i] {
			return n, fault.New(fault.Invalid, "the upload is damaged: its %s is %s and not %s", c.names[i], got, c.wants[i]).WithHint("send it again")
		}
	}
	return n, io.EOF
}
