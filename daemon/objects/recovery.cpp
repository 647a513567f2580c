#include "daemon/objects/recovery.h"

#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/objects/object_records.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <utility>

namespace evfd::daemon {

namespace {

bool is_timerfd(const UniqueFd& fd)
{
    itimerspec remaining{};
    return ::timerfd_gettime(fd.get(), &remaining) == 0;
}

// Returns whether a descriptor is an eventfd. The daemon has four types of descriptors for which
// fstat(2) shows no file type: eventfds, timerfds, epoll descriptors and pidfds. The function
// excludes timerfds and epoll descriptors. It does not exclude pidfds, so a pidfd passes this
// check. The type could be read from /proc, but this takes five times as long, and there can be
// many descriptors.
bool is_eventfd(const UniqueFd& fd)
{
    struct stat status{};
    epoll_event event{};
    const bool is_anonymous = ::fstat(fd.get(), &status) == 0 && (status.st_mode & S_IFMT) == 0;
    return is_anonymous && !is_timerfd(fd) && ::epoll_wait(fd.get(), &event, 1, 0) < 0;
}

} // namespace

std::vector<Session> Recovery::run()
{
    for (auto& [id, record] : recovered_.sessions)
        restore_session(id, record);
    for (const auto& [id, record] : recovered_.processes)
        restore_process(id, record);
    entries_.reserve(recovered_.objects.size());
    read_objects(recovered_,
                 [this](Id id, const record::Object& record) { restore_object(id, record); });
    for (const auto& [id, record] : recovered_.subscriptions)
        restore_subscription(id, record);
    registry_.ids.continue_after(recovered_.last_id, recovered_.knows_last_id);
    start_timers();
    redo_intent();
    roll_back();
    remove_unclaimed();
    registry_.state_store.commit();

    for (const auto& complaint : recovered_.warnings)
        log::warn({}, "{}", complaint);
    std::vector<Session> sessions;
    for (auto& [id, session] : sessions_)
        sessions.push_back(std::move(session));
    // If no earlier daemon has left any state, there is nothing to log.
    if (!recovered_.is_complete() && recovered_.warnings.empty())
        return sessions;
    log::info({}, "recovered {} objects, {} subscriptions and {} sessions", entries_.size(),
              quota_.used_by_all(Resource::subscriptions), sessions.size());
    return sessions;
}

// The following functions restore objects and subscriptions.

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

SharedPool::Charge Recovery::charge_descriptor(uid_t uid)
{
    return registry_.descriptors.take_unchecked(quota_.payer(uid));
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
    // If some descriptors could not be received, the records of the object stay in the state store:
    // a later daemon with a higher descriptor limit can receive the descriptors.
    if (recovered_.has_unreadable_fds)
        return;
    erase_records(id);
    recovered_.fds.erase(id);
}

std::expected<Object::Body, std::string_view> Recovery::restore_body(Id id,
                                                                     const record::Object& record)
{
    if (!record.timer && !record.mode)
        return std::unexpected("its mode is unknown");
    if (is_event(record))
        return record.number ? restore_number(id, record) : restore_eventfd(id, record);
    const auto found = recovered_.counters.find(id);
    return body_of(record,
                   found == recovered_.counters.end() ? record::Counters{{}, 0, 0} : found->second);
}

std::expected<Object::Body, std::string_view>
Recovery::restore_eventfd(Id id, const record::Object& record)
{
    auto stored = take_descriptor(id, is_eventfd);
    if (!stored)
        return std::unexpected(stored.error());
    return Event{*record.mode, charge(record, *std::move(stored))};
}

// Restores a number. Without its mirror the wait-only handles of clients never become readable
// again, but the number itself is complete.
std::expected<Object::Body, std::string_view> Recovery::restore_number(Id id,
                                                                       const record::Object& record)
{
    const auto later = recovered_.numbers.find(id);
    const auto count = later == recovered_.numbers.end() ? *record.number : later->second.count;
    Event event{*record.mode, static_cast<std::uint64_t>(count)};
    if (!record.opened_by)
        return event;
    auto stored = take_descriptor(id, is_eventfd);
    if (!stored && recovered_.has_unreadable_fds)
        return std::unexpected(stored.error());
    if (stored) {
        event.mirror(charge(record, *std::move(stored)));
        if (event.restore_mirror())
            return event;
        event.drop_mirror();
    }
    warn(fmt::format("clients that may only wait for '{}' must open it again: {}",
                     record.name.text(),
                     stored ? "its descriptor in the stash is damaged" : stored.error()));
    return event;
}

// Charges the user who opened the event. A record from an earlier version of the daemon does not
// name this user: then the owner is charged.
Event::Descriptor Recovery::charge(const record::Object& record, FdStash::Stored eventfd)
{
    const auto user = static_cast<uid_t>(record.opened_by.value_or(record.owner));
    return {std::move(eventfd), user, quota_.charge_unchecked(user, Resource::opened_events),
            charge_descriptor(user)};
}

void Recovery::restore_object(Id id, const record::Object& record)
{
    if (id > std::uint64_t{max_object_id})
        return drop_object(id, record, "no daemon assigns its id");
    if (record.session && !find_session(record.session))
        return drop_object(id, record, "its session was not recovered");
    const auto process =
        record.process ? processes_.find(static_cast<Id>(*record.process)) : processes_.end();
    if (record.process && process == processes_.end())
        return drop_object(id, record, "its process was not recovered");
    auto body = restore_body(id, record);
    if (!body)
        return drop_object(id, record, body.error());
    const auto ownership = ownership_of(record);
    const auto owner = lifetime_owner_of(record);
    const auto add = [&] {
        return registry_.objects.all().try_emplace(
            record.name, id, ownership, static_cast<pid_t>(record.creator), lifetime_of(record),
            owner, true, quota_.charge_unchecked(ownership.owner, Resource::objects),
            *std::move(body));
    };
    auto [added, is_new] = add(); // Does not move `body` if the name exists already.
    if (!is_new) {
        drop_older(added);
        added = add().first;
    }
    auto& entry = *added;
    entry.second.created = record.created;
    if (record.session)
        registry_.lifetimes.owned().add(owner, record.name, {});
    else if (record.process)
        registry_.lifetimes.owned().add(owner, record.name, process->second.copy());
    entries_.emplace(id, &entry);
    if (record.timer)
        timers_.push_back({id, missed_clock_change(*record.timer)});
}

void Recovery::drop_older(Objects::iterator older)
{
    const auto& [name, object] = *older;
    warn(fmt::format("'{}' was recorded twice; the later record counts", name.text()));
    entries_.erase(object.serial);
    erase_records(object.serial);
    registry_.lifetimes.owned().remove(object.lifetime_owner, name);
    registry_.objects.all().erase(older);
}

void Recovery::erase_records(Id id)
{
    registry_.state_store.erase(id, record::Kind::object);
    registry_.state_store.erase(id, record::Kind::counters);
    registry_.state_store.erase(id, record::Kind::number);
}

void Recovery::start_timers()
{
    for (const auto& [id, missed_clock_change] : timers_)
        if (const auto found = entries_.find(id); found != entries_.end())
            registry_.arming.adopt(*found->second, missed_clock_change, recovered_.warnings);
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
        // If the descriptor could not be received, the record of the subscription stays in the
        // state store: a later daemon with a higher descriptor limit can receive the descriptor.
        if (!stored && recovered_.has_unreadable_fds)
            return;
        registry_.state_store.erase(id, record::Kind::subscription);
        return;
    }
    const auto uid = owner->peer.uid;
    Subscription subscription{id, *std::move(stored),
                              quota_.charge_unchecked(uid, Resource::subscriptions),
                              charge_descriptor(uid)};
    if (auto* pulse = found->second->second.pulse())
        subscription.place = pulse->take_place_unchecked(quota_.payer(uid));
    subscriptions->add(*token, std::move(subscription));
    owner->subscriptions.push_back({found->second->first, *token});
}

