//go:build !amd64

package explain

var kernel = descend
