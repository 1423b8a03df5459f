package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

func newWebhooksCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "webhooks", Aliases: []string{"webhook"}, Short: "Have other programs told of events"}
	cmd.AddCommand(newWebhooksListCommand(f), newWebhooksAddCommand(f), newWebhooksRemoveCommand(f), newWebhooksTestCommand(f), newWebhooksLogCommand(f))
	return cmd
}

func newWebhooksListCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List webhooks, the newest first",
		Example: "  trimtab webhooks ls\n  trimtab webhooks ls --json | jq '.items[] | select(.failing_since)'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var list items[govern.Webhook]
			if err := client.Get(cmd.Context(), "webhooks", &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := make([][]string, len(list.Items))
			for i, h := range list.Items {
				rows[i] = []string{h.ID, h.Name, h.URL, strings.Join(h.Events, " "), h.Status, h.Problem}
			}
			f.IO.Table([]string{"ID", "NAME", "URL", "EVENTS", "STATUS", "PROBLEM"}, rows)
			return nil
		},
	}
}

func newWebhooksAddCommand(f *Factory) *cobra.Command {
	var name, description, secretFile string
	var events []string
	var sign bool
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Have an address told of events",
		Long: "Have an address told of events. Each is sent as JSON by POST, in order, and tried again until it is answered with 2xx: eight times\n" +
			"within an hour. Events are kinds (`trimtab events ls` shows them), prefixes that end in a dot, or * for all.",
		Example: "  trimtab webhooks add https://ci.example.com/hooks/trimtab --name ci --event version. --event alias.moved --sign\n" +
			"  trimtab webhooks add https://chat.example.com/hook --name chat --event alert. --secret-file secret.txt",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := webhookSecret(f, secretFile, sign)
			if err != nil {
				return err
			}
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			if name == "" {
				u, err := url.Parse(args[0])
				if err == nil {
					name = u.Hostname()
				}
			}
			in := map[string]any{"name": name, "description": description, "url": args[0], "events": events, "secret": secret}
			var made govern.Webhook
			if err := client.Post(cmd.Context(), "webhooks", in, &made); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(made)
			}
			f.IO.Printf("%s\n", made.ID)
			if sign {
				f.IO.Sayf("deliveries are signed with %s; it is shown only now\n", secret)
			}
			f.IO.Sayf("try it: trimtab webhooks test %s\n", made.ID)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "what it is called (default: the host of the URL)")
	flags.StringVar(&description, "description", "", "what it is for")
	flags.StringSliceVar(&events, "event", []string{"*"}, "what it is told of: version.accepted, a prefix like version., or * for all; more than once for more")
	flags.StringVar(&secretFile, "secret-file", "", "file with the secret that signs deliveries; - reads standard input")
	flags.BoolVar(&sign, "sign", false, "make a secret and print it")
	cmd.MarkFlagsMutuallyExclusive("secret-file", "sign")
	return cmd
}

// webhookSecret reads or makes the secret: it has no place on a command line, which other users of the machine can read.
func webhookSecret(f *Factory, file string, sign bool) (string, error) {
	if sign {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails since Go 1.24
		return "whsec_" + base64.StdEncoding.EncodeToString(key), nil
	}
	if file == "" {
		return "", nil
	}
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(f.IO.In, 1<<20))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "read the secret")
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fault.New(fault.Invalid, "the secret in %s is empty", file)
	}
	return secret, nil
}

// findWebhook gives the id of the webhook that is meant by its id or by a name that only one has.
func findWebhook(ctx context.Context, client *Client, named string) (*govern.Webhook, error) {
	var list items[govern.Webhook]
	if err := client.Get(ctx, "webhooks", &list); err != nil {
		return nil, err
	}
	var found []govern.Webhook
	for _, h := range list.Items {
		if h.ID == named {
			return &h, nil
		}
		if h.Name == named {
			found = append(found, h)
		}
	}
	switch len(found) {
	case 0:
		return nil, fault.New(fault.NotFound, "there is no webhook %q", named).WithHint("see them all: trimtab webhooks ls")
	case 1:
		return &found[0], nil
	}
	return nil, fault.New(fault.Invalid, "%d webhooks are called %q", len(found), named).WithHint("give the id: trimtab webhooks ls")
}

func newWebhooksRemoveCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME",
		Short:   "Remove a webhook, by name or id, with its deliveries",
		Example: "  trimtab webhooks rm ci",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			h, err := findWebhook(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			if err := client.Do(cmd.Context(), http.MethodDelete, Path("webhooks", h.ID), nil, nil, io.Discard); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(h)
			}
			f.IO.Sayf("webhook %s is removed\n", h.Name)
			return nil
		},
	}
}

func newWebhooksTestCommand(f *Factory) *cobra.Command {
	var event string
	cmd := &cobra.Command{
		Use:     "test NAME",
		Short:   "Call a webhook once with an example of an event",
		Example: "  trimtab webhooks test ci\n  trimtab webhooks test ci --event version.accepted",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			h, err := findWebhook(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			var result govern.TestWebhook
			if err := client.Post(cmd.Context(), Path("webhooks", h.ID, "test"), map[string]string{"event": event}, &result); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(result)
			}
			if !result.OK() {
				return fault.New(fault.Unavailable, "webhook %s: %s", h.Name, result.Error)
			}
			f.IO.Printf("%s\n", attemptText(&result.Attempt))
			return nil
		},
	}
	cmd.Flags().StringVar(&event, "event", "", "the kind of the example (default: the first that the webhook wants)")
	return cmd
}

func attemptText(a *govern.Attempt) string {
	text := cmp.Or(a.Error, "delivered")
	if a.Status != 0 {
		text = strconv.Itoa(a.Status) + " " + text
	}
	return fmt.Sprintf("%s, %.0f ms", text, a.Latency)
}

func newWebhooksLogCommand(f *Factory) *cobra.Command {
	var state, replay string
	var limit int
	cmd := &cobra.Command{
		Use:     "log NAME",
		Short:   "Show what a webhook was told and what it answered, the newest first",
		Example: "  trimtab webhooks log ci\n  trimtab webhooks log ci --state failed\n  trimtab webhooks log ci --replay 0197f3c2a1b07c3e8f00112233445566",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			h, err := findWebhook(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			if replay != "" {
				var d govern.Delivery
				if err := client.Post(cmd.Context(), Path("webhooks", h.ID, "deliveries", replay, "replay"), nil, &d); err != nil {
					return err
				}
				if f.JSON {
					return f.IO.JSON(d)
				}
				f.IO.Sayf("%s is delivered once more\n", d.Kind)
				return nil
			}
			return showDeliveries(cmd.Context(), f, client, h.ID, url.Values{"state": {state}, "limit": {strconv.Itoa(limit)}})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "waiting, delivered or failed")
	flags.IntVar(&limit, "limit", 50, "at most this many")
	flags.StringVar(&replay, "replay", "", "deliver this one once more, with the same id")
	return cmd
}

func showDeliveries(ctx context.Context, f *Factory, client *Client, webhook string, query url.Values) error {
	if query.Get("state") == "" {
		query.Del("state")
	}
	var list items[govern.Delivery]
	if err := client.Get(ctx, Path("webhooks", webhook, "deliveries")+"?"+query.Encode(), &list); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(list)
	}
	rows := make([][]string, len(list.Items))
	for i, d := range list.Items {
		last := ""
		if n := len(d.Tries); n > 0 {
			last = attemptText(&d.Tries[n-1])
		}
		rows[i] = []string{d.ID, term.Time(d.CreatedAt), d.Kind, d.State, strconv.FormatInt(d.Attempts, 10), last}
	}
	f.IO.Table([]string{"ID", "AT", "EVENT", "STATE", "TRIES", "LAST"}, rows)
	return nil
}
