# fish completion of evfdctl(1). Verbs and options come from `evfdctl __complete`, names from the daemon.

# `evfdctl __complete [VERB]` prints lines with tabs: a verb and its description; an option, the name
# of its value and the possible values; or the name of an argument.

function __evfdctl_verbs
    evfdctl __complete 2>/dev/null | string match -r '^[a-z].*'
end

function __evfdctl_verb
    set -l verbs (__evfdctl_verbs | string replace -r '\t.*' '')
    for word in (commandline -opc)[2..]
        contains -- $word $verbs; and echo $word; and return
    end
    return 1
end

# Prints one line per option: its name, the name of its value, and the possible values.
function __evfdctl_options
    evfdctl __complete (__evfdctl_verb) 2>/dev/null | string match -r '^-.*'
end

function __evfdctl_which
    set -l words (commandline -opc)
    for i in (seq 2 (count $words))
        switch $words[$i]
            case --system --user
                echo $words[$i]
            case --socket
                echo $words[$i]
                set -q words[(math $i + 1)]; and echo $words[(math $i + 1)]
        end
    end
end

# Prints the first 1,000 names that begin with the current word. If there are more, prints also the
# word with "...", so that no part of a name is inserted that the other names do not have. Never
# connects to another machine, because ssh can ask for a password, and never starts a daemon.
function __evfdctl_names
    string match -qr -- '^--(host|ssh)$' (commandline -opc); and return
    set -lx word (commandline -ct)
    set -l escaped (printf %s "$word" | sed 's/[][*?\\\\-]/\\\\&/g')
    evfdctl (__evfdctl_which) --no-start list "$escaped**" 2>/dev/null |
        awk -F'\t' 'NR > 1000 { print ENVIRON["word"] "..."; exit } { print $1 }'
end

function __evfdctl_is_named
    set -l verb (__evfdctl_verb); or return 1
    evfdctl __complete $verb 2>/dev/null | string match -rq '^(NAME|PATTERN)'
end

function __evfdctl_after_dashes
    contains -- -- (commandline -opc)
end

# Completes the words of the command after "--".
function __evfdctl_command
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words)
    set -e words[1..$dashes]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

# Succeeds if the previous word is an option that takes a value.
function __evfdctl_wants_value
    __evfdctl_options | string match -rq -- '^'(commandline -opc)[-1]'\t[A-Z]'
end

function __evfdctl_values
    set -l option (commandline -opc)[-1]
    test "$option" = --sets; and __evfdctl_names; and return
    test "$option" = --host; and __fish_print_hostnames; and return
    test "$option" = --ssh; and complete -C (commandline -ct); and return
    __evfdctl_options | string match -rg -- "^$option\t[A-Z]+\t(.+)" | string split ' '
end

function __evfdctl_is_free
    not __evfdctl_after_dashes; and not __evfdctl_wants_value
end

complete -c evfdctl -f
complete -c evfdctl -n '__evfdctl_is_free; and not __evfdctl_verb >/dev/null' -a '(__evfdctl_verbs)'
complete -c evfdctl -n '__evfdctl_is_free; and string match -q help (__evfdctl_verb)' -a '(__evfdctl_verbs)'
complete -c evfdctl -n '__evfdctl_is_free; and __evfdctl_is_named' -a '(__evfdctl_names)'
complete -c evfdctl -n '__evfdctl_is_free; and string match -q -- "-*" (commandline -ct)' \
    -a '(__evfdctl_options | string match -r "^--.*" | string replace -r "\t.*" "")'
complete -c evfdctl -n 'not __evfdctl_after_dashes; and __evfdctl_wants_value' -a '(__evfdctl_values)'
complete -c evfdctl -n 'test (commandline -opc)[-1] = --socket' -F
complete -c evfdctl -n __evfdctl_after_dashes -a '(__evfdctl_command)'
