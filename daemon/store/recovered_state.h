// RecoveredState: the decoded contents of all parts of the state store. Recovery checks afterwards
// whether the parts fit together.
//
// Reading never fails. A record that cannot be decoded is left out, and a warning reports it.
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

    std::map<Id, record::Object> objects; // Ordered by id, which is the order of creation.
    std::unordered_map<Id, record::Counters> counters;
    std::map<Id, record::Subscription> subscriptions;
    std::map<Id, record::Session> sessions;
    std::unordered_map<Id, record::TakenTokens> taken_tokens;
    std::unordered_map<Id, record::Process> processes;
    // The last intent; empty if it is certain that all of its tokens were added.
    std::optional<record::Intent> intent;
    std::vector<TakeSlot> takes;                 // The takes that were made after the last commit.
    std::unordered_map<Id, FdStash::Stored> fds; // The stashed descriptors by their ids.
    std::vector<std::string> warnings;           // One sentence for each defect that was found.
    // Says for each descriptor of StateStore::fd_names whether it could not be read and was created
    // again.
    std::array<bool, 4> recreated{true, true, true, true};
    // True if the stash has descriptors that this process cannot receive.
    bool has_unreadable_fds = false;
    Id last_id = 0; // New objects get the ids that follow this id.
    // True if the journal has the record of reserved ids and has lost no commit. If false, it is
    // possible that ids after last_id were assigned to objects that no longer exist.
    bool knows_last_id = false;

    bool is_complete() const { return recreated == std::array<bool, 4>{}; }
};

// Decodes the records of `contents`, and adds warnings for the defects of the journal.
void read_journal(const Journal::Contents& contents, RecoveredState& recovered);
// Moves the descriptors of `stashed` to `recovered`. Adds a warning if some could not be received.
void take_stashed_fds(FdStash::Contents& stashed, RecoveredState& recovered);
// Sets last_id from the ids of all records and descriptors, and from `ids`. Must be called after
// read_journal() and take_stashed_fds().
void find_last_id(const Journal::Contents& contents, std::vector<RecoveredState::Id> ids,
                  RecoveredState& recovered);

} // namespace evfd::daemon
