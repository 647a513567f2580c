// The part of the registry that keeps in the vault what is to outlive the daemon.
#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/objects/registry.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace evfd::daemon {

namespace {

// From so many tokens on, a look at the counter and one write(2) cost less than adding one by one.
constexpr std::int64_t many_tokens = 16;

// What comes back together: a plan of so many fits in the room of one call.
constexpr std::size_t most_put_back_at_once = 2'048;
static_assert(most_put_back_at_once <= max_tokens_per_set);

record::Id to_record(std::uint64_t id)
{
    return static_cast<record::Id>(id);
}

// What the counter is before so many tokens are added at once: only if nobody else can change it,
// so that it tells later whether they were. What is only set or clear is set once more if it is
// clear: nobody has taken of it before the plan is over.
std::optional<std::int64_t> count_before(const Object& object, std::int64_t tokens)
{
    const auto* event = std::get_if<Event>(&object.body);
    if (!event || !event->is_ours_alone())
        return {};
    if (event->mode() != Mode::semaphore)
        return 0;
    if (tokens < many_tokens)
        return {};
    const auto count = event->count();
    return count ? std::optional{static_cast<std::int64_t>(*count)} : std::nullopt;
}

} // namespace

// Objects and subscriptions.

void Registry::keep(const Entry& entry)
{
    const auto& [name, object] = entry;
    if (!object.is_kept)
        return;
    record::Object record{.name = name,
                          .mode = object.mode(),
                          .owner = object.ownership.owner,
                          .group = object.ownership.group,
                          .rights = object.ownership.rights,
                          .creator = object.creator,
                          .created = object.created,
                          .session = {},
                          .timer = {}};
    if (object.lifetime == Lifetime::connection)
        record.session = to_record(object.session);
    if (object.lifetime == Lifetime::process)
        record.process = to_record(object.session);
    if (const auto* timer = object.timer())
        record.timer = timer->record();
    const bool has_progress = object.timer() && object.timer()->keeps_count();
    vault_.put(object.serial, std::move(record));
    if (has_progress)
        keep_progress(object);
}

void Registry::keep_progress(const Object& object)
{
    if (!object.is_kept)
        return;
    record::Progress progress{.counted = {}, .owed = 0, .pulses = 0};
    if (const auto* timer = object.timer()) {
        progress.counted = timer->counted();
        progress.owed = timer->link() ? timer->link()->owed : 0;
    } else if (const auto* pulse = std::get_if<Pulse>(&object.body)) {
        progress.pulses = pulse->pulses();
    }
    vault_.put(object.serial, progress);
}

void Registry::forget(const Object& object)
{
    if (const auto* followers = object.followers())
        for (const auto& [token, subscription] : followers->all())
            forget(subscription);
    if (!object.is_kept)
        return;
    vault_.drop(object.serial, record::Kind::object);
    if (object.followers())
        vault_.drop(object.serial, record::Kind::progress);
    vault_.unpark(object.serial);
}

void Registry::forget(const Subscription& subscription)
{
    if (!subscription.is_kept)
        return;
    vault_.drop(subscription.id, record::Kind::subscription);
    vault_.unpark(subscription.id);
}

void Registry::forget_follower(const Session::Following& following, Object& object)
{
    if (const auto* subscription = object.followers()->find(following.token))
        forget(*subscription);
    object.followers()->remove(following.token);
    audience_.attended(following.name);
}

// Sessions.

void Registry::keep_session(const Session& session)
{
    const auto& count = *session.count;
    record::Session record{.token = count.token.text(),
                           .uid = session.peer.uid,
                           .calls = count.calls,
                           .reply = count.reply,
                           .opened = {},
                           .given = {}};
    if (count.given > 0)
        record.given = count.given;
    for (const auto id : count.opened)
        record.opened.push_back(to_record(id));
    vault_.put(session.id, std::move(record));
}

void Registry::count_call(Session& session, std::string reply)
{
    ++session.count->calls;
    recount_call(session, std::move(reply));
}

void Registry::recount_call(Session& session, std::string reply)
{
    session.count->given = 0;
    session.count->reply = std::move(reply);
    keep_session(session);
}

void Registry::count_given(Session& session, std::int64_t tokens)
{
    session.count->given = tokens;
    keep_session(session);
}

void Registry::undo_opening(Session& session)
{
    const auto opened = std::exchange(session.count->opened, {});
    std::erase_if(session.followings, [&](const Session::Following& following) {
        auto* object = find(following.name);
        auto* followers = object ? object->followers() : nullptr;
        const auto* subscription = followers ? followers->find(following.token) : nullptr;
        if (!subscription || std::ranges::find(opened, subscription->id) == opened.end())
            return false;
        forget_follower(following, *object);
        return true;
    });
}

// Adding and taking.

