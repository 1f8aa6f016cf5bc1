"""A long-lived handler that does nothing with each job."""

import json
import sys

for line in sys.stdin:
    job = json.loads(line)
    if "cancel" not in job:
        print(json.dumps({"claim": job["claim"], "outcome": "done"}), flush=True)
