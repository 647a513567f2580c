#!/usr/bin/env bash
# usage: manual_test.sh DIRECTORY_OF_PAGES
#
# That man(1) has nothing to say against our pages.
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
