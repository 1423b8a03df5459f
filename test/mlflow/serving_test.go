package mlflow

import (
	"path/filepath"
	"testing"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// TestServesWhatMLflowLogged has the real client log a pipeline, and this server serve it: in a worker and, converted, in this process.
func TestServesWhatMLflowLogged(t *testing.T) {
	t.Parallel()
	flows(t, peer.Version, start(t, filepath.Join(t.TempDir(), "state")).url, "serving")
}
