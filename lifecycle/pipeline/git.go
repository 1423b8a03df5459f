package pipeline

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// gitCommit is the commit of the folder that holds trimtab.yaml, with "-dirty" when it differs; "" when there is no Git.
func gitCommit(ctx context.Context, dir string) string {
	if dir == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	head, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	commit := strings.TrimSpace(string(head))
	if exec.CommandContext(ctx, "git", "-C", dir, "diff", "--quiet", "HEAD", "--", ".").Run() != nil {
		commit += "-dirty"
	}
	return commit
}
