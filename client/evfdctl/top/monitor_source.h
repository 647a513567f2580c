// MonitorSource: reads the monitor events for `evfdctl top`, and reconnects after the connection
// was lost. An attempt to connect can take long, for example with ssh, so each attempt runs in its
// own thread.
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

    // Returns a descriptor that polls readable when read_into() must be called. Returns -1 after
    // the connection was lost, until the next attempt to connect begins.
    int fd() const;
    // Returns the time at which read_into() must be called even if fd() is not readable, or nothing
    // if no such call is needed. The time is in the past if events are already buffered, because
    // fd() does not become readable for buffered events.
    std::optional<MonotonicTime> next_timeout() const;
    // Applies events to the view, a limited number per call. Returns whether the view has changed.
    bool read_into(View& view, const Now& now);

private:
    // An attempt to connect, in a detached thread. The thread shares ownership of the result, so
    // the thread can outlive this object.
    class Attempt {
    public:
        Attempt(const Address& address, const std::string& pattern);
        int fd() const { return shared_->done.get(); }
        std::optional<Expected<Monitor>> result() const;

    private:
        struct Shared {
            UniqueFd done; // An eventfd that is set when `result` is valid.
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
    // Whether the monitor can have buffered events that read_into() has not applied yet. Initially
    // true, because the read of the initial list can have buffered later events.
    bool may_have_more_ = true;
};

} // namespace evfd::top
