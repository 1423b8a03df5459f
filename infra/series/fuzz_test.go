package series

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// FuzzCursor: what is no cursor is refused, and what is one stays the same.
func FuzzCursor(f *testing.F) {
	for _, v := range odd {
		f.Add(After(Point{-5, 1 << 62, v}).String())
	}
	f.Add("")
	f.Add("AQ")
	f.Add(After(Point{}).String() + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if c.String() != text {
			t.Fatalf("%q became %q", text, c.String())
		}
	})
}

// FuzzBlock: bytes that are no block are refused without a panic, and points survive packing.
func FuzzBlock(f *testing.F) {
	for _, n := range []int{0, 1, 5, 300} {
		var points []Point
		for i := range n {
			points = append(points, Point{int64(i), int64(i * i), odd[i%len(odd)]})
		}
		f.Add(appendBlock(nil, points))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		points, err := readBlock(nil, b)
		if err != nil {
			return
		}
		again, err := readBlock(nil, appendBlock(nil, points))
		if err != nil || !same(points, again) {
			t.Fatalf("%d points became %d, %v", len(points), len(again), err)
		}
	})
}

// FuzzManifest: a damaged manifest is refused.
func FuzzManifest(f *testing.F) {
	m := manifest{Version: manifestVersion, Latest: 9, Segments: []manifestSegment{{Number: 3, Owner: "a", Size: 100, Points: 2, Owners: 1}}}
	b, err := m.bytes()
	must(f, err)
	_, body, _ := bytes.Cut(b, []byte("\n"))
	f.Add(body)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = parseManifest(append([]byte(hex8(checksum(body))+"\n"), body...))
	})
}

func hex8(v uint32) string {
	const digits = "0123456789abcdef"
	var b [8]byte
	for i := range b {
		b[i] = digits[v>>(28-4*i)&15]
	}
	return string(b[:])
}

// FuzzLog: a record that cannot be read is refused whole, takes nothing into memory, and takes little memory itself.
func FuzzLog(f *testing.F) {
	l := &logFile{number: 1}
	m := newMemory()
	for _, d := range deeds(8) {
		c := &call{owner: d.owner, entries: d.entries, mem: m.owner(d.owner)}
		for _, e := range d.entries {
			c.series = append(c.series, m.seriesOf(c.mem, e.Key))
		}
		frame := l.appendPoints(nil, c, &names{})
		f.Add(frame[frameHead:])
	}
	f.Add(appendDelete(nil, "run-1", 7)[frameHead:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 {
			return
		}
		s := &Store{mem: newMemory(), set: segmentSet{own: map[string][]*segment{}, hidden: map[string]uint64{}}}
		d := &logDecoder{store: s, owners: []string{"run-0"}, series: []decodedSeries{{key: "k0"}}}
		if err := d.frame(payload); err != nil && (len(s.mem.owners) > 0 || len(s.set.hidden) > 0) {
			t.Fatal("a damaged record left something")
		}
		_, _ = readFrame(bytes.NewReader(payload), int64(len(payload)), nil)
		_, _ = parseLogHeader(payload, 1)
	})
}

// TestFrameLengthLies: a length is believed only as far as the file goes.
func TestFrameLengthLies(t *testing.T) {
	frame := []byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 1, 2, 3}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readFrame(bytes.NewReader(frame), int64(len(frame)), nil)
	runtime.ReadMemStats(&after)
	if err != errFrame || after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Fatalf("%v, %d bytes", err, after.TotalAlloc-before.TotalAlloc)
	}
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error           { return nil }
func (r memoryReader) Size() (int64, error) { return r.Reader.Size(), nil }

// FuzzSegment overwrites a part of a segment and reads all of it, past the checksums: everything ends, and damage is fault.Corrupt with
// the name of the file.
func FuzzSegment(f *testing.F) {
	s := openStore(f, Options{Dir: f.TempDir()})
	var entries []Entry
	for i := range 6000 {
		entries = append(entries, Entry{"long", Point{int64(i % 5000), int64(i), float64(i % 100)}})
	}
	for i := range 40 {
		entries = append(entries, Entry{"short", Point{int64(i), int64(i), odd[i%len(odd)]}}, Entry{"one", Point{1, 1, 1}})
	}
	must(f, s.Append("a", entries))
	must(f, s.Append("b", entries[:3]))
	must(f, s.flush())
	whole, err := os.ReadFile(s.segmentPath(packsOf(s)[0].number))
	must(f, err)
	for _, at := range []int{0, 10, 2000, len(whole) - 100, len(whole) - 30, len(whole) - 5} {
		f.Add(uint32(at), []byte{0xff, 1, 0x80})
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(whole)
		copy(b[int(at)%len(b):], patch)
		readSegment(t, b, true)
		readSegment(t, b, false)
	})
}

// readSegment reads everything in the bytes of a segment file.
func readSegment(t *testing.T, b []byte, unchecked bool) {
	file := &segmentFile{seg: &segment{number: 1, size: int64(len(b))}, path: filepath.Join("segments", "000000000001.seg"),
		r: memoryReader{bytes.NewReader(b)}, any: unchecked}
	ok := func(err error) bool {
		if err != nil && err != io.EOF && (!fault.Is(err, fault.Corrupt) || !bytes.Contains([]byte(err.Error()), []byte("000000000001.seg"))) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !ok(file.readTop()) {
		return
	}
	_, _, err := file.find("b")
	ok(err)
	owners := 0
	for line, err := range walk(file.page, file.top.ref) {
		if owners++; !ok(file.damaged(err)) || owners > 3 {
			return
		}
		o, err := readOwnerEntry(line.payload)
		if !ok(file.damaged(err)) {
			return
		}
		_, _, err = file.key(o, "long")
		ok(err)
		keys := 0
		for key, err := range walk(file.page, o.keys) {
			if keys++; !ok(file.damaged(err)) || keys > 5 {
				break
			}
			e, err := readEntry(key.payload, file.seg.size)
			if !ok(file.damaged(err)) {
				continue
			}
			all := keyAt{pieces: []piece{{file, e}}}
			for _, by := range []order{byTime, byStep} {
				src, err := mergePieces(all.pieces, nil, by)
				for n := 0; ok(err) && n < 20_000; n++ {
					var more bool
					if _, more, err = src.next(); !more {
						ok(err)
						break
					}
				}
				_, err = startFrom(all.pieces[0].column(by), 100)
				ok(err)
				d := &drawing{order: by, buckets: 10}
				if d.frame(&all, nil, ChartQuery{}) && ok(d.draw(&all, nil)) {
					d.chart()
				}
			}
			_, err = without([]Point{{1, 1, 1}, {500, 500, 0}}, all.pieces)
			ok(err)
		}
	}
}
