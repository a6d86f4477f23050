#!/bin/sh
# Process 1 of a peer's own pid, mount and UTS namespace:  namespace.sh DIRECTORY COMMAND...
# The resolver has no name server, so no peer can send a DNS query. DIRECTORY/binds lists further bind mounts,
# "source target" a line. When standard input ends the daemon gets SIGTERM; whatever is still there a
# moment later dies with the namespace.
set -u
directory=$1
shift
hostname localhost.localdomain
mount --make-rprivate / || exit 1
while read -r source target; do
  mount --bind "$source" "$target" || exit 1
done < "$directory/binds"

"$@" < /dev/null &
daemon=$!
exec 3<&0
(cat <&3 > /dev/null; kill -TERM 1) &
exec 3<&- < /dev/null

stopping=
trap 'stopping=1' TERM INT
wait "$daemon"
status=$?
[ -n "$stopping" ] || exit "$status"
kill -TERM "$daemon" 2> /dev/null
for _ in 1 2 3 4 5 6; do
  kill -0 "$daemon" 2> /dev/null || exit 0
  sleep 0.05
done
exit 0
