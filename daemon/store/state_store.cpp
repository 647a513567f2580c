#include "daemon/store/state_store.h"

#include "common/json.h"
#include "daemon/store/descriptor_budget.h"
#include "daemon/base/log.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>
#include <unordered_set>

namespace evfd::daemon {

namespace {

// What one call changes, and all that follows from it, fits in, but for the widest: the answer to
// such a one waits until it is kept.
constexpr std::size_t room_for_a_call = 192 * 1024;

template <class T>
T value_or_throw(Result<T> result)
{
    if (!result)
        throw std::system_error{result.error().error, std::generic_category(),
                                std::string{result.error().call}};
    return *std::move(result);
}

// What is opened of an older daemon's, or a new one and a complaint.
template <class T>
T opened_or_new(Result<T> opened, std::string_view what, Left& left)
{
    if (opened)
        return *std::move(opened);
    left.complaints.push_back(
        fmt::format("{} cannot be read ({}): a new one is begun", what, opened.error().message()));
    return value_or_throw(T::create());
}

// Reading the records.

template <class Record>
bool is_sound(const Record& record)
{
    if constexpr (requires { record.is_sound(); })
        return record.is_sound();
    return true;
}

class Reader {
public:
    explicit Reader(Left& left) : left_{left} {}

    void read(const Journal::Record& record)
    {
        switch (static_cast<record::Kind>(record.key.kind)) {
        case record::Kind::object: return read_into(left_.objects, record);
        case record::Kind::progress: return read_into(left_.progress, record);
        case record::Kind::subscription: return read_into(left_.subscriptions, record);
        case record::Kind::session: return read_into(left_.sessions, record);
        case record::Kind::takings: return read_into(left_.takings, record);
        case record::Kind::process: return read_into(left_.processes, record);
        case record::Kind::plan:
            if (auto plan = decoded<record::Plan>(record))
                left_.plan = *std::move(plan);
            return;
        }
        ++unknown_;
    }

    void tell() const
    {
        if (unknown_ > 0)
            left_.complaints.push_back(fmt::format(
                "{} records are of kinds that only a newer evfdd knows: they are kept for it",
                unknown_));
        if (unreadable_ > 0)
            left_.complaints.push_back(fmt::format(
                "{} records cannot be understood: what they were of is lost", unreadable_));
    }

private:
    template <class Record>
    std::optional<Record> decoded(const Journal::Record& record)
    {
        const auto text = document_.read(record.text);
        Incoming incoming{Unknown::ignore, nullptr, 0};
        auto value = text ? decode<Record>(*text, incoming) : std::unexpected(BadField{});
        const bool has_id = record.key.id != 0 || Record::kind == record::Kind::plan;
        if (value && has_id && is_sound(*value))
            return *std::move(value);
        ++unreadable_;
        return {};
    }

    template <class Records>
    void read_into(Records& records, const Journal::Record& record)
    {
        if (auto value = decoded<typename Records::mapped_type>(record))
            records.emplace(record.key.id, *std::move(value));
    }

