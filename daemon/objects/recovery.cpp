#include "daemon/objects/recovery.h"

#include "common/limits.h"
#include "daemon/base/log.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <algorithm>

namespace evfd::daemon {

namespace {

bool is_timerfd(const UniqueFd& fd)
{
    itimerspec left{};
    return ::timerfd_gettime(fd.get(), &left) == 0;
}

// Of what has no file type the vault has these two alone, and we have epolls besides. /proc would
// name it, but takes five times as long, for each of what may be many.
bool is_eventfd(const UniqueFd& fd)
{
    struct stat status{};
    epoll_event event{};
    const bool is_anonymous = ::fstat(fd.get(), &status) == 0 && (status.st_mode & S_IFMT) == 0;
    return is_anonymous && !is_timerfd(fd) && ::epoll_wait(fd.get(), &event, 1, 0) < 0;
}

} // namespace

std::vector<Session> Registry::restore(Left& left)
{
    return Restoration{*this, left}.restore();
}

std::vector<Session> Restoration::restore()
{
    registry_.last_serial_ = left_.last_id;
    for (auto& [id, record] : left_.sessions)
        restore_session(id, record);
    for (const auto& [id, record] : left_.processes)
        restore_process(id, record);
    for (auto& [id, record] : left_.objects)
        restore_object(id, record);
    for (const auto& [id, record] : left_.subscriptions)
        restore_subscription(id, record);
    finish_plan();
    roll_back();
    forget_rest();
    wake_timers();
    registry_.vault_.commit();

    for (const auto& complaint : left_.complaints)
        log::warn.each("{}", complaint);
    std::vector<Session> sessions;
    for (auto& [id, session] : sessions_)
        sessions.push_back(std::move(session));
    if (!left_.is_whole() && left_.complaints.empty()) // Nothing was handed over.
        return sessions;
    log::info("took over {} objects, {} subscriptions and {} sessions", entries_.size(),
              registry_.quota_.used_by_all(Resource::subscriptions), sessions.size());
    return sessions;
}

// Objects.

std::expected<UniqueFd, std::string_view>
Restoration::take_parked(Id id, bool (*is_right)(const UniqueFd&))
{
    const auto parked = left_.parked.find(id);
    if (parked == left_.parked.end())
        return std::unexpected("its descriptor is not in the vault");
    auto fd = std::move(parked->second);
    left_.parked.erase(parked);
    if (!is_right(fd)) {
        registry_.vault_.unpark(id);
        return std::unexpected("what is in the vault as its descriptor is of another kind");
    }
    return fd;
}

Session* Restoration::session(std::optional<record::Id> id)
{
    const auto found = id ? sessions_.find(static_cast<Id>(*id)) : sessions_.end();
    return found == sessions_.end() ? nullptr : &found->second;
}

void Restoration::lose_object(Id id, const record::Object& record, std::string_view why)
{
    complain(fmt::format("{} '{}' of uid {} is lost: {}", record.timer ? "timer" : "event",
                         record.name.text(), record.owner, why));
    if (left_.has_unread)
        return; // Its descriptor may be there for one that has more room.
    registry_.vault_.drop(id, record::Kind::object);
    registry_.vault_.drop(id, record::Kind::progress);
    registry_.vault_.unpark(id);
}

std::expected<Object::Body, std::string_view> Restoration::body_of(Id id, record::Object& record)
{
    const auto found = left_.progress.find(id);
    const auto progress =
        found == left_.progress.end() ? record::Progress{{}, 0, 0} : found->second;
    if (auto* link = record.timer && record.timer->link ? &*record.timer->link : nullptr;
        link && !link->uid) { // An earlier version did not note who armed it.
        link->uid = record.owner;
        link->gid = record.group;
    }
    if (record.timer)
        return std::make_unique<Timer>(
            Timer::restored(*record.timer, progress.counted, progress.owed));
    if (record.mode == Mode::pulse) {
        Pulse pulse;
        pulse.count(progress.pulses);
        return pulse;
    }
    if (!record.mode)
        return std::unexpected("its mode is not known");
    auto fd = take_parked(id, is_eventfd);
    if (!fd)
        return std::unexpected(fd.error());
    return Event{*record.mode, *std::move(fd), true};
}

void Restoration::restore_object(Id id, record::Object& record)
{
    auto* owner = session(record.session);
    if (record.session && !owner)
        return lose_object(id, record, "the session with which it was to end is not there");
    const auto process =
        record.process ? processes_.find(static_cast<Id>(*record.process)) : processes_.end();
    if (record.process && process == processes_.end())
        return lose_object(id, record, "the process with which it was to end is not known");
    auto body = body_of(id, record);
    if (!body)
        return lose_object(id, record, body.error());
    if (const auto older = registry_.objects_.find(record.name);
        older != registry_.objects_.end()) {
        complain(fmt::format("'{}' is there twice; the later one counts", record.name.text()));
        entries_.erase(older->second.serial);
        registry_.forget(older->second);
        if (older->second.event())
            --registry_.events_;
        registry_.objects_.erase(older);
    }
    const auto uid = static_cast<uid_t>(record.owner);
    auto& entry = *registry_.objects_
                       .try_emplace(record.name, id,
                                    Ownership{uid, static_cast<gid_t>(record.group), record.rights},
                                    static_cast<pid_t>(record.creator),
                                    owner            ? Lifetime::connection
                                    : record.process ? Lifetime::process
                                                     : Lifetime::permanent,
                                    owner            ? owner->id
                                    : record.process ? process->first
                                                     : std::uint64_t{0},
                                    true, registry_.quota_.take_again(uid, Resource::objects),
                                    *std::move(body))
                       .first;
    entry.second.created = record.created;
    if (entry.second.event())
        ++registry_.events_;
    if (owner)
        owner->owned.push_back(record.name);
    if (record.process)
        registry_.belongings_.try_emplace(process->first, process->second.another())
            .first->second.names.insert(record.name);
    entries_.emplace(id, &entry);
}

void Restoration::restore_subscription(Id id, const record::Subscription& record)
{
    const auto found = entries_.find(static_cast<Id>(record.object));
    auto* followers = found == entries_.end() ? nullptr : found->second->second.followers();
    auto* owner = session(record.session);
    const auto token = Token::parse(record.token);
    const bool is_timers = followers && found->second->second.timer();
    auto fd = take_parked(id, is_timers ? is_timerfd : is_eventfd);
    const bool is_twice = followers && token && followers->has(*token);
    if (!followers || !owner || !token || !fd || is_twice) {
        complain(fmt::format("a subscription ({}) is lost: {}", id,
                             !followers ? "what it follows is not there"
                             : !owner   ? "its session is not there"
                             : !fd      ? fd.error()
                             : !token   ? "its token cannot be read"
                                        : "its token is another's"));
        if (!fd && left_.has_unread)
            return; // Its descriptor may be there for one that has more room.
        registry_.vault_.drop(id, record::Kind::subscription);
        if (fd) // Or there is none, or it is someone else's, or of no use.
            registry_.vault_.unpark(id);
        return;
    }
    followers->add(*token,
                   {id, *std::move(fd),
                    registry_.quota_.take_again(owner->peer.uid, Resource::subscriptions), true});
    owner->followings.push_back({found->second->first, *token});
}

// What was going on.

void Restoration::restore_session(Id id, record::Session& record)
{
    const auto token = Token::parse(record.token);
    if (!token || !tokens_.insert(*token).second) {
        complain(fmt::format("a session ({}) is lost: its token {}", id,
                             token ? "is another's" : "cannot be read"));
        registry_.vault_.drop(id, record::Kind::session);
        return;
    }
    Session session{id, {static_cast<uid_t>(record.uid), 0, 0, {}}, {}, {}, {}};
    session.count = Session::Count{.token = *token,
                                   .calls = record.calls,
                                   .reply = record.reply,
                                   .given = record.given.value_or(0)};
    for (const auto opened : record.opened)
        session.count->opened.push_back(static_cast<Id>(opened));
    sessions_.emplace(id, std::move(session));
}

// Of what the daemon was adding when it was killed, the rest.
void Restoration::finish_plan()
{
    const auto notes = registry_.vault_.planned();
    if (!left_.plan || std::ranges::count(notes, 1) + std::ranges::count_if(left_.plan->additions,
                                                                            [](const auto& one) {
                                                                                return !!one.before;
                                                                            }) ==
                           0)
        return;
    std::vector<int> targets;
    for (const auto& [serial, tokens, before] : left_.plan->additions) {
        const auto found = entries_.find(static_cast<Id>(serial));
        if (found == entries_.end())
            continue;
        auto& object = found->second->second;
        const auto* followers = object.followers();
        const auto each = followers ? static_cast<std::int64_t>(followers->size()) : 1;
        if (tokens < 0 || tokens > max_tokens_per_set || tokens * each > max_tokens_per_set)
            continue; // No plan is of so many.
        if (auto* pulse = object.pulse())
            pulse->append_targets(tokens, targets, targets);
        else if (auto* event = object.event(); event && !before)
            event->append_targets(tokens, targets);
        else if (const auto count = event ? event->count() : std::unexpected(Fault{});
                 count && static_cast<std::int64_t>(*count) == before)
            (void)add(event->fd(), static_cast<std::uint64_t>(tokens)); // Nobody else has it.
    }
    if (targets.size() != notes.size()) {
        if (std::ranges::count(notes, 1) > 0)
            complain("what was being added to events cannot be told from what is there: it is "
                     "left as it is");
        return;
    }
    for (std::size_t i = 0; i < targets.size(); ++i)
        if (notes[i] != 0)
            if (const auto added =
                    registry_.adder_.add(std::span{targets}.subspan(i, 1), notes.subspan(i, 1));
                !added)
                complain(fmt::format("a token is lost: {}", added.error().message()));
    registry_.vault_.end_plan();
}

// What was taken for a call of which nothing is known, or that its client cannot ask for again,
// goes back. The rest is in doubt until the client is there.
void Restoration::roll_back()
{
    auto to_put_back = taken_since_last_commit();
    for (const auto& [id, record] : left_.takings) {
        auto* owner = session(record.session);
        if (restore_hold(id, record))
            continue;
        const bool is_lent = record.held.value_or(false) || record.processes;
        if (owner && !is_lent && record.call > 0 && owner->count->calls >= record.call) {
            owner->count->in_doubt.push_back({id, record.call, named(record.from)});
            continue;
        }
        to_put_back.push_back({id, record.call, named(record.from)});
    }
    registry_.put_back(to_put_back);
}

// With the first commit the slip tells of them no more, and that may be long before all are back.
std::vector<Takings> Restoration::taken_since_last_commit()
{
    constexpr std::int64_t of_nobody = 0;
    std::vector<Takings> all;
    for (const auto& [id, taken] : left_.taken) {
        if (taken == 0)
            continue;
        if (all.empty() || all.back().taken.size() == max_names_per_call)
            all.emplace_back();
        if (const auto* entry = event(id))
            all.back().taken.push_back({entry->first, id});
    }
    for (auto& takings : all)
        registry_.keep_takings(of_nobody, takings);
    return all;
}

std::vector<Taken> Restoration::named(const std::vector<record::Id>& serials) const
{
    std::vector<Taken> taken;
    for (const auto serial : serials)
        if (const auto* entry = event(static_cast<Id>(serial)))
            taken.push_back({entry->first, static_cast<Id>(serial)});
    return taken;
}

// Nothing else has tokens, whatever a record says.
Restoration::Entry* Restoration::event(Id id) const
{
    const auto found = entries_.find(id);
    return found != entries_.end() && found->second->second.event() ? found->second : nullptr;
}

// Descriptors without a record are of what was deleted, or never acknowledged.
void Restoration::forget_rest()
{
    for (const auto& [id, fd] : left_.parked)
        registry_.vault_.unpark(id);
    if (!left_.parked.empty())
        log::debug("{} parked descriptors belong to nothing any more", left_.parked.size());
    left_.parked.clear();
}

void Restoration::wake_timers()
{
    for (const auto& [id, entry] : entries_) {
        auto& [name, object] = *entry;
        auto* timer = object.timer();
        if (!timer)
            continue;
        const auto clock = timer->arming().schedule.clock;
        if (const auto prepared = registry_.timetable_.prepare(clock); !prepared) {
            complain(fmt::format("timer '{}' is not looked at: {}", name.text(),
                                 prepared.error().message()));
            continue;
        }
        const auto& record = left_.objects.at(id);
        if (Timer::missed_clock_change(*record.timer) && timer->is_cancelled_by_clock_change()) {
            timer->cancel();
            registry_.keep(*entry);
        }
        const auto checked = timer->followers().for_each(
            [&](const UniqueFd& timerfd) { return timer->check(timerfd); });
        if (!checked)
            complain(fmt::format("a descriptor that follows '{}' cannot be set: {}", name.text(),
                                 checked.error().message()));
        registry_.charge_ticks(object);
        registry_.look_from_now_on(*entry);
    }
}

} // namespace evfd::daemon
