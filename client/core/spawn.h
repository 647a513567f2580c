// Starts another program. It inherits standard error and no other descriptor of this process.
#pragma once

#include "common/unique_fd.h"

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

namespace evfd {

// Returns false in a set-user-ID or similar program, whose caller could have another program run
// with its privileges. AT_SECURE, getauxval(3)
bool may_spawn();

// Signal mask and ignored signals of the new program.
enum class Signals {
    reset,     // No signal is blocked or ignored: for a server that is stopped by a signal.
    inherited, // Those of this process: it survives a hangup if this process does. nohup(1)
};

// Starts argument_texts[0], which is searched in $PATH unless it contains a slash. The error is an
// errno value.
std::expected<pid_t, int> spawn_program(std::vector<std::string> argument_texts,
                                        const UniqueFd& input, const UniqueFd& output,
                                        Signals signals);

} // namespace evfd
