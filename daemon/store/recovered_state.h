// RecoveredState: what the state store's parts had, read and decoded, before Recovery checks
// that it fits together.
//
// Reading never fails: what cannot be decoded is left out, and a warning says so.
#pragma once

#include "daemon/store/fd_stash.h"
#include "daemon/store/journal.h"
#include "daemon/store/progress_page.h"
#include "daemon/store/records.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace evfd::daemon {

struct RecoveredState {
    using Id = std::uint64_t;

    std::map<Id, record::Object> objects; // In order of creation.
    std::unordered_map<Id, record::Counters> counters;
    std::map<Id, record::Subscription> subscriptions;
    std::map<Id, record::Session> sessions;
    std::unordered_map<Id, record::TakenTokens> taken_tokens;
    std::unordered_map<Id, record::Process> processes;
    std::optional<record::Intent> intent; // Present only if some of its tokens may be missing.
    std::vector<TakeSlot> takes;          // Takes after the last commit.
    std::unordered_map<Id, FdStash::Stored> fds; // The stashed descriptors.
    std::vector<std::string> warnings;           // One sentence for each defect found.
    // Which descriptors of StateStore::fd_names could not be read and were created again.
    std::array<bool, 4> recreated{true, true, true, true};
    bool has_unreadable_fds = false; // The stash has descriptors that this process cannot receive.
    Id last_id = 0;                  // New ids follow this one.
    // The journal has the record of reserved ids, and has lost no commit. Otherwise ids after
    // last_id may have been assigned to objects that no longer exist.
    bool knows_last_id = false;

    bool is_complete() const { return recreated == std::array<bool, 4>{}; }
};

// Decodes the records of `contents`, and adds warnings for the defects of the journal.
void read_journal(const Journal::Contents& contents, RecoveredState& recovered);
// Moves the descriptors of `stashed`.
void take_stashed_fds(FdStash::Contents& stashed, RecoveredState& recovered);
// Sets last_id from the ids of all records and descriptors, and from `ids`. Call it last.
void find_last_id(const Journal::Contents& contents, std::vector<RecoveredState::Id> ids,
                  RecoveredState& recovered);

} // namespace evfd::daemon
