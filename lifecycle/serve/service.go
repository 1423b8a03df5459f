package serve

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/cache"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/limit"
)

// maxResident is how many versions of a deployment stay loaded: champion, canary, and those that a rollback may want back at once.
const maxResident = 4

// maxVersions is how many versions a route may name.
const maxVersions = 2 * maxResident

// Config is what the service works with. DB, Loader, Recorder and Clock are needed.
type Config struct {
	DB        *catalog.DB
	Loader    Loader
	Recorder  Recorder
	Observers []Observer
	Clock     func(project string) clock.Clock

	Seen         func(project string, at time.Time) // told the greatest time that the rows of a request carried; nil = nobody
	Pseudonymise func(text string) string           // keyed hash for personal inputs; nil = they are dropped
	Catalog      Catalog                            // nil = what is not deployed cannot be loaded by name
	Memory       int64                              // bytes that loaded versions may hold together; 0 = no bound
	Metrics      prometheus.Registerer              // nil = none
	Log          *slog.Logger                       // nil = slog.Default()
}

// Service answers predictions. It is safe for concurrent use; answering takes no lock.
type Service struct {
	cfg Config
	log *slog.Logger

	deployments atomic.Pointer[map[string]*endpoint] // replaced, never changed
	mu          sync.Mutex                           // of replacing it, and of loaded

	loaded []*compiled // versions in use or lately used, the last used last

	residency sync.Mutex // one round of making room at a time

	mirrors sync.WaitGroup  // shadows at work
	life    context.Context // ends when the service stops
	stop    context.CancelFunc
}

// endpoint is a deployment in this process.
type endpoint struct {
	project, name, model string
	live                 atomic.Pointer[live]
	change               sync.Mutex   // one change of live at a time
	failed               atomic.Int64 // rows not answered without the caller's fault
	used                 atomic.Int64 // when it last answered, nanoseconds since the epoch

	limiter *limit.Limiter
	answers *cache.Cache
	mirror  mirror // what the shadow is asked

	countsMu sync.Mutex
	kept     map[int]*counters // by version
}

// live is what requests read: immutable, replaced as a whole.
type live struct {
	deployment Deployment
	resident   map[int]*resident
	champion   *resident // nil when nobody answers
	canary     *resident
	below      uint16 // buckets below it go to the canary
	plan       plan   // the rest of the route
	asleep     bool   // its versions gave up their memory until the next request
}

// resident is a loaded version in a deployment.
type resident struct {
	*compiled
	counters *counters
	engine   predictor.Predictor // the version's, behind the deployment's cache; nil for a model of ours
}

// New makes the service. Start restores the deployments.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Service{cfg: cfg, log: cfg.Log}
	s.life, s.stop = context.WithCancel(context.Background())
	s.deployments.Store(&map[string]*endpoint{})
	return s
}

// Start loads what the catalog says is deployed. A version that does not load leaves its deployment failed, with the reason, and the
// others answer.
func (s *Service) Start(ctx context.Context) error {
	all, err := stored(ctx, s.cfg.DB.Read())
	if err != nil {
		return err
	}
	if s.cfg.Metrics != nil {
		if err := s.cfg.Metrics.Register(&collector{s}); err != nil {
			return fmt.Errorf("register the metrics of serving: %w", err)
		}
	}
	for _, d := range all {
		s.restore(ctx, d)
	}
	return s.recall(ctx)
}

func (s *Service) restore(ctx context.Context, d Deployment) {
	e := s.add(d)
	e.change.Lock()
	defer e.change.Unlock()
	if d.Settings.Unloaded {
		d.State = StateUnloaded
		e.live.Store(&live{deployment: d, resident: map[int]*resident{}})
		return
	}
	l, _ := s.wake(ctx, e, d) // the problem is the deployment's
	e.live.Store(l)
	e.used.Store(time.Now().UnixNano())
	s.fit(e)
}

