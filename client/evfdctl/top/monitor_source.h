// The monitor events for `evfdctl top`. After a lost connection it reconnects. An attempt may take
// long, as with ssh, so each one runs in a thread of its own.
#pragma once

#include "client/core/address.h"
#include "client/core/monitor.h"
#include "client/evfdctl/top/view.h"
#include "common/clock.h"
#include "common/unique_fd.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace evfd::top {

class MonitorSource {
public:
    MonitorSource(Address address, std::string pattern, Monitor first)
        : address_{std::move(address)}, pattern_{std::move(pattern)}, monitor_{std::move(first)}
    {
    }

    // Polls readable when there is something to read; -1: call read_into() at next_timeout(). The
    // timeout is in the past if unread events are already buffered, for which fd() does not become
    // readable.
    int fd() const;
    std::optional<MonotonicTime> next_timeout() const;
    // Applies a limited number of events to the view. Returns whether there were any.
    bool read_into(View& view, const Now& now);

private:
    // An attempt to connect, in a detached thread. The thread shares ownership of the result, so it
    // may outlive this object.
    class Attempt {
    public:
        Attempt(const Address& address, const std::string& pattern);
        int fd() const { return shared_->done.get(); }
        std::optional<Expected<Monitor>> result() const;

    private:
        struct Shared {
            UniqueFd done; // An eventfd, set when `result` is valid.
            std::mutex mutex = {};
            std::optional<Expected<Monitor>> result = {};
        };
        std::shared_ptr<Shared> shared_;
    };

    void handle_lost_connection(View& view, const Error& why, MonotonicTime next);
    nanoseconds retry_interval() const;

    Address address_;
    std::string pattern_;
    std::optional<Monitor> monitor_;
    std::optional<Attempt> attempt_;
    MonotonicTime next_attempt_{};
    // Initially true: the first read may also have buffered later events.
    bool may_have_more_ = true;
};

} // namespace evfd::top
