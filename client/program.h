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
bool may_start_programs();

// `words`: the program, looked for in $PATH unless there is a slash in it, and its arguments. No
// signal is blocked or ignored in it. Else an errno value.
std::expected<pid_t, int> start_program(std::vector<std::string> words, const UniqueFd& input,
                                        const UniqueFd& output);

} // namespace evfd
