#!/usr/bin/env bash
# usage: hardening_test.sh SOURCES FILE...
#
# Checks that each FILE was compiled and linked with the options of config/cmake/hardening.cmake.
# FILE is a program or a shared library.
set -euo pipefail
sources=$1
shift

failed=0
file=
# usage: expect PATTERN TEXT MESSAGE. Prints MESSAGE if TEXT does not match PATTERN.
expect() {
    grep -qE "$1" <<<"$2" || { echo "$file $3"; failed=1; }
}

for file; do
    elf=$(readelf --wide --file-header --segments --dynamic "$file")
    expect 'Type: +DYN' "$elf" 'is not position-independent'
    expect 'GNU_STACK .* RW ' "$elf" 'has a stack that can be executed'
    expect 'GNU_RELRO' "$elf" 'leaves relocated data writable (-z relro)'
    expect 'FLAGS_1.* NOW' "$elf" 'binds symbols lazily (-z now)'

    # The stack protector and the buffer checks call functions of the C library. A dynamically
    # linked file lists these functions as undefined symbols. A statically linked program has no
    # undefined symbols, so the next two checks leave out this program. The object files of this
    # program are checked nevertheless, because a dynamically linked program consists of the same
    # object files.
    if grep -q NEEDED <<<"$elf"; then
        symbols=$(nm --dynamic --undefined-only "$file")
        expect ' __stack_chk_fail@' "$symbols" 'does not protect its stack (-fstack-protector-strong)'
        expect ' __[a-z]+_chk@' "$symbols" 'does not check its buffers (-D_FORTIFY_SOURCE)'
    fi

    # Checks the protection of indirect jumps. The dynamic loader enables this protection only if
    # all libraries of the process support it.
    if grep -q 'X86-64' <<<"$elf"; then
        [[ ${file##*/} == lib* ]] && begin=evfd_open || begin=main
        code=$(objdump --disassemble="$begin" --no-show-raw-insn "$file")
        expect 'endbr64' "$code" 'does not mark the targets of indirect jumps (-fcf-protection)'
    fi

    if grep -qF "$sources" "$file"; then
        echo "$file contains the path of its sources: $(strings --all "$file" | grep -m1 -F "$sources")"
        failed=1
    fi
done
exit $failed
