// FdStash: keeps descriptors open beyond the life of the daemon. Each descriptor has an id.
//
// The kernel keeps a descriptor open while a message that carries it is in flight in a Unix socket,
// even if no process has the descriptor: unix(7), SCM_RIGHTS. The stash is a SOCK_SEQPACKET
// socketpair. The messages with the descriptors stay in flight in it. The daemon holds both ends,
// and so does the fd store. The next daemon reads the messages with MSG_PEEK, which duplicates the
// descriptors and leaves the messages in flight.
//
// A message cannot be removed from the middle of the kernel's queue. The stash is therefore a log
// of two generations, one for each direction of the socketpair:
//
// - store() sends each descriptor in a message of its own, from end 0: the young generation.
// - compact() collects the live descriptors of many messages in one message, which it sends from
//   end 1: the old generation. Then it receives, and so removes, the messages that it has replaced.
// - store() returns a Stored. The destructor of the Stored removes the descriptor from the stash.
//   The removed descriptor stays in flight, as a leftover, until compact() rewrites its message.
//
// Invariants:
//
// - A message is received only after its live descriptors have been sent again. A crash at any
//   instant thus leaves every stored descriptor in flight, some of them twice.
// - compact() sends descriptors again, so the stash shares the ownership of every live descriptor.
//   Thus no stored descriptor can be closed before compact() sends it.
// - Every message carries a label and the ids of its descriptors, in the order of the descriptors.
#pragma once

#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/log.h"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace evfd::daemon {

class FdStash {
    struct Location;

public:
    using Id = std::uint64_t;

    // A descriptor and its place in the stash. The destructor removes the descriptor from the
    // stash. The descriptor is closed when neither a Stored nor a result of share() owns it any
    // more.
    class Stored {
    public:
        explicit Stored(UniqueFd fd); // Takes over `fd`, which is in no stash.
        Stored(Stored&& other) noexcept = default;
        Stored& operator=(Stored&& other) noexcept;
        ~Stored();

        const UniqueFd& fd() const { return *fd_; }
        // Returns a share of the descriptor's ownership. The descriptor stays open while the result
        // exists, even after its removal from the stash.
        std::shared_ptr<const UniqueFd> share() const { return fd_; }
        bool is_stored() const { return live_ != nullptr; }

    private:
        friend class FdStash;
        using Live = std::unordered_map<Id, Location>;
        Stored(std::shared_ptr<const UniqueFd> fd, std::shared_ptr<Live> live, Id id)
            : fd_{std::move(fd)}, live_{std::move(live)}, id_{id}
        {
        }
        std::shared_ptr<const UniqueFd> fd_;
        // The stash's map of its descriptors. The pointer is null if this descriptor is in no
        // stash.
        std::shared_ptr<Live> live_;
        Id id_ = 0;
    };

    struct Contents {
        std::unordered_map<Id, Stored> fds; // Duplicates of the stored descriptors.
        std::vector<Id> unwanted_ids;
        // The number of descriptors that could not be received, or whose message has no valid
        // label.
        std::size_t unreadable = 0;
    };

    static Result<FdStash> create();
    // Reopens the stash of an earlier daemon from its two ends, and fills `contents` with
    // duplicates of the stored descriptors. If `is_wanted` returns false for the id of a
    // descriptor, the descriptor is removed from the stash. The function closes the unwanted
    // descriptors of a message before it reads the next message.
    using IsWanted = std::function<bool(Id)>;
    static Result<FdStash> open(
        std::array<UniqueFd, 2> ends, Contents& contents,
        const IsWanted& is_wanted = [](Id) { return true; });

    // Stores `fd` until the result is destroyed. On failure the function closes `fd`. ETOOMANYREFS
    // and EAGAIN mean that the kernel allows no more descriptors in flight.
    Result<Stored> store(Id id, UniqueFd fd);
    // Returns whether `count` more descriptors can be stored before compact() must be called.
    bool has_room_for(std::size_t count) const;
    // Sends stored descriptors again in fewer messages, if too many messages or removed descriptors
    // are in flight. Makes room for `count` more descriptors. Each call handles a bounded number of
    // messages. The owner of the stash calls compact() after each commit.
    void compact(std::size_t count = 0);

    const std::array<UniqueFd, 2>& ends() const { return ends_; }
    std::size_t size() const { return live_->size(); }
    // Returns the number of descriptors in flight. These are the stored descriptors, and the
    // removed ones whose messages still exist.
    std::size_t in_flight() const { return in_flight_; }

private:
    struct Message {
        // The number of the message, which no other message of this FdStash has.
        std::uint64_t number;
        std::vector<Id> ids;
        // True if the message has descriptors that this process could not receive.
        bool has_unreadable = false;
    };
    struct Location {
        // The stored descriptor. The stash and a Stored object share its ownership.
        std::shared_ptr<const UniqueFd> fd;
        // The number of the message that keeps the descriptor. A copy of the descriptor in any
        // other message is a leftover, which compact() removes.
        std::uint64_t message;
    };
    // The messages in flight in one direction, oldest first.
    struct Generation {
        std::size_t sender;
        std::deque<Message> messages = {};
    };

    explicit FdStash(std::array<UniqueFd, 2> ends) : ends_{std::move(ends)} {}
    static constexpr std::size_t young_capacity = max_descriptors_per_message + 7;

    Result<void> send(Generation& generation, const std::vector<Id>& ids, std::span<const int> fds);
    Stored add_live(Id id, UniqueFd fd, std::uint64_t message);
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
    // The stored descriptors, by id. Each Stored shares the ownership of this map, so that the
    // stash and the Stored objects can be destroyed in any order.
    std::shared_ptr<Stored::Live> live_ = std::make_shared<Stored::Live>();
};

} // namespace evfd::daemon
