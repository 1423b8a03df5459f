package mlflow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// eventNames are the events that MLflow's webhooks can ask for (VALID_ENTITY_ACTIONS in mlflow/entities/webhook.py, 3.17.2). Budgets are of
// its gateway and never happen here.
var eventNames = []string{"registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted", "model_version_alias.created",
	"model_version_alias.deleted", "prompt.created", "prompt_version.created", "prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set",
	"prompt_version_tag.deleted", "prompt_alias.created", "prompt_alias.deleted", "budget_policy.exceeded"}

// Tags that prompts have for MLflow's own use (mlflow/prompt/constants.py).
const (
	promptText = "mlflow.prompt.text"
	promptType = "_mlflow_prompt_type"
)

// Dialect is how MLflow's webhooks see what happens to registered models.
func Dialect(models *registry.Service) govern.Dialect {
	return govern.Dialect{Names: eventNames, Header: "X-MLflow", Example: example,
		Translate: func(ctx context.Context, q catalog.Querier, e govern.Event) ([]govern.Notice, error) {
			name, data, err := translate(ctx, models, q, e)
			if name == "" || err != nil {
				return nil, err
			}
			body, err := envelope(name, e.Recorded, data)
			return []govern.Notice{{Name: name, Body: body}}, err
		}}
}

// Payloads, in the order of the fields of mlflow/webhooks/types.py.
type (
	modelNotice struct {
		Name        string            `json:"name"`
		Tags        map[string]string `json:"tags"`
		Description *string           `json:"description"`
	}
	versionNotice struct {
		Name        string            `json:"name"`
		Version     string            `json:"version"`
		Source      string            `json:"source"`
		RunID       *string           `json:"run_id"`
		Tags        map[string]string `json:"tags"`
		Description *string           `json:"description"`
	}
	promptVersionNotice struct {
		Name        string            `json:"name"`
		Version     string            `json:"version"`
		Template    *string           `json:"template"`
		Tags        map[string]string `json:"tags"`
		Description *string           `json:"description"`
	}
	tagNotice struct {
		Name    string  `json:"name"`
		Version *string `json:"version,omitempty"`
		Key     string  `json:"key"`
		Value   *string `json:"value,omitempty"`
	}
	aliasNotice struct {
		Name    string  `json:"name"`
		Alias   string  `json:"alias"`
		Version *string `json:"version,omitempty"`
	}
)

func envelope(name string, at time.Time, data any) ([]byte, error) {
	entity, action, _ := strings.Cut(name, ".")
	body, err := json.Marshal(struct {
		Entity    string `json:"entity"`
		Action    string `json:"action"`
		Timestamp string `json:"timestamp"`
		Data      any    `json:"data"`
	}{entity, action, isoformat(at), data})
	if err != nil {
		return nil, fmt.Errorf("write %s for webhooks: %w", name, err)
	}
	return body, nil
}

