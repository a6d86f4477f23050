#!/bin/sh
# deliver.sh DIRECTORY SENDER RECIPIENT...: one file a delivery: the envelope, an empty line, the message.
directory=$1
shift
umask 022
file=$(mktemp "$directory/.XXXXXX") || exit 75
{ printf '%s\n' "$@"; echo; cat; } > "$file"
chmod 644 "$file"
mv "$file" "$directory/$(basename "$file" | tr -d .)"
