//go:build !race

package exchange

const racing = false
