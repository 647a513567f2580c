#include "daemon/objects/recovery.h"

#include "common/limits.h"
#include "daemon/base/log.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <chrono>

namespace evfd::daemon {

namespace {

bool is_timerfd(const UniqueFd& fd)
{
    itimerspec remaining{};
    return ::timerfd_gettime(fd.get(), &remaining) == 0;
}

// Among the descriptors without a file type, the state store has only eventfds and timerfds, and
// the daemon has epoll descriptors besides. /proc would name the type, but takes five times as
// long, and there may be many descriptors.
bool is_eventfd(const UniqueFd& fd)
{
    struct stat status{};
    epoll_event event{};
    const bool is_anonymous = ::fstat(fd.get(), &status) == 0 && (status.st_mode & S_IFMT) == 0;
    return is_anonymous && !is_timerfd(fd) && ::epoll_wait(fd.get(), &event, 1, 0) < 0;
}

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

std::vector<Session> Registry::restore(RecoveredState& recovered)
{
    return Recovery{*this, recovered}.run();
}

std::vector<Session> Recovery::run()
{
    continue_ids();
    for (auto& [id, record] : recovered_.sessions)
        restore_session(id, record);
    for (const auto& [id, record] : recovered_.processes)
        restore_process(id, record);
    for (auto& [id, record] : recovered_.objects)
        restore_object(id, record);
    for (const auto& [id, record] : recovered_.subscriptions)
        restore_subscription(id, record);
    redo_intent();
    roll_back();
    remove_unclaimed();
    start_timers();
    registry_.state_store_.commit();

    for (const auto& complaint : recovered_.warnings)
        log::warn({}, "{}", complaint);
    std::vector<Session> sessions;
    for (auto& [id, session] : sessions_)
        sessions.push_back(std::move(session));
    if (!recovered_.is_complete() && recovered_.warnings.empty()) // No state was inherited.
        return sessions;
    log::info({}, "recovered {} objects, {} subscriptions and {} sessions", entries_.size(),
              registry_.quota_.used_by_all(Resource::subscriptions), sessions.size());
    return sessions;
}

// Ids.

// Damage is reported only once. Without the reservation, which is committed with the recovery, the
// next daemon would continue after an older record.
void Recovery::continue_ids()
{
    registry_.last_recovered_id_ = recovered_.last_id;
    registry_.last_serial_ = recovered_.last_id;
    if (recovered_.knows_last_id)
        return;
    registry_.last_serial_ = std::max(recovered_.last_id, first_id_without_record());
    registry_.reserve_ids();
}

// Objects.

std::expected<FdStash::Stored, std::string_view>
Recovery::take_descriptor(Id id, bool (*has_type)(const UniqueFd&))
{
    const auto stashed = recovered_.fds.find(id);
    if (stashed == recovered_.fds.end())
        return std::unexpected("its descriptor is not in the stash");
    auto stored = std::move(stashed->second);
    recovered_.fds.erase(stashed);
    if (!has_type(stored.fd()))
        return std::unexpected("its descriptor in the stash is of another type");
    return stored;
}

Session* Recovery::find_session(std::optional<record::Id> id)
{
    const auto found = id ? sessions_.find(static_cast<Id>(*id)) : sessions_.end();
    return found == sessions_.end() ? nullptr : &found->second;
}

void Recovery::drop_object(Id id, const record::Object& record, std::string_view why)
{
    warn(fmt::format("{} '{}' of uid {} is lost: {}", record.timer ? "timer" : "event",
                     record.name.text(), record.owner, why));
    if (recovered_.has_unreadable_fds)
        return; // A daemon with a higher limit may find the descriptor.
    registry_.state_store_.erase(id, record::Kind::object);
    registry_.state_store_.erase(id, record::Kind::counters);
    recovered_.fds.erase(id);
}

std::expected<Object::Body, std::string_view> Recovery::restore_body(Id id, record::Object& record)
{
    const auto found = recovered_.counters.find(id);
    const auto progress =
        found == recovered_.counters.end() ? record::Counters{{}, 0, 0} : found->second;
    if (auto* target = record.timer && record.timer->target ? &*record.timer->target : nullptr;
        target && !target->uid) { // An earlier version did not record the armer.
        target->uid = record.owner;
        target->gid = record.group;
    }
    if (record.timer)
        return std::make_unique<Timer>(
            Timer::from_record(*record.timer, progress.expirations, progress.backlog));
    if (record.mode == Mode::pulse) {
        Pulse pulse;
        pulse.count(progress.pulses);
        return pulse;
    }
    if (!record.mode)
        return std::unexpected("its mode is unknown");
    auto stored = take_descriptor(id, is_eventfd);
    if (!stored)
        return std::unexpected(stored.error());
    return Event{*record.mode, *std::move(stored), true};
}

void Recovery::restore_object(Id id, record::Object& record)
{
    if (id > std::uint64_t{max_object_id})
        return drop_object(id, record, "no daemon assigns its id");
    auto* owner = find_session(record.session);
    if (record.session && !owner)
        return drop_object(id, record, "its session was not recovered");
    const auto process =
        record.process ? processes_.find(static_cast<Id>(*record.process)) : processes_.end();
    if (record.process && process == processes_.end())
        return drop_object(id, record, "its process was not recovered");
    auto body = restore_body(id, record);
    if (!body)
        return drop_object(id, record, body.error());
    if (const auto older = registry_.objects_.find(record.name);
        older != registry_.objects_.end()) {
        warn(fmt::format("'{}' was recorded twice; the later record counts", record.name.text()));
        entries_.erase(older->second.serial);
        registry_.remove(older);
    }
    const auto uid = static_cast<uid_t>(record.owner);
    auto& entry =
        *registry_.objects_
             .try_emplace(record.name, id,
                          Ownership{uid, static_cast<gid_t>(record.group), record.permissions},
                          static_cast<pid_t>(record.creator),
                          owner            ? Lifetime::session
                          : record.process ? Lifetime::process
                                           : Lifetime::permanent,
                          owner            ? owner->id
                          : record.process ? process->first
                                           : std::uint64_t{0},
                          true, registry_.quota_.charge_unchecked(uid, Resource::objects),
                          *std::move(body))
             .first;
    entry.second.created = record.created;
    if (entry.second.event())
        ++registry_.event_count_;
    if (owner)
        registry_.owned_objects_.try_emplace(owner->id).first->second.names.insert(record.name);
    if (record.process)
        registry_.owned_objects_.try_emplace(process->first, process->second.copy())
            .first->second.names.insert(record.name);
    entries_.emplace(id, &entry);
}

void Recovery::restore_subscription(Id id, const record::Subscription& record)
{
    const auto found = entries_.find(static_cast<Id>(record.object));
    auto* subscriptions = found == entries_.end() ? nullptr : found->second->second.subscriptions();
    auto* owner = find_session(record.session);
    const auto token = Token::parse(record.token);
    const bool is_timer = subscriptions && found->second->second.timer();
    auto stored = take_descriptor(id, is_timer ? is_timerfd : is_eventfd);
    const bool is_duplicate = subscriptions && token && subscriptions->has(*token);
    if (!subscriptions || !owner || !token || !stored || is_duplicate) {
        warn(fmt::format("a subscription ({}) is lost: {}", id,
                         !subscriptions ? "its object was not recovered"
                         : !owner       ? "its session was not recovered"
                         : !stored      ? stored.error()
                         : !token       ? "its token is invalid"
                                        : "its token is already in use"));
        if (!stored && recovered_.has_unreadable_fds)
            return; // A daemon with a higher limit may find the descriptor.
        registry_.state_store_.erase(id, record::Kind::subscription);
        return;
    }
    subscriptions->add(
        *token, {id, *std::move(stored),
                 registry_.quota_.charge_unchecked(owner->peer.uid, Resource::subscriptions)});
    owner->subscriptions.push_back({found->second->first, *token});
}

// Interrupted calls.

void Recovery::restore_session(Id id, record::Session& record)
{
    const auto token = Token::parse(record.token);
    if (!token || !tokens_.insert(*token).second) {
        warn(fmt::format("a session ({}) is lost: its token {}", id,
                         token ? "is already in use" : "is invalid"));
        registry_.state_store_.erase(id, record::Kind::session);
        return;
    }
    Session session{id, {static_cast<uid_t>(record.uid), 0, 0, {}}};
    session.token = *token;
    session.slot = {.sequence = record.sequence,
                    .cached_reply = std::move(record.cached_reply),
                    .tokens_applied = record.tokens_applied.value_or(0)};
    for (const auto opened : record.new_subscriptions)
        session.opened.push_back(static_cast<Id>(opened));
    sessions_.emplace(id, std::move(session));
}

// Makes the increments of the intent that the daemon had not made when it was killed.
void Recovery::redo_intent()
{
    const auto completion_bytes = registry_.state_store_.pending_increments();
    if (!recovered_.intent || std::ranges::count(completion_bytes, 1) +
                                      std::ranges::count_if(recovered_.intent->increments,
                                                            [](const auto& one) {
                                                                return one.count_before.has_value();
                                                            }) ==
                                  0)
        return;
    std::vector<int> targets;
    for (const auto& [serial, tokens, before] : recovered_.intent->increments) {
        const auto found = entries_.find(static_cast<Id>(serial));
        if (found == entries_.end())
            continue;
        auto& object = found->second->second;
        const auto* subscriptions = object.subscriptions();
        const auto each = subscriptions ? static_cast<std::int64_t>(subscriptions->size()) : 1;
        if (tokens < 0 || tokens > max_tokens_per_set || tokens * each > max_tokens_per_set)
            continue; // No intent has that many tokens.
        if (auto* pulse = object.pulse())
            pulse->append_targets(tokens, targets, targets);
        else if (auto* event = object.event(); event && !before)
            event->append_targets(tokens, targets);
        else if (const auto count = event ? event->count() : std::unexpected(Fault{});
                 count && static_cast<std::int64_t>(*count) == before)
            // No client has the eventfd, so this cannot block.
            (void)add(event->fd(), static_cast<std::uint64_t>(tokens));
    }
    if (targets.size() != completion_bytes.size()) {
        if (std::ranges::count(completion_bytes, 1) > 0)
            warn("an interrupted set is not completed: its intent does not match the recovered "
                 "objects");
        return;
    }
    for (std::size_t i = 0; i < targets.size(); ++i)
        if (completion_bytes[i] != 0)
            if (const auto added = registry_.incrementer_.add(std::span{targets}.subspan(i, 1),
                                                              completion_bytes.subspan(i, 1));
                !added)
                warn(fmt::format("a token is lost: {}", added.error().message()));
    registry_.state_store_.resume_intent().complete();
}

// Returns the tokens of calls that were not committed, and of calls that the client cannot repeat.
// All others are in doubt until the client resumes its session.
void Recovery::roll_back()
{
    auto to_put_back = taken_since_last_commit();
    for (const auto& [id, record] : recovered_.taken_tokens) {
        auto* owner = find_session(record.session);
        if (restore_hold(id, record))
            continue;
        const bool is_lent = record.is_held_by_session.value_or(false) || record.processes;
        if (owner && !is_lent && record.sequence > 0 && owner->slot.sequence >= record.sequence) {
            owner->in_doubt.push_back({id, record.sequence, to_taken_tokens(record.objects)});
            continue;
        }
        to_put_back.push_back({id, record.sequence, to_taken_tokens(record.objects)});
    }
    registry_.return_tokens(to_put_back);
}

// The first commit clears the progress page, and the tokens may be returned much later. So they are
// recorded first.
std::vector<TakenTokens> Recovery::taken_since_last_commit()
{
    constexpr std::int64_t no_session = 0;
    std::vector<TakenTokens> all;
    for (const auto& [id, taken] : recovered_.takes) {
        if (taken == 0)
            continue;
        if (all.empty() || all.back().tokens.size() == max_names_per_call)
            all.emplace_back();
        if (const auto* entry = find_event(id))
            all.back().tokens.push_back({entry->first, id});
    }
    for (auto& taken : all)
        registry_.record_taken(no_session, taken);
    return all;
}

std::vector<TakenToken> Recovery::to_taken_tokens(const std::vector<record::Id>& serials) const
{
    std::vector<TakenToken> taken;
    for (const auto serial : serials)
        if (const auto* entry = find_event(static_cast<Id>(serial)))
            taken.push_back({entry->first, static_cast<Id>(serial)});
    return taken;
}

// Only events have tokens, whatever a record says.
Recovery::Entry* Recovery::find_event(Id id) const
{
    const auto found = entries_.find(id);
    return found != entries_.end() && found->second->second.event() ? found->second : nullptr;
}

// Descriptors without a record belonged to deleted objects or to objects that were never
// acknowledged.
void Recovery::remove_unclaimed()
{
    if (!recovered_.fds.empty())
        log::debug({}, "removed {} stashed descriptors without a record", recovered_.fds.size());
    recovered_.fds.clear();
}

void Recovery::start_timers()
{
    for (const auto& [id, entry] : entries_) {
        auto& [name, object] = *entry;
        auto* timer = object.timer();
        if (!timer)
            continue;
        const auto clock = timer->spec().schedule.clock;
        if (const auto prepared = registry_.deadlines_.prepare(clock); !prepared) {
            warn(fmt::format("timer '{}' is not polled: {}", name.text(),
                             prepared.error().message()));
            continue;
        }
        const auto& record = recovered_.objects.at(id);
        if (Timer::missed_clock_change(*record.timer) && timer->is_cancelled_by_clock_change()) {
            timer->cancel();
            registry_.persist(*entry);
        }
        const auto checked = timer->subscriptions().for_each(
            [&](const UniqueFd& timerfd) { return timer->resync(timerfd); });
        if (!checked)
            warn(fmt::format("cannot program a subscriber's timerfd of '{}': {}", name.text(),
                             checked.error().message()));
        registry_.charge_ticks(object);
        registry_.restart_polling(*entry);
    }
}

} // namespace evfd::daemon
