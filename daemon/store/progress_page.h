// ProgressPage: records what the kernel did to events, in the very system call that did it.
//
// The daemon adds tokens to eventfds and takes tokens from them. Neither can be undone, and neither
// can be found out afterwards, because clients use the same eventfds. A journal entry before or
// after the system call leaves a gap in which a crash makes the outcome unknown. The page closes
// the gap: it is a memfd that the fd store holds as well, and the kernel writes to it during the
// system call.
//
// Adding    begin_intent() stores a 1 for each token to add. The AIO operation that adds a token
//           also reads a byte of /dev/zero over its 1 (EventfdIncrementer). After a crash the bytes
//           that are still 1 are the tokens that must still be added.
// Taking    begin_take() returns the address of a slot. The read(2) that takes a token writes its
//           result there. After a crash, tokens in slots of an uncommitted take are returned.
//
// The journal gives the page its meaning, and both name the commit they belong to:
//
// - The bytes of an intent count only if the journal's last intent has the commit number
//   intent_commit(). Without such a commit no token of it was added.
// - The slots count only if they follow the journal's last commit. A later commit contains what
//   they say, so the first take after a commit reuses them.
//
// What must hold: a field that gives others their meaning is stored last when the meaning begins,
// and first when it ends (compiler_barrier()). A kill between two stores then leaves a page that
// reads as before or as after.
#pragma once

#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/store/memory_map.h"

#include <cstdint>
#include <span>

namespace evfd::daemon {

// One take: the object's id, and the result of the read(2).
struct TakeSlot {
    std::uint64_t id;
    std::uint64_t tokens; // 0: the read(2) did not happen, or the object had no token.
};

class ProgressPage {
public:
    // EBADMSG: the file is not a valid progress page.
    static Result<ProgressPage> create();
    static Result<ProgressPage> open(UniqueFd memfd);

    // Begins the intent that `commit` will contain, for `tokens` tokens, at most
    // max_tokens_per_set. Discards the previous intent. Returns one byte for each token, for the
    // EventfdIncrementer.
    std::span<char> begin_intent(std::uint64_t commit, std::size_t tokens);
    void end_intent();                   // Every token was added.
    std::uint64_t intent_commit() const; // Number of the commit with the intent; 0: none.
    // Returns one byte for each token of the intent: 1 if it must still be added.
    std::span<char> pending_increments() const;

    // Returns the address for the next take from object `id`; null if no slot is free before the
    // commit after `last`. `last` is the last commit that was written. Discards the takes of
    // earlier commits.
    std::uint64_t* begin_take(std::uint64_t last, std::uint64_t id);
    // Frees the last slot again, because its read(2) took nothing.
    void cancel_take();
    // Number of slots that are free before the commit after `last`.
    std::size_t free_slots_since(std::uint64_t last) const;
    // Returns the takes since commit `last`.
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