// The following functions restore sessions and complete or undo interrupted calls.

void Recovery::restore_session(Id id, record::Session& record)
{
    const auto token = Token::parse(record.token);
    if (!token || !tokens_.insert(*token).second) {
        warn(fmt::format("a session ({}) is lost: its token {}", id,
                         token ? "is already in use" : "is invalid"));
        registry_.state_store.erase(id, record::Kind::session);
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

// Makes the missing increments of the last intent. The earlier daemon ended before it made them.
void Recovery::redo_intent()
{
    if (!recovered_.intent)
        return;
    Increments increments;
    for (const auto& [serial, tokens] : recovered_.intent->increments) {
        const auto found = entries_.find(static_cast<Id>(serial));
        auto* object = found == entries_.end() ? nullptr : &found->second->second;
        increments.push_back({nullptr, object, tokens});
    }
    for (auto& warning : registry_.tokens.redo(increments))
        warn(std::move(warning));
}

// Closes the stashed descriptors that have no record. They belonged to deleted objects, or to
// objects whose creation was not committed.
void Recovery::remove_unclaimed()
{
    if (!recovered_.fds.empty())
        log::debug({}, "removed {} stashed descriptors without a record", recovered_.fds.size());
    recovered_.fds.clear();
}

} // namespace evfd::daemon
