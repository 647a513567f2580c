// Options that make a daemon behave as on an older kernel. By these options, a test checks the
// behaviour on an older kernel and on the present kernel.
#pragma once

#include "common/socket.h"
#include "common/unique_fd.h"

#include <sys/socket.h>

#include <string>
#include <vector>

namespace evfd::e2e {

// The options that make the daemon behave as if the kernel had no SO_PASSRIGHTS. Linux has
// SO_PASSRIGHTS since version 6.16.
inline const std::vector<std::string> without_pass_rights{"--without-kernel-feature",
                                                          "pass-rights"};

// Returns whether the kernel rejects descriptors that a client sends to the daemon. `options` are
// the options with which the daemon was started.
inline bool are_descriptors_refused(const std::vector<std::string>& options)
{
    const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return options != without_pass_rights && refuse_descriptors(socket);
}

} // namespace evfd::e2e
