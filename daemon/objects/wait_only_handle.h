// A wait-only handle: a descriptor with which one user can wait for an event, but cannot set it.
// All opens of the event by that user share the handle. The descriptor is an epoll descriptor that
// watches the eventfd. The daemon created the descriptor, so the kernel counts the watch towards
// the limit fs.epoll.max_user_watches of the daemon's user.
#pragma once

#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/access/shared_pool.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace evfd::daemon {

struct WaitOnlyHandle {
    // The descriptor. Unsent replies share the ownership of the descriptor. Null once the event is
    // deleted.
    std::shared_ptr<const UniqueFd> fd;
    Quota::Charge charge;
    SharedPool::Charge descriptor;

    void release()
    {
        fd.reset();
        charge.resize(0);
        descriptor.release();
    }
};

// The wait-only handles of one event, by user. The sessions own the handles.
class EventHandles {
public:
    ~EventHandles()
    {
        for (const auto& [uid, handle] : handles_)
            if (const auto live = handle.lock())
                live->release();
    }
    EventHandles() = default;
    EventHandles(EventHandles&& other) noexcept = default; // Leaves `other` without handles.
    EventHandles& operator=(EventHandles&&) = delete;

    std::shared_ptr<WaitOnlyHandle> find(uid_t uid) const // Returns null if there is no handle.
    {
        const auto found = handles_.find(uid);
        return found == handles_.end() ? nullptr : found->second.lock();
    }
    void add(uid_t uid, const std::shared_ptr<WaitOnlyHandle>& handle)
    {
        std::erase_if(handles_, [](const auto& entry) { return entry.second.expired(); });
        handles_[uid] = handle;
    }
    std::size_t size() const
    {
        return static_cast<std::size_t>(std::ranges::count_if(
            handles_, [](const auto& entry) { return !entry.second.expired(); }));
    }

private:
    std::map<uid_t, std::weak_ptr<WaitOnlyHandle>> handles_;
};

// The wait-only handles that the client of a session has received.
class SessionHandles {
public:
    // Adds a handle. From time to time, the function also drops the handles of deleted events, so
    // that these handles do not accumulate.
    void add(std::shared_ptr<WaitOnlyHandle> handle)
    {
        if (handles_.size() >= prune_at_) {
            std::erase_if(handles_, [](const auto& one) { return !one->fd; });
            prune_at_ = 2 * handles_.size() + min_prune_size;
        }
        handles_.insert(std::move(handle));
    }
    std::size_t size() const { return handles_.size(); } // Counts handles of deleted events, too.

private:
    static constexpr std::size_t min_prune_size = 64;

    std::set<std::shared_ptr<WaitOnlyHandle>> handles_;
    std::size_t prune_at_ = min_prune_size;
};

} // namespace evfd::daemon
