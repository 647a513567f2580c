// The news for `evfdctl top`: from the daemon while there is one; when it went, attempts to reach
// it again. An attempt may take long, as ssh does, so each has a thread of its own.
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

    // Readable when there is something to take; -1: not before alarm(). That is also when not all
    // that came was taken: then nothing more becomes readable.
    int fd() const;
    std::optional<MonotonicTime> next_timeout() const;
    // Tells the view what came, a good part of it at most. Whether there was anything.
    bool read_into(View& view, const Now& now);

private:
    // It goes on without us if we end first, and then finds nobody to tell.
    class Attempt {
    public:
        Attempt(const Address& address, const std::string& pattern);
        int fd() const { return shared_->done.get(); }
        std::optional<Expected<Monitor>> result() const;

    private:
        struct Shared {
            UniqueFd done; // An eventfd.
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
    bool may_have_more_ = true; // Perhaps; also of what came with the first that there was.
};

} // namespace evfd::top
