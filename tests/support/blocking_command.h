// A command that reports its start and blocks until the test lets it finish.
#pragma once

#include "tests/support/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

namespace evfd::e2e {

// Controls a command by two FIFOs. The command writes to the first FIFO when it starts, and then
// waits until it can read its exit status from the second FIFO.
class BlockingCommand {
public:
    explicit BlockingCommand(const TemporaryDirectory& directory)
        : started_path_{directory / "started"}, finish_path_{directory / "finish"}
    {
        for (const auto& path : {started_path_, finish_path_})
            require(::mkfifo(path.c_str(), 0600) == 0, path);
        // This process opens each FIFO for reading and writing, so that no open(2) of a FIFO
        // blocks.
        started_fifo_ = UniqueFd{::open(started_path_.c_str(), O_RDWR | O_CLOEXEC)};
        finish_fifo_ = UniqueFd{::open(finish_path_.c_str(), O_RDWR | O_CLOEXEC)};
    }
    // Returns a shell script that prints $EVFD_NAME and $EVFD_COUNT to the first FIFO. The script
    // then waits for finish() and exits with the status that finish() sends. The script also exits
    // when no process has the second FIFO open for writing any more.
    std::string script() const
    {
        return "exec 3< " + finish_path_ + "; echo \"$EVFD_NAME $EVFD_COUNT\" > " + started_path_ +
               "; read -r answer <&3; exit \"$answer\"";
    }
    // Returns the path of the second FIFO. A read(2) from it blocks until finish() is called.
    const std::string& finish_path() const { return finish_path_; }
    std::string await_start()
    {
        while (!unread_.contains('\n')) {
            require(await_readable(started_fifo_.get()), "the command does not start");
            std::array<char, 256> buffer;
            const auto got = ::read(started_fifo_.get(), buffer.data(), buffer.size());
            require(got > 0, started_path_);
            unread_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        const auto line = unread_.substr(0, unread_.find('\n'));
        unread_.erase(0, line.size() + 1);
        return line;
    }
    bool has_not_started() const
    {
        return unread_.empty() && !await_readable(started_fifo_.get(), 0ns);
    }
    void finish(int status = 0) const
    {
        const auto line = std::to_string(status) + "\n";
        require(::write(finish_fifo_.get(), line.data(), line.size()) > 0, finish_path_);
    }

private:
    std::string started_path_;
    std::string finish_path_;
    UniqueFd started_fifo_;
    UniqueFd finish_fifo_;
    std::string unread_;
};

} // namespace evfd::e2e
