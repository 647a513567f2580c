#include "daemon/objects/id_sequence.h"

#include "common/clock.h"

#include <algorithm>
#include <chrono>

namespace evfd::daemon {

namespace {

// The number of ids that one record reserves. A crash loses at most this number of the 2^53 ids.
// The next record is written when half of the ids are used.
constexpr std::uint64_t ids_per_record = 4'096;

// Returns an id that no earlier daemon has assigned, for the case that no record shows which ids
// were assigned. The id is the number of microseconds since 1970. All earlier ids are smaller,
// because no daemon assigns a million ids a second for long. The wall clock is assumed not to go
// back.
std::uint64_t first_id_without_record()
{
    using std::chrono::microseconds;
    const auto since = std::chrono::duration_cast<microseconds>(wall_now().time_since_epoch());
    return static_cast<std::uint64_t>(std::max(since, microseconds{0}).count());
}

} // namespace

std::uint64_t IdSequence::next()
{
    if (last_ + ids_per_record / 2 >= reserved_)
        reserve();
    return ++last_;
}

// Stages a record that reserves the next ids. Clients can see the id of a new object with the call
// Show, even while commits fail. An id must therefore be reserved by a committed record before the
// id is assigned. For this reason, each record is staged long before its ids are needed. The first
// record of a daemon is an exception: the first ids of this record can be assigned before the
// record is committed.
void IdSequence::reserve()
{
    constexpr StateStore::Id only_key = 0;
    reserved_ = last_ + ids_per_record;
    state_store_.put(only_key, record::Ids{static_cast<record::Id>(reserved_)});
}

// If the state store is damaged, the last id is uncertain. The function then reserves ids at once,
// and the reservation is committed with the recovery. The next daemon does not learn of the damage.
// Without the reservation, the next daemon would trust an older record and could assign ids that
// were assigned before.
void IdSequence::continue_after(std::uint64_t last_id, bool is_certain)
{
    last_recovered_ = last_id;
    last_ = last_id;
    if (is_certain)
        return;
    last_ = std::max(last_id, first_id_without_record());
    reserve();
}

} // namespace evfd::daemon
