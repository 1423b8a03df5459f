"""Runs the flows of the named modules against TRIMTAB_SERVER and prints one line of JSON for each.

A flow is a function whose name begins with "flow_"; it asserts what a user of the client relies on.
  python flows.py MODULE...
"""

import asyncio
import importlib
import inspect
import json
import sys
import time
import traceback
import warnings

warnings.filterwarnings("ignore")


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    for name in sys.argv[1:]:
        module = importlib.import_module(name)
        for attribute, flow in list(vars(module).items()):
            if not attribute.startswith("flow_"):
                continue
            begun, error = time.time(), None
            try:
                if inspect.iscoroutinefunction(flow):
                    asyncio.run(flow())
                else:
                    flow()
            except BaseException:
                error = traceback.format_exc(limit=-6)
            print(json.dumps({"flow": attribute[5:], "seconds": time.time() - begun, "error": error}), file=answers, flush=True)


if __name__ == "__main__":
    main()
