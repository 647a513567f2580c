// The part of the registry that records in the state store what outlives the daemon, and that adds,
// takes and returns tokens under its log.
#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/objects/registry.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace evfd::daemon {

namespace {

// From this number of tokens on, reading the counter and one write(2) cost less than single
// increments.
constexpr std::int64_t min_tokens_for_single_write = 16;

// Tokens that are returned in one plan. A plan of this size fits into the space of one call.
constexpr std::size_t max_returned_per_batch = 2'048;
static_assert(max_returned_per_batch <= max_tokens_per_set);

record::Id to_record(std::uint64_t id)
{
    return static_cast<record::Id>(id);
}

// Returns the counter before tokens are added by one write(2), and nothing if they cannot be added
// so. Only an event that no client has can: then the counter tells after a crash whether the tokens
// were added. An event that is only set or clear is set once more if it is clear; nobody can have
// consumed from it before the plan is over.
std::optional<std::int64_t> counter_before(const Object& object, std::int64_t tokens)
{
    const auto* event = std::get_if<Event>(&object.body);
    if (!event || !event->is_unshared())
        return {};
    if (event->mode() != Mode::semaphore)
        return 0;
    if (tokens < min_tokens_for_single_write)
        return {};
    const auto count = event->count();
    return count ? std::optional{static_cast<std::int64_t>(*count)} : std::nullopt;
}

} // namespace

// Objects and subscriptions.

void Registry::persist(const Entry& entry)
{
    const auto& [name, object] = entry;
    if (!object.is_persistent)
        return;
    record::Object record{.name = name,
                          .mode = object.mode(),
                          .owner = object.ownership.owner,
                          .group = object.ownership.group,
                          .permissions = object.ownership.permissions,
                          .creator = object.creator,
                          .created = object.created,
                          .session = {},
                          .timer = {}};
    if (object.lifetime == Lifetime::connection)
        record.session = to_record(object.lifetime_owner);
    if (object.lifetime == Lifetime::process)
        record.process = to_record(object.lifetime_owner);
    if (const auto* timer = object.timer())
        record.timer = timer->record();
    const bool has_progress = object.timer() && object.timer()->persists_count();
    state_store_.put(object.serial, std::move(record));
    if (has_progress)
        persist_counters(object);
}

void Registry::persist_counters(const Object& object)
{
    if (!object.is_persistent)
        return;
    record::Counters progress{.expirations = {}, .backlog = 0, .pulses = 0};
    if (const auto* timer = object.timer()) {
        progress.expirations = timer->counted();
        progress.backlog = timer->target() ? timer->target()->backlog : 0;
    } else if (const auto* pulse = std::get_if<Pulse>(&object.body)) {
        progress.pulses = pulse->pulses();
    }
    state_store_.put(object.serial, progress);
}

void Registry::unpersist(const Object& object)
{
    if (const auto* followers = object.subscriptions())
        for (const auto& [token, subscription] : followers->all())
            unpersist(subscription);
    if (!object.is_persistent)
        return;
    state_store_.erase(object.serial, record::Kind::object);
    if (object.subscriptions())
        state_store_.erase(object.serial, record::Kind::counters);
    state_store_.remove_fd(object.serial);
}

void Registry::unpersist(const Subscription& subscription)
{
    if (!subscription.is_persistent)
        return;
    state_store_.erase(subscription.id, record::Kind::subscription);
    state_store_.remove_fd(subscription.id);
}

void Registry::remove_subscription(const Session::SubscriptionRef& subscription_ref, Object& object)
{
    if (const auto* subscription = object.subscriptions()->find(subscription_ref.token))
        unpersist(*subscription);
    object.subscriptions()->remove(subscription_ref.token);
    observer_.on_interest_changed(subscription_ref.name);
}

// Sessions.

void Registry::persist_session(const Session& session)
{
    const auto& count = *session.reply_cache;
    record::Session record{.token = count.token.text(),
                           .uid = session.peer.uid,
                           .sequence = count.sequence,
                           .cached_reply = count.cached_reply,
                           .new_subscriptions = {},
                           .tokens_applied = {}};
    if (count.tokens_applied > 0)
        record.tokens_applied = count.tokens_applied;
    for (const auto id : count.opened)
        record.new_subscriptions.push_back(to_record(id));
    state_store_.put(session.id, std::move(record));
}

void Registry::commit_reply(Session& session, std::string reply)
{
    ++session.reply_cache->sequence;
    replace_reply(session, std::move(reply));
}

void Registry::replace_reply(Session& session, std::string reply)
{
    session.reply_cache->tokens_applied = 0;
    session.reply_cache->cached_reply = std::move(reply);
    persist_session(session);
}

void Registry::commit_progress(Session& session, std::int64_t tokens)
{
    session.reply_cache->tokens_applied = tokens;
    persist_session(session);
}

void Registry::undo_open(Session& session)
{
    const auto opened = std::exchange(session.reply_cache->opened, {});
    std::erase_if(session.subscriptions, [&](const Session::SubscriptionRef& following) {
        auto* object = find(following.name);
        auto* followers = object ? object->subscriptions() : nullptr;
        const auto* subscription = followers ? followers->find(following.token) : nullptr;
        if (!subscription || std::ranges::find(opened, subscription->id) == opened.end())
            return false;
        remove_subscription(following, *object);
        return true;
    });
}

