package cache

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// maxPlain is up to how many bytes a question is its own key; longer ones are named by their BLAKE3 hash.
const maxPlain = 512

// appendKey writes the canonical form of a question: what is equal is asked the same, however its inputs were ordered. Values are
// compared by their bits, so that no two questions that a model could tell apart are one. ok is false for a question without such a form.
func appendKey(b []byte, version int, q *predictor.Request) (key []byte, ok bool) {
	b = binary.AppendVarint(b, int64(version))
	b = binary.AppendUvarint(b, uint64(len(q.Inputs)))
	inputs := q.Inputs
	byName := func(x, y tensor.Named) int { return strings.Compare(x.Name, y.Name) }
	if !slices.IsSortedFunc(inputs, byName) {
		inputs = slices.SortedStableFunc(slices.Values(inputs), byName)
	}
	for _, in := range inputs {
		if in.Tensor == nil || in.Type() == tensor.None {
			return b, false
		}
		b = appendText(b, in.Name)
		b = append(b, byte(in.Type()), byte(len(in.Shape)))
		for _, d := range in.Shape {
			b = binary.AppendVarint(b, int64(d))
		}
		b = binary.AppendUvarint(b, uint64(in.RawSize()))
		b = in.AppendRaw(b)
	}
	b = binary.AppendUvarint(b, uint64(len(q.Wanted)))
	for _, w := range q.Wanted {
		b = appendText(b, w)
	}
	if len(q.Params) > 0 {
		params, err := json.Marshal(q.Params) // keys in order
		if err != nil {
			return b, false
		}
		b = append(b, params...)
	}
	if len(b) > maxPlain {
		sum := blake3.Sum256(b)
		b = append(binary.AppendVarint(append(b[:0], 0xff), int64(version)), sum[:]...)
	}
	return b, true
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
