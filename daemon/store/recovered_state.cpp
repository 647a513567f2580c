#include "daemon/store/recovered_state.h"

#include "daemon/base/log.h"
#include "daemon/store/record_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <utility>

namespace evfd::daemon {

namespace {

template <class Record>
bool is_valid(const Record& record)
{
    if constexpr (requires { record.is_valid(); })
        return record.is_valid();
    return true;
}

class RecordReader {
public:
    explicit RecordReader(RecoveredState& recovered) : recovered_{recovered} {}

    void read(const Journal::Record& record)
    {
        const bool is_known =
            record::with_type(static_cast<record::Kind>(record.key.kind), [&]<class Record>() {
                if constexpr (std::same_as<Record, record::Object>)
                    recovered_.objects.push_back(record);
                else if (auto value = decode_record<Record>(record))
                    add(record.key.id, *std::move(value));
            });
        if (!is_known)
            ++unknown_;
    }

    std::size_t unknown() const { return unknown_; }

    // Decodes the record. If this fails, counts the record as unreadable.
    template <class Record>
    std::optional<Record> decode_record(const Journal::Record& record)
    {
        auto value = record::read_record<Record>(record.text);
        const bool has_id = record.key.id != 0 || Record::kind == record::Kind::intent ||
                            Record::kind == record::Kind::ids;
        if (value && has_id && is_valid(*value))
            return value;
        ++recovered_.unreadable;
        return {};
    }

private:
    using Id = RecoveredState::Id;
    void add(Id id, record::Counters counters) { recovered_.counters.emplace(id, counters); }
    void add(Id id, record::Number number) { recovered_.numbers.emplace(id, number); }
    void add(Id id, record::Subscription subscription)
    {
        recovered_.subscriptions.emplace(id, std::move(subscription));
    }
    void add(Id id, record::Session session)
    {
        recovered_.sessions.emplace(id, std::move(session));
    }
    void add(Id id, record::TakenTokens taken)
    {
        recovered_.taken_tokens.emplace(id, std::move(taken));
    }
    void add(Id id, record::Process process) { recovered_.processes.emplace(id, process); }
    void add(Id, record::Intent intent) { recovered_.intent = std::move(intent); }
    void add(Id, record::Ids ids)
    {
        recovered_.last_id = static_cast<Id>(ids.last);
        recovered_.knows_last_id = true;
    }

    RecoveredState& recovered_;
    std::size_t unknown_ = 0;
};

// Returns the id that is followed by the largest gap of unused ids. This is normally the highest
// id. A damaged record can have a far higher id, which no daemon can have reached by counting. The
// largest gap is then before the damaged id, so the function does not return this id.
RecoveredState::Id last_before_largest_gap(std::vector<RecoveredState::Id> ids)
{
    constexpr RecoveredState::Id end = std::uint64_t{max_object_id} + 1;
    ids.push_back(0);
    ids.push_back(end);
    std::ranges::sort(ids);
    RecoveredState::Id last = 0;
    RecoveredState::Id gap = 0;
    for (std::size_t i = 0; ids[i] < end; ++i)
        if (ids[i + 1] - ids[i] >= gap) {
            last = ids[i];
            gap = ids[i + 1] - last;
        }
    return last;
}

// Sets last_id to an id that is followed by unused ids only. `ids` has the ids of all records and
// descriptors.
void find_last_id(std::vector<RecoveredState::Id> ids, RecoveredState& recovered)
{
    // New objects must get ids above the last reserved id. If the object with the last reserved id
    // was deleted, no other record mentions this id.
    ids.push_back(recovered.last_id);
    recovered.last_id = last_before_largest_gap(ids);
    const auto highest = std::ranges::max(ids);
    if (highest > recovered.last_id)
        recovered.report_defect(
            fmt::format("the id {} is damaged, since no daemon assigns it: new ids follow {}",
                        highest, recovered.last_id));
}

bool has_lost_commits(const Journal::Contents& contents)
{
    return !contents.is_journal || contents.damaged_bytes > 0 || contents.is_missing_tail;
}

void report_defects(const Journal::Contents& contents, RecoveredState& recovered)
{
    if (!contents.is_journal)
        recovered.report_defect("the journal's header page is damaged");
    else if (contents.version > Journal::version)
        recovered.report_defect(
            fmt::format("the journal was written by a newer evfdd (version {}, this one knows {})",
                        contents.version, Journal::version));
    if (contents.damaged_bytes > 0)
        recovered.report_defect(
            fmt::format("{} bytes within the journal are damaged: their records are lost",
                        contents.damaged_bytes));
    if (contents.is_missing_tail)
        recovered.report_defect("the end of the journal is damaged: its last commits are lost");
    // An incomplete commit is logged as information and not as a warning, because no reply depended
    // on it.
    else if (contents.truncated_bytes > 0)
        log::info({}, "the journal's last {} bytes belong to an incomplete commit",
                  contents.truncated_bytes);
}

} // namespace

void read_journal(const Journal::Contents& contents, RecoveredState& recovered)
{
    report_defects(contents, recovered);
    RecordReader reader{recovered};
    for (const auto& record : contents.records)
        reader.read(record);
    if (reader.unknown() > 0)
        recovered.report_defect(
            fmt::format("{} records have kinds that only a newer evfdd knows: they are preserved",
                        reader.unknown()));
    if (has_lost_commits(contents))
        recovered.knows_last_id = false;
}

void take_stashed_fds(FdStash::Contents& stashed, RecoveredState& recovered)
{
    recovered.has_unreadable_fds = stashed.unreadable > 0;
    if (recovered.has_unreadable_fds)
        recovered.report_defect(
            fmt::format("{} stashed descriptors cannot be received: there is no room for them, or "
                        "they have no label; see RLIMIT_NOFILE",
                        stashed.unreadable));
    recovered.ids.insert(recovered.ids.end(), stashed.unwanted_ids.begin(),
                         stashed.unwanted_ids.end());
    for (auto& [id, fd] : stashed.fds) {
        recovered.ids.push_back(id);
        recovered.fds.emplace(id, std::move(fd));
    }
}

void read_objects(RecoveredState& recovered, const ObjectReader& f)
{
    RecordReader reader{recovered};
    for (const auto& record : std::exchange(recovered.objects, {}))
        if (const auto object = reader.decode_record<record::Object>(record)) {
            f(record.key.id, *object);
            // The target of a timer can be an object that was deleted. A new object must not get
            // the id of the deleted object.
            if (object->timer && object->timer->target)
                recovered.ids.push_back(static_cast<RecoveredState::Id>(object->timer->target->id));
        }
    if (recovered.unreadable > 0)
        recovered.report_defect(fmt::format("{} records cannot be decoded: their contents are lost",
                                            recovered.unreadable));
    find_last_id(std::exchange(recovered.ids, {}), recovered);
}

} // namespace evfd::daemon
