// What outlives the daemon: the journal says what there is, the parking holds the descriptors, the
// slip notes what was being done. A guardian holds the four descriptors behind these; whoever is
// handed them is the daemon that was.
//
// What a request changes is staged here and committed before its answer, or anyone's, goes out.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/store/fd_stash.h"
#include "daemon/store/journal.h"
#include "daemon/store/progress_page.h"
#include "daemon/store/records.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace evfd::daemon {

// What an earlier daemon left, read but not judged.
struct RecoveredState {
    using Id = std::uint64_t;

    std::map<Id, record::Object> objects; // In the order in which they were made.
    std::unordered_map<Id, record::Counters> counters;
    std::map<Id, record::Subscription> subscriptions;
    std::map<Id, record::Session> sessions;
    std::unordered_map<Id, record::TakenTokens> taken_tokens;
    std::unordered_map<Id, record::Process> processes;
    std::optional<record::Intent> intent; // Only if it may not be done.
    std::vector<TakeSlot> takes;          // After the last commit.
    std::unordered_map<Id, UniqueFd> fds; // Descriptors.
    std::vector<std::string> warnings;    // What could not be read, a sentence each.
    // Of StateStore::names: what could not be taken over.
    std::array<bool, 4> recreated{true, true, true, true};
    bool has_unreadable_fds = false; // Descriptors are parked for which there is no room.
    Id last_id = 0;                  // New ones follow it.

    bool is_complete() const { return recreated == std::array<bool, 4>{}; }
};

// What could not be kept is tried again so much later.
inline constexpr std::chrono::milliseconds commit_retry_interval{20};

class StateStore {
public:
    using Id = std::uint64_t;

    // The names under which a guardian keeps the descriptors.
    static constexpr std::array<std::string_view, 4> fd_names{"evfdd-parking-0", "evfdd-parking-1",
                                                              "evfdd-journal", "evfdd-slip"};
    using Descriptors = std::array<UniqueFd, fd_names.size()>;

    // A new one. Throws std::system_error.
    explicit StateStore(EventLoop& loop);
    // The one whose descriptors these are; some may be missing. What cannot be used is made anew.
    // Throws std::system_error.
    StateStore(EventLoop& loop, Descriptors descriptors, RecoveredState& recovered);
    StateStore(const StateStore&) = delete; // Pinned: what it deferred has its address.
    StateStore& operator=(const StateStore&) = delete;

    // In the order of names; they stay the vault's.
    std::array<int, fd_names.size()> descriptors() const;

    // For the next commit.
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
    // `fd` stays the caller's, who keeps it open until unpark().
    Result<void> store_fd(Id id, const UniqueFd& fd) { return stash_.store(id, fd); }
    void remove_fd(Id id) { stash_.remove(id); }
    // So many can be parked from now on; it may commit for that, so nothing may be half done.
    void reserve_fd_slots(std::size_t count);

    // Before anything is done that is to be kept: there is room for it, and for what follows from
    // it. If not, it is to be refused.
    Result<void> prepare();
    // Whether all that was staged is certain. Nothing that tells of it may go out before. It is
    // called all the same at the end of the loop's turn.
    bool commit();
    // Why nothing more can be kept.
    const std::optional<Fault>& fault() const { return fault_; }

    // Commits, with all that is staged, that so many tokens are to be added where `additions` says,
    // at most max_tokens_per_set; the bytes are for the Adder. A fault: they must not be added.
    Result<std::span<char>> begin_intent(std::vector<record::Increment> increments,
                                         std::size_t tokens);
    // All of it was done: what comes to be as it was before is not to be taken for undone.
    void end_intent() { progress_page_.end_intent(); }
    std::span<char> pending_increments() const
    {
        return progress_page_.pending_increments();
    } // The plan of what was left.
    // So many can be taken without a commit between them, which would tell of a part of them only.
    void reserve_take_slots(std::size_t count);
    // Where to read(2) a token to that is taken from `id`.
    std::uint64_t& take_slot(Id id);
    void cancel_take() { progress_page_.cancel_take(); } // It was not there.

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
    Journal journal_;
    FdStash stash_;
    ProgressPage progress_page_;
    std::string scratch_;
    std::vector<PassedFd> no_descriptors_;
    std::optional<Fault> fault_;
    bool is_commit_scheduled_ = false;
    std::uint64_t overflow_slot_ = 0; // Where to take to when the slip cannot be.
};

} // namespace evfd::daemon
