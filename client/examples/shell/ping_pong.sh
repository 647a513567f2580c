#!/usr/bin/env bash
# Two programs that signal each other by two named auto events, whatever they are written in; this
# one in bash. The descriptors are its own: what it sets by them, it sets without the daemon.
# Usage: evfdctl exec PING PONG -- ping_pong.sh ask|answer [ROUNDS]
set -euo pipefail

if [[ ${1-} != ask && ${1-} != answer || ! ${LISTEN_FDNAMES-} ]]; then
    echo "usage: evfdctl exec PING PONG -- $0 ask|answer [ROUNDS]" >&2
    exit 2
fi
side=$1
rounds=${2:-3}

# What evfdctl exec tells: the descriptors are 3 and so on, in the order of these names.
IFS=: read -ra names <<<"$LISTEN_FDNAMES"
names=("${names[@]//%3A/:}")
ping=3 pong=4

# An eventfd takes a number of eight bytes, the lowest first on most machines.
set_event() { printf '\1\0\0\0\0\0\0\0' >&"$1"; }
# Takes what is there, and fails if there is nothing: the descriptor does not block.
take_now() { od -An -tu8 -N8 <&"$1" >/dev/null 2>&1; }
is_set() { read -r -t 0 -u "$1"; }

for ((round = 1; round <= rounds; round++)); do
    if [[ $side == ask ]]; then
        set_event "$ping"
        evfdctl wait "${names[1]}" # Sleeps until it is set, and takes that.
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
