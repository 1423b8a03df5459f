package series

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The manifest is a line with the CRC-32C of the rest in hex, and JSON.
type manifest struct {
	Version  int               `json:"version"`
	Latest   uint64            `json:"latest"` // the greatest number of a file so far
	Floor    uint64            `json:"floor"`  // log files below do not count
	Segments []manifestSegment `json:"segments"`
	Hidden   map[string]uint64 `json:"hidden,omitempty"`
}

type manifestSegment struct {
	Number uint64 `json:"number"`
	Owner  string `json:"owner,omitempty"`
	Size   int64  `json:"size"`
	Points int64  `json:"points"`
	Owners int64  `json:"owners"`
}

const manifestVersion = 1

func (m *manifest) bytes() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%08x\n", checksum(body)), body...), nil
}

// parseManifest reads what bytes wrote.
func parseManifest(b []byte) (*manifest, error) {
	line, body, found := bytes.Cut(b, []byte("\n"))
	if !found || string(line) != fmt.Sprintf("%08x", checksum(body)) {
		return nil, errors.New("its checksum is wrong")
	}
	m := &manifest{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, err
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("its version is %d, this program reads %d", m.Version, manifestVersion)
	}
	for _, seg := range m.Segments {
		if seg.Number == 0 || seg.Number > m.Latest || seg.Size < 0 || seg.Points < 0 {
			return nil, fmt.Errorf("segment %d cannot be", seg.Number)
		}
	}
	return m, nil
}

// readManifest reads the set of segments. A folder without a manifest is a new store.
func (s *Store) readManifest() error {
	s.set = segmentSet{own: map[string][]*segment{}, hidden: map[string]uint64{}}
	b, err := readAll(s.disk, s.path("MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskFault(err, "read the list of segments")
	}
	m, err := parseManifest(b)
	if err != nil {
		return corrupt("MANIFEST", "%v", err)
	}
	s.floor, s.set.latest = m.Floor, m.Latest
	for _, seg := range m.Segments {
		made := &segment{number: seg.Number, owner: seg.Owner, size: seg.Size, points: seg.Points, owners: seg.Owners}
		if made.owner == "" {
			s.set.packs = append(s.set.packs, made)
		} else {
			s.set.own[made.owner] = append(s.set.own[made.owner], made)
		}
	}
	if m.Hidden != nil {
		s.set.hidden = m.Hidden
	}
	return nil
}

func readAll(disk FS, path string) ([]byte, error) {
	r, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size, err := r.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return b, nil
}

// all lists every segment by number.
func (t *segmentSet) all() []*segment {
	list := slices.Clone(t.packs)
	for _, own := range t.own {
		list = append(list, own...)
	}
	slices.SortFunc(list, func(a, b *segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return list
}

// saveManifest writes the set as it is and then removes the files that do not count any more. When it fails, memory goes on with the
// set and the files that the old manifest needs stay: the log still has every point that only new segments have.
func (s *Store) saveManifest() error {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	s.mu.Lock()
	m := s.manifest()
	doomed := s.set.doomed
	s.set.doomed, s.set.stale = nil, false
	s.mu.Unlock()
	err := s.writeManifest(&m, s.path("temp", "MANIFEST"), s.path("MANIFEST"))
	if err != nil {
		s.mu.Lock()
		s.set.doomed, s.set.stale = append(s.set.doomed, doomed...), true
		s.mu.Unlock()
		return diskFault(err, "write the list of segments")
	}
	for _, seg := range doomed {
		if err := s.disk.Remove(s.segmentPath(seg.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a segment that was replaced could not be removed; the next start removes it", "segment", seg.number, "error", err)
		}
	}
	return s.removeAll(s.path("log"), func(name string) bool {
		number, ok := numberOf(name, "log")
		return ok && number < m.Floor
	})
}

// manifest is the set as it is. The caller holds mu.
func (s *Store) manifest() manifest {
	m := manifest{Version: manifestVersion, Latest: s.set.latest, Floor: s.floor, Hidden: maps.Clone(s.set.hidden)}
	for _, seg := range s.set.all() {
		m.Segments = append(m.Segments, manifestSegment{seg.number, seg.owner, seg.size, seg.points, seg.owners})
	}
	return m
}

func (s *Store) writeManifest(m *manifest, temp, path string) error {
	b, err := m.bytes()
	if err != nil {
		return err
	}
	f, err := s.disk.Create(temp)
	if errors.Is(err, fs.ErrExist) { // left by a failure
		if err = s.disk.Remove(temp); err == nil {
			f, err = s.disk.Create(temp)
		}
	}
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.disk.Rename(temp, path); err != nil {
		return err
	}
	return s.disk.SyncDir(filepath.Dir(path))
}

// dropHidden writes the manifest after a Delete if that took files out of the set.
func (s *Store) dropHidden() {
	s.mu.RLock()
	due := len(s.set.doomed) > 0
	s.mu.RUnlock()
	if !due {
		return
	}
	if err := s.saveManifest(); err != nil {
		// The owners are gone: the log says so. Their files go with the next manifest.
		s.log.Warn("the files of deleted owners of metric points stay for now", "error", err)
	}
}

// numberOf is the number in the name of a file of a kind.
func numberOf(name, kind string) (uint64, bool) {
	digits, found := strings.CutSuffix(name, "."+kind)
	if !found {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && fileName(n, kind) == name
}

// checkSegments compares the set with the folder: what the set has must be there, what it has not is removed.
func (s *Store) checkSegments() error {
	wanted := map[string]*segment{}
	for _, seg := range s.set.all() {
		wanted[filepath.Base(s.segmentPath(seg.number))] = seg
	}
	if err := s.removeAll(s.path("segments"), func(name string) bool {
		number, ok := numberOf(name, "seg")
		if ok {
			s.set.latest = max(s.set.latest, number)
		}
		return ok && wanted[name] == nil
	}); err != nil {
		return err
	}
	for name, seg := range wanted {
		r, err := s.disk.Open(s.segmentPath(seg.number))
		if errors.Is(err, fs.ErrNotExist) {
			return corrupt(name, "it is not there")
		}
		if err != nil {
			return diskFault(err, "open the segment %s", name)
		}
		size, err := r.Size()
		r.Close()
		if err != nil {
			return diskFault(err, "look at the segment %s", name)
		}
		if size != seg.size {
			return corrupt(name, "it has %d bytes, %d were written", size, seg.size)
		}
	}
	return nil
}
