#!/usr/bin/env bash
# usage: skipped.sh BUILD_DIRECTORY
#
# Prints the tests that the last run of ctest(1) skipped, by reason. A skipped test has a line
# "SKIPPED: REASON" in its output.
set -euo pipefail
log=$1/Testing/Temporary/LastTest.log
[[ -e $log ]] || { echo "$log does not exist; run ctest first" >&2; exit 1; }
LC_ALL=C awk '
    match($0, /^[0-9]+\/[0-9]+ Test: /) { test = substr($0, RLENGTH + 1) }
    sub(/^SKIPPED: /, "") {
        if (!(test in skipped)) { skipped[test] = 1; ++count }
        if (!($0 in tests)) { reasons[++kinds] = $0 }
        tests[$0] = tests[$0] "\n      " test
        ++of[$0]
    }
    END {
        if (!count) { print "no test was skipped"; exit }
        printf "%d %s skipped:\n", count, count == 1 ? "test was" : "tests were"
        for (i = 1; i <= kinds; ++i)
            printf "  %d: %s%s\n", of[reasons[i]], reasons[i], tests[reasons[i]]
    }' "$log"