// routed fills in what follows from a deployment's route and the residents of l.
func (l *live) routed(d Deployment) *live {
	out := &live{deployment: d, resident: l.resident, champion: l.resident[d.Route.Champion], canary: l.resident[d.Route.Canary]}
	if out.canary != nil {
		out.below = uint16(d.Route.CanaryShare*Buckets + 0.5)
	}
	out.plan = out.planned(&d.Route)
	out.deployment.Resident = make([]int, 0, len(l.resident))
	for v := range l.resident {
		out.deployment.Resident = append(out.deployment.Resident, v)
	}
	sort.Ints(out.deployment.Resident)
	switch {
	case out.champion != nil:
		out.deployment.State = StateReady
	case d.Route.Champion != 0:
		out.deployment.State = StateFailed
	default:
		out.deployment.State = StateEmpty
	}
	return out
}

// add puts a deployment into the map; it answers once live says who.
func (s *Service) add(d Deployment) *endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.deployments.Load()
	if e := old[d.Name]; e != nil {
		return e
	}
	e := &endpoint{project: d.Project, name: d.Name, model: d.Model, limiter: limit.New(d.Settings.Limits), answers: cache.New(d.Settings.Cache)}
	e.mirror.s, e.mirror.e = s, e
	e.live.Store((&live{resident: map[int]*resident{}}).routed(d))
	next := make(map[string]*endpoint, len(old)+1)
	for n, o := range old {
		next[n] = o
	}
	next[d.Name] = e
	s.deployments.Store(&next)
	return e
}

// load opens a version, or gives the one that is open already.
func (s *Service) load(ctx context.Context, model string, version int) (*compiled, error) {
	find := func() *compiled {
		for i, c := range s.loaded {
			if c.pkg.Model == model && c.pkg.Version == version {
				s.loaded = append(slices.Delete(s.loaded, i, i+1), c)
				return c
			}
		}
		return nil
	}
	s.mu.Lock()
	c := find()
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	pkg, err := s.cfg.Loader.LoadPackage(ctx, model, version)
	if err != nil {
		return nil, err
	}
	if c, err = compile(pkg); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := find(); other != nil {
		s.close(c)
		return other, nil
	}
	if s.loaded = append(s.loaded, c); len(s.loaded) > maxVersions {
		if oldest := s.loaded[0]; !s.held(oldest) {
			s.close(oldest)
		}
		s.loaded = slices.Delete(s.loaded, 0, 1) // deployments keep their own
	}
	return c, nil
}

var deploymentName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Ensure makes a deployment, or updates the log level of the one that is there. A name that belongs to another project or model is
// fault.Conflict.
func (s *Service) Ensure(ctx context.Context, d Deployment) (*Deployment, error) {
	if !deploymentName.MatchString(d.Name) {
		return nil, fault.New(fault.Invalid, "%q is no name for a deployment", clip(d.Name)).WithHint("lower-case letters, digits, hyphens, dots, at most 100")
	}
	switch d.LogLevel {
	case "":
		d.LogLevel = LogRequired
	case LogRequired, LogStrict, LogBestEffort, LogOff:
	default:
		return nil, fault.New(fault.Invalid, "%q is no log level", clip(d.LogLevel)).WithHint("levels are %s, %s, %s and %s", LogRequired, LogStrict, LogBestEffort, LogOff)
	}
	if e := s.endpoint(d.Name); e != nil {
		if e.project != d.Project || e.model != d.Model {
			return nil, fault.New(fault.Conflict, "the deployment %s serves the model %s of the project %s", d.Name, e.model, e.project).WithHint("choose another deploy.name")
		}
		e.change.Lock()
		defer e.change.Unlock()
		l := e.live.Load()
		if l.deployment.LogLevel == d.LogLevel {
			return copyOf(l), nil
		}
		changed := l.deployment
		changed.LogLevel, changed.UpdatedAt = d.LogLevel, s.now(e.project)
		if err := s.cfg.DB.Write(ctx, func(tx *catalog.Tx) error { return store(ctx, tx, &changed) }); err != nil {
			return nil, err
		}
		e.live.Store(l.routed(changed))
		return copyOf(e.live.Load()), nil
	}
	if d.CreatedAt.IsZero() {
		d.CreatedAt = s.now(d.Project)
	}
	d.UpdatedAt, d.Route, d.Resident = d.CreatedAt, Route{}, []int{}
	if err := s.cfg.DB.Write(ctx, func(tx *catalog.Tx) error { return store(ctx, tx, &d) }); err != nil {
		return nil, err
	}
	return copyOf(s.add(d).live.Load()), nil
}

