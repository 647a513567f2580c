#!/usr/bin/env bash
# usage: manual_test.sh DIRECTORY_OF_PAGES INTERFACE
#
# That man(1) has nothing to say against our pages, and that the one of the protocol has all that the
# published interface has.
set -euo pipefail
count=0
for page in "$1"/*.[0-9]; do
    complaints=$(MANWIDTH=80 man --warnings --encoding=UTF-8 --local-file "$page" 2>&1 >/dev/null)
    if [[ -n $complaints ]]; then
        echo "$page: $complaints"
        exit 1
    fi
    count=$((count + 1))
done
((count > 0)) || { echo "there is no page in $1"; exit 1; }

told=$(MANWIDTH=80 man --encoding=UTF-8 --local-file "$1/io.evfdd.7" | col -b)
members=$(sed -nE 's/^(method|error|type) ([A-Za-z]+).*/\2/p' "$2")
[[ -n $members ]] || { echo "there is nothing in $2"; exit 1; }
for member in $members; do
    grep -qE "^ +$member$" <<<"$told" || { echo "io.evfdd(7) says nothing of $member"; exit 1; }
done
