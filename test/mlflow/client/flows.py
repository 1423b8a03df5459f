"""Runs the flows of the named modules against MLFLOW_TRACKING_URI and prints one line of JSON for each.

A flow is a function whose name begins with "flow_"; it asserts what a user of MLflow relies on.
  python flows.py MODULE...
"""

import importlib
import json
import os
import sys
import time
import traceback
import warnings

# A client that meets an error of the server should say so at once, not in four minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.filterwarnings("ignore")


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the client prints links
    for name in sys.argv[1:]:
        module = importlib.import_module(name)
        for attribute, flow in list(vars(module).items()):
            if not attribute.startswith("flow_"):
                continue
            begun, error = time.time(), None
            try:
                flow()
            except BaseException:
                error = traceback.format_exc(limit=-6)
                ends_run()
            print(json.dumps({"flow": f"{name}/{attribute[5:]}", "seconds": time.time() - begun, "error": error}), file=answers, flush=True)


def ends_run() -> None:
    """Closes what a failed flow left open, so that the next one starts clean."""
    import mlflow

    while mlflow.active_run():
        mlflow.end_run()


if __name__ == "__main__":
    main()
