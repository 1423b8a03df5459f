package transfer

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// digestRun is of all that is moved of a run, but for points that are not the latest of their metric.
func digestRun(r *Run, files []File) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %d %d\n", r.Name, r.User, r.Status, r.Stage, r.StartedAt, r.EndedAt)
	writeMap(h, r.Params)
	writeMap(h, mapsWithout(r.Tags))
	for _, key := range sortedKeys(r.Latest) {
		p := r.Latest[key]
		fmt.Fprintf(h, "%q %x %d %d\n", key, p.identity().bits, p.At, p.Step)
	}
	datasets := slices.Clone(r.Datasets)
	slices.SortFunc(datasets, func(a, b Dataset) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Digest, b.Digest))
	})
	for _, d := range datasets {
		fmt.Fprintf(h, "%q %q\n", d.Name, d.Digest)
		writeMap(h, d.Tags)
	}
	// Not the models that were inputs: MLflow's server leaves them out of searches.
	outputs := slices.Clone(r.ModelOutputs)
	slices.SortFunc(outputs, func(a, b ModelOutput) int { return strings.Compare(a.Model, b.Model) })
	fmt.Fprintf(h, "%v\n", outputs)
	return sum(h, files)
}

func digestModel(m *LoggedModel, files []File) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", m.Name, m.Type, m.Run, m.Status)
	tags := mapsWithout(m.Tags)
	delete(tags, tagVersions)
	writeMap(h, tags)
	writeMap(h, m.Params)
	metrics := make([]string, len(m.Metrics))
	for i, p := range m.Metrics {
		metrics[i] = fmt.Sprintf("%q %q %x %d %d %q %q", p.Run, p.Key, p.identity().bits, p.At, p.Step, p.DatasetName, p.DatasetDigest)
	}
	slices.Sort(metrics)
	fmt.Fprintln(h, metrics)
	return sum(h, files)
}

func writeMap(w io.Writer, m map[string]string) {
	for _, key := range sortedKeys(m) {
		fmt.Fprintf(w, "%q=%q ", key, m[key])
	}
	fmt.Fprintln(w)
}

func sum(h interface{ Sum([]byte) []byte }, files []File) string {
	w := h.(io.Writer)
	for _, f := range files {
		fmt.Fprintf(w, "%q %d %d\n", f.Path, f.Size, f.Changed)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// mapsWithout is a copy of tags without the marks of an earlier transfer.
func mapsWithout(tags map[string]string) map[string]string {
	out := make(map[string]string, len(tags)+2)
	for key, value := range tags {
		if !strings.HasPrefix(key, markPrefix) {
			out[key] = value
		}
	}
	return out
}
