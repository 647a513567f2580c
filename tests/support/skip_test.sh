#!/usr/bin/env bash
# usage: skip_test.sh SKIP_CASES SKIPPED_SH
#
# What CTest is told of a test that is skipped: the exit status of a program and its line
# "SKIPPED: ", and what skipped.sh makes of these.
set -uo pipefail
cases=$1
skipped=$2
unset EVFDD_FORBID_SKIPS
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
failures=0

# check WHAT EXPECTED GOT
check() {
    [[ $2 == "$3" ]] && return
    echo "$1: '$3', not '$2'"
    failures=$((failures + 1))
}
# The lines of the case by which CTest knows that it is skipped. Not printed here as they are: this
# test is none of those.
lines_of() { "$cases" "$1" 2>&1 | grep '^SKIPPED: '; }
fails() { if "$cases" "$1" >"$place/output" 2>&1; then echo no; else echo yes; fi; }

check 'a skipped test says' 'it is the reason' "$(lines_of skipped | sed 's/^SKIPPED: //')"
check 'a test that is skipped in part says' 'it is the reason' \
    "$(lines_of 'skipped in part' | sed 's/^SKIPPED: //')"
check 'a test that is skipped in part fails' no "$(fails 'skipped in part')"
check 'a test that is skipped in part and fails says' '' "$(lines_of 'skipped in part and failed')"
check 'a test that is skipped in part and fails, fails' yes "$(fails 'skipped in part and failed')"
check 'a test that is run says' '' "$(lines_of run)"

export EVFDD_FORBID_SKIPS=1
for name in skipped 'skipped in part'; do
    check "where it is forbidden, '$name' says" '' "$(lines_of "$name")"
    check "where it is forbidden, '$name' fails" yes "$(fails "$name")"
    grep -q 'EVFDD_FORBID_SKIPS is set.*it is the reason' "$place/output"
    check "where it is forbidden, '$name' gives the reason" 0 $?
done
check 'where it is forbidden, a test that is run fails' no "$(fails run)"
unset EVFDD_FORBID_SKIPS

log=$place/Testing/Temporary/LastTest.log
mkdir -p "${log%/*}"
write_log() { # of tests, each a name and its output
    : >"$log"
    while (($#)); do
        printf '%s\n' "1/9 Testing: $1" "1/9 Test: $1" "Command: x" "Output:" "$2" \
            "<end of output>" >>"$log"
        shift 2
    done
}
write_log one 'all is well'
check 'of none' 'no test was skipped' "$("$skipped" "$place")"
write_log 'a, b' 'SKIPPED: no x' two 'x' 'three' $'y\nSKIPPED: no x\nSKIPPED: no y'
check 'of some' '2 tests were skipped:
  2: no x
      a, b
      three
  1: no y
      three' "$("$skipped" "$place")"
exit $((failures > 0))
