#!/usr/bin/env bash
# usage: fuzz.sh BIN_DIR WORK_DIR [NAME...]
#
# Runs each fuzz_NAME from BIN_DIR for FUZZ_SECONDS seconds (default: 60), two programs at a time,
# beginning with the inputs in corpus/. Stores new inputs in WORK_DIR/NAME/corpus for the next run,
# and failing inputs in WORK_DIR/NAME/findings. Fails if there is a failing input, and prints how to
# reproduce the failure.
set -euo pipefail
tests=$(cd "$(dirname "$0")" && pwd)
bin=$1 work=$2
shift 2
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(calls config frame journal json reply)
seconds=${FUZZ_SECONDS:-60}

# These options make each run faster, because the number of runs matters most. Backtraces of
# allocations are short. The quarantine of freed memory is small, so that the program soon uses
# freed memory again. Otherwise the program would need new memory, which the kernel must clear
# first.
export ASAN_OPTIONS=malloc_context_size=1:quarantine_size_mb=8:detect_stack_use_after_return=0:${ASAN_OPTIONS-}

fuzz() {
    # Disables the entropic schedule of libFuzzer. This schedule takes a quarter of the time. In an
    # equal number of runs, the entropic schedule finds no more than the other schedule of
    # libFuzzer.
    local name=$1 dir=$work/$1 options=(-entropic=0 -max_len=4096)
    # A scenario ends after 64 operations, so mutations of later bytes would have no effect. A
    # scenario that clears a semaphore of half a million tokens takes 4 seconds of CPU time, so the
    # timeout, which is in real time, is long.
    [ "$name" != calls ] || options+=(-max_len=512)
    rm -rf "$dir/findings"
    mkdir -p "$dir/corpus" "$dir/findings"
    [ ! -e "$tests/corpus/$name.dict" ] || options+=(-dict="$tests/corpus/$name.dict")
    "$bin/fuzz_$name" "${options[@]}" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$dir/findings/" \
        "$dir/corpus" "$tests/corpus/$name" >"$dir/log" 2>&1
}

report() {
    local name=$1 dir=$work/$1 last
    last=$(grep -E '^#[0-9]+' "$dir/log" | tail -n 1 || true)
    echo "fuzz_$name: ${last:-it did not start}"
    if [ "$2" -ne 0 ]; then
        grep -vE '^(#[0-9]+|INFO)|NEW_FUNC' "$dir/log" | tail -n 40
        echo "fuzz_$name has findings. To reproduce them:"
        find "$dir/findings" -type f -printf "  $bin/fuzz_$name %p\n"
    fi
}

mkdir -p "$work"
failed=0
for ((i = 0; i < ${#names[@]}; i += 2)); do
    pair=("${names[@]:i:2}") pids=()
    for name in "${pair[@]}"; do
        fuzz "$name" &
        pids+=($!)
    done
    for j in "${!pair[@]}"; do
        status=0
        wait "${pids[j]}" || status=$?
        report "${pair[j]}" "$status"
        [ "$status" -eq 0 ] || failed=1
    done
done
exit "$failed"
