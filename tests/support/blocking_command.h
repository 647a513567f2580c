// A command that tells when it is run, and then waits for our go.
#pragma once

#include "tests/support/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

namespace evfd::e2e {

// A named pipe by which a command tells us that it runs, and one on which it then waits for our go.
class Gate {
public:
    explicit Gate(const TemporaryDirectory& directory)
        : told_{directory / "told"}, go_{directory / "go"}
    {
        for (const auto& path : {told_, go_})
            require(::mkfifo(path.c_str(), 0600) == 0, path);
        // Both ends are ours as well, so nobody waits for the other one to come.
        telling_ = UniqueFd{::open(told_.c_str(), O_RDWR | O_CLOEXEC)};
        going_ = UniqueFd{::open(go_.c_str(), O_RDWR | O_CLOEXEC)};
    }
    // What a shell does that tells its name and count and waits for a line, or for us to be gone.
    std::string script() const
    {
        return "exec 3< " + go_ + "; echo \"$EVFD_NAME $EVFD_COUNT\" > " + told_ +
               "; read -r answer <&3; exit \"$answer\"";
    }
    std::string heard()
    {
        while (!unread_.contains('\n')) {
            require(await_readable(telling_.get()), "the command was not run");
            std::array<char, 256> buffer;
            const auto got = ::read(telling_.get(), buffer.data(), buffer.size());
            require(got > 0, told_);
            unread_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        const auto line = unread_.substr(0, unread_.find('\n'));
        unread_.erase(0, line.size() + 1);
        return line;
    }
    bool is_silent() const { return unread_.empty() && !await_readable(telling_.get(), 0ns); }
    void let_go(int status = 0) const
    {
        const auto line = std::to_string(status) + "\n";
        require(::write(going_.get(), line.data(), line.size()) > 0, go_);
    }

private:
    std::string told_;
    std::string go_;
    UniqueFd telling_;
    UniqueFd going_;
    std::string unread_;
};

} // namespace evfd::e2e
