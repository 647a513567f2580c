#!/usr/bin/env bash
# usage: completion_test.sh DIRECTORY_OF_PROGRAMS DIRECTORY_OF_COMPLETIONS
#
# Checks the completions that bash, zsh and fish offer on a command line of evfdctl. The completions
# must agree with evfdctl --help. Checks also that evfdctl(1) describes every verb and option.
set -euo pipefail
export PATH=$1:$PATH
completions=$2

place=$(mktemp -d)
export EVFDD_SOCKET=$place/io.evfdd
daemon_pid() { evfdctl "$@" status | sed -nE 's/.*\(pid ([0-9]+)\).*/\1/p'; }
daemon=''
trap '[[ -z $daemon ]] || kill "$daemon"; rm -rf "$place"' EXIT
evfdd --socket "$EVFDD_SOCKET" --background
daemon=$(daemon_pid)
evfdctl create db/ready
evfdctl create db/done
evfdctl create jobs
evfdctl create user@far:1
mkdir "$place/bin"
touch "$place/bin/evfd-worker"
chmod +x "$place/bin/evfd-worker"
export PATH=$place/bin:$PATH

# shellcheck disable=SC2016,SC2317  # The functions are called by name and contain scripts for other shells.
in_bash() {
    bash -c '
        source "$1/evfdctl.bash"; shift
        COMP_LINE=$* COMP_POINT=${#COMP_LINE} COMP_WORDS=()
        for word; do # Bash splits a word at : and @.
            while [[ $word =~ ^([^:@]+)([:@].*)$ || $word =~ ^([:@])(.+)$ ]]; do
                COMP_WORDS+=("${BASH_REMATCH[1]}")
                word=${BASH_REMATCH[2]}
            done
            COMP_WORDS+=("$word")
        done
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        last=${*: -1}
        _evfdctl
        ((${#COMPREPLY[@]})) && printf "${last%"${last##*[:@]}"}%s\n" "${COMPREPLY[@]}"
        exit 0' bash "$completions" "$@"
}
# shellcheck disable=SC2016,SC2317
in_fish() {
    fish --no-config -c 'source $argv[1]/evfdctl.fish; complete -C "$argv[2]"' "$completions" "$*" |
        cut -f1
}
# shellcheck disable=SC2016,SC2317
in_zsh() {
    zsh -f -c '
        compadd() { shift; print -l -- $@ }
        _files() { print -- FILES }
        _hosts() { print -- HOSTS }
        _normal() { if (( CURRENT == 1 )); then print -l -- ${(k)commands}; elif (( CURRENT == 2 )); then print -l -- $words[2]*(N); fi }
        completion=$1/_evfdctl; shift
        words=("$@") CURRENT=$#
        source $completion' zsh "$completions" "$@" | awk -v "word=${*: -1}" 'index($0, word) == 1'
}

in_order() { tr ' ' '\n' | sed '/^$/d' | sort | tr '\n' ' '; }

failures=0
# usage: offers WORDS COMMAND_LINE... Checks that each shell completes the last word of COMMAND_LINE
# to exactly the words in WORDS, in any order.
offers() {
    local expected=$1 shell got
    shift
    for shell in bash zsh fish; do
        got=$("in_$shell" "$@" | in_order)
        if [[ $got != "$(in_order <<<"$expected")" ]]; then
            echo "$shell offers for '$*': $got, expected: $expected"
            failures=$((failures + 1))
        fi
    done
}

# Reads the expected verbs and options from evfdctl --help. The completions get them from evfdctl
# __complete. The test compares the two results. --help does not list "relay", so the completions do
# not offer it.
verbs=$(evfdctl --help | awk '/^  [a-z]/ { print $1 }')
options_of() { evfdctl "$@" --help | grep -oE -- '^  (-[a-z], |    )--[a-z-]+' | grep -oE -- '--[a-z-]+'; }

offers "$verbs" evfdctl ''
offers 'set show status' evfdctl s
offers 'wait' evfdctl help w
offers "$verbs" evfdctl --socket "$EVFDD_SOCKET" ''
for verb in $verbs; do
    offers "$(options_of "$verb")" evfdctl "$verb" --
done
offers '--help --version --socket --system --user --no-start --host --ssh' evfdctl --
offers 'db/done db/ready jobs user@far:1' evfdctl set ''
offers 'db/done db/ready' evfdctl wait jobs d
offers 'user@far:1' evfdctl set us
offers 'user@far:1' evfdctl set user@
offers 'user@far:1' evfdctl wait jobs user@far:
offers '' evfdctl wait user@near:
offers '' evfdctl --host far set ''
offers '' evfdctl --host far --ssh ssh arm x --after 1s --sets ''
offers '' evfdctl status ''
offers 'manual' evfdctl create x --mode m
offers 'always auto' evfdctl monitor --color a
offers 'last-set' evfdctl top --sort la
offers 'realtime realtime-alarm' evfdctl arm x --clock realtime
offers 'jobs' evfdctl arm x --after 1s --sets j
offers '' evfdctl show jobs -p ''
offers '' evfdctl show jobs --property ''
offers '' evfdctl wait jobs --timeout ''
offers 'evfd-worker' evfdctl hold jobs -- evfd-w
offers 'evfd-worker' evfdctl wait user@far:1 --any -- evfd-w
offers "$place/bin/evfd-worker" evfdctl on jobs -- cat "$place/bin/evfd-"

# Checks that a completion asks the daemon only for the names that begin with the word, and that
# special characters of patterns are escaped.
evfdctl=$(command -v evfdctl)
cat >"$place/bin/evfdctl" <<END
#!/bin/sh
for word; do [ "\$word" != list ] || printf '%s\n' "\$*" >>"$place/lists"; done
exec "$evfdctl" "\$@"
END
chmod +x "$place/bin/evfdctl"
# usage: asks_for PATTERN COMMAND_LINE...
asks_for() {
    local pattern=$1 shell
    shift
    for shell in bash zsh fish; do
        : >"$place/lists"
        "in_$shell" "$@" >/dev/null
        if [[ $(sort -u "$place/lists") != "--no-start list $pattern" ]]; then
            echo "$shell asks for '$*': $(cat "$place/lists"), expected: $pattern"
            failures=$((failures + 1))
        fi
    done
}
asks_for '**' evfdctl set ''
asks_for 'db/r**' evfdctl wait jobs db/r
asks_for 'user@far:**' evfdctl set user@far:
asks_for 'j**' evfdctl arm x --after 1s --sets j
asks_for '\-j**' evfdctl arm x --after 1s --sets -j
asks_for 'd\[b**' evfdctl set 'd[b'
rm "$place/bin/evfdctl"

# At most 1,000 names are offered. A further word says that there are more.
for ((i = 1000; i < 2000; i++)); do
    printf '{"method":"io.evfdd.CreateEvent","parameters":{"name":"many/%d","mode":"pulse"}}\0' "$i"
done | evfdctl relay | tr '\0' '\n' | sed -n 1000q
offers "$(seq -f 'many/%.0f' 1000 1999)" evfdctl set many/
evfdctl create many/last
offers "many/... $(seq -f 'many/%.0f' 1000 1999)" evfdctl set many/
offers 'many/last' evfdctl set many/l

# The user's daemon does not run. Checks that a completion with --user then offers no names and does
# not start this daemon.
export XDG_RUNTIME_DIR=$place/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
offers '' evfdctl --user set ''
if [[ -e $XDG_RUNTIME_DIR/evfdd/io.evfdd ]]; then
    echo 'a completion started a daemon'
    failures=$((failures + 1))
    daemon_pid --user | xargs -r kill
fi

page=$(dirname "$0")/../../client/evfdctl/evfdctl.1.scd
# usage: describes NAME PATTERN. Checks that the manual page matches PATTERN. The error message
# contains NAME.
describes() {
    grep -qE -- "$2" "$page" && return
    echo "evfdctl(1) does not describe $1"
    failures=$((failures + 1))
}
for verb in $verbs relay; do
    describes "$verb" "^\\*$verb\\*( |$)"
    for option in $(options_of "$verb"); do
        describes "$verb $option" "$option\\b"
    done
done
exit $((failures > 0))
