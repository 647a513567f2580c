// Starts another program, which inherits standard error and no other descriptor of this process.
#pragma once

#include "common/unique_fd.h"

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

namespace evfd {

// Returns false in a set-user-ID or similar program: the user who runs it could otherwise make it
// start any program with its privileges. See AT_SECURE in getauxval(3).
bool may_spawn();

// Which signals are blocked or ignored in the new program.
enum class Signals {
    reset, // No signal is blocked or ignored: for a server that is stopped by a signal.
    // The signals that this process blocks or ignores. So the new program survives a hangup if this
    // process does: nohup(1).
    inherited,
};

// Starts the program argument_texts[0], which is searched in $PATH unless the text contains a
// slash. On failure, returns an errno value.
std::expected<pid_t, int> spawn_program(std::vector<std::string> argument_texts,
                                        const UniqueFd& input, const UniqueFd& output,
                                        Signals signals);

} // namespace evfd
