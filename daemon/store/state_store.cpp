#include "daemon/store/state_store.h"

#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/store/descriptor_budget.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace evfd::daemon {

namespace {

// The id of the intent's record. The journal has only one such record.
constexpr StateStore::Id intent_key = 0;

template <class T>
T value_or_throw(Result<T> result)
{
    if (!result)
        throw std::system_error{result.error().error, std::generic_category(),
                                std::string{result.error().call}};
    return *std::move(result);
}

// Returns the part of the state store in `opened`. If `opened` is an error, adds a warning and
// returns a new, empty part.
template <class T>
T open_or_create(Result<T> opened, std::string_view what, RecoveredState& recovered)
{
    if (opened)
        return *std::move(opened);
    recovered.report_defect(
        fmt::format("{} cannot be read ({}): it was recreated", what, opened.error().message()));
    return value_or_throw(T::create());
}

} // namespace

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
    auto journal =
        journal_fd ? Journal::open(std::move(journal_fd), contents) : std::unexpected(missing);
    for (const auto& record : contents.records)
        recovered.ids.push_back(record.key.id);
    std::ranges::sort(recovered.ids);
    const auto is_wanted = [&](Id id) {
        return !journal || std::ranges::binary_search(recovered.ids, id);
    };
    FdStash::Contents stashed;
    const bool has_ends = end && other_end;
    // Reserves some descriptors while the stash is read, so that the descriptors of the stash
    // cannot use up all free ones.
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
    read_journal(contents, recovered);
    take_stashed_fds(stashed, recovered);
    // The progress page has the commit number of an intent until all tokens of that intent were
    // added. The recovered intent is therefore complete if the page has another number.
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
        (void)prepare(); // The call clears fault_ if enough memory is available again.
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
    // The commit failed. The record of the intent stays staged, so a later commit can contain it.
    // end_intent() ensures that no daemon adds the tokens of that record.
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

Result<void> StateStore::reserve_take_slots(std::size_t count)
{
    if (progress_page_.free_slots_since(journal_.last()) < count && !commit())
        return std::unexpected(*fault_);
    return {};
}

StateStore::Take StateStore::begin_take(Id id)
{
    auto* slot = progress_page_.begin_take(journal_.last(), id);
    if (!slot) {
        commit(); // The commit records the earlier takes, and so frees their slots.
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
