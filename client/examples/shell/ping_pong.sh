#!/usr/bin/env bash
# Signals another program, in any language, through two named auto events. The script inherits their
# descriptors, so it can set the events without the daemon.
# Usage: evfdctl exec PING PONG -- ping_pong.sh ask|answer [ROUNDS]
set -euo pipefail

if [[ ${1-} != ask && ${1-} != answer || ! ${LISTEN_FDNAMES-} ]]; then
    echo "usage: evfdctl exec PING PONG -- $0 ask|answer [ROUNDS]" >&2
    exit 2
fi
side=$1
rounds=${2:-3}

# evfdctl exec passes the descriptors of the events in the order of these names, starting with
# descriptor 3.
IFS=: read -ra names <<<"$LISTEN_FDNAMES"
names=("${names[@]//%3A/:}")
ping=3 pong=4

# write(2) to an eventfd adds a 64-bit number, in the byte order of the machine.
set_event() { printf '\1\0\0\0\0\0\0\0' >&"$1"; }
# Consumes the event on a descriptor. The descriptor is non-blocking, so take_now fails if the event
# is not set.
take_now() { od -An -tu8 -N8 <&"$1" >/dev/null 2>&1; }
is_set() { read -r -t 0 -u "$1"; }

for ((round = 1; round <= rounds; round++)); do
    if [[ $side == ask ]]; then
        set_event "$ping"
        evfdctl wait "${names[1]}" # Sleeps until the event is set, and consumes it.
        echo "answer $round came"
    else
        until take_now "$ping"; do evfdctl wait "${names[0]}" && break; done
        echo "question $round came"
        set_event "$pong"
    fi
done
if [[ $side == ask ]] && is_set "$pong"; then
    echo 'there was one answer too many'
    exit 1
fi
