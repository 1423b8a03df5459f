package govern

import "context"

type actorKey struct{}

// WithActor says who is behind what ctx does: "user:alice", "token", "retrain".
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// Actor is who is behind what ctx does: "system" when nobody said.
func Actor(ctx context.Context) string {
	if actor, ok := ctx.Value(actorKey{}).(string); ok && actor != "" {
		return actor
	}
	return "system"
}
