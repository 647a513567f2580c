// RecoveredState: the contents of all parts of the state store, decoded except for objects.
// Recovery checks afterwards whether the parts fit together.
//
// Reading never fails. A record that cannot be decoded is left out, and a warning reports it. There
// can be millions of objects, so their records are decoded one at a time, by read_objects().
#pragma once

#include "daemon/store/fd_stash.h"
#include "daemon/store/journal.h"
#include "daemon/store/progress_page.h"
#include "daemon/store/records.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace evfd::daemon {

struct RecoveredState {
    using Id = std::uint64_t;

    // The records of the objects, by id, which is the order of creation. Valid until the next
    // StateStore::prepare() or commit(). Changes may be staged.
    std::vector<Journal::Record> objects;
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
    // One sentence for each defect of the state store, and for each thing that Recovery cannot
    // restore.
    std::vector<std::string> warnings;
    // True if a warning is about a defect of the state store. Sessions can then be missing, too.
    bool has_defects = false;
    // One value for each descriptor of StateStore::fd_names. A value is true if the earlier
    // daemon's descriptor could not be used, so a new descriptor was created.
    std::array<bool, 4> recreated{true, true, true, true};
    // True if the stash has descriptors that this process cannot receive.
    bool has_unreadable_fds = false;
    std::vector<Id> ids;        // The ids of all records and descriptors, in no order.
    std::size_t unreadable = 0; // The number of records that could not be decoded.
    // New objects get the ids that follow this id. Until read_objects() returns, this is only the
    // last id that the journal says was reserved.
    Id last_id = 0;
    // True if last_id is certain: the journal has the record of reserved ids, and no commit is
    // lost. If false, ids after last_id can have been assigned to objects that no longer exist.
    bool knows_last_id = false;

    // Adds a warning about a defect of the state store.
    void report_defect(std::string warning)
    {
        warnings.push_back(std::move(warning));
        has_defects = true;
    }
    bool is_complete() const { return recreated == std::array<bool, 4>{}; }
};

// Decodes the records of `contents` other than objects, and adds warnings for the defects of the
// journal.
void read_journal(const Journal::Contents& contents, RecoveredState& recovered);
// Moves the descriptors of `stashed` to `recovered`. Adds a warning if some could not be received.
void take_stashed_fds(FdStash::Contents& stashed, RecoveredState& recovered);

using ObjectReader = std::function<void(RecoveredState::Id, const record::Object&)>;
// Calls `f` for each object that can be decoded, by id. Adds a warning for the records that cannot
// be decoded. Then sets last_id from the ids of all records and descriptors. Must be called once,
// after read_journal() and take_stashed_fds().
void read_objects(RecoveredState& recovered, const ObjectReader& f);

} // namespace evfd::daemon
