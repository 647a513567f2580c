#!/usr/bin/env bash
# usage: exported_symbols_test.sh LIBRARY HEADER
#
# That the library shows what its header has, each with a version, and nothing else.
set -euo pipefail
library=$1
header=$2

declared=$(grep -oE '\bevfd_[a-z_]+\(' "$header" | tr -d '(' | sort -u)
shown=$(nm --dynamic --defined-only --with-symbol-versions "$library" | awk '$2 != "A" {print $3}')
exported=$(cut -d@ -f1 <<<"$shown" | sort)
if ! diff <(echo "$declared") <(echo "$exported"); then
    echo "$library does not show what $header declares (<)"
    exit 1
fi
if grep -v '@@EVFD_[0-9]*$' <<<"$shown"; then
    echo "these have no version of the interface"
    exit 1
fi
dynamic=$(readelf --dynamic --wide "$library")
for entry in 'SONAME.*\[libevfd\.so\.0\]' 'FLAGS_1.*NODELETE'; do
    grep -q "$entry" <<<"$dynamic" || { echo "no $entry in $library"; exit 1; }
done
