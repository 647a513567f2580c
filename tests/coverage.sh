#!/usr/bin/env bash
# usage: coverage.sh begin PROGRAM...
#        coverage.sh report SOURCE_DIR PROGRAM...
#
# Counts of programs built with the preset `coverage`, which come together where LLVM_PROFILE_FILE
# says. `begin` forgets those of earlier runs. `report` tells how many lines of common/ and daemon/
# were reached, file by file; fails if it is less than `least` percent of either; and writes
# the other lines to the file `unreached` beside the counts.
set -euo pipefail
least=95
profiles=$(dirname "${LLVM_PROFILE_FILE:?use the presets, which say where counts go}")

begin() {
    rm -rf "$profiles"
    mkdir -p "$profiles"
    # Each makes its file now: a test under another uid could make none here, but may count in it.
    for program in "$@"; do
        "$program" --help >/dev/null 2>&1 || true # Those that know no such option have come as far.
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
    # Each program that uses a template of common/ has its own instance of it.
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
