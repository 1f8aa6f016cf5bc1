#!/usr/bin/env python3
"""Compresses files: a long-lived handler that reads a job per line and answers with a line.

A job of class CompressFile has two arguments: the file, and where its .gz goes. While it runs it says how far it is, and
stops when it is told to.
"""

import gzip
import json
import os
import queue
import sys
import tempfile
import threading
import traceback

CHUNK = 1 << 20
SAY_EVERY = 64 * CHUNK


class Stopped(Exception):
    """The engine wants the job to end now: it is shutting down, or the job's time is up."""


def compress(source, target, on_progress):
    """Writes target whole or not at all, and twice the same: a run may be cut short and followed by another."""
    with open(source, "rb") as content:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        half = tempfile.NamedTemporaryFile(dir=os.path.dirname(target), suffix=".half", delete=False)
        try:
            with half, gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=half, mtime=0) as compressed:
                done = 0
                while chunk := content.read(CHUNK):
                    compressed.write(chunk)
                    done += len(chunk)
                    on_progress(done)
            os.replace(half.name, target)
        except BaseException:
            os.unlink(half.name)
            raise


def run(job, cancelled):
    """Runs one job; returns its answer."""

    def on_progress(done):
        if job["claim"] in cancelled:
            raise Stopped
        if done % SAY_EVERY == 0:
            say(job, progress={"bytes": done})

    try:
        source, target = job["arguments"]
        compress(source, target, on_progress)
        say(job, log=f"compressed {source} to {os.path.getsize(target)} bytes")
    except Stopped:
        return {"outcome": "release"}
    except (FileNotFoundError, NotADirectoryError) as error:
        # It won't come back by trying again.
        return {"outcome": "fail", "error": described(error)}
    except Exception as error:
        return {"outcome": "retry", "error": described(error)}
    return {"outcome": "done"}


def described(error):
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {"exception_class": type(error).__name__, "message": str(error), "backtrace": "".join(lines).splitlines()}


def say(job, **line):
    print(json.dumps({"claim": job["claim"], **line}), flush=True)


def read(jobs, cancelled):
    """Passes jobs on and notes what is to stop, until stdin ends. In a thread of its own: a job runs meanwhile."""
    try:
        for line in sys.stdin:
            message = json.loads(line)
            if "cancel" in message:
                cancelled.add(message["cancel"])
            else:
                jobs.put(message)
    finally:
        jobs.put(None)


def main():
    jobs, cancelled = queue.Queue(), set()
    threading.Thread(target=read, args=(jobs, cancelled), daemon=True).start()
    while job := jobs.get():
        say(job, **run(job, cancelled))
        cancelled.discard(job["claim"])


if __name__ == "__main__":
    main()
