#include "daemon/store/state_store.h"

#include "common/json.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/store/descriptor_budget.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>
#include <unordered_set>

namespace evfd::daemon {

namespace {

// There is one record of an intent.
constexpr StateStore::Id intent_key = 0;

template <class T>
T value_or_throw(Result<T> result)
{
    if (!result)
        throw std::system_error{result.error().error, std::generic_category(),
                                std::string{result.error().call}};
    return *std::move(result);
}

// Returns the opened part, or creates a new one and adds a warning.
template <class T>
T open_or_create(Result<T> opened, std::string_view what, RecoveredState& recovered)
{
    if (opened)
        return *std::move(opened);
    recovered.warnings.push_back(
        fmt::format("{} cannot be read ({}): it was recreated", what, opened.error().message()));
    return value_or_throw(T::create());
}

// Reading records.

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
        switch (static_cast<record::Kind>(record.key.kind)) {
        case record::Kind::object: return read_into(recovered_.objects, record);
        case record::Kind::counters: return read_into(recovered_.counters, record);
        case record::Kind::subscription: return read_into(recovered_.subscriptions, record);
        case record::Kind::session: return read_into(recovered_.sessions, record);
        case record::Kind::taken_tokens: return read_into(recovered_.taken_tokens, record);
        case record::Kind::process: return read_into(recovered_.processes, record);
        case record::Kind::ids:
            if (const auto ids = decode_record<record::Ids>(record)) {
                recovered_.last_id = static_cast<RecoveredState::Id>(ids->last);
                recovered_.knows_last_id = true;
            }
            return;
        case record::Kind::intent:
            if (auto intent = decode_record<record::Intent>(record))
                recovered_.intent = *std::move(intent);
            return;
        }
        ++unknown_;
    }

    void report() const
    {
        if (unknown_ > 0)
            recovered_.warnings.push_back(fmt::format(
                "{} records have kinds that only a newer evfdd knows: they are preserved",
                unknown_));
        if (unreadable_ > 0)
            recovered_.warnings.push_back(
                fmt::format("{} records cannot be decoded: their contents are lost", unreadable_));
    }

private:
    template <class Record>
    std::optional<Record> decode_record(const Journal::Record& record)
    {
        const auto text = document_.parse(record.text);
        DecodeContext context{UnknownFields::ignore, nullptr, 0};
        auto value = text ? decode<Record>(*text, context) : std::unexpected(BadField{});
        const bool has_id = record.key.id != 0 || Record::kind == record::Kind::intent ||
                            Record::kind == record::Kind::ids;
        if (value && has_id && is_valid(*value))
            return *std::move(value);
        ++unreadable_;
        return {};
    }

    template <class Records>
    void read_into(Records& records, const Journal::Record& record)
    {
        if (auto value = decode_record<typename Records::mapped_type>(record))
            records.emplace(record.key.id, *std::move(value));
    }

    RecoveredState& recovered_;
    json::Document document_;
    int unknown_ = 0;
    int unreadable_ = 0;
};

// Returns the id that is followed by the largest gap of unused ids. That is the highest id, unless
// a damaged record has one that no daemon reaches by counting.
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

// Sets last_id from the ids of all records, and from `ids`.
void find_last_id(const std::vector<Journal::Record>& records, std::vector<RecoveredState::Id> ids,
                  RecoveredState& recovered)
{
    for (const auto& record : records)
        ids.push_back(record.key.id);
    // A timer's target has the id of an object that may be deleted. No new object may get that id.
    for (const auto& [id, object] : recovered.objects)
        if (object.timer && object.timer->target)
            ids.push_back(static_cast<RecoveredState::Id>(object.timer->target->id));
    for (const auto& [id, fd] : recovered.fds)
        ids.push_back(id);
    ids.push_back(recovered.last_id); // The last reserved id: its object may be deleted.
    recovered.last_id = last_before_largest_gap(ids);
    if (const auto highest = std::ranges::max_element(ids);
        highest != ids.end() && *highest > recovered.last_id)
        recovered.warnings.push_back(
            fmt::format("the id {} is damaged, since no daemon assigns it: new ids follow {}",
                        *highest, recovered.last_id));
}

