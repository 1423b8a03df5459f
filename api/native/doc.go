// Package native is the platform's own API under /api/v1: one file per noun that maps requests to calls of a service.
//
// It owns the shapes of requests and lists. It must never hold a rule: what is allowed and what happens is decided by
// the services in lifecycle. Lists are {"items": [...]}, names are snake_case, times are RFC 3339 in UTC.
package native
