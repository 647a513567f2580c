// StateStore: everything that survives the daemon, whether it exits, crashes or is killed.
//
// journal        a memfd with the records: objects, sessions, subscriptions, consumed tokens
// stash          a socketpair with the descriptors in flight: eventfds, timerfds, pidfds
// progress page  a memfd where the kernel records which tokens it has added or taken
//
// An fd store (systemd, or `evfdd --supervise`) holds duplicates of the four descriptors of these
// parts. A process that inherits the four continues as the same daemon. The daemon passes the
// descriptors to the fd store at the first start, and later only those that had to be created
// again.
//
// A request that changes something goes through these steps:
//
// 1. prepare() allocates memory for the changes; without memory the request is refused.
// 2. The request makes its descriptors, stores them with store_fd(), and stages its records with
//    put() and erase(). A descriptor is stored for as long as its FdStash::Stored exists.
// 3. commit() writes everything that is staged. It is called before any reply is sent to any
//    client.
//
// The tokens of eventfds need more, because adding and taking them cannot be undone:
//
// - To add: begin_intent() commits which tokens are to be added to which events. The tokens are
//   added, and each is recorded in the progress page. Intent::complete() marks the intent as
//   complete. If an Intent is destroyed before complete(), the next commit removes the intent.
//   After that commit, no daemon adds the remaining tokens of the intent.
// - To take: begin_take() returns a Take with the address to which read(2) writes the number of
//   tokens that it took. The next commit says what the tokens are for. Without such a commit,
//   recovery returns them.
//
// Invariants:
//
// - No reply is sent before the changes that it depends on are committed.
// - No commit is made between the takes of one wait, because such a commit would contain only some
//   of these takes. Therefore reserve_take_slots() is called first.
// - Recovery never refuses to start. It replaces each part that it cannot read with an empty part,
//   and reports this.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/store/fd_stash.h"
#include "daemon/store/journal.h"
#include "daemon/store/progress_page.h"
#include "daemon/store/record_codec.h"
#include "daemon/store/records.h"
#include "daemon/store/recovered_state.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::daemon {

class StateStore {
public:
    using Id = std::uint64_t;

    // The names of the four descriptors in the fd store.
    static constexpr std::array<std::string_view, 4> fd_names{"evfdd-stash-0", "evfdd-stash-1",
                                                              "evfdd-journal", "evfdd-progress"};
    using Descriptors = std::array<UniqueFd, fd_names.size()>;

    // Creates an empty store. Throws std::system_error.
    explicit StateStore(EventLoop& loop);
    // Opens the state store of an earlier daemon and reads its contents to `recovered`. Some of the
    // `descriptors` can be missing. Replaces each part that cannot be read with an empty part.
    // Throws std::system_error.
    StateStore(EventLoop& loop, Descriptors descriptors, RecoveredState& recovered);
    StateStore(const StateStore&) = delete; // Not movable, because deferred tasks have its address.
    StateStore& operator=(const StateStore&) = delete;

    // Returns the four descriptors in the order of fd_names. The state store still owns them.
    std::array<int, fd_names.size()> descriptors() const;

    // Stages `record` under `id` for the next commit.
    template <class Record>
    void put(Id id, const Record& record)
    {
        scratch_.clear();
        append_record(scratch_, record);
        journal_.put({id, static_cast<std::uint32_t>(Record::kind)}, scratch_);
        schedule_commit();
    }
    // Stages the removal of a record for the next commit.
    void erase(Id id, record::Kind kind);
    // Stores `fd` in the stash until the result is destroyed.
    Result<FdStash::Stored> store_fd(Id id, UniqueFd fd) { return stash_.store(id, std::move(fd)); }
    // Stores `fd` like store_fd() if `is_persistent` is true. If it is false, `fd` is not put into
    // the stash: only the result owns `fd`, so `fd` does not outlive the daemon.
    Result<FdStash::Stored> store_fd_if(bool is_persistent, Id id, UniqueFd fd)
    {
        return is_persistent ? store_fd(id, std::move(fd)) : FdStash::Stored{std::move(fd)};
    }
    // Makes room in the stash for `count` descriptors. The function can commit, so the caller must
    // not call it while only a part of a change is staged.
    void reserve_fd_slots(std::size_t count);

