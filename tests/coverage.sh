#!/usr/bin/env bash
# usage: coverage.sh begin PROGRAM...
#        coverage.sh report SOURCE_DIR PROGRAM...
#
# Coverage of programs that were built with the preset `coverage`. They write counts to the
# directory of LLVM_PROFILE_FILE. `begin` removes the counts of earlier runs. `report` prints the
# share of the lines of common/ and daemon/ that were executed, for each file, and fails if it is
# below `least` percent for either folder. It writes the other lines to the file `unreached` in the
# same directory.
set -euo pipefail
least=95
profiles=$(dirname "${LLVM_PROFILE_FILE:?use the presets, which say where counts go}")

begin() {
    rm -rf "$profiles"
    mkdir -p "$profiles"
    # Each program creates its file of counts now, because a test with another uid can write to the
    # file but cannot create it.
    for program in "$@"; do
        # The exit status does not matter: a program without the option --help has created its file
        # too.
        "$program" --help >/dev/null 2>&1 || true
    done
    chmod a+rw "$profiles"/*
}

report() {
    local source=$1 low=0 table reached
    shift
    llvm-profdata-19 merge --sparse -o "$profiles/all" "$profiles"/*.profraw
    cov() {
        llvm-cov-19 "$1" -instr-profile="$profiles/all" "${@:2}" "${objects[@]}"
    }
    objects=("$1" "${@/#/-object=}")
    # All programs are examined together, because each has its own instances of the templates in
    # common/.
    : >"$profiles/unreached"
    for part in common daemon; do
        table=$(cov report -show-branch-summary=0 -show-region-summary=0 -sources "$source/$part")
        reached=$(awk '$1 == "TOTAL" { sub("%", "", $NF); print $NF }' <<<"$table")
        printf '%s/\n%s\n\n' "$part" "$table"
        cov export -format=lcov -sources "$source/$part" | awk -F '[:,]' -v source="$source/" '
            /^SF:/ { file = $2; n = 0; while ((getline line < file) > 0) text[++n] = line
                     close(file); sub(source, "", file) }
            /^DA:/ && $3 == 0 { print file ":" $2 ":" text[$2] }' >>"$profiles/unreached"
        if awk "BEGIN { exit !($reached < $least) }"; then
            echo "$part/: $reached % of the lines are reached, and $least % is the least"
            low=1
        fi
    done
    echo "The lines that are not reached are in $profiles/unreached"
    return "$low"
}

"$@"
