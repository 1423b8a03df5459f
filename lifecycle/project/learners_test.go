package project

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
)

// The file names every learner and preset there is, and no other.
func TestLearnersOfTheFile(t *testing.T) {
	f, _ := reflect.TypeFor[Train]().FieldByName("Learner")
	got := strings.Split(f.Tag.Get("enum"), ",")
	want := append(learn.Names(), learn.Presets()...)
	if !slices.Equal(got, want) {
		t.Errorf("the file knows %v, the engine %v", got, want)
	}
	p, _ := reflect.TypeFor[Train]().FieldByName("Preset")
	if got := strings.Split(p.Tag.Get("enum"), ","); !slices.Equal(got, learn.Presets()) {
		t.Errorf("the file knows the presets %v, the engine %v", got, learn.Presets())
	}
}
