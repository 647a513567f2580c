// The processes that hold tokens or whose end deletes an object. Each is identified by a pidfd,
// which the state store keeps, so the daemon also learns of an end that came while it was down.
// execve(2) does not change the process; its children are other processes.
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
    using Id = std::uint64_t; // Never reused, unlike a pid.
    using OnEnded = std::function<void(Id id)>;

    // `on_ended` is called once for each process that ends while it is watched.
    ProcessWatcher(EventLoop& loop, StateStore& state_store, OnEnded on_ended)
        : loop_{loop}, state_store_{state_store}, on_ended_{std::move(on_ended)}
    {
    }
    ProcessWatcher(const ProcessWatcher&) = delete;
    ProcessWatcher& operator=(const ProcessWatcher&) = delete;

    // A counted reference. The process is watched while one exists.
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

    // A process by its pid, and the account (see Quota) that pays for it.
    struct Identity {
        pid_t pid;
        uid_t uid;
    };
    // Returns a reference to the process of `pidfd`, which has not ended. The process gets the id
    // `new_id` if it was not watched before.
    Result<Ref> acquire(Identity identity, UniqueFd pidfd, Id new_id);
    // Restores a process of an earlier daemon. It may have ended since.
    Result<Ref> restore(Id id, Identity identity, FdStash::Stored pidfd);
    // Returns the running process that has this pid, if it is watched.
    std::optional<Id> find(pid_t pid) const;
    // Returns the number of watched processes. Each uses one descriptor.
    std::int64_t count() const { return static_cast<std::int64_t>(processes_.size()); }
    std::int64_t count_of(uid_t uid) const;

private:
    struct Process {
        Identity identity;
        FdStash::Stored pidfd;
        std::int64_t refs = 0;
        // After pidfd: the watch must be destroyed first.
        std::optional<EventLoop::Watch> watch = {};
    };

    Result<void> add(Id id, Identity identity, FdStash::Stored pidfd);
    Ref ref(Id id);
    void release(Id id);

    EventLoop& loop_;
    StateStore& state_store_;
    OnEnded on_ended_;
    std::unordered_map<Id, Process> processes_;
    std::unordered_map<pid_t, Id> by_pid_; // The process that got the pid last.
    std::unordered_map<uid_t, std::int64_t> counts_;
};

} // namespace evfd::daemon