bool has_lost_commits(const Journal::Contents& contents)
{
    return !contents.is_journal || contents.damaged_bytes > 0 || contents.is_missing_tail;
}

void report_defects(const Journal::Contents& contents, RecoveredState& recovered)
{
    if (!contents.is_journal)
        recovered.warnings.emplace_back("the journal's header page is damaged");
    else if (contents.version > Journal::version)
        recovered.warnings.push_back(
            fmt::format("the journal was written by a newer evfdd (version {}, this one knows {})",
                        contents.version, Journal::version));
    if (contents.damaged_bytes > 0)
        recovered.warnings.push_back(
            fmt::format("{} bytes within the journal are damaged: their records are lost",
                        contents.damaged_bytes));
    if (contents.is_missing_tail)
        recovered.warnings.emplace_back(
            "the end of the journal is damaged: its last commits are lost");
    else if (contents.truncated_bytes > 0) // No reply depended on that commit.
        log::info({}, "the journal's last {} bytes belong to an incomplete commit",
                  contents.truncated_bytes);
}

} // namespace

// Creating and opening.

StateStore::Parts StateStore::create_parts()
{
    return {value_or_throw(Journal::create()), value_or_throw(FdStash::create()),
            value_or_throw(ProgressPage::create())};
}

StateStore::Parts StateStore::open_parts(Descriptors descriptors, RecoveredState& recovered)
{
    const Fault missing{"it was not inherited", ENOENT};
    auto& [end, other_end, journal_fd, page_fd] = descriptors;

    Journal::Contents contents;
    std::unordered_set<Id> known;
    auto journal =
        journal_fd ? Journal::open(std::move(journal_fd), contents) : std::unexpected(missing);
    for (const auto& record : contents.records)
        known.insert(record.key.id);
    const auto is_wanted = [&](Id id) { return !journal || known.contains(id); };
    FdStash::Contents stashed;
    const bool has_ends = end && other_end;
    // Occupies descriptors while the stash is read, which could use all of them otherwise.
    std::vector<UniqueFd> reserved;
    for (int i = 0; has_ends && i < reserved_client_fds; ++i)
        reserved.emplace_back(::fcntl(end.get(), F_DUPFD_CLOEXEC, 0));
    auto stash = has_ends
                     ? FdStash::open({std::move(end), std::move(other_end)}, stashed, is_wanted)
                     : std::unexpected(missing);
    auto progress_page =
        page_fd ? ProgressPage::open(std::move(page_fd)) : std::unexpected(missing);

    recovered.recreated = {!stash, !stash, !journal, !progress_page};
    if (progress_page && journal) {
        const auto takes = progress_page->takes_since(contents.last);
        recovered.takes.assign(takes.begin(), takes.end());
    }
    Parts parts{open_or_create(std::move(journal), "the journal", recovered),
                open_or_create(std::move(stash), "the descriptor stash", recovered),
                open_or_create(std::move(progress_page), "the progress page", recovered)};
    report_defects(contents, recovered);
    recovered.has_unreadable_fds = stashed.unreadable > 0;
    if (recovered.has_unreadable_fds)
        recovered.warnings.push_back(
            fmt::format("{} stashed descriptors cannot be received: there is no room for them, or "
                        "they have no label; see RLIMIT_NOFILE",
                        stashed.unreadable));
    RecordReader reader{recovered};
    for (const auto& record : contents.records)
        reader.read(record);
    reader.report();
    if (has_lost_commits(contents))
        recovered.knows_last_id = false;
    for (auto& [id, fd] : stashed.fds)
        recovered.fds.emplace(id, std::move(fd));
    find_last_id(contents.records, stashed.unwanted_ids, recovered);
    // The intent is complete if the page belongs to a later one, which was not committed.
    if (recovered.intent &&
        static_cast<std::uint64_t>(recovered.intent->commit) != parts.progress_page.intent_commit())
        recovered.intent.reset();
    return parts;
}

