#!/usr/bin/env bash
# usage: cxx_standard_test.sh COMPILER SOURCES
#
# Checks that a program which uses the C++ library compiles as C++23. With an older standard, the
# compiler must report exactly one error, which says what to do.
set -euo pipefail
compiler=$1
sources=$2

program='#include <evfd/client.h>
int main() {}'
compile() { "$compiler" "-std=$1" -fsyntax-only -I "$sources" -I "$sources/client/include" -x c++ - <<<"$program" 2>&1; }

for standard in c++17 c++20; do
    if errors=$(compile $standard); then
        echo "$standard is accepted"
        exit 1
    fi
    if (($(grep -c 'error:' <<<"$errors") != 1)) ||
        ! grep -q 'error:.*evfd needs C++23: compile with -std=c++23' <<<"$errors"; then
        echo "the errors for $standard are:"
        head -n 20 <<<"$errors"
        exit 1
    fi
done
compile c++23
