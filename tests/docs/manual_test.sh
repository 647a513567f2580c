#!/usr/bin/env bash
# usage: manual_test.sh DIRECTORY_OF_PAGES INTERFACE DIRECTORY_OF_PROGRAMS
#
# Checks that man(1) prints no warnings for the manual pages. Checks that io.evfdd(7) describes
# every method, error and type of the Varlink interface, and that evfdd(8) and evfdctl(1) describe
# every option that --help lists.
set -euo pipefail
page() { MANWIDTH=80 man --encoding=UTF-8 --local-file "$pages/$1" | col -b; }
pages=$1
count=0
for page in "$1"/*.[0-9]; do
    warnings=$(MANWIDTH=80 man --warnings --encoding=UTF-8 --local-file "$page" 2>&1 >/dev/null)
    if [[ -n $warnings ]]; then
        echo "$page: $warnings"
        exit 1
    fi
    count=$((count + 1))
done
((count > 0)) || { echo "no manual page in $1"; exit 1; }

text=$(page io.evfdd.7)
members=$(sed -nE 's/^(method|error|type) ([A-Za-z]+).*/\2/p' "$2")
[[ -n $members ]] || { echo "no method, error or type in $2"; exit 1; }
for member in $members; do
    grep -qE "^ +$member$" <<<"$text" || { echo "io.evfdd(7) does not describe $member"; exit 1; }
done

# usage: must_have_options PAGE COMMAND... Checks that the manual page in $text contains every
# option that COMMAND --help lists, except --help. The error message contains PAGE.
must_have_options() {
    local page=$1 option
    shift
    for option in $("$@" --help | grep -oE -- '^  (-[a-z],|-[a-z], |    )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
        [[ $option == --help ]] && continue
        grep -qE -- "(^|[^a-z-])$option($|[^a-z-])" <<<"$text" ||
            { echo "$page does not describe $option of $*"; exit 1; }
    done
}
text=$(page evfdd.8)
must_have_options 'evfdd(8)' "$3/evfdd"
text=$(page evfdctl.1)
must_have_options 'evfdctl(1)' "$3/evfdctl"
verbs=$("$3/evfdctl" --help | awk '/^  [a-z]/ { print $1 }')
[[ -n $verbs ]] || { echo 'evfdctl --help lists no verbs'; exit 1; }
for verb in $verbs relay; do # --help does not list "relay".
    grep -qE "^ +$verb( |$)" <<<"$text" || { echo "evfdctl(1) does not describe $verb"; exit 1; }
    must_have_options 'evfdctl(1)' "$3/evfdctl" "$verb"
done
