#!/usr/bin/env bash
# usage: hardening_test.sh SOURCES FILE...
#
# That each of these programs and libraries is compiled and linked as config/cmake/hardening.cmake says.
set -euo pipefail
sources=$1
shift

failed=0
file=
expect() { # PATTERN TEXT COMPLAINT
    grep -qE "$1" <<<"$2" || { echo "$file $3"; failed=1; }
}

for file; do
    elf=$(readelf --wide --file-header --segments --dynamic "$file")
    expect 'Type: +DYN' "$elf" 'is not position-independent'
    expect 'GNU_STACK .* RW ' "$elf" 'has a stack that can be executed'
    expect 'GNU_RELRO' "$elf" 'leaves what the loader fills in writable (-z relro)'
    expect 'FLAGS_1.* NOW' "$elf" 'looks symbols up while it runs (-z now)'

    # What protects the stack and checks buffers is called from the C library. Of a program that has
    # the C library in itself this proves nothing: it is linked from the objects of one that does not.
    if grep -q NEEDED <<<"$elf"; then
        symbols=$(nm --dynamic --undefined-only "$file")
        expect ' __stack_chk_fail@' "$symbols" 'does not protect its stack (-fstack-protector-strong)'
        expect ' __[a-z]+_chk@' "$symbols" 'does not check its buffers (-D_FORTIFY_SOURCE)'
    fi

    # That the loader turns it on is up to the C library: it does where all parts of a program can.
    if grep -q 'X86-64' <<<"$elf"; then
        [[ ${file##*/} == lib* ]] && begin=evfd_open || begin=main
        code=$(objdump --disassemble="$begin" --no-show-raw-insn "$file")
        expect 'endbr64' "$code" 'does not mark where it may be jumped to (-fcf-protection)'
    fi

    if grep -qF "$sources" "$file"; then
        echo "$file tells where it was built: $(strings --all "$file" | grep -m1 -F "$sources")"
        failed=1
    fi
done
exit $failed
