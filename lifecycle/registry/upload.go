package registry

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Bounds of an upload.
const (
	MaxUpload     = 16 << 30 // bytes of all files
	maxUploadFile = 20_000   // files
	maxFileName   = 512      // bytes of a path
)

// checkFileName refuses a path that is not plainly one inside of a folder.
func checkFileName(name string) error {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "the file name %q %s", clip(name), why).WithHint("names are relative paths with / between folders, without . and ..")
	}
	switch {
	case name == "" || len(name) > maxFileName:
		return bad("is empty or longer than 512 bytes")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return bad("holds what is no text")
	case strings.ContainsAny(name, `\:`):
		return bad(`holds \ or :`)
	case name == "." || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../"):
		return bad("leaves its folder")
	}
	for _, part := range strings.Split(name, "/") {
		if len(part) > 255 {
			return bad("has a part of more than 255 bytes")
		}
	}
	return nil
}

// clip keeps an error short and printable.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Unpack stores the files of a tar stream. Links, devices and sparse files are refused, and so are names that leave the folder or come
// twice, one name that is another's folder, and more than the bounds allow. What was stored before a refusal is garbage for the collector.
func (s *Service) Unpack(ctx context.Context, r io.Reader) ([]File, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if head, _ := buffered.Peek(4); len(head) >= 2 && (head[0] == 0x1f && head[1] == 0x8b || string(head) == "\x28\xb5\x2f\xfd" || string(head) == "PK\x03\x04") {
		return nil, fault.New(fault.Invalid, "the upload is compressed").WithHint("send a plain tar stream: tar -c -C FOLDER .")
	}
	archive := tar.NewReader(buffered)
	var files []File
	names := map[string]bool{} // of files: true, of their folders: false
	var total int64
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, truncated(err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		switch h.Typeflag {
		case tar.TypeDir:
			if name = strings.TrimSuffix(name, "/"); name != "" && name != "." {
				if err := checkFileName(name); err != nil {
					return nil, err
				}
			}
			continue
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
		default:
			return nil, fault.New(fault.Invalid, "%q in the upload is a link, a device or a sparse file", clip(h.Name)).WithHint("only files and folders are taken")
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse") {
				return nil, fault.New(fault.Invalid, "%q in the upload is a sparse file", clip(h.Name)).WithHint("only plain files are taken")
			}
		}
		if err := checkFileName(name); err != nil {
			return nil, err
		}
		if _, taken := names[name]; taken {
			return nil, fault.New(fault.Invalid, "the name %q comes twice in the upload", clip(name))
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if names[dir] {
				return nil, fault.New(fault.Invalid, "%q in the upload is a file and a folder", clip(dir))
			}
			names[dir] = false
		}
		names[name] = true
		if total += h.Size; h.Size < 0 || total > MaxUpload || len(files) >= maxUploadFile {
			return nil, fault.New(fault.TooLarge, "the upload has more than %d files or %d bytes", maxUploadFile, int64(MaxUpload))
		}
		hash, size, err := s.blobs.Put(ctx, archive)
		if err != nil {
			return nil, truncated(err)
		}
		files = append(files, File{Path: name, Blob: hash, Size: size})
	}
	if len(files) == 0 {
		return nil, fault.New(fault.Invalid, "the upload holds no file")
	}
	return files, nil
}

// truncated tells the caller's mistakes in a stream from the machine's.
func truncated(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, tar.ErrInsecurePath) || errors.Is(err, tar.ErrFieldTooLong) {
		return fault.Wrap(err, fault.Invalid, "the upload is no whole tar stream")
	}
	return fmt.Errorf("take the upload: %w", err)
}

// Import is a model that comes as files.
type Import struct {
	Model       string // made when it is not there
	Project     string // of a model that is made; an existing one keeps its own
	Files       []File // in the blob store
	Options     RunOptions
	Description string
	Tags        []track.Tag
}

