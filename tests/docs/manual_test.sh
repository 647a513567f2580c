#!/usr/bin/env bash
# usage: manual_test.sh DIRECTORY_OF_PAGES INTERFACE DIRECTORY_OF_PROGRAMS
#
# That man(1) has nothing to say against our pages, that the one of the protocol has all that the
# published interface has, and those of the programs all that --help has.
set -euo pipefail
page() { MANWIDTH=80 man --encoding=UTF-8 --local-file "$pages/$1" | col -b; }
pages=$1
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

told=$(page io.evfdd.7)
members=$(sed -nE 's/^(method|error|type) ([A-Za-z]+).*/\2/p' "$2")
[[ -n $members ]] || { echo "there is nothing in $2"; exit 1; }
for member in $members; do
    grep -qE "^ +$member$" <<<"$told" || { echo "io.evfdd(7) says nothing of $member"; exit 1; }
done

# The options of what is called with these words, each as one word of the page.
must_have_options() {
    local page=$1 option
    shift
    for option in $("$@" --help | grep -oE -- '^  (-[a-z],)?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
        [[ $option == --help ]] && continue
        grep -qE -- "(^|[^a-z-])$option($|[^a-z-])" <<<"$told" ||
            { echo "$page says nothing of $option of $*"; exit 1; }
    done
}
told=$(page evfdd.8)
must_have_options 'evfdd(8)' "$3/evfdd"
told=$(page evfdctl.1)
must_have_options 'evfdctl(1)' "$3/evfdctl"
verbs=$("$3/evfdctl" --help | awk '/^Subcommands:/ { on = 1; next } !NF { on = 0 } on && /^  [a-z]/ { print $1 }')
[[ -n $verbs ]] || { echo 'evfdctl --help has no verbs'; exit 1; }
for verb in $verbs; do
    grep -qE "^ +$verb( |$)" <<<"$told" || { echo "evfdctl(1) says nothing of $verb"; exit 1; }
    must_have_options 'evfdctl(1)' "$3/evfdctl" "$verb"
done
