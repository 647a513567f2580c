// Starts another program. The caller chooses the new program's standard input and output. The new
// program also inherits standard error, and no other descriptor of this process.
#pragma once

#include "common/unique_fd.h"

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

namespace evfd {

// Returns false if this program has more privileges than the user who runs it, for example as a
// set-user-ID program. That user could make this program start any other program with these
// privileges. See AT_SECURE in getauxval(3).
bool may_spawn();

// Selects which signals are blocked or ignored in the new program.
enum class Signals {
    reset, // No signal is blocked or ignored, so that a signal can stop the new program.
    // The new program blocks and ignores every signal that this process blocks or ignores. So the
    // new program survives a hangup if this process ignores SIGHUP, as under nohup(1).
    inherited,
};

// Starts the program argument_texts[0]. A name without a slash is searched in $PATH. On failure,
// returns an errno value.
std::expected<pid_t, int> spawn_program(std::vector<std::string> argument_texts,
                                        const UniqueFd& input, const UniqueFd& output,
                                        Signals signals);

} // namespace evfd
