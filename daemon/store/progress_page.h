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
struct Taking {
    std::uint64_t id;
    std::uint64_t tokens; // 0: the read(2) did not come to it, or there was nothing.
};

class Slip {
public:
    // EBADMSG: it is not one of ours.
    static Result<Slip> create();
    static Result<Slip> open(UniqueFd memfd);

    // Prepares for a plan with so many tokens, at most max_tokens_per_set; what the notes said
    // before is gone. The bytes are for the Adder.
    std::span<char> begin_plan(std::uint64_t commit, std::size_t tokens);
    void end_plan();            // All of it was done.
    std::uint64_t plan() const; // The commit whose plan this is about; 0: none.
    // Of its tokens: 1 for those that are still to be added.
    std::span<char> to_add() const;

    // Where to take the next token to; null if there is no room for another before commit `last`
    // is over. `last`: the last one that is written. What was noted of earlier ones is gone.
    std::uint64_t* begin_taking(std::uint64_t last, std::uint64_t id);
    // The last one came to nothing: its room is free again.
    void end_taking_nothing();
    // How many more there is room for.
    std::size_t room_since(std::uint64_t last) const;
    // What was taken since commit `last`.
    std::span<const Taking> taken_since(std::uint64_t last) const;

    const UniqueFd& memfd() const { return memfd_; }

    static constexpr std::size_t max_takings = 4096;

private:
    struct Page;
    Slip(UniqueFd memfd, Mapping mapping);
    static Result<Slip> map(UniqueFd memfd);

    UniqueFd memfd_;
    Mapping mapping_;
    Page* page_;
};

} // namespace evfd::daemon
