#!/usr/bin/env bash
# usage: exported_symbols_test.sh LIBRARY HEADER
#
# Checks that the library exports exactly the functions that the header declares, and that each
# exported function has a symbol version. Checks also the name of the library (SONAME) and that
# dlclose(3) cannot unload the library (NODELETE).
set -euo pipefail
library=$1
header=$2

declared=$(grep -oE '\bevfd_[a-z_]+\(' "$header" | tr -d '(' | sort -u)
symbols=$(nm --dynamic --defined-only --with-symbol-versions "$library" | awk '$2 != "A" {print $3}')
exported=$(cut -d@ -f1 <<<"$symbols" | sort)
if ! diff <(echo "$declared") <(echo "$exported"); then
    echo "$library does not export what $header declares (<)"
    exit 1
fi
if grep -v '@@EVFD_[0-9]*$' <<<"$symbols"; then
    echo "the symbols above have no version"
    exit 1
fi
dynamic=$(readelf --dynamic --wide "$library")
for entry in 'SONAME.*\[libevfd\.so\.0\]' 'FLAGS_1.*NODELETE'; do
    grep -q "$entry" <<<"$dynamic" || { echo "$library has no $entry"; exit 1; }
done
