#!/usr/bin/env python3
"""Compresses files: a server that is posted each job, and answers in lines of JSON while the job runs.

A job of class CompressFile has two arguments: the file, and where its .gz goes. Listens on 127.0.0.1, port 8080 or $PORT.
"""

import gzip
import http.server
import json
import os
import tempfile
import traceback

CHUNK = 1 << 20


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


def described(error):
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {"exception_class": type(error).__name__, "message": str(error), "backtrace": "".join(lines).splitlines()}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        """The health check: nothing is claimed before it answers 2xx."""
        self.send_response(204 if self.path == "/healthz" else 404)
        self.end_headers()

    def do_POST(self):
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        try:
            self.run(job)
        except ConnectionError:
            # The engine has hung up: the job is to stop, and has.
            self.log_message("job %s was stopped", job["id"])

    def run(self, job):
        """Runs one job; the answer is its last line."""
        try:
            source, target = job["arguments"]
            # Each line is a sign of life; and when nobody hears it any more, writing it fails.
            compress(source, target, lambda done: self.say(progress={"bytes": done}))
        except ConnectionError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            # It won't come back by trying again.
            self.say(outcome="fail", error=described(error))
        except Exception as error:
            self.say(outcome="retry", error=described(error))
        else:
            self.say(outcome="done")

    def say(self, **line):
        self.wfile.write(json.dumps(line).encode() + b"\n")


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
