#!/bin/sh
# Compresses a file: a handler that is started for each job, with the job on its stdin and its exit code as the answer.
#
#     0 done, 75 come later, 65 fail for good, anything else run it again if it has attempts left
#
# A job of class CompressFile has two arguments: the file, and where its .gz goes. What is written to stderr last is the error.
set -eu

job=$(cat)

# JSON is read by what can read it: cut out with sed, the first file with a quote or an umlaut in its name would be another's.
# Where jq is installed: printf '%s' "$job" | jq -er ".arguments[$1]"
argument() {
    printf '%s' "$job" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["arguments"][int(sys.argv[1])])' "$1"
}

source=$(argument 0)
target=$(argument 1)
half=$target.$$.half

if [ ! -e "$source" ]; then
    echo "$source is not there" >&2
    # It won't come back by trying again.
    exit 65
fi

# Told to stop, the whole process group gets TERM, gzip too: the job comes back later.
trap 'rm -f "$half"; exit 75' TERM
trap 'rm -f "$half"' EXIT

# Whole or not at all, and twice the same: a run may be cut short and followed by another.
mkdir -p "$(dirname "$target")"
gzip -cn -- "$source" >"$half"
if [ -d "$target" ]; then
    # Else mv would move it in there.
    echo "$target is a folder" >&2
    exit 1
fi
mv -- "$half" "$target"
echo "compressed $source"
