// ProcessWatcher: watches the processes that hold tokens or whose end deletes an object. Each
// process is identified by a pidfd, which the state store keeps, so the daemon also notices a
// process that ended while the daemon was down. A process remains the same through execve(2). The
// children of a process are other processes.
#pragma once

#include "common/clock.h"
#include "common/socket.h"
#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/access/shared_pool.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/store/state_store.h"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

namespace evfd::daemon {

class ProcessWatcher {
public:
    using Id = std::uint64_t; // An id is never reused, unlike a pid.
    using OnEnded = std::function<void(Id id)>;

    // `descriptors` is the pool that is charged for each pidfd. `on_ended` is called once for each
    // process that ends while it is watched.
    ProcessWatcher(EventLoop& loop, StateStore& state_store, IdSequence& ids, const Quota& quota,
                   SharedPool& descriptors, OnEnded on_ended)
        : loop_{loop}, state_store_{state_store}, ids_{ids}, quota_{quota},
          descriptors_{descriptors}, on_ended_{std::move(on_ended)}
    {
    }
    ProcessWatcher(const ProcessWatcher&) = delete;

    // A counted reference to a process. The process is watched while at least one Ref to it exists.
    class Ref {
    public:
        Id id() const { return watcher_.get_deleter().id; }
        Ref copy() const { return watcher_->ref(id()); }
        bool has_ended() const;

    private:
        friend class ProcessWatcher;
        struct Release {
            Id id;
            void operator()(ProcessWatcher* watcher) const { watcher->release(id); }
        };
        Ref(ProcessWatcher& watcher, Id id) : watcher_{&watcher, {id}} {}
        std::unique_ptr<ProcessWatcher, Release> watcher_; // The deleter only ends the reference.
    };

    // The pid of a process, and the uid of the account (see Quota) that pays for its pidfd.
    struct Identity {
        pid_t pid;
        uid_t uid;
    };
    // Returns a reference to the process at the other end of the socket. `accepted` is the time at
    // which the connection was accepted: see open_peer_pidfd(). If the pool of descriptors has
    // no unit for the pidfd, the call is refused, and the refusal names the resource `needed_for`.
    Outcome<Ref> acquire(const Peer& peer, const UniqueFd& socket, nanoseconds accepted,
                         Resource needed_for);
    // Returns the id of the process at the other end of the socket, or nothing if the process is
    // not watched yet.
    Outcome<std::optional<Id>> find(const Peer& peer, const UniqueFd& socket,
                                    nanoseconds accepted) const;
    // Watches a process that an earlier daemon watched. The process can have ended while no daemon
    // was running.
    Result<Ref> restore(Id id, Identity identity, FdStash::Stored pidfd, SharedPool::Charge charge);

private:
    struct Process {
        Identity identity;
        FdStash::Stored pidfd;
        SharedPool::Charge charge; // The charge for the pidfd.
        std::int64_t refs = 0;
        // Declared after pidfd, so that the watch is destroyed first.
        std::optional<EventLoop::Watch> watch = {};
    };

    // Begins to watch the running process of `pidfd`, which must not be watched yet.
    Result<Ref> add(Identity identity, UniqueFd pidfd, SharedPool::Charge charge);
    // Returns the id of the running process that has this pid, or nothing if the process is not
    // watched.
    std::optional<Id> find(pid_t pid) const;
    Ref ref(Id id);
    void release(Id id);

    EventLoop& loop_;
    StateStore& state_store_;
    IdSequence& ids_;
    const Quota& quota_;
    SharedPool& descriptors_;
    OnEnded on_ended_;
    std::unordered_map<Id, Process> processes_;
    // Maps each pid to the watched process that got this pid last.
    std::unordered_map<pid_t, Id> by_pid_;
};

} // namespace evfd::daemon
