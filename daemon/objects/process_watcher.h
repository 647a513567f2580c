// The processes with which something ends: what they hold, or an object. Each is known by a pidfd,
// which is kept in the vault. execve(2) changes nothing of it, and its children are others.
#pragma once

#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/store/state_store.h"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

namespace evfd::daemon {

class ProcessWatcher {
public:
    using Id = std::uint64_t; // Never given twice, unlike a pid.
    using OnEnded = std::function<void(Id id)>;

    // `ended` is called once for each that ends while it is known.
    ProcessWatcher(EventLoop& loop, StateStore& state_store, OnEnded on_ended)
        : loop_{loop}, state_store_{state_store}, on_ended_{std::move(on_ended)}
    {
    }
    ProcessWatcher(const ProcessWatcher&) = delete;
    ProcessWatcher& operator=(const ProcessWatcher&) = delete;

    // The process is known while one of these lives.
    class Ref {
    public:
        Ref(Ref&& other) noexcept : watcher_{std::exchange(other.watcher_, nullptr)}, id_{other.id_}
        {
        }
        Ref& operator=(Ref&& other) noexcept
        {
            std::swap(watcher_, other.watcher_);
            std::swap(id_, other.id_);
            return *this;
        }
        ~Ref();
        Id id() const { return id_; }
        Ref copy() const { return watcher_->ref(id_); }
        bool has_ended() const;

    private:
        friend class ProcessWatcher;
        Ref(ProcessWatcher& watcher, Id id) : watcher_{&watcher}, id_{id} {}
        ProcessWatcher* watcher_;
        Id id_;
    };

    // A process by its number, and to whose account (see Quota) it counts.
    struct Identity {
        pid_t pid;
        uid_t uid;
    };
    // The process of which `pidfd` is, which has not ended; `new_id` is its own if it was not
    // known.
    Result<Ref> acquire(Identity identity, UniqueFd pidfd, Id new_id);
    // One that an earlier daemon knew; it may have ended since.
    Result<Ref> restore(Id id, Identity identity, UniqueFd pidfd);
    // The one that has this pid now.
    std::optional<Id> find(pid_t pid) const;
    // How many are known: each is a descriptor.
    std::int64_t count() const { return static_cast<std::int64_t>(processes_.size()); }
    std::int64_t count_of(uid_t uid) const;

private:
    struct Process {
        Identity identity;
        UniqueFd pidfd;
        std::int64_t refs = 0;
        std::optional<EventLoop::Watch> watch = {}; // After pidfd: it must go first.
    };

    Result<void> add(Id id, Identity identity, UniqueFd pidfd);
    Ref ref(Id id);
    void release(Id id);

    EventLoop& loop_;
    StateStore& state_store_;
    OnEnded on_ended_;
    std::unordered_map<Id, Process> processes_;
    std::unordered_map<pid_t, Id> by_pid_; // The last that was given it.
    std::unordered_map<uid_t, std::int64_t> counts_;
};

} // namespace evfd::daemon