    // Allocates memory in the journal for the records of one call and of the changes that follow
    // from it. On failure the caller refuses the call.
    Result<void> prepare();
    // Commits everything that is staged, and returns whether this succeeded. A reply must not be
    // sent before the changes that it depends on are committed. The state store also commits by
    // itself, at the end of each iteration of the event loop in which something was staged.
    bool commit();
    // Returns the reason why commits fail at present, or nothing if they succeed.
    const std::optional<Fault>& fault() const { return fault_; }

    // An intent whose tokens are being added. At most one exists at a time. If complete() was not
    // called, the destructor stages the removal of the intent. The next commit contains this
    // removal. If a client's call made the intent, the commit also contains the error reply to that
    // call. After that commit, no daemon adds the remaining tokens. If the daemon crashes before
    // that commit, the next daemon adds the remaining tokens, because the journal can still contain
    // a reply that reports success.
    class Intent {
    public:
        Intent(Intent&& other) noexcept
            : store_{std::exchange(other.store_, nullptr)}, commit_{other.commit_}
        {
        }
        ~Intent();
        // Returns one byte for each token. The EventfdIncrementer uses the bytes. A byte is 1 if
        // its token must still be added.
        std::span<char> pending_increments() const { return store_->pending_increments(); }
        // Ends the intent after every token was added. This changes only the progress page, so no
        // commit is needed.
        void complete();

    private:
        friend class StateStore;
        Intent(StateStore& store, std::uint64_t commit) : store_{&store}, commit_{commit} {}
        StateStore* store_; // Null after complete(), and after a move from this object.
        std::uint64_t commit_;
    };
    // Returns the number of the last commit; 0 if there is none yet.
    std::uint64_t last_commit() const { return journal_.last(); }
    // Commits the intent to add the tokens of `increments`, together with everything that is
    // staged. `tokens` is the number of tokens that the progress page tracks, at most
    // max_tokens_per_set. If the function fails, the caller must not add any token.
    Result<Intent> begin_intent(std::vector<record::Increment> increments, std::size_t tokens);
    // Returns one byte for each token of the recovered intent. A byte is 1 if its token must still
    // be added.
    std::span<char> pending_increments() const { return progress_page_.pending_increments(); }
    // Returns the intent that an earlier daemon left, so that the caller can add its remaining
    // tokens.
    Intent resume_intent() { return {*this, progress_page_.intent_commit()}; }

    // One read(2) of tokens from an object. The caller creates the Take before the read(2) and
    // keeps it until the result of the read(2) is known. The destructor frees the slot if no token
    // was taken.
    class Take {
    public:
        Take(const Take&) = delete;
        Take& operator=(const Take&) = delete;
        ~Take();
        // Returns the place to which read(2) writes the number of tokens that it takes.
        std::uint64_t& slot() { return slot_ ? *slot_ : overflow_slot_; }

    private:
        friend class StateStore;
        Take(ProgressPage& page, std::uint64_t* slot) : page_{page}, slot_{slot} {}
        ProgressPage& page_;
        // The slot in the progress page. Null if all slots are used and a commit did not free them.
        std::uint64_t* slot_;
        std::uint64_t overflow_slot_ = 0;
    };
    // Commits now if the progress page has fewer than `count` free slots. Thus `count` takes can
    // follow without a commit between them, which would contain only a part of the takes.
    Result<void> reserve_take_slots(std::size_t count);
    Take begin_take(Id id);

    std::size_t stored_fds() const { return stash_.size(); }
    std::size_t in_flight() const { return stash_.in_flight(); }
    std::size_t journal_bytes() const { return journal_.bytes(); }

private:
    struct Parts {
        Journal journal;
        FdStash stash;
        ProgressPage progress_page;
    };

    StateStore(EventLoop& loop, Parts parts);
    static Parts create_parts();
    static Parts open_parts(Descriptors descriptors, RecoveredState& recovered);
    void schedule_commit();
    void update_fault(const Result<void>& result);

    EventLoop& loop_;
    log::Limited log_;
    Journal journal_;
    FdStash stash_;
    ProgressPage progress_page_;
    std::string scratch_;
    std::optional<Fault> fault_;
    bool is_commit_scheduled_ = false;
};

} // namespace evfd::daemon
