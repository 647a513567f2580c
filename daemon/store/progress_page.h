// ProgressPage: records what the kernel did to events, in the very system call that did it.
//
// The daemon adds tokens to eventfds and takes tokens from them. The daemon can neither undo such a
// system call nor find out after a crash whether it was made, because clients use the same
// eventfds. A journal entry before or after the system call leaves a gap in which a crash makes the
// outcome unknown. The page closes the gap: it is a memfd that the fd store holds as well, and the
// kernel writes to it during the system call.
//
// Adding    begin_intent() stores a byte with the value 1 for each token to add. The AIO operation
//           that adds a token also sets the token's byte to 0: it reads a zero byte from /dev/zero
//           to this address (EventfdIncrementer). If a byte is still 1 after a crash, its token
//           must still be added.
// Taking    begin_take() returns the address of a slot. The read(2) that takes a token writes its
//           result there. If the daemon crashes before the next commit, recovery returns the
//           tokens to their events.
//
// The page is valid only together with the journal. They refer to each other by the numbers of
// commits:
//
// - The bytes of an intent count only if the journal's last intent has the commit number
//   intent_commit(). Without such a commit no token of the intent was added.
// - The slots count only if they were used after the journal's last commit. Every commit contains
//   the takes before it, so the first take after a commit uses the slots again.
//
// Invariant: some fields decide whether other fields are valid. Such a field is stored after
// the other fields when they become valid, and before them when they become invalid
// (compiler_barrier()). If the daemon is killed between two stores, the page therefore reads as it
// was either before the change or after it.
#pragma once

#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/store/memory_map.h"

#include <cstdint>
#include <span>

namespace evfd::daemon {

// One take: the id of the object, and the number of tokens that read(2) took from it.
struct TakeSlot {
    std::uint64_t id;
    std::uint64_t tokens; // 0 if the read(2) did not happen, or if the object had no token.
};

class ProgressPage {
public:
    // Creates an empty page.
    static Result<ProgressPage> create();
    // Opens the page of an earlier daemon. Fails with EBADMSG if the file is not a valid progress
    // page.
    static Result<ProgressPage> open(UniqueFd memfd);

    // Begins an intent to add `tokens` tokens, at most max_tokens_per_set, and discards the
    // previous intent. `commit` is the number of the commit that will contain the intent. Returns
    // one byte for each token, for the EventfdIncrementer.
    std::span<char> begin_intent(std::uint64_t commit, std::size_t tokens);
    void end_intent(); // Ends the intent, so that no later daemon adds its tokens.
    // Returns the number of the commit that contains the intent; 0 if there is no intent.
    std::uint64_t intent_commit() const;
    // Returns one byte for each token of the intent. A byte is 1 if its token must still be added.
    std::span<char> pending_increments() const;

    // Returns the address of a slot. The read(2) of object `id` must write there the number of
    // tokens that it takes. A slot stays in use until the next commit. Returns null if all slots
    // are in use. `last` is the number of the last commit.
    std::uint64_t* begin_take(std::uint64_t last, std::uint64_t id);
    // Frees the slot that the last call of begin_take() returned. The caller must call this
    // function if the read(2) took no token.
    void cancel_take();
    // Returns how many slots can be used before the next commit. `last` is the number of the last
    // commit.
    std::size_t free_slots_since(std::uint64_t last) const;
    // Returns the takes that were made since commit `last`.
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
