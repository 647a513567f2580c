#!/bin/sh
# Demonstrates the daemon: two independent processes use one name. The first process waits for the
# name before the event exists. The second process creates the event and sets it. After that, two
# programs open an event, and signal each other through its descriptor.
# Usage: demo.sh DIRECTORY_OF_THE_PROGRAMS
set -eu

bin=$1
place=$(mktemp -d)
EVFDD_SOCKET=$place/io.evfdd
export EVFDD_SOCKET

say() { printf '%s\n' "$*"; }

say 'Start a private daemon.'
"$bin/evfdd" --socket "$EVFDD_SOCKET" --background --log-level warn
daemon=$("$bin/evfdctl" status --json | sed 's/.*"pid":\([0-9]*\).*/\1/')
trap 'kill "$daemon"; rm -rf "$place"' EXIT
say "  evfdd is process $daemon"
say

say 'From the shell: one process waits for a name that nobody has created yet.'
"$bin/evfdctl" wait demo/ready &
waiter=$!
while [ "$("$bin/evfdctl" status --json | sed 's/.*"waits":\([0-9]*\).*/\1/')" -lt 1 ]; do :; done
say "  evfdctl wait demo/ready     (process $waiter sleeps)"
"$bin/evfdctl" create demo/ready
say '  evfdctl create demo/ready'
"$bin/evfdctl" set demo/ready
say '  evfdctl set demo/ready'
wait "$waiter"
say "  process $waiter woke up and exited with status 0"
say

say 'From a program: the daemon passes the descriptor, and is not involved any more.'
"$bin/evfdctl" create demo/ping --mode auto
"$bin/evfdctl" create demo/pong --mode auto
"$bin/evfd-demo" answer demo/ping demo/pong &
answerer=$!
"$bin/evfd-demo" ask demo/ping demo/pong
wait "$answerer"
