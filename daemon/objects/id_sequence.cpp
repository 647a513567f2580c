#include "daemon/objects/id_sequence.h"

#include "common/clock.h"

#include <algorithm>
#include <chrono>

namespace evfd::daemon {

namespace {

// The number of ids that one record reserves. A crash loses at most this number of the 2^53 ids.
// The next record is written when half of the ids are used.
constexpr std::uint64_t ids_per_record = 4'096;

// Returns an id that no earlier daemon has assigned, without a record that says so: the
// microseconds since 1970. No daemon assigns a million ids a second for long, and the wall clock is
// assumed not to go back.
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

// While commits fail, Show still reports a new object. So the record is put long before its ids are
// used. Only the first record of a daemon may be committed together with the first of its ids.
void IdSequence::reserve()
{
    constexpr StateStore::Id only_key = 0;
    reserved_ = last_ + ids_per_record;
    state_store_.put(only_key, record::Ids{static_cast<record::Id>(reserved_)});
}

// Damage is reported only once. Without the reservation, which is committed with the recovery, the
// next daemon would continue after an older record.
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