// Import registers the files of a model as its next version: it is opened in the engine that will serve it, asked, and compared with the
// original. Nothing is registered when it cannot be opened; a version whose certificate fails is, and cannot be promoted.
func (s *Service) Import(ctx context.Context, n Import) (*Version, error) {
	if err := checkModelName(n.Model); err != nil {
		return nil, err
	}
	if err := n.Options.check(n.Files); err != nil {
		return nil, err
	}
	tags, err := checkTags(n.Tags)
	if err != nil {
		return nil, err
	}
	m, err := s.find(ctx, s.db.Read(), n.Model)
	if fault.Is(err, fault.NotFound) {
		m, err = &Model{Name: n.Model, Project: n.Project}, nil
	}
	if err != nil {
		return nil, err
	}
	if m.Tags[IsPrompt] == "true" {
		return nil, fault.New(fault.Conflict, "%s is a prompt", n.Model).WithHint("choose another name")
	}
	v := &Version{Model: n.Model, Project: m.Project, State: Registered, Cause: "imported", Actor: govern.Actor(ctx), Description: n.Description, Tags: tags,
		BuildKey: "imported:" + id.New(), Files: slices.Clone(n.Files), Options: &n.Options, AsOf: time.Now().UTC()}
	if v.Digest, err = s.manifest(ctx, v.Files); err != nil {
		return nil, err
	}
	if v.Format, err = s.format(ctx, v.Files); err != nil {
		return nil, err
	}
	if v.Format == FormatTrimtab {
		if err := s.describe(ctx, v); err != nil {
			return nil, err
		}
		if v.Format != FormatTrimtab {
			return nil, fault.New(fault.Invalid, "the files look like a package of Trimtab's own, and are not whole")
		}
		if p, err := s.loadOwn(ctx, v); err != nil {
			return nil, asCallers(err)
		} else if v.Certificate, err = s.certifyOwn(ctx, v, p); err != nil {
			return nil, err
		}
	} else {
		p, err := s.examine(ctx, v)
		if err != nil {
			return nil, asCallers(err)
		}
		defer p.Close()
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		now := time.Now().UTC()
		if err := s.link(ctx, tx, v); err != nil {
			return err
		}
		if v.Source == "" {
			v.Source = v.Location
		}
		if err := s.insert(ctx, tx, v, now); err != nil {
			return err
		}
		return s.events.Append(ctx, tx, govern.Event{Project: v.Project, Kind: "version.registered", Subject: subject(v.Model, v.Version), Level: govern.Info,
			Message: fmt.Sprintf("%s v%d imported (%s)", v.Model, v.Version, v.Format),
			Data:    map[string]any{"model": v.Model, "version": v.Version, "source": v.Source, "description": v.Description, "tags": v.Tags, "format": v.Format, "engine": v.engine()}})
	})
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, v.Model, v.Version)
}

// engine names what serves the version.
func (v *Version) engine() string {
	if v.Serving != nil {
		return v.Serving.Engine
	}
	if v.Format == FormatTrimtab {
		return EngineNative
	}
	return ""
}

// asCallers makes of an error about the files of an upload one about the upload: bytes that are damaged came damaged.
func asCallers(err error) error {
	switch fault.CodeOf(err) {
	case fault.Corrupt, fault.NotSupported, fault.FormatNotServed:
		hint := fault.HintOf(err)
		f := fault.Wrap(err, fault.Invalid, "the model cannot be opened")
		if hint != "" {
			return f.WithHint("%s", hint)
		}
		return f
	}
	return err
}

func (o *RunOptions) check(files []File) error {
	switch o.Task {
	case "", "binary", "multiclass", "regression", TaskTensors:
	default:
		return fault.New(fault.Invalid, "%q is no task", clip(o.Task)).WithHint("tasks are binary, multiclass, regression and tensors")
	}
	if o.Tolerance < 0 || o.Tolerance != o.Tolerance || o.Tolerance > 1 {
		return fault.New(fault.Invalid, "a tolerance is a number from 0 to 1")
	}
	if o.Python != "" && (!path.IsAbs(o.Python) || path.Clean(o.Python) != o.Python || strings.ContainsFunc(o.Python, unicode.IsControl)) {
		return fault.New(fault.Invalid, "the interpreter %q is no absolute path on the server", clip(o.Python))
	}
	if o.Requirements != "" && !slices.ContainsFunc(files, func(f File) bool { return f.Path == o.Requirements }) {
		return fault.New(fault.Invalid, "the upload has no file %q to make an environment of", clip(o.Requirements))
	}
	if len(o.Allow) > 1000 {
		return fault.New(fault.Invalid, "%d imports are allowed; at most 1000 can be", len(o.Allow))
	}
	for _, name := range o.Allow {
		if len(name) > 256 || strings.Trim(name, " ") == "" {
			return fault.New(fault.Invalid, "%q names no import", clip(name)).WithHint("write module.name, as in sklearn.svm._classes.SVC, or a module for all of it")
		}
	}
	return nil
}
