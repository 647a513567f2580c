# shellcheck shell=bash
# bash completion of evfdctl(1). What verbs and options there are, evfdctl itself tells by --help;
# the names are those that the daemon has.

# The options of a verb, or those before one.
_evfdctl_options() {
    "$@" --help 2>/dev/null | sed -nE 's/^  (-h,)?(--[a-z-]+).*/\2/p'
}

_evfdctl_verbs() {
    "$1" --help 2>/dev/null | sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p'
}

# Whether the option takes a value, and which ones there are, if they can be listed.
_evfdctl_takes_value() {
    local option=$1
    shift
    "$@" --help 2>/dev/null | grep -E -e "^  $option [A-Z]+(:|$| +[^ ])" -e "^  $option [A-Z]+ Excludes:" >/dev/null
}
_evfdctl_values() {
    local option=$1
    shift
    "$@" --help 2>/dev/null | sed -nE "s/^  $option [A-Z]+:\{([^}]*)\}.*/\1/p" | tr ',' '\n'
}

# The words up to the cursor, in $words: bash has parted them at each colon and at sign, which may be
# in names.
_evfdctl_join_words() {
    local rest=$COMP_LINE word gap i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        gap=${rest%%[![:space:]]*}
        rest=${rest#"$gap"}
        rest=${rest#"$word"}
        if [[ $gap || $i == 0 ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
    done
}

# Of each answer only what comes after the last of these is to stand at the cursor.
_evfdctl_trim_answers() {
    local kept=${1%"${1##*[:@]}"} i
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]#"$kept"}
    done
}

_evfdctl() {
    local words
    COMPREPLY=()
    _evfdctl_join_words
    _evfdctl_answer
    _evfdctl_trim_answers "${words[-1]}"
}

_evfdctl_answer() {
    local program=${words[0]} current=${words[-1]} previous=${words[-2]} last=$((${#words[@]} - 1))
    local verbs verb='' which=() is_far='' i word
    verbs=$(_evfdctl_verbs "$program")
    for ((i = 1; i < last; i++)); do
        word=${words[i]}
        case $word in
        --)
            if ((i + 1 == last)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$current")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
            fi
            return
            ;;
        --system | --user) which+=("$word") ;;
        --socket)
            which+=("$word" "${words[i + 1]}")
            ((i++))
            ;;
        --host | --ssh)
            is_far=1
            ((i++))
            ;;
        *) [[ -z $verb && $'\n'$verbs$'\n' == *$'\n'"$word"$'\n'* ]] && verb=$word ;;
        esac
    done

    # Another machine is not asked: its ssh may ask in turn. Nor is a daemon started for it.
    _evfdctl_names() { [[ $is_far ]] || "$program" "${which[@]}" --no-start list 2>/dev/null | cut -f1; }

    local of=("$program" ${verb:+"$verb"})
    if [[ $previous == --socket ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    elif [[ $previous == --host ]]; then
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$current")
    elif [[ $previous == --ssh ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
    elif [[ $previous == --sets ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_names)" -- "$current")
    elif [[ $previous == --* ]] && _evfdctl_takes_value "$previous" "${of[@]}"; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_values "$previous" "${of[@]}")" -- "$current")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_options "${of[@]}")" -- "$current")
    elif [[ -z $verb || $verb == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
    elif "${of[@]}" --help 2>/dev/null | grep -E '^  (NAME|PATTERN)' >/dev/null; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_names)" -- "$current")
    fi
}

complete -F _evfdctl evfdctl
