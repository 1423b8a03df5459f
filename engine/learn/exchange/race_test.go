//go:build race

package exchange

// racing says that the race detector is on, with which a sync.Pool forgets things on purpose.
const racing = true
