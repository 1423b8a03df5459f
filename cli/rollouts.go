package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// deploymentOf finds the deployment that serves a model.
func deploymentOf(cmd *cobra.Command, client *Client, model string) (string, error) {
	var list struct {
		Items []serve.Deployment `json:"items"`
	}
	if err := client.Get(cmd.Context(), "deployments", &list); err != nil {
		return "", err
	}
	for _, d := range list.Items {
		if d.Model == model {
			return d.Name, nil
		}
	}
	return "", fault.New(fault.NotFound, "no deployment serves the model %q", model).WithHint("trimtab apply makes it")
}

// newRolloutCommands is the verbs of a rollout under trimtab deployments.
func newRolloutCommands(f *Factory) []*cobra.Command {
	verb := func(use, path, short string) *cobra.Command {
		var reason string
		cmd := &cobra.Command{Use: use + " NAME", Short: short, Example: fmt.Sprintf("  trimtab deployments %s flight-delays --reason \"seen enough\"", use), Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				client, err := f.Client(cmd.Context())
				if err != nil {
					return err
				}
				return postRollout(cmd, f, client, Path("deployments", args[0], "rollout", path), map[string]any{"reason": reason})
			}}
		cmd.Flags().StringVar(&reason, "reason", "", "why; audited")
		_ = cmd.MarkFlagRequired("reason") // the flag exists
		return cmd
	}
	rollouts := &cobra.Command{Use: "rollouts NAME", Short: "List the rollouts of a deployment", Example: "  trimtab deployments rollouts flight-delays", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			var list struct {
				Items []*rollout.Rollout `json:"items"`
			}
			if err := client.Get(cmd.Context(), Path("deployments", args[0], "rollouts"), &list); err != nil {
				return err
			}
			if f.JSON {
				return f.IO.JSON(list)
			}
			rows := [][]string{}
			for _, r := range list.Items {
				rows = append(rows, []string{versionText(r.To), versionText(r.From), r.State, r.StartedAt.Format("2006-01-02 15:04"), r.Summary, r.Cause})
			}
			f.IO.Table([]string{"VERSION", "AGAINST", "STATE", "STARTED", "EVIDENCE", "CAUSE"}, rows)
			return nil
		}}
	return []*cobra.Command{rollouts,
		verb("promote", "promote", "Make the canary champion now"),
		verb("abort", "abort", "Send the canary back now"),
		verb("pause", "pause", "Hold the canary's share"),
		verb("resume", "resume", "Let a paused rollout go on"),
	}
}

func postRollout(cmd *cobra.Command, f *Factory, client *Client, path string, body any) error {
	var r rollout.Rollout
	if err := client.Post(cmd.Context(), path, body, &r); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(r)
	}
	f.IO.Printf("%s: v%d %s. %s\n", r.Deployment, r.To, r.State, r.Summary)
	return nil
}

func printRoute(cmd *cobra.Command, f *Factory, client *Client, path string, body any) error {
	var d serve.Deployment
	if err := client.Post(cmd.Context(), path, body, &d); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(d)
	}
	f.IO.Printf("%s: v%d answers everything\n", d.Name, d.Route.Champion)
	return nil
}
