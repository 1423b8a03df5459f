package cli

import "github.com/spf13/cobra"

// items is the answer of every list of the API.
type items[T any] struct {
	Items []T `json:"items"`
}

// show prints what a path answers: as JSON with --json, else as print does.
func show[T any](cmd *cobra.Command, f *Factory, client *Client, path string, print func(*T)) error {
	answer := new(T)
	if err := client.Get(cmd.Context(), path, answer); err != nil {
		return err
	}
	if f.JSON {
		return f.IO.JSON(answer)
	}
	print(answer)
	return nil
}
