package mlflow

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// MLflow's enums, by their numbers (mlflow 3.17.2, protos/webhooks.proto).
var (
	hookStates   = []string{"", "ACTIVE", "DISABLED"}
	hookEntities = []string{"", "REGISTERED_MODEL", "MODEL_VERSION", "MODEL_VERSION_TAG", "MODEL_VERSION_ALIAS", "PROMPT", "PROMPT_VERSION", "PROMPT_TAG",
		"PROMPT_VERSION_TAG", "PROMPT_ALIAS", "BUDGET_POLICY"}
	hookActions = []string{"", "CREATED", "UPDATED", "DELETED", "SET", "EXCEEDED"}
)

var (
	hookEvent = form(need(field{name: "entity", kind: enum, names: hookEntities}), need(field{name: "action", kind: enum, names: hookActions}))
	hookState = field{name: "status", kind: enum, names: hookStates}
	hookNew   = form(need(words("name")), need(words("url")), need(objects("events", hookEvent)), words("description"), words("secret"), hookState)
	hookList  = form(short("max_results"), words("page_token"))
	hookEdit  = form(words("name"), words("description"), words("url"), objects("events", hookEvent), words("secret"), hookState)
	hookNone  = form()
	hookTest  = form(field{name: "event", kind: object, of: hookEvent})
)

func (d *door) registerWebhooks(hooks *govern.Webhooks) {
	const path, one, resource = "/mlflow/webhooks", "/mlflow/webhooks/{webhook}", "webhook/{webhook}"
	d.add(endpoint{method: http.MethodPost, path: path, action: "webhook.create", resource: "webhook", form: hookNew, do: func(c *call) error {
		events, err := hookNames(c.in)
		if err != nil {
			return err
		}
		return c.sendHook(hooks.Create(c.ctx, govern.NewWebhook{Name: c.in.text("name"), Description: c.in.text("description"), URL: c.in.text("url"),
			Events: events, Secret: c.in.text("secret"), Disabled: hookStates[c.in.int("status")] == "DISABLED"}))
	}})
	d.add(endpoint{method: http.MethodGet, path: path, action: "webhook.list", resource: "webhook", form: hookList, do: func(c *call) error { return c.listHooks(hooks) }})
	d.add(endpoint{method: http.MethodGet, path: one, action: "webhook.read", resource: resource, form: hookNone, do: func(c *call) error {
		return c.sendHook(findHook(c, hooks))
	}})
	d.add(endpoint{method: http.MethodPatch, path: one, action: "webhook.update", resource: resource, form: hookEdit, do: func(c *call) error { return c.changeHook(hooks) }})
	d.add(endpoint{method: http.MethodDelete, path: one, action: "webhook.delete", resource: resource, form: hookNone, do: func(c *call) error {
		h, err := findHook(c, hooks)
		if err != nil {
			return err
		}
		return hooks.Delete(c.ctx, h.ID)
	}})
	d.add(endpoint{method: http.MethodPost, path: one + "/test", action: "webhook.test", resource: resource, class: route.Write, form: hookTest, do: func(c *call) error { return c.testHook(hooks) }})
}

// findHook finds a webhook that has events of MLflow: its client refuses to read others.
func findHook(c *call, hooks *govern.Webhooks) (*govern.Webhook, error) {
	h, err := hooks.Get(c.ctx, c.path("webhook"))
	if err == nil && len(theirs(h)) == 0 {
		return nil, fault.New(fault.NotFound, "Webhook with ID %.100s not found.", h.ID)
	}
	return h, err
}

// theirs are the events of a webhook that MLflow has a name for.
func theirs(h *govern.Webhook) []string {
	return slices.DeleteFunc(slices.Clone(h.Events), func(name string) bool { return !slices.Contains(eventNames, name) })
}

