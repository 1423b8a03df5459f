// Package registry owns models, their immutable versions, the gates they passed and the aliases that say which one counts.
// It knows packages and their files; it must not know traffic, monitors or retraining.
package registry
