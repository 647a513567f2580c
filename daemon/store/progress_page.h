// Memory that a guardian holds, in which the kernel itself notes what it does to events: in the
// same system call, so that a crash at any instant leaves a token added and noted, or neither;
// taken and noted, or neither. What the notes mean, the journal says: they speak of one of its
// commits.
//
// Adding: the daemon writes a 1 for each token that is to be added; the AIO operation that adds it
// reads a byte of /dev/zero on top of that (Adder). Taking: the read(2) that takes puts what it
// took here.
#pragma once

#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/store/memory_map.h"

#include <cstdint>
#include <span>

namespace evfd::daemon {

// A token that was taken, and from what.
struct TakeSlot {
    std::uint64_t id;
    std::uint64_t tokens; // 0: the read(2) did not come to it, or there was nothing.
};

class ProgressPage {
public:
    // EBADMSG: it is not one of ours.
    static Result<ProgressPage> create();
    static Result<ProgressPage> open(UniqueFd memfd);

    // Prepares for a plan with so many tokens, at most max_tokens_per_set; what the notes said
    // before is gone. The bytes are for the Adder.
    std::span<char> begin_intent(std::uint64_t commit, std::size_t tokens);
    void end_intent();                   // All of it was done.
    std::uint64_t intent_commit() const; // The commit whose plan this is about; 0: none.
    // Of its tokens: 1 for those that are still to be added.
    std::span<char> pending_increments() const;

    // Where to take the next token to; null if there is no room for another before commit `last`
    // is over. `last`: the last one that is written. What was noted of earlier ones is gone.
    std::uint64_t* begin_take(std::uint64_t last, std::uint64_t id);
    // The last one came to nothing: its room is free again.
    void cancel_take();
    // How many more there is room for.
    std::size_t free_slots_since(std::uint64_t last) const;
    // What was taken since commit `last`.
    std::span<const TakeSlot> takes_since(std::uint64_t last) const;

    const UniqueFd& memfd() const { return memfd_; }

    static constexpr std::size_t max_takes = 4096;

private:
    struct Page;
    ProgressPage(UniqueFd memfd, MemoryMap mapping);
    static Result<ProgressPage> map(UniqueFd memfd);

    UniqueFd memfd_;
    MemoryMap map_;
    Page* page_;
};

} // namespace evfd::daemon
