#!/usr/bin/env python3
"""What the ledger says: check.py LEDGER JOBS-OF-A-KIND INTERRUPTIONS; exit 1 when something ran too seldom, too often, or too much at once."""

import collections
import sys

path, count, interruptions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
runs = collections.Counter()
moments = collections.defaultdict(list)
for line in open(path):
    time, kind, *words = line.split()
    if kind == "Limited":
        moments[words[1]].append((float(time), 1 if words[2] == "begins" else -1))
        if words[2] == "ends":
            continue
    runs[kind, *words[: 2 if kind in ("Again", "InVain") else 1]] += 1

expected = {"Plain": 2 * count, "Again": 3 * count, "Limited": 3 * count, "InVain": 10}
found = collections.Counter(kind for kind, *_ in runs)
extra = sum(runs.values()) - len(runs)
most = {}
for key, changes in moments.items():
    running = 0
    for _, change in sorted(changes):
        running += change
        most[key] = max(most.get(key, 0), running)
print(f"   different runs {dict(found)}; again {extra}, interruptions {interruptions}; most at once {most}")
# Whoever is killed never writes that it ends.
over = {} if interruptions else {key: n for key, n in most.items() if n > 2}
sys.exit(found != expected or extra > interruptions or bool(over))
