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

class Processes {
public:
    using Id = std::uint64_t; // Never given twice, unlike a pid.
    using Ended = std::function<void(Id id)>;

    // `ended` is called once for each that ends while it is known.
    Processes(EventLoop& loop, Vault& vault, Ended ended)
        : loop_{loop}, vault_{vault}, ended_{std::move(ended)}
    {
    }
    Processes(const Processes&) = delete;
    Processes& operator=(const Processes&) = delete;

    // The process is known while one of these lives.
    class Stay {
    public:
        Stay(Stay&& other) noexcept
            : processes_{std::exchange(other.processes_, nullptr)}, id_{other.id_}
        {
        }
        Stay& operator=(Stay&& other) noexcept
        {
            std::swap(processes_, other.processes_);
            std::swap(id_, other.id_);
            return *this;
        }
        ~Stay();
        Id id() const { return id_; }
        Stay another() const { return processes_->stay(id_); }
        bool has_ended() const;

    private:
        friend class Processes;
        Stay(Processes& processes, Id id) : processes_{&processes}, id_{id} {}
        Processes* processes_;
        Id id_;
    };

    // A process by its number, and to whose account (see Quota) it counts.
    struct Who {
        pid_t pid;
        uid_t uid;
    };
    // The process of which `pidfd` is, which has not ended; `new_id` is its own if it was not
    // known.
    Result<Stay> enter(Who who, UniqueFd pidfd, Id new_id);
    // One that an earlier daemon knew; it may have ended since.
    Result<Stay> restore(Id id, Who who, UniqueFd pidfd);
    // The one that has this pid now.
    std::optional<Id> find(pid_t pid) const;
    // How many are known: each is a descriptor.
    std::int64_t count() const { return static_cast<std::int64_t>(known_.size()); }
    std::int64_t count_of(uid_t uid) const;

private:
    struct Known {
        Who who;
        UniqueFd pidfd;
        std::int64_t stays = 0;
        std::optional<EventLoop::Watch> watch = {}; // After pidfd: it must go first.
    };

    Result<void> add(Id id, Who who, UniqueFd pidfd);
    Stay stay(Id id);
    void leave(Id id);

    EventLoop& loop_;
    Vault& vault_;
    Ended ended_;
    std::unordered_map<Id, Known> known_;
    std::unordered_map<pid_t, Id> by_pid_; // The last that was given it.
    std::unordered_map<uid_t, std::int64_t> counts_;
};

} // namespace evfd::daemon
