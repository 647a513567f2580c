// What outlives the daemon: the journal says what there is, the parking holds the descriptors, the
// slip notes what was being done. A guardian holds the four descriptors behind these; whoever is
// handed them is the daemon that was.
//
// What a request changes is staged here and committed before its answer, or anyone's, goes out.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/store/journal.h"
#include "daemon/store/fd_stash.h"
#include "daemon/store/records.h"
#include "daemon/store/progress_page.h"

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
struct Left {
    using Id = std::uint64_t;

    std::map<Id, record::Object> objects; // In the order in which they were made.
    std::unordered_map<Id, record::Progress> progress;
    std::map<Id, record::Subscription> subscriptions;
    std::map<Id, record::Session> sessions;
    std::unordered_map<Id, record::Takings> takings;
    std::unordered_map<Id, record::Process> processes;
    std::optional<record::Plan> plan;        // Only if it may not be done.
    std::vector<Taking> taken;               // After the last commit.
    std::unordered_map<Id, UniqueFd> parked; // Descriptors.
    std::vector<std::string> complaints;     // What could not be read, a sentence each.
    // Of Vault::names: what could not be taken over.
    std::array<bool, 4> made_anew{true, true, true, true};
    bool has_unread = false; // Descriptors are parked for which there is no room.
    Id last_id = 0;          // New ones follow it.

    bool is_whole() const { return made_anew == std::array<bool, 4>{}; }
};

// What could not be kept is tried again so much later.
inline constexpr std::chrono::milliseconds try_again_after{20};

class Vault {
public:
    using Id = std::uint64_t;

    // The names under which a guardian keeps the descriptors.
    static constexpr std::array<std::string_view, 4> names{"evfdd-parking-0", "evfdd-parking-1",
                                                           "evfdd-journal", "evfdd-slip"};
    using Descriptors = std::array<UniqueFd, names.size()>;

    // A new one. Throws std::system_error.
    explicit Vault(EventLoop& loop);
    // The one whose descriptors these are; some may be missing. What cannot be used is made anew.
    // Throws std::system_error.
    Vault(EventLoop& loop, Descriptors descriptors, Left& left);
    Vault(const Vault&) = delete; // Pinned: what it deferred has its address.
    Vault& operator=(const Vault&) = delete;

    // In the order of names; they stay the vault's.
    std::array<int, names.size()> descriptors() const;

    // For the next commit.
    template <class Record>
    void put(Id id, Record record)
    {
        scratch_.clear();
        Outgoing out{scratch_, no_descriptors_};
        encode(record, out);
        journal_.put({id, static_cast<std::uint32_t>(Record::kind)}, scratch_);
        commit_soon();
    }
    void drop(Id id, record::Kind kind);
    // `fd` stays the caller's, who keeps it open until unpark().
    Result<void> park(Id id, const UniqueFd& fd) { return parking_.park(id, fd); }
    void unpark(Id id) { parking_.unpark(id); }
    // So many can be parked from now on; it may commit for that, so nothing may be half done.
    void make_room_to_park(std::size_t coming);

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
    Result<std::span<char>> plan(std::vector<record::Addition> additions, std::size_t tokens);
    // All of it was done: what comes to be as it was before is not to be taken for undone.
    void end_plan() { slip_.end_plan(); }
    std::span<char> planned() const { return slip_.to_add(); } // The plan of what was left.
    // So many can be taken without a commit between them, which would tell of a part of them only.
    void make_room_for_takings(std::size_t count);
    // Where to read(2) a token to that is taken from `id`.
    std::uint64_t& taking(Id id);
    void end_taking_nothing() { slip_.end_taking_nothing(); } // It was not there.

    std::size_t parked() const { return parking_.size(); }
    std::size_t in_flight() const { return parking_.in_flight(); }
    std::size_t journal_bytes() const { return journal_.bytes(); }

private:
    struct Parts {
        Journal journal;
        Parking parking;
        Slip slip;
    };

    Vault(EventLoop& loop, Parts parts);
    static Parts make();
    static Parts take(Descriptors descriptors, Left& left);
    void commit_soon();
    void note(const Result<void>& kept);

    EventLoop& loop_;
    Journal journal_;
    Parking parking_;
    Slip slip_;
    std::string scratch_;
    std::vector<Handed> no_descriptors_;
    std::optional<Fault> fault_;
    bool commits_soon_ = false;
    std::uint64_t unnoted_ = 0; // Where to take to when the slip cannot be.
};

} // namespace evfd::daemon
