//go:build !race

package tree

const racing = false