func (s *Service) now(project string) time.Time { return s.cfg.Clock(project).Now() }

func copyOf(l *live) *Deployment {
	d := l.deployment
	d.Resident = slices.Clone(d.Resident)
	d.Route = d.Route.Clone()
	return &d
}

// Get finds a deployment by name; fault.NotFound names those that are near.
func (s *Service) Get(_ context.Context, name string) (*Deployment, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return copyOf(e.live.Load()), nil
}

// List gives all deployments by name.
func (s *Service) List(context.Context) ([]Deployment, error) {
	out := []Deployment{}
	for _, e := range *s.deployments.Load() {
		out = append(out, *copyOf(e.live.Load()))
	}
	slices.SortFunc(out, func(a, b Deployment) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (s *Service) endpoint(name string) *endpoint { return (*s.deployments.Load())[name] }

func (s *Service) find(name string) (*endpoint, error) {
	if e := s.endpoint(name); e != nil {
		return e, nil
	}
	f := fault.New(fault.NotFound, "there is no deployment %q", clip(name))
	var names []string
	for n := range *s.deployments.Load() {
		names = append(names, n)
	}
	if len(names) == 0 {
		return nil, f.WithHint("trimtab apply makes one when the project's file has a deploy section")
	}
	sort.Strings(names)
	return nil, f.WithHint("deployments are %s", strings.Join(names[:min(len(names), 10)], ", "))
}

// Signature is that of a version that a deployment has resident; version 0 is the champion's.
func (s *Service) Signature(ctx context.Context, deployment string, version int) (*registry.Signature, int, error) {
	e, err := s.find(deployment)
	if err != nil {
		return nil, 0, err
	}
	l, err := s.awake(ctx, e)
	if err != nil {
		return nil, 0, err
	}
	r, err := l.version(version)
	if err != nil {
		return nil, 0, err
	}
	return r.sig, r.pkg.Version, nil
}

// choose finds the version that a request asks for; pinned tells that it is not the route's choice.
func (l *live) choose(c Choice, b *Batch) (r *resident, pinned bool, err error) {
	switch {
	case c.Version != 0:
		r, err = l.version(c.Version)
		return r, true, err
	case c.Label != "":
		r, err = l.labelled(c.Label)
		return r, true, err
	}
	if r = l.ruled(b); r != nil {
		return r, true, nil
	}
	if r, err = l.version(0); err != nil {
		return nil, false, err
	}
	if r.broken() != "" {
		if healthy := l.healthy(); healthy != nil {
			return healthy, true, nil
		}
	}
	return r, false, nil
}

// broken says why the engine of a version no longer tries; "" when it works.
func (c *compiled) broken() string {
	if c.breaker == nil {
		return ""
	}
	return c.breaker.Broken()
}

// healthy is the newest resident version older than a broken champion whose engine works; nil when there is none.
func (l *live) healthy() *resident {
	var best *resident
	for v, r := range l.resident {
		if v < l.champion.pkg.Version && r.broken() == "" && (best == nil || v > best.pkg.Version) {
			best = r
		}
	}
	return best
}

// version finds a resident version; 0 is the champion.
func (l *live) version(version int) (*resident, error) {
	if version != 0 {
		if r := l.resident[version]; r != nil {
			return r, nil
		}
		f := fault.New(fault.NotFound, "%s has no version %d loaded", l.deployment.Name, version)
		return nil, f.WithHint("loaded versions are %s", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(l.deployment.Resident)), ", "), "[]"))
	}
	if l.champion != nil {
		return l.champion, nil
	}
	switch l.deployment.State {
	case StateFailed:
		return nil, fault.New(fault.Unavailable, "%s cannot answer: v%d does not load: %s", l.deployment.Name, l.deployment.Route.Champion, l.deployment.Problem)
	case StateUnloaded:
		return nil, fault.New(fault.Unavailable, "%s is unloaded", l.deployment.Name).WithHint("load it: POST /v2/repository/models/%s/load", l.deployment.Name)
	}
	return nil, fault.New(fault.Unavailable, "%s has no version yet", l.deployment.Name).WithHint("a version is released when its gate holds: trimtab models show %s", l.deployment.Model)
}

