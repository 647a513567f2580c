# shellcheck shell=bash
# bash completion of evfdctl(1). Verbs and options come from `evfdctl __complete`, names from the daemon.

# `evfdctl __complete [VERB]` prints lines with tabs: a verb and its description; an option, the name
# of its value and the possible values; or the name of an argument.

# Prints the options of a verb, or the global options.
_evfdctl_options() {
    "$1" __complete "${@:2}" 2>/dev/null | awk -F'\t' '/^--/ { print $1 }'
}

_evfdctl_verbs() {
    "$1" __complete 2>/dev/null | awk -F'\t' '/^[a-z]/ { print $1 }'
}

# Succeeds if the option takes a value.
_evfdctl_takes_value() {
    "$2" __complete "${@:3}" 2>/dev/null | grep -- "^$1"$'\t''[A-Z]' >/dev/null
}

# Prints the possible values of an option.
_evfdctl_values() {
    "$2" __complete "${@:3}" 2>/dev/null | option=$1 awk -F'\t' '$1 == ENVIRON["option"] { print $3 }'
}

# Stores the words up to the cursor in $words. bash splits a word at ":" and "@", which names can
# contain, so this function joins the parts of each word.
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

# Removes from each completion the beginning of the current word, up to the last ":" or "@". bash
# keeps this beginning on the line, so a whole completion would repeat it.
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

    # Prints the first 1,000 names that begin with the current word. If there are more, prints also
    # the word with "...", so that no part of a name is inserted that the other names do not have.
    # Never connects to another machine, because ssh can ask for a password, and never starts a
    # daemon.
    _evfdctl_names() {
        local pattern
        pattern=$(printf %s "$current" | sed 's/[][*?\\-]/\\&/g')
        [[ $is_far ]] || "$program" "${which[@]}" --no-start list "$pattern**" 2>/dev/null |
            word=$current awk -F'\t' 'NR > 1000 { print ENVIRON["word"] "..."; exit } { print $1 }'
    }

    local of=("$program" ${verb:+"$verb"})
    if [[ $previous == --socket ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    elif [[ $previous == --host ]]; then
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$current")
    elif [[ $previous == --ssh ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
    elif [[ $previous == --sets ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_names)" -- "$current")
    elif [[ $previous == -* ]] && _evfdctl_takes_value "$previous" "${of[@]}"; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_values "$previous" "${of[@]}")" -- "$current")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_options "${of[@]}")" -- "$current")
    elif [[ -z $verb || $verb == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
    elif "$program" __complete "$verb" 2>/dev/null | grep -E '^(NAME|PATTERN)' >/dev/null; then
        mapfile -t COMPREPLY < <(compgen -W "$(_evfdctl_names)" -- "$current")
    fi
}

complete -F _evfdctl evfdctl
