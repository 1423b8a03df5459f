package track

import (
	"fmt"
	"math/rand/v2"
)

// randomName is a name that can be said aloud, for a run or a model that was given none: "steady-heron-417".
func randomName() string {
	return fmt.Sprintf("%s-%s-%d", adjectives[rand.IntN(len(adjectives))], birds[rand.IntN(len(birds))], rand.IntN(1000))
}

var adjectives = []string{"able", "agile", "amber", "apt", "avid", "bold", "brave", "brisk", "calm", "clean", "clear", "clever", "cool", "cosy", "crisp", "deft",
	"eager", "early", "even", "exact", "fair", "fast", "fine", "firm", "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "grand", "great", "hardy",
	"honest", "humble", "jolly", "keen", "kind", "late", "light", "lively", "loyal", "lucid", "lucky", "merry", "mild", "neat", "nimble", "noble", "open", "patient",
	"plain", "polite", "proud", "quick", "quiet", "rapid", "ready", "royal", "sage", "sharp", "silent", "silver", "simple", "smart", "smooth", "sober", "solid", "sound",
	"spry", "steady", "still", "stout", "strong", "sunny", "sure", "swift", "tame", "tidy", "true", "vast", "vivid", "warm", "wise", "witty", "young", "zesty"}

var birds = []string{"avocet", "bittern", "bunting", "buzzard", "chough", "condor", "coot", "crake", "crane", "crow", "cuckoo", "curlew", "dipper", "dove", "duck", "dunlin",
	"dunnock", "eagle", "egret", "eider", "falcon", "finch", "fulmar", "gannet", "godwit", "goose", "grebe", "grouse", "gull", "harrier", "hawk", "heron", "hobby", "ibis",
	"jackdaw", "jay", "kestrel", "kite", "knot", "lark", "linnet", "loon", "magpie", "martin", "merlin", "moorhen", "oriole", "osprey", "owl", "petrel", "pigeon", "pipit",
	"plover", "puffin", "quail", "rail", "raven", "redwing", "robin", "rook", "ruff", "shrike", "siskin", "skua", "smew", "snipe", "sparrow", "stilt", "stint", "stork",
	"swan", "swift", "teal", "tern", "thrush", "tit", "turnstone", "twite", "wagtail", "warbler", "whimbrel", "wigeon", "wren"}