Result<void> Registry::add_planned(const Additions& additions)
{
    // The plan is of what is kept alone: the rest is not there any more when it is read.
    std::vector<record::Addition> planned;
    std::vector<int> kept;
    std::vector<int> others;
    std::vector<Event*> at_once;
    std::vector<std::int64_t> tokens_at_once;
    for (const auto& [name, object, tokens, told] : additions) {
        const auto before = count_before(*object, tokens);
        if (object->is_kept)
            planned.push_back({to_record(object->serial), tokens, before});
        if (auto* pulse = object->pulse()) {
            pulse->append_targets(tokens, kept, others);
            pulse->count(tokens);
            keep_progress(*object);
        } else if (before) {
            at_once.push_back(object->event());
            tokens_at_once.push_back(tokens);
        } else {
            object->event()->append_targets(tokens, object->is_kept ? kept : others);
        }
    }
    std::span<char> notes;
    if (!planned.empty()) {
        const auto plan = vault_.plan(planned, kept.size());
        if (!plan) {
            for (const auto& [name, object, tokens, told] : additions)
                if (auto* pulse = object->pulse()) {
                    pulse->count(-tokens);
                    keep_progress(*object);
                }
            return std::unexpected(plan.error());
        }
        notes = *plan;
    }
    ring(additions); // It is heard later.
    if (const auto added = adder_.add(kept, notes); !added)
        return added;
    if (const auto added = adder_.add(others); !added)
        return added;
    for (std::size_t i = 0; i < at_once.size(); ++i)
        if (const auto added = at_once[i]->set(tokens_at_once[i], adder_); !added)
            return added;
    if (!planned.empty())
        vault_.end_plan();
    for (const auto& [name, object, tokens, told] : additions)
        if (const auto pulses = told.value_or(tokens); object->pulse() && pulses > 0)
            audience_.pulsed(*name, *object, pulses);
    return {};
}

Result<bool> Registry::take(Object& object)
{
    if (const auto prepared = vault_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    auto& into = vault_.taking(object.serial);
    auto taken = object.event()->take(into);
    if (!taken || !*taken)
        vault_.end_taking_nothing();
    return taken;
}

void Registry::keep_takings(std::uint64_t session, Takings& takings, const Lent* lent)
{
    if (takings.id == 0)
        takings.id = new_id();
    takings.session = session;
    record::Takings record{to_record(session), takings.call, {}};
    if (lent) {
        record.held = lent->is_by_session;
        record.hold = lent->hold.text();
        record.uid = lent->uid;
        record.processes.emplace();
        for (const auto process : lent->processes)
            record.processes->push_back(to_record(process));
    }
    for (const auto& one : takings.taken)
        record.from.push_back(to_record(one.serial));
    vault_.put(takings.id, std::move(record));
}

void Registry::settle(const Takings& takings)
{
    if (takings.id != 0)
        vault_.drop(takings.id, record::Kind::takings);
}

void Registry::put_back(std::span<const Takings> all)
{
    to_put_back_.insert(to_put_back_.end(), all.begin(), all.end());
    put_back_what_can_be();
}

// Part by part, each in one plan with all that is staged: whenever the daemon is killed, they come
// back once.
void Registry::put_back_what_can_be()
{
    put_back_alarm_.reset();
    while (!to_put_back_.empty()) {
        if (!vault_.prepare()) {
            keep_what_is_to_be_put_back();
            put_back_alarm_.emplace(
                loop_.alarm(monotonic_after(try_again_after), [this] { put_back_what_can_be(); }));
            return;
        }
        const auto additions = next_to_put_back();
        if (additions.empty())
            continue;
        if (const auto put = add_planned(additions); !put)
            log::error("tokens of '{}' and others are lost: {}", additions.front().name->text(),
                       put.error().message());
    }
}

// What was taken is noted in the slip only until the next commit; and what was held is nobody's
// now.
void Registry::keep_what_is_to_be_put_back()
{
    constexpr std::uint64_t of_nobody = 0;
    for (auto& takings : to_put_back_)
        if (takings.id == 0 || takings.session != of_nobody)
            keep_takings(of_nobody, takings);
}

// They are settled by this.
Registry::Additions Registry::next_to_put_back()
{
    std::map<std::uint64_t, Addition> tokens; // By serial.
    for (std::size_t sum = 0; !to_put_back_.empty(); to_put_back_.pop_front()) {
        const auto& takings = to_put_back_.front();
        if (sum > 0 && sum + takings.taken.size() > most_put_back_at_once)
            break;
        sum += takings.taken.size();
        settle(takings);
        for (const auto& reference : takings.taken) {
            const auto entry = objects_.find(reference.name);
            if (entry == objects_.end() || entry->second.serial != reference.serial)
                continue; // Or another one has its name.
            auto& addition = tokens[reference.serial];
            addition.name = &entry->first;
            addition.object = &entry->second;
            ++addition.tokens;
        }
    }
    Additions additions;
    for (const auto& [serial, addition] : tokens)
        additions.push_back(addition);
    return additions;
}

} // namespace evfd::daemon
