package grpcdoor

import (
	"context"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// health is grpc.health.v1: the service "" is the server, the name of a service of this door is the server too, any other name is a
// deployment. The server's own health is open to everyone who can reach the port; a deployment's is told to callers who may read.
type health struct {
	healthpb.UnimplementedHealthServer
	door *Door
}

const healthCheck = "/grpc.health.v1.Health/Check"

// status is how a service does; fault.NotFound when there is none of the name.
func (h *health) status(ctx context.Context, name string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	if _, ours := h.door.GetServiceInfo()[name]; ours || name == "" {
		return healthpb.HealthCheckResponse_SERVING, nil
	}
	if err := h.door.admitAs(ctx, healthCheck, route.Read); err != nil {
		return 0, err
	}
	if _, err := h.door.serving.Get(ctx, name); err != nil {
		return 0, fault.New(fault.NotFound, "unknown service %q", clip(name))
	}
	if _, _, _, err := h.door.find(ctx, name, ""); err != nil {
		return healthpb.HealthCheckResponse_NOT_SERVING, nil
	}
	return healthpb.HealthCheckResponse_SERVING, nil
}

// Check tells how a service does now.
func (h *health) Check(ctx context.Context, q *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	s, err := h.status(ctx, q.Service)
	if err != nil {
		return nil, err
	}
	return &healthpb.HealthCheckResponse{Status: s}, nil
}

// List tells how every deployment does.
func (h *health) List(ctx context.Context, _ *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	all, err := h.door.serving.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{"": {Status: healthpb.HealthCheckResponse_SERVING}}}
	for _, d := range all {
		s, err := h.status(ctx, d.Name)
		if err == nil {
			out.Statuses[d.Name] = &healthpb.HealthCheckResponse{Status: s}
		}
	}
	return out, nil
}

// watchEvery is how often a watched service is looked at.
const watchEvery = time.Second

// Watch tells how a service does, and again whenever that changes, until the caller leaves or the server stops.
func (h *health) Watch(q *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	last := healthpb.HealthCheckResponse_ServingStatus(-1)
	for {
		s, err := h.status(stream.Context(), q.Service)
		switch {
		case fault.Is(err, fault.NotFound):
			s = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		case err != nil:
			return err
		}
		if s != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: s}); err != nil {
				return err
			}
			last = s
		}
		select {
		case <-ticks.C:
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-h.door.stopped:
			return stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING})
		}
	}
}