// hookNames are the events of a request.
func hookNames(in *record) ([]string, error) {
	names := []string{}
	for _, e := range in.records("events") {
		name, err := hookName(e)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func hookName(e *record) (string, error) {
	entity, action := strings.ToLower(hookEntities[e.int("entity")]), strings.ToLower(hookActions[e.int("action")])
	if name := entity + "." + action; slices.Contains(eventNames, name) {
		return name, nil
	}
	var valid []string
	for _, name := range eventNames {
		if of, may, _ := strings.Cut(name, "."); of == entity {
			valid = append(valid, "'"+may+"'")
		}
	}
	slices.Sort(valid)
	return "", fault.New(fault.Invalid, "Invalid action '%s' for entity '%s'. Valid actions are: [%s]", action, entity, strings.Join(valid, ", "))
}

func (c *call) sendHook(h *govern.Webhook, err error) error {
	if err != nil {
		return err
	}
	c.object("webhook")
	c.hook(h)
	c.close('}')
	return nil
}

func (o *out) hook(h *govern.Webhook) {
	o.text("webhook_id", h.ID)
	o.text("name", h.Name)
	o.optional("description", h.Description)
	o.text("url", h.URL)
	o.list("events")
	for _, name := range theirs(h) {
		entity, action, _ := strings.Cut(name, ".")
		o.open('{')
		o.text("entity", strings.ToUpper(entity))
		o.text("action", strings.ToUpper(action))
		o.close('}')
	}
	o.close(']')
	o.text("status", strings.ToUpper(h.Status))
	o.millis("creation_timestamp", h.CreatedAt)
	o.millis("last_updated_timestamp", h.UpdatedAt)
}

// listHooks answers a page: the newest webhooks first. A page begins after the webhook that the token names.
func (c *call) listHooks(hooks *govern.Webhooks) error {
	limit := 100
	if c.in.has("max_results") && c.in.int("max_results") != 0 {
		limit = int(c.in.int("max_results"))
	}
	if limit < 1 || limit > 1000 {
		return fault.New(fault.Invalid, "max_results must be between 1 and 1000.")
	}
	after, err := hookAfter(c.in.text("page_token"))
	if err != nil {
		return err
	}
	all, err := hooks.List(c.ctx)
	if err != nil {
		return err
	}
	page := slices.DeleteFunc(all, func(h govern.Webhook) bool {
		return len(theirs(&h)) == 0 || after != "" && hookPlace(&h) >= after
	})
	next := ""
	if len(page) > limit {
		page = page[:limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(hookPlace(&page[limit-1])))
	}
	if len(page) > 0 {
		c.list("webhooks")
		for i := range page {
			c.open('{')
			c.hook(&page[i])
			c.close('}')
		}
		c.close(']')
	}
	c.optional("next_page_token", next)
	return nil
}

// hookPlace is the place of a webhook in the list, which descends.
func hookPlace(h *govern.Webhook) string {
	return fmt.Sprintf("%016x/%s", h.CreatedAt.UnixMicro(), h.ID)
}

func hookAfter(token string) (string, error) {
	place, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || token != "" && (len(place) < 17 || len(place) > 100 || place[16] != '/') {
		return "", fault.New(fault.Invalid, "Invalid page token, could not base64-decode")
	}
	return string(place), nil
}

// changeHook changes what the request names. Events of ours that the webhook also has are kept: MLflow's client cannot see them.
func (c *call) changeHook(hooks *govern.Webhooks) error {
	h, err := findHook(c, hooks)
	if err != nil {
		return err
	}
	var change govern.WebhookChange
	for name, to := range map[string]**string{"name": &change.Name, "url": &change.URL} {
		if text := c.in.text(name); text != "" {
			*to = &text
		}
	}
	for name, to := range map[string]**string{"description": &change.Description, "secret": &change.Secret} {
		if c.in.has(name) {
			text := c.in.text(name)
			*to = &text
		}
	}
	if c.in.has("status") {
		status := strings.ToLower(hookStates[c.in.int("status")])
		change.Status = &status
	}
	events, err := hookNames(c.in)
	if err != nil {
		return err
	}
	if len(events) > 0 {
		ours := slices.DeleteFunc(slices.Clone(h.Events), func(name string) bool { return slices.Contains(eventNames, name) })
		change.Events = append(events, ours...)
	}
	return c.sendHook(hooks.Update(c.ctx, h.ID, change))
}

func (c *call) testHook(hooks *govern.Webhooks) error {
	h, err := findHook(c, hooks)
	if err != nil {
		return err
	}
	event := theirs(h)[0]
	if c.in.has("event") {
		if event, err = hookName(c.in.get("event").record); err != nil {
			return err
		}
	}
	result, err := hooks.Test(c.ctx, h.ID, event)
	if err != nil {
		return err
	}
	c.object("result")
	c.bool("success", result.OK())
	if result.Status != 0 {
		c.int("response_status", int64(result.Status))
		c.text("response_body", result.Answer)
	} else {
		c.text("error_message", "Failed to test webhook: "+result.Error)
	}
	c.close('}')
	return nil
}

// isoformat is how Python writes a time with a zone.
func isoformat(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000+00:00") }
