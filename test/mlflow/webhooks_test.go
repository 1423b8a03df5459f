package mlflow

import (
	"path/filepath"
	"testing"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// TestWebhooksArrive has MLflow's own code check what its webhooks are sent, on a receiver of this machine.
func TestWebhooksArrive(t *testing.T) {
	t.Parallel()
	if *onPeer {
		t.Skip("MLflow's server calls this machine only with variables of its environment")
	}
	flows(t, peer.Version, start(t, filepath.Join(t.TempDir(), "state"), "--webhook-allow", "127.0.0.1").url, "told")
}
