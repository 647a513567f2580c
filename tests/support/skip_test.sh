#!/usr/bin/env bash
# usage: skip_test.sh SKIP_CASES SKIPPED_SH
#
# Checks the three signs of a skipped test: the exit status of the test's program, the line that
# begins with "SKIPPED: ", and the list that skipped.sh prints.
set -uo pipefail
cases=$1
skipped=$2
unset EVFDD_FORBID_SKIPS
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
failures=0

# usage: check WHAT EXPECTED GOT. Reports a failure of WHAT unless GOT is EXPECTED.
check() {
    [[ $2 == "$3" ]] && return
    echo "$1: '$3', not '$2'"
    failures=$((failures + 1))
}
# Prints the lines by which CTest recognizes that the test case $1 was skipped. The caller must
# change these lines before printing them. If not, CTest would count skip_test.sh as skipped.
lines_of() { "$cases" "$1" 2>&1 | grep '^SKIPPED: '; }
fails() { if "$cases" "$1" >"$directory/output" 2>&1; then echo no; else echo yes; fi; }

check 'a skipped test prints' 'it is the reason' "$(lines_of skipped | sed 's/^SKIPPED: //')"
check 'a test that is skipped in part prints' 'it is the reason' \
    "$(lines_of 'skipped in part' | sed 's/^SKIPPED: //')"
check 'a test that is skipped in part fails' no "$(fails 'skipped in part')"
check 'a test that is skipped in part and fails prints' '' \
    "$(lines_of 'skipped in part and failed')"
check 'a test that is skipped in part and fails, fails' yes "$(fails 'skipped in part and failed')"
check 'a test that runs prints' '' "$(lines_of run)"

export EVFDD_FORBID_SKIPS=1
for name in skipped 'skipped in part'; do
    check "with skips forbidden, '$name' prints" '' "$(lines_of "$name")"
    check "with skips forbidden, '$name' fails" yes "$(fails "$name")"
    grep -q 'EVFDD_FORBID_SKIPS is set.*it is the reason' "$directory/output"
    check "with skips forbidden, '$name' prints the reason" 0 $?
done
check 'with skips forbidden, a test that runs fails' no "$(fails run)"
unset EVFDD_FORBID_SKIPS

log=$directory/Testing/Temporary/LastTest.log
mkdir -p "${log%/*}"
# Writes a log of CTest. The arguments are pairs: the name of a test, and the output of that test.
write_log() {
    : >"$log"
    while (($#)); do
        printf '%s\n' "1/9 Testing: $1" "1/9 Test: $1" "Command: x" "Output:" "$2" \
            "<end of output>" >>"$log"
        shift 2
    done
}
write_log one 'all is well'
check 'without skipped tests, skipped.sh prints' 'no test was skipped' "$("$skipped" "$directory")"
write_log 'a, b' 'SKIPPED: no x' two 'x' 'three' $'y\nSKIPPED: no x\nSKIPPED: no y'
check 'with skipped tests, skipped.sh prints' '2 tests were skipped:
  2: no x
      a, b
      three
  1: no y
      three' "$("$skipped" "$directory")"
exit $((failures > 0))
