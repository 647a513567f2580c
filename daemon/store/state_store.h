// StateStore: everything that survives the daemon, whether it exits, crashes or is killed.
//
// journal        a memfd with the records: objects, sessions, subscriptions, consumed tokens
// stash          a socketpair with the descriptors in flight: eventfds, timerfds, pidfds
// progress page  a memfd where the kernel records which tokens it has added or taken
//
// An fd store (systemd, or `evfdd --supervise`) holds duplicates of their four descriptors. A
// process that inherits the four continues as the same daemon. The daemon passes them to the fd
// store at the first start, and later only those that had to be created again.
//
// A request that changes something goes through these steps:
//
// 1. prepare() allocates memory for the changes; without memory the request is refused.
// 2. The request makes its descriptors, stores them with store_fd(), and stages its records with
//    put() and erase(). A descriptor is stored for as long as its FdStash::Stored exists.
// 3. commit() writes everything that is staged, before any reply is sent, to whichever client.
//
// Tokens need more, because adding and taking them cannot be undone:
//
// - To add: begin_intent() commits what is to be added where. The tokens are added, each recorded
//   in the progress page. Intent::complete() marks it as complete. An Intent that ends before gives
//   up the rest, with the next commit.
// - To take: begin_take() returns a Take with the address to which read(2) takes the token. The
//   next commit says what the token is for; without such a commit, recovery returns it.
//
// What must hold:
//
// - No reply is sent before the changes that it depends on are committed.
// - No commit may come between the takes of one wait, since it would contain only a part of them:
//   reserve_take_slots() first.
// - Recovery never refuses to start. It recreates what it cannot read and reports it.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/store/fd_stash.h"
#include "daemon/store/journal.h"
#include "daemon/store/progress_page.h"
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

    // Names of the four descriptors in the fd store.
    static constexpr std::array<std::string_view, 4> fd_names{"evfdd-stash-0", "evfdd-stash-1",
                                                              "evfdd-journal", "evfdd-progress"};
    using Descriptors = std::array<UniqueFd, fd_names.size()>;

    // Creates an empty store. Throws std::system_error.
    explicit StateStore(EventLoop& loop);
    // Opens the store that `descriptors` refer to, of which some may be missing, and reads it to
    // `recovered`. Creates each part again that cannot be read. Throws std::system_error.
    StateStore(EventLoop& loop, Descriptors descriptors, RecoveredState& recovered);
    StateStore(const StateStore&) = delete; // Not movable: deferred tasks have its address.
    StateStore& operator=(const StateStore&) = delete;

    // Borrowed, in the order of fd_names.
    std::array<int, fd_names.size()> descriptors() const;

    // Stage a record, or its removal, for the next commit.
    template <class Record>
    void put(Id id, Record record)
    {
        scratch_.clear();
        EncodeContext out{scratch_, no_descriptors_};
        encode(record, out);
        journal_.put({id, static_cast<std::uint32_t>(Record::kind)}, scratch_);
        schedule_commit();
    }
    void erase(Id id, record::Kind kind);
    // Stores `fd` in the stash until the result is destroyed.
    Result<FdStash::Stored> store_fd(Id id, UniqueFd fd) { return stash_.store(id, std::move(fd)); }
    // Stores it only if `is_persistent`; otherwise it ends with the daemon.
    Result<FdStash::Stored> store_fd_if(bool is_persistent, Id id, UniqueFd fd)
    {
        return is_persistent ? store_fd(id, std::move(fd)) : FdStash::Stored{std::move(fd)};
    }
    // Makes room to store `count` descriptors. It may commit for that, so the caller must not be in
    // the middle of a change.
    void reserve_fd_slots(std::size_t count);

    // Allocates memory for the records of one call and its consequences. On failure the caller
    // refuses the call.
    Result<void> prepare();
    // Commits everything that is staged. Returns whether it is written. No reply that depends on it
    // may be sent before. The store also calls this itself at the end of the loop's iteration.
    bool commit();
    // Reason why commits fail at present.
    const std::optional<Fault>& fault() const { return fault_; }

    // An intent that is being carried out, one at a time. The destructor gives up what is left of
    // it: after the next commit, which also has the reply to the failed call, no daemon adds the
    // rest. Before that commit a later daemon adds it, because the call may count as done.
    class Intent {
    public:
        Intent(Intent&& other) noexcept
            : store_{std::exchange(other.store_, nullptr)}, commit_{other.commit_}
        {
        }
        ~Intent();
        // Returns one byte for each token, for the EventfdIncrementer: 1 if it must still be added.
        std::span<char> pending_increments() const { return store_->pending_increments(); }
        // Every token was added. While the intent is open, a counter that returns to its earlier
        // value would look after a crash as if the tokens had not been added.
        void complete();

    private:
        friend class StateStore;
        Intent(StateStore& store, std::uint64_t commit) : store_{&store}, commit_{commit} {}
        StateStore* store_; // Null once nothing is left to do.
        std::uint64_t commit_;
    };
    // Returns the number of the last commit; 0 if there is none yet.
    std::uint64_t last_commit() const { return journal_.last(); }
    // Commits, with everything that is staged, the intent to add `tokens` tokens as `increments`
    // says, at most max_tokens_per_set. On failure the caller must not add any.
    Result<Intent> begin_intent(std::vector<record::Increment> increments, std::size_t tokens);
    // Returns the notes of the recovered intent in the progress page.
    std::span<char> pending_increments() const { return progress_page_.pending_increments(); }
    // Returns the recovered intent.
    Intent resume_intent() { return {*this, progress_page_.intent_commit()}; }

    // A take of one object's tokens, from before the read(2) until its outcome is known. The
    // destructor frees the slot if no token was taken.
    class Take {
    public:
        Take(const Take&) = delete;
        Take& operator=(const Take&) = delete;
        ~Take();
        // The address to which read(2) takes the token.
        std::uint64_t& slot() { return slot_ ? *slot_ : overflow_slot_; }

    private:
        friend class StateStore;
        Take(ProgressPage& page, std::uint64_t* slot) : page_{page}, slot_{slot} {}
        ProgressPage& page_;
        std::uint64_t* slot_; // Null while the page is full and cannot be committed.
        std::uint64_t overflow_slot_ = 0;
    };
    // Makes room for `count` takes without a commit between them, which would contain only a part.
    void reserve_take_slots(std::size_t count);
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
    std::vector<PassedFd> no_descriptors_;
    std::optional<Fault> fault_;
    bool is_commit_scheduled_ = false;
};

} // namespace evfd::daemon
