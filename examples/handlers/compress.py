#!/usr/bin/env python3
"""Compresses files: a long-lived handler that reads a job per line and answers with a line.

A job of class CompressFile has two arguments: the file, and where its .gz goes.
"""

import gzip
import json
import os
import shutil
import sys
import tempfile


def compress(source, target):
    """Writes target whole or not at all, and twice the same: a run may be cut short and followed by another."""
    with open(source, "rb") as content:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        half = tempfile.NamedTemporaryFile(dir=os.path.dirname(target), suffix=".half", delete=False)
        try:
            with half, gzip.GzipFile(filename="", mode="wb", fileobj=half, mtime=0) as compressed:
                shutil.copyfileobj(content, compressed)
            os.replace(half.name, target)
        except BaseException:
            os.unlink(half.name)
            raise


def run(job):
    """Runs one job; returns its answer."""
    try:
        source, target = job["arguments"]
        compress(source, target)
    except (FileNotFoundError, NotADirectoryError) as error:
        # It won't come back by trying again.
        return {"outcome": "fail", "error": {"exception_class": type(error).__name__, "message": str(error)}}
    except Exception as error:
        return {"outcome": "retry", "error": {"exception_class": type(error).__name__, "message": str(error)}}
    return {"outcome": "done"}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "cancel" in message:
            # A job here takes no time worth stopping in.
            continue
        answer = run(message)
        print(json.dumps({"claim": message["claim"], **answer}), flush=True)


if __name__ == "__main__":
    main()