// SetRoute says who answers from now on. The versions are loaded and checked first, then the route is stored in tx (nil = a
// transaction of its own), and when that is committed requests see the new route: one pointer changes. A salt that differs from the
// route before begins new statistics. In tx it belongs to the caller's function like every other write.
func (s *Service) SetRoute(ctx context.Context, tx *catalog.Tx, deployment string, r Route) error {
	e, err := s.find(deployment)
	if err != nil {
		return err
	}
	if r, err = r.normal(deployment); err != nil {
		return err
	}
	for _, v := range r.versions() {
		if _, err := s.load(ctx, e.model, v); err != nil {
			return fmt.Errorf("load v%d of %s for %s: %w", v, e.model, deployment, err)
		}
	}
	if tx == nil {
		return s.cfg.DB.Write(ctx, func(tx *catalog.Tx) error { return s.SetRoute(ctx, tx, deployment, r) })
	}
	d := e.live.Load().deployment
	d.Route, d.UpdatedAt = r, s.now(e.project)
	d.Resident = residents(d.Resident, r)
	if err := store(ctx, tx, &d); err != nil {
		return err
	}
	tx.OnCommit(func() { s.swap(context.WithoutCancel(ctx), e, r, d.UpdatedAt) })
	return nil
}

// residents is which versions stay loaded under a route: its own, and of the others the newest.
func residents(before []int, r Route) []int {
	keep := r.versions()
	var others []int
	for _, v := range before {
		if !slices.Contains(keep, v) {
			others = append(others, v)
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(others)))
	keep = append(keep, others[:min(len(others), max(maxResident-len(keep), 0))]...)
	sort.Ints(keep)
	return keep
}

// swap makes a stored route live.
func (s *Service) swap(ctx context.Context, e *endpoint, r Route, at time.Time) {
	e.change.Lock()
	defer e.change.Unlock()
	old := e.live.Load()
	d := old.deployment
	d.Route, d.UpdatedAt, d.Problem = r, at, ""
	next := &live{resident: map[int]*resident{}}
	for _, v := range residents(d.Resident, r) {
		if have := old.resident[v]; have != nil {
			next.resident[v] = have
			continue
		}
		c, err := s.load(ctx, e.model, v) // loaded before the transaction: this finds it
		if err != nil {
			s.log.Error("a version that was loaded cannot be loaded again", "deployment", e.name, "version", v, "error", err)
			d.Problem = err.Error()
			continue
		}
		next.resident[v] = e.resident(c)
	}
	if r.Salt != old.deployment.Route.Salt {
		for _, res := range next.resident {
			t := res.counters.read()
			res.counters.mark.Store(&t)
		}
	}
	d.Settings.Unloaded = false
	e.live.Store(next.routed(d))
	e.used.Store(time.Now().UnixNano())
	s.forget(old)
	s.fit(e)
}

func (s *Service) countersOf(deployment string, version int) *counters {
	e := s.endpoint(deployment)
	if e == nil {
		return nil
	}
	if r := e.live.Load().resident[version]; r != nil {
		return r.counters
	}
	return nil
}

// Score answers rows with a version, outside of any deployment: nothing is logged, routed or counted. Each row has its values in the
// order of the version's Signature.Inputs, personal ones already pseudonymised. The answer has Outputs numbers per row.
func (s *Service) Score(ctx context.Context, model string, version int, rows [][]table.Value) ([][]float64, error) {
	c, err := s.load(ctx, model, version)
	if err != nil {
		return nil, err
	}
	w := c.pool.Get().(*workspace)
	defer c.pool.Put(w)
	flat := make([]float64, len(rows)*c.outputs)
	out := make([][]float64, len(rows))
	for i, row := range rows {
		if len(row) != len(c.inputs) {
			return nil, fault.New(fault.Invalid, "row %d has %d values; the signature has %d inputs", i, len(row), len(c.inputs))
		}
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out[i] = flat[i*c.outputs : (i+1)*c.outputs : (i+1)*c.outputs]
		if err := c.scoreRow(w, row, i, out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
