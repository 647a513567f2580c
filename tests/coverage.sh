#!/usr/bin/env bash
# usage: coverage.sh begin PROGRAM...
#        coverage.sh report SOURCE_DIR PROGRAM...
#
# Measures which lines of common/ and daemon/ were executed. The programs must be built with the
# preset `coverage`. They count how often each line is executed, and write the counts to the
# directory of LLVM_PROFILE_FILE.
# `begin` removes the counts of earlier runs.
# `report` prints, for each file, the percentage of the lines that were executed. It writes the
# lines that were not executed to the file `unreached` in the directory of the counts. It fails if
# less than 95 percent of the lines of common/ or of daemon/ were executed.
set -euo pipefail
least=95
profiles=$(dirname "${LLVM_PROFILE_FILE:?use the presets, which say where counts go}")

begin() {
    rm -rf "$profiles"
    mkdir -p "$profiles"
    # Runs each program once, so that the program creates its file of counts. A test that runs as
    # another user can write to the file, but cannot create it.
    for program in "$@"; do
        # A program without the option --help fails, but still creates its file of counts. So the
        # exit status is ignored.
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
    # Reports on all programs together. Each program has its own instances of the templates in
    # common/, and a line counts as executed if any program has executed it.
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
