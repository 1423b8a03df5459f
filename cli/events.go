package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

func newEventsCommand(f *Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "events", Aliases: []string{"event"}, Short: "See what happened, and who did it"}
	cmd.AddCommand(newEventsListCommand(f))
	return cmd
}

type eventsOptions struct {
	project, kind, subject string
	limit                  int
	follow                 bool
}

func newEventsListCommand(f *Factory) *cobra.Command {
	var o eventsOptions
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List events, the newest first; with --follow, the newest last and on",
		Example: "  trimtab events ls --project flight-delays\n" +
			"  trimtab events ls --kind version. --json\n" +
			"  trimtab events ls --follow",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listEvents(cmd.Context(), f, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.project, "project", "", "only of this project")
	flags.StringVar(&o.kind, "kind", "", "exact, or a prefix that ends in a dot: version.")
	flags.StringVar(&o.subject, "subject", "", "exact, or a prefix that ends in a slash: model/flight-delays/")
	flags.IntVar(&o.limit, "limit", 50, "at most this many of the past")
	flags.BoolVar(&o.follow, "follow", false, "go on with what happens, until interrupted")
	return cmd
}

func listEvents(ctx context.Context, f *Factory, o eventsOptions) error {
	client, err := f.Client(ctx)
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(o.limit)}}
	for name, value := range map[string]string{"project": o.project, "kind": o.kind, "subject": o.subject} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var list struct {
		Items []govern.Event `json:"items"`
	}
	if err := client.Get(ctx, "events?"+query.Encode(), &list); err != nil {
		return err
	}
	if !o.follow {
		if f.JSON {
			return f.IO.JSON(list)
		}
		rows := make([][]string, len(list.Items))
		for i, e := range list.Items {
			rows[i] = []string{term.Time(e.At), e.Kind, e.Subject, e.Actor, f.IO.Level(e.Level, e.Message)}
		}
		f.IO.Table([]string{"AT", "KIND", "SUBJECT", "ACTOR", "MESSAGE"}, rows)
		return nil
	}
	last := ""
	for i := len(list.Items) - 1; i >= 0; i-- {
		last = list.Items[i].ID
		if err := printEvent(f, list.Items[i]); err != nil {
			return err
		}
	}
	// The stream knows projects; kind and subject are left to this side.
	query = url.Values{}
	if o.project != "" {
		query.Set("project", o.project)
	}
	if last != "" {
		query.Set("after", last)
	}
	return client.Stream(ctx, "events/stream?"+query.Encode(), func(e Event) error {
		var event govern.Event
		if err := json.Unmarshal(e.Data, &event); err != nil {
			return err
		}
		if !matches(o.kind, event.Kind, '.') || !matches(o.subject, event.Subject, '/') {
			return nil
		}
		return printEvent(f, event)
	})
}

// matches reports whether value is the pattern, or starts with it when the pattern ends in the separator.
func matches(pattern, value string, separator byte) bool {
	if pattern == "" || pattern == value {
		return true
	}
	return pattern[len(pattern)-1] == separator && len(value) > len(pattern) && value[:len(pattern)] == pattern
}

// printEvent prints one event on a line of its own: as JSON, tab-separated, or for the eye.
func printEvent(f *Factory, e govern.Event) error {
	if f.JSON {
		return json.NewEncoder(f.IO.Out).Encode(e)
	}
	if !f.IO.TTY {
		f.IO.Printf("%s\t%s\t%s\t%s\t%s\n", term.Time(e.At), e.Kind, e.Subject, e.Actor, e.Message)
		return nil
	}
	f.IO.Printf("%s  %s  %s\n", f.IO.Dim(term.Time(e.At)), f.IO.Level(e.Level, e.Kind), e.Message)
	return nil
}
