package data

import "slices"

// MissingWords are the texts that stand for a missing number, time or truth value in CSV files.
func MissingWords() []string { return slices.Clone(missingWords) }
