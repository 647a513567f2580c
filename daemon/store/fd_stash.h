// FdStash: keeps descriptors, each under an id, open beyond the life of the daemon.
//
// The kernel keeps a descriptor open while it is in flight in a Unix socket, even if no process has
// it: unix(7), SCM_RIGHTS. The stash is a SOCK_SEQPACKET socketpair full of such messages. The
// daemon holds both ends, and so does the fd store. The next daemon reads the messages with
// MSG_PEEK, which duplicates the descriptors and leaves the messages in flight.
//
// A message cannot be removed from the middle of the kernel's queue. The stash is therefore a log
// of two generations, one for each direction of the socketpair:
//
// - store() sends each descriptor in a message of its own, from end 0: the young generation.
// - compact() collects the live descriptors of many messages in one message, which it sends from
//   end 1: the old generation. Then it receives the messages that it has replaced.
// - remove() forgets the id. The descriptor stays in flight as a leftover until compact() rewrites
//   its message.
//
// What must hold:
//
// - A message is received only after its live descriptors have been sent again. A crash at any
//   instant leaves every stored descriptor in flight, some of them twice.
// - The caller keeps a stored descriptor open until remove(), because the stash knows only its
//   number and sends it again when it rewrites a message.
// - Every message carries a label and the ids of its descriptors, in the same order.
#pragma once

#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/log.h"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace evfd::daemon {

class FdStash {
public:
    using Id = std::uint64_t;
    struct Contents {
        // Duplicates of the stored descriptors; no id occurs twice.
        std::vector<std::pair<Id, UniqueFd>> fds;
        std::vector<Id> unwanted_ids;
        // Number of descriptors that could not be received, or whose message has no valid label.
        std::size_t unreadable = 0;
    };

    static Result<FdStash> create();
    // Reopens the stash of an earlier daemon from its two ends, and fills `contents` with
    // duplicates of the stored descriptors. A descriptor whose id is not wanted counts as removed.
    // The function has the unwanted descriptors of at most one message open at the same time.
    using IsWanted = std::function<bool(Id)>;
    static Result<FdStash> open(
        std::array<UniqueFd, 2> ends, Contents& contents,
        const IsWanted& is_wanted = [](Id) { return true; });

    // Stores `fd`, which the caller keeps open until remove(). ETOOMANYREFS, EAGAIN: the kernel
    // allows no more descriptors in flight.
    Result<void> store(Id id, const UniqueFd& fd);
    void remove(Id id); // Does nothing for an unknown id.
    // Returns whether `count` more descriptors can be stored, one by one, before compact() is
    // called.
    bool has_room_for(std::size_t count) const;
    // Does a bounded part of the rewriting that is due, and makes room for `count` more
    // descriptors. The caller calls it after each commit.
    void compact(std::size_t count = 0);

    const std::array<UniqueFd, 2>& ends() const { return ends_; }
    std::size_t size() const { return live_.size(); }
    std::size_t in_flight() const { return in_flight_; } // Live descriptors and leftovers.

private:
    struct Message {
        std::uint64_t number; // Unique over the life of this object.
        std::vector<Id> ids;
        // The message has descriptors that this process could not receive.
        bool has_unreadable = false;
    };
    struct Location {
        int fd;                // Owned by the caller of store().
        std::uint64_t message; // The message in which it is live; elsewhere it is a leftover.
    };
    // The messages in flight in one direction, oldest first.
    struct Generation {
        std::size_t sender;
        std::deque<Message> messages = {};
    };

    explicit FdStash(std::array<UniqueFd, 2> ends) : ends_{std::move(ends)} {}
    // The smallest send buffer has room for 278 messages. This bound leaves room for the
    // descriptors that one call stores, and for a few more.
    static constexpr std::size_t young_capacity = max_descriptors_per_message + 7;
    static constexpr std::size_t max_young = 128;

    Result<void> send(Generation& generation, const std::vector<Id>& ids,
                      const std::vector<int>& fds);
    bool rewrite(Generation& generation);
    void discard_first(Generation& generation);
    bool is_live(const Message& message, Id id) const;
    void load(Generation& generation, Contents& contents, const IsWanted& is_wanted);

    log::Limited log_;
    std::array<UniqueFd, 2> ends_;
    Generation young_{0};
    Generation old_{1};
    std::uint64_t last_message_ = 0;
    std::size_t in_flight_ = 0;
    std::unordered_map<Id, Location> live_;
};

} // namespace evfd::daemon
