# Runs a server for as long as whoever holds the other end of standard input lives: guard FOLDER SIGNAL COMMAND...
#
# Prints the server's process id. If the server ends by itself, so does this script. When standard input closes, because its
# holder let go or died of anything (kill -9 too), the server gets SIGNAL and FOLDER is removed.

folder=$1 signal=$2
shift 2
exec 3<&0 </dev/null

"$@" 3<&- >>"$folder/log" 2>&1 &
server=$!
echo "$server"
exec >>"$folder/log" 2>&1

# From the moment the holder is gone, TERM can't change the watcher's answer. CONT: the server may be frozen.
(read -r _ <&3; trap '' TERM; kill -s "$signal" "$server"; kill -s CONT "$server"; exit 0) &
watcher=$!

wait "$server"
kill "$watcher" 2>/dev/null
wait "$watcher" && rm -rf -- "$folder"