    Left& left_;
    json::Document document_;
    int unknown_ = 0;
    int unreadable_ = 0;
};

// Behind which one nobody has the next ids for the longest time. That is the last one, unless it is
// one that no daemon gets to by counting.
Left::Id last_before_most_room(std::vector<Left::Id> ids)
{
    ids.push_back(0);
    std::ranges::sort(ids);
    auto last = ids.back();
    auto room = std::numeric_limits<Left::Id>::max() - last;
    for (std::size_t i = 1; i < ids.size(); ++i)
        if (ids[i] - ids[i - 1] > room) {
            last = ids[i - 1];
            room = ids[i] - last;
        }
    return last;
}

// `ids`: of what else has one.
void find_last_id(const std::vector<Journal::Record>& records, std::vector<Left::Id> ids,
                  Left& left)
{
    for (const auto& record : records)
        ids.push_back(record.key.id);
    // Another object of that name is not meant, and must not seem to be.
    for (const auto& [id, object] : left.objects)
        if (object.timer && object.timer->link)
            ids.push_back(static_cast<Left::Id>(object.timer->link->id));
    for (const auto& [id, fd] : left.parked)
        ids.push_back(id);
    left.last_id = last_before_most_room(ids);
    if (const auto highest = std::ranges::max_element(ids);
        highest != ids.end() && *highest > left.last_id)
        left.complaints.push_back(
            fmt::format("no daemon gets to the id {}: new ones follow {}", *highest, left.last_id));
}

void tell(const Journal::Found& found, Left& left)
{
    if (!found.is_journal)
        left.complaints.emplace_back("the journal's first page is damaged");
    else if (found.version > Journal::version)
        left.complaints.push_back(
            fmt::format("the journal is that of a newer evfdd (version {}, this one knows {})",
                        found.version, Journal::version));
    if (found.damaged_bytes > 0)
        left.complaints.push_back(
            fmt::format("{} bytes within the journal are damaged: what they told is lost",
                        found.damaged_bytes));
    if (found.lacks_end)
        left.complaints.emplace_back(
            "the end of the journal is damaged: what its last commits told "
            "is lost");
    else if (found.cut_bytes > 0) // Nobody was answered by it: all that anyone knows of is there.
        log::info("the journal's last {} bytes are of a commit that did not get through",
                  found.cut_bytes);
}

} // namespace

// Beginning.

Vault::Parts Vault::make()
{
    return {value_or_throw(Journal::create()), value_or_throw(Parking::create()),
            value_or_throw(Slip::create())};
}

Vault::Parts Vault::take(Descriptors descriptors, Left& left)
{
    const Fault missing{"it was not handed over", ENOENT};
    auto& [end, other_end, memfd, notes] = descriptors;

    Journal::Found found;
    std::unordered_set<Id> known;
    auto journal = memfd ? Journal::open(std::move(memfd), found) : std::unexpected(missing);
    for (const auto& record : found.records)
        known.insert(record.key.id);
    const auto is_wanted = [&](Id id) { return !journal || known.contains(id); };
    Parking::Found parked;
    const bool has_ends = end && other_end;
    std::vector<UniqueFd> spare; // Until all is read, or what is parked would take them all.
    for (int i = 0; has_ends && i < descriptors_for_clients; ++i)
        spare.emplace_back(::fcntl(end.get(), F_DUPFD_CLOEXEC, 0));
    auto parking = has_ends
                       ? Parking::open({std::move(end), std::move(other_end)}, parked, is_wanted)
                       : std::unexpected(missing);
    auto slip = notes ? Slip::open(std::move(notes)) : std::unexpected(missing);

    left.made_anew = {!parking, !parking, !journal, !slip};
    if (slip && journal) {
        const auto taken = slip->taken_since(found.last);
        left.taken.assign(taken.begin(), taken.end());
    }
    Parts parts{opened_or_new(std::move(journal), "the journal", left),
                opened_or_new(std::move(parking), "the parking of descriptors", left),
                opened_or_new(std::move(slip), "the slip of what was being done", left)};
    tell(found, left);
    left.has_unread = parked.unread > 0;
    if (left.has_unread)
        left.complaints.push_back(
            fmt::format("{} parked descriptors cannot be taken over: there is no room for them, "
                        "or they have no label; see RLIMIT_NOFILE",
                        parked.unread));
    Reader reader{left};
    for (const auto& record : found.records)
        reader.read(record);
    reader.tell();
    for (auto& [id, fd] : parked.parked)
        left.parked.emplace(id, std::move(fd));
    find_last_id(found.records, parked.unwanted, left);
    if (left.plan && static_cast<std::uint64_t>(left.plan->commit) != parts.slip.plan())
        left.plan.reset(); // It was done; the slip is about a later one, which was not committed.
    return parts;
}

Vault::Vault(EventLoop& loop, Parts parts)
    : loop_{loop}, journal_{std::move(parts.journal)}, parking_{std::move(parts.parking)},
      slip_{std::move(parts.slip)}
{
}

Vault::Vault(EventLoop& loop) : Vault{loop, make()} {}

Vault::Vault(EventLoop& loop, Descriptors descriptors, Left& left)
    : Vault{loop, take(std::move(descriptors), left)}
{
}

std::array<int, Vault::names.size()> Vault::descriptors() const
{
    return {parking_.ends()[0].get(), parking_.ends()[1].get(), journal_.memfd().get(),
            slip_.memfd().get()};
}

// Keeping.

void Vault::drop(Id id, record::Kind kind)
{
    journal_.drop({id, static_cast<std::uint32_t>(kind)});
    commit_soon();
}

void Vault::commit_soon()
{
    if (std::exchange(commits_soon_, true))
        return;
    loop_.defer([this] {
        commits_soon_ = false;
        commit();
    });
}

Result<void> Vault::prepare()
{
    auto prepared = journal_.prepare(room_for_a_call);
    note(prepared);
    return prepared;
}

bool Vault::commit()
{
    if (!journal_.has_staged())
        return true;
    const auto committed = journal_.commit();
    if (!committed) {
        note(committed);
        return false;
    }
    if (fault_)
        (void)prepare(); // Perhaps all is well again.
    parking_.tidy();
    return true;
}

void Vault::make_room_to_park(std::size_t coming)
{
    if (!parking_.has_room_for(coming) && commit())
        parking_.tidy(coming);
}

void Vault::note(const Result<void>& kept)
{
    if (!kept && !fault_)
        log::critical("nothing more can be kept, so changes are refused from now on: {}{}",
                      kept.error().message(),
                      kept.error().error == EFBIG ? "" : "; give the machine memory");
    if (kept && fault_)
        log::warn("all is kept again");
    fault_ = kept ? std::nullopt : std::optional{kept.error()};
}

Result<std::span<char>> Vault::plan(std::vector<record::Addition> additions, std::size_t tokens)
{
    const auto commit_number = journal_.next();
    constexpr Id only = 0;
    put(only, record::Plan{static_cast<record::Id>(commit_number), std::move(additions)});
    const auto notes = slip_.begin_plan(commit_number, tokens);
    if (commit())
        return notes;
    slip_.end_plan(); // It may be committed yet, but is not to be done.
    return std::unexpected(*fault_);
}

void Vault::make_room_for_takings(std::size_t count)
{
    if (slip_.room_since(journal_.last()) < count)
        commit();
}

std::uint64_t& Vault::taking(Id id)
{
    if (auto* into = slip_.begin_taking(journal_.last(), id))
        return *into;
    commit(); // What was taken until now is told of by then, and the slip is empty again.
    auto* into = slip_.begin_taking(journal_.last(), id);
    return into ? *into : unnoted_;
}

} // namespace evfd::daemon
