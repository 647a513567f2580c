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
    std::unordered_map<Id, record::Number> numbers;
    std::map<Id, record::Subscription> subscriptions;
    std::map<Id, record::Session> sessions;
    std::unordered_map<Id, record::TakenTokens> taken_tokens;
    std::unordered_map<Id, record::Process> processes;
    // The last intent. Empty if there is none, or if all of its tokens were certainly added.
    std::optional<record::Intent> intent;
    std::vector<TakeSlot> takes;                 // The takes that were made after the last commit.
    std::unordered_map<Id, FdStash::Stored> fds; // The stashed descriptors by their ids.
    std::vector<std::string> warnings;           // One sentence for each defect that was found.
    // One value for each descriptor of StateStore::fd_names. A value is true if the earlier
    // daemon's descriptor could not be used, so a new descriptor was created.
    std::array<bool, 4> recreated{true, true, true, true};
    // True if the stash has descriptors that this process cannot receive.
    bool has_unreadable_fds = false;
    Id last_id = 0; // New objects get the ids that follow this id.
    // True if last_id is certain: the journal has the record of reserved ids, and no commit is
    // lost. If false, ids after last_id can have been assigned to objects that no longer exist.
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
