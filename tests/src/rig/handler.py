"""A handler that writes down what it does, line by line, where no crash of anybody can undo it.

Jobs take `[seconds]`, `[seconds, "stubborn"]` (goes on when told to stop), `[seconds, "grandchild"]` (works through a
child of its own) or `[seconds, "leak"]` (keeps 80 MB). Each line of the ledger is one write to a file opened for appending: their order is the order in
which things happened. `start` and `end` are on the disk before anything else happens; `tick` says that a run goes on.

All lines have one length, a divisor of a page's: a write that goes from one page into the next can end between the two when its process is
killed, and would leave half a line before the next one.
"""

import json
import os
import select
import subprocess
import sys
import time

TICK = 0.01
LINE = 256
ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(what, job, durable=False):
    entry = {"what": what, "id": job["id"], "claim": job["claim"], "attempt": job["attempt"],
             "interruptions": job["interruptions"], "pid": os.getpid(), "at": time.monotonic()}
    line = json.dumps(entry).encode().ljust(LINE - 1) + b"\n"
    assert len(line) == LINE, f"{line} is too long"
    os.write(ledger, line)
    if durable:
        os.fdatasync(ledger)


class Input:
    """Lines from the engine; asking for one takes so long at most."""

    def __init__(self):
        self.buffer, self.ended = b"", False

    def line(self, seconds):
        until = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self.buffer and not self.ended:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([0], [], [], left)[0]:
                return None
            got = os.read(0, 65536)
            self.buffer, self.ended = self.buffer + got, not got
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line) if line else None


def wait(job, lines, seconds, stubborn):
    """Works for so long; true when told to stop before."""
    until, tick = time.monotonic() + seconds, max(TICK, seconds / 100)
    while (left := until - time.monotonic()) > 0:
        pause = min(tick, left)
        if lines.ended:
            time.sleep(pause)
        else:
            said = lines.line(pause)
            if said and said.get("cancel") == job["claim"] and not stubborn:
                return True
        note("tick", job)
    return False


def run(job, lines):
    seconds, *manner = job["arguments"]
    note("start", job, durable=True)
    if "leak" in manner:
        leaked.append(b"x" * 80_000_000)
    if "grandchild" in manner:
        child = subprocess.Popen(["sleep", str(seconds)])
        note(f"grandchild {child.pid}", job, durable=True)
        child.wait()
        stopped = False
    else:
        stopped = wait(job, lines, seconds, "stubborn" in manner)
    note("stopped" if stopped else "end", job, durable=True)
    print(json.dumps({"claim": job["claim"], "outcome": "release" if stopped else "done"}), flush=True)


lines, leaked = Input(), []
while (document := lines.line(None)) or not lines.ended:
    if document and "cancel" not in document:
        run(document, lines)
