#!/usr/bin/env bash
# usage: header_warnings_test.sh C_COMPILER CXX_COMPILER INCLUDE_DIRECTORY
#
# Checks that the compiler warns about a result that is not used and about NULL, that it accepts the
# correct use, and that EVFD_NO_NONNULL turns the warning about NULL off. Checks that the header
# causes no warning in C89, C99, C++98 and C++17.
set -euo pipefail
c_compiler=$1
cxx_compiler=$2
include=$3
compiler=$c_compiler
language='c'
standard='c99'
object=$(mktemp)
trap 'rm -f "$object"' EXIT

# Compiles a function that consists of the statement $1. Further arguments go to the compiler.
compile() {
    local statement=$1
    shift
    printf '#include <evfd.h>\nvoid f(int fd);\nvoid f(int fd)\n{\n    (void)fd;\n    %s\n}\n' "$statement" |
        "$compiler" -x "$language" -std="$standard" -Wall -Wextra -Wpedantic -Werror -I"$include" "$@" -c -o "$object" - 2>&1
}
accept() {
    compile "$@" || { echo "not accepted: $*"; exit 1; }
}
refuse() {
    local warning=$1 said
    shift
    if said=$(compile "$@"); then
        echo "accepted: $*"
        exit 1
    fi
    grep -q -- "$warning" <<<"$said" || { echo "$said"; exit 1; }
}

for standard in c89 c99; do
    accept '(void)0;' -Wno-long-long
done
compiler=$cxx_compiler
language=c++
for standard in c++98 c++17; do
    accept '(void)0;' -Wno-long-long
done
compiler=$c_compiler
language='c'
standard='c99'

accept 'if (evfd_wait(fd, 0) > 0) evfd_set(fd);'
accept 'evfd_set_name("e"); evfd_close(fd);'
for call in 'evfd_open("e", 0, 0, 0)' 'evfd_wait(fd, 0)' 'evfd_trywait(fd)' 'evfd_wait_until(fd, 0, 0)' \
    'evfd_wait_any(&fd, 1, 0, 0)' 'evfd_wait_all(&fd, 1, 0)' 'evfd_is_set(fd)' 'evfd_get_mode(fd)' \
    'evfd_get_access(fd)' 'evfd_remaining(fd)' 'evfd_wait_name("e", 0)' 'evfd_version()' 'evfd_connect(0)'; do
    refuse unused-result "$call;"
done
for call in 'fd = evfd_open(0, 0, 0, 0)' 'evfd_delete(0)' 'evfd_set_name(0)' 'evfd_arm(fd, 0)' \
    'evfd_arm_name("e", 0, 0, 0)' 'evfd_client_set(0, 0)' 'fd = evfd_client_new(0, 0)' 'fd = evfd_wait_any(0, 1, 0, 0)' 'fd = evfd_wait_all_name(0, 1, 0)'; do
    refuse nonnull "$call;"
    accept "$call;" -DEVFD_NO_NONNULL
done
