// Another program that is started: nothing of ours is open in it but standard error.
#pragma once

#include "common/unique_fd.h"

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

namespace evfd {

// Not where the caller could make it his own program with rights that are not his: set-user-ID and
// the like. AT_SECURE
bool may_spawn();

// Which signals the program blocks and ignores from the start.
enum class Signals {
    reset,     // None: it is a server, and is to end when it is told to.
    inherited, // Those that we do: it ends with us, or survives a hangup as we do. nohup(1)
};

// `words`: the program, looked for in $PATH unless there is a slash in it, and its arguments. Else
// an errno value.
std::expected<pid_t, int> spawn_program(std::vector<std::string> argument_texts,
                                        const UniqueFd& input, const UniqueFd& output,
                                        Signals signals);

} // namespace evfd