StateStore::StateStore(EventLoop& loop, Parts parts)
    : loop_{loop}, journal_{std::move(parts.journal)}, stash_{std::move(parts.stash)},
      progress_page_{std::move(parts.progress_page)}
{
}

StateStore::StateStore(EventLoop& loop) : StateStore{loop, create_parts()} {}

StateStore::StateStore(EventLoop& loop, Descriptors descriptors, RecoveredState& recovered)
    : StateStore{loop, open_parts(std::move(descriptors), recovered)}
{
}

std::array<int, StateStore::fd_names.size()> StateStore::descriptors() const
{
    return {stash_.ends()[0].get(), stash_.ends()[1].get(), journal_.memfd().get(),
            progress_page_.memfd().get()};
}

// Changing.

void StateStore::erase(Id id, record::Kind kind)
{
    journal_.erase({id, static_cast<std::uint32_t>(kind)});
    schedule_commit();
}

void StateStore::schedule_commit()
{
    if (std::exchange(is_commit_scheduled_, true))
        return;
    loop_.defer([this] {
        is_commit_scheduled_ = false;
        commit();
    });
}

Result<void> StateStore::prepare()
{
    auto prepared = journal_.prepare(usual_record_bytes_per_call);
    update_fault(prepared);
    return prepared;
}

bool StateStore::commit()
{
    if (!journal_.has_staged())
        return true;
    const auto committed = journal_.commit();
    if (!committed) {
        update_fault(committed);
        return false;
    }
    if (fault_)
        (void)prepare(); // Clears fault_ if there is memory again.
    stash_.compact();
    return true;
}

void StateStore::reserve_fd_slots(std::size_t count)
{
    if (!stash_.has_room_for(count) && commit())
        stash_.compact(count);
}

void StateStore::update_fault(const Result<void>& result)
{
    if (!result && !fault_)
        log_.critical(
            {}, "the state store cannot be written, so changes are refused from now on: {}{}",
            result.error().message(), result.error().error == EFBIG ? "" : "; free some memory");
    if (result && fault_)
        log_.warn({}, "the state store can be written again");
    fault_ = result ? std::nullopt : std::optional{result.error()};
}

Result<StateStore::Intent> StateStore::begin_intent(std::vector<record::Increment> increments,
                                                    std::size_t tokens)
{
    const auto commit_number = journal_.next();
    put(intent_key, record::Intent{static_cast<record::Id>(commit_number), std::move(increments)});
    progress_page_.begin_intent(commit_number, tokens);
    if (commit())
        return Intent{*this, commit_number};
    // A later commit may still contain the intent, which must then add nothing.
    progress_page_.end_intent();
    return std::unexpected(*fault_);
}

StateStore::Intent::~Intent()
{
    if (store_ && store_->progress_page_.intent_commit() == commit_)
        store_->erase(intent_key, record::Kind::intent);
}

void StateStore::Intent::complete()
{
    store_->progress_page_.end_intent();
    store_ = nullptr;
}

void StateStore::reserve_take_slots(std::size_t count)
{
    if (progress_page_.free_slots_since(journal_.last()) < count)
        commit();
}

StateStore::Take StateStore::begin_take(Id id)
{
    auto* slot = progress_page_.begin_take(journal_.last(), id);
    if (!slot) {
        commit(); // The commit contains the earlier takes and frees their slots.
        slot = progress_page_.begin_take(journal_.last(), id);
    }
    return {progress_page_, slot};
}

StateStore::Take::~Take()
{
    if (slot_ && *slot_ == 0)
        page_.cancel_take();
}

} // namespace evfd::daemon
