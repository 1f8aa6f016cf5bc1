#!/bin/sh
# Runs a job where everything around it is as promised, and fails it for good where it isn't.
wrong() {
    echo "$1" >&2
    exit 65
}

cat >/dev/null
if [ "$(id -u)" != 65532 ]; then wrong "runs as $(id -u)"; fi
if [ -n "${DATABASE_URL:-}" ]; then wrong "sees the queue's address"; fi
if [ -n "${SSL_CERT_FILE:-}${GRITSTONE_CA_FILE:-}" ]; then wrong "sees authorities that aren't its image's"; fi
if [ "${GREETING:-}" != hello ]; then wrong "doesn't see its own variable"; fi
if touch /app/written 2>/dev/null; then wrong "can write to its image"; fi
touch /tmp/written || wrong "has no folder to write to"