// translate gives MLflow's name for an event and what it sends; "" for events that it has no name for.
func translate(ctx context.Context, models *registry.Service, q catalog.Querier, e govern.Event) (string, any, error) {
	text := func(key string) string {
		s, _ := e.Data[key].(string)
		return s
	}
	given := func(key string) *string { // nil where there is none
		if s := text(key); s != "" {
			return &s
		}
		return nil
	}
	number := func(key string) *string {
		s := fmt.Sprint(e.Data[key])
		return &s
	}
	tags, _ := e.Data["tags"].(map[string]string)
	model := text("model")
	// Prompts are models with a tag; what happens to them has names of its own.
	of := func(forModel, forPrompt string, data any) (string, any, error) {
		prompt, err := models.IsPrompt(ctx, q, model)
		if prompt {
			return forPrompt, data, err
		}
		return forModel, data, err
	}
	switch e.Kind {
	case "model.created":
		description := text("description")
		if isPrompt(tags) {
			return "prompt.created", modelNotice{model, public(tags), &description}, nil
		}
		return "registered_model.created", modelNotice{model, public(tags), &description}, nil
	case "version.registered", "version.accepted", "version.refused", "version.forced":
		if _, made := e.Data["source"]; !made {
			return "", nil, nil // forced later: the version is not new
		}
		if isPrompt(tags) {
			template := tags[promptText]
			return "prompt_version.created", promptVersionNotice{model, *number("version"), &template, public(tags), given("description")}, nil
		}
		return "model_version.created", versionNotice{model, *number("version"), text("source"), given("run_id"), public(tags), given("description")}, nil
	case "version.tagged":
		value := text("value")
		return of("model_version_tag.set", "prompt_version_tag.set", tagNotice{model, number("version"), text("key"), &value})
	case "version.untagged":
		return of("model_version_tag.deleted", "prompt_version_tag.deleted", tagNotice{model, number("version"), text("key"), nil})
	case "model.tagged":
		value := text("value")
		return of("", "prompt_tag.set", tagNotice{model, nil, text("key"), &value})
	case "model.untagged":
		return of("", "prompt_tag.deleted", tagNotice{model, nil, text("key"), nil})
	case "alias.moved":
		if to := number("to"); *to != "0" {
			return of("model_version_alias.created", "prompt_alias.created", aliasNotice{model, text("alias"), to})
		}
		return of("model_version_alias.deleted", "prompt_alias.deleted", aliasNotice{model, text("alias"), nil})
	}
	return "", nil, nil
}

func isPrompt(tags map[string]string) bool { return strings.EqualFold(tags[registry.IsPrompt], "true") }

// public are tags without those that make something a prompt.
func public(tags map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range tags {
		if !isPrompt(tags) || key != registry.IsPrompt && key != promptText && key != promptType {
			out[key] = value
		}
	}
	return out
}

// example is what MLflow sends when a webhook is tested (get_example_payload_for_event in mlflow/webhooks/types.py, 3.17.2).
func example(name string, at time.Time) ([]byte, error) {
	entity, action, _ := strings.Cut(name, ".")
	one, tags := "1", map[string]string{"example_key": "example_value"}
	value, run, template := "example_value", "abcd1234abcd5678", "Hello {{name}}!"
	text := func(s string) *string { return &s }
	subject := "example_model"
	if strings.HasPrefix(entity, "prompt") {
		subject = "example_prompt"
	}
	var data any
	switch entity {
	case "registered_model":
		data = modelNotice{subject, tags, text("An example registered model")}
	case "prompt":
		data = modelNotice{subject, tags, text("An example prompt")}
	case "model_version":
		data = versionNotice{subject, one, "models:/123", &run, tags, text("An example model version")}
	case "prompt_version":
		data = promptVersionNotice{subject, one, &template, tags, text("An example prompt version")}
	case "model_version_tag", "prompt_version_tag", "prompt_tag":
		tag := tagNotice{subject, &one, "example_key", &value}
		if entity == "prompt_tag" {
			tag.Version = nil
		}
		if action == "deleted" {
			tag.Value = nil
		}
		data = tag
	case "model_version_alias", "prompt_alias":
		alias := aliasNotice{subject, "example_alias", &one}
		if action == "deleted" {
			alias.Version = nil
		}
		data = alias
	default:
		data = budget
	}
	return envelope(name, at, data)
}

var budget = struct {
	ID       string  `json:"budget_policy_id"`
	Unit     string  `json:"budget_unit"`
	Amount   float64 `json:"budget_amount"`
	Spend    float64 `json:"current_spend"`
	Duration string  `json:"duration_unit"`
	Value    int     `json:"duration_value"`
	Scope    string  `json:"target_scope"`
	Space    string  `json:"workspace"`
	Target   string  `json:"target_value"`
	Start    int64   `json:"window_start"`
}{"bp-abc123", "USD", 100, 105.5, "MONTHS", 1, "ENDPOINT", "default", "ep-abc123", 1704067200000}