// Adding and taking.

Result<void> Registry::apply_logged(const Increments& increments)
{
    // The plan contains only persistent objects: the others do not exist any more when it is read.
    std::vector<record::Increment> planned;
    std::vector<int> kept;
    std::vector<int> others;
    std::vector<Event*> at_once;
    std::vector<std::int64_t> tokens_at_once;
    for (const auto& [name, object, tokens, told] : increments) {
        const auto before = counter_before(*object, tokens);
        if (object->is_persistent)
            planned.push_back({to_record(object->serial), tokens, before});
        if (auto* pulse = object->pulse()) {
            pulse->append_targets(tokens, kept, others);
            pulse->count(tokens);
            persist_counters(*object);
        } else if (before) {
            at_once.push_back(object->event());
            tokens_at_once.push_back(tokens);
        } else {
            object->event()->append_targets(tokens, object->is_persistent ? kept : others);
        }
    }
    std::span<char> notes;
    if (!planned.empty()) {
        const auto plan = state_store_.begin_intent(planned, kept.size());
        if (!plan) {
            for (const auto& [name, object, tokens, told] : increments)
                if (auto* pulse = object->pulse()) {
                    pulse->count(-tokens);
                    persist_counters(*object);
                }
            return std::unexpected(plan.error());
        }
        notes = *plan;
    }
    signal_locally(increments); // Delivered later.
    if (const auto added = incrementer_.add(kept, notes); !added)
        return added;
    if (const auto added = incrementer_.add(others); !added)
        return added;
    for (std::size_t i = 0; i < at_once.size(); ++i)
        if (const auto added = at_once[i]->set(tokens_at_once[i], incrementer_); !added)
            return added;
    if (!planned.empty())
        state_store_.end_intent();
    for (const auto& [name, object, tokens, told] : increments)
        if (const auto pulses = told.value_or(tokens); object->pulse() && pulses > 0)
            observer_.on_pulsed(*name, *object, pulses);
    return {};
}

Result<bool> Registry::take(Object& object)
{
    if (const auto prepared = state_store_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    auto& into = state_store_.take_slot(object.serial);
    auto taken = object.event()->take(into);
    if (!taken || !*taken)
        state_store_.cancel_take();
    return taken;
}

void Registry::record_taken(std::uint64_t session, TakenTokens& taken, const HoldRecord* hold)
{
    if (taken.id == 0)
        taken.id = new_id();
    taken.session = session;
    record::TakenTokens record{to_record(session), taken.sequence, {}};
    if (hold) {
        record.is_held_by_session = hold->is_held_by_session;
        record.hold = hold->hold.text();
        record.uid = hold->uid;
        record.processes.emplace();
        for (const auto process : hold->processes)
            record.processes->push_back(to_record(process));
    }
    for (const auto& one : taken.tokens)
        record.objects.push_back(to_record(one.serial));
    state_store_.put(taken.id, std::move(record));
}

void Registry::confirm_taken(const TakenTokens& taken)
{
    if (taken.id != 0)
        state_store_.erase(taken.id, record::Kind::taken_tokens);
}

void Registry::return_tokens(std::span<const TakenTokens> all)
{
    pending_returns_.insert(pending_returns_.end(), all.begin(), all.end());
    return_pending_tokens();
}

// Each batch is one plan, committed with everything else that is staged: whenever the daemon is
// killed, the tokens return exactly once.
void Registry::return_pending_tokens()
{
    return_retry_.reset();
    while (!pending_returns_.empty()) {
        if (!state_store_.prepare()) {
            record_pending_returns();
            return_retry_.emplace(loop_.add_timeout(monotonic_deadline(commit_retry_interval),
                                                    [this] { return_pending_tokens(); }));
            return;
        }
        const auto additions = next_returns();
        if (additions.empty())
            continue;
        if (const auto put = apply_logged(additions); !put)
            log::error("tokens of '{}' and other events are lost: {}",
                       additions.front().name->text(), put.error().message());
    }
}

// The progress page records taken tokens only until the next commit, and released holds belong to
// nobody. So they are recorded.
void Registry::record_pending_returns()
{
    constexpr std::uint64_t of_nobody = 0;
    for (auto& takings : pending_returns_)
        if (takings.id == 0 || takings.session != of_nobody)
            record_taken(of_nobody, takings);
}

// Confirms them as taken, since the plan now accounts for them.
Registry::Increments Registry::next_returns()
{
    std::map<std::uint64_t, Increment> tokens; // By serial.
    for (std::size_t sum = 0; !pending_returns_.empty(); pending_returns_.pop_front()) {
        const auto& takings = pending_returns_.front();
        if (sum > 0 && sum + takings.tokens.size() > max_returned_per_batch)
            break;
        sum += takings.tokens.size();
        confirm_taken(takings);
        for (const auto& reference : takings.tokens) {
            const auto entry = objects_.find(reference.name);
            if (entry == objects_.end() || entry->second.serial != reference.serial)
                continue; // The object was deleted; another one may have its name.
            auto& addition = tokens[reference.serial];
            addition.name = &entry->first;
            addition.object = &entry->second;
            ++addition.tokens;
        }
    }
    Increments additions;
    for (const auto& [serial, addition] : tokens)
        additions.push_back(addition);
    return additions;
}

} // namespace evfd::daemon
