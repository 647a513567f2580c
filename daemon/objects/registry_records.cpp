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

// The number of ids that one record reserves. A crash loses at most this number of the 2^53 ids.
// The next record is written when half of the ids are used.
constexpr std::uint64_t ids_per_record = 4'096;

// From this number of tokens on, reading the counter and one write(2) cost less than single
// increments.
constexpr std::int64_t min_tokens_for_single_write = 16;

// Tokens that are returned in one intent. An intent of this size fits into the space of one call.
constexpr std::size_t max_returned_per_batch = 2'048;
static_assert(max_returned_per_batch <= max_tokens_per_set);

record::Id to_record(std::uint64_t id)
{
    return static_cast<record::Id>(id);
}

// Returns the counter before the tokens are added, if one write(2) is to add all of them; otherwise
// nothing. That requires that no client has the eventfd: the counter then shows after a crash
// whether the tokens were added. Nobody can consume them before the intent has ended. After a
// crash, a manual or auto event that is clear is set again.
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

// Ids. A later daemon continues after the last id that may have been assigned, even if its object
// was deleted.

std::uint64_t Registry::new_id()
{
    if (last_serial_ + ids_per_record / 2 >= reserved_ids_)
        reserve_ids();
    return ++last_serial_;
}

// While commits fail, Show still reports a new object. So the record is put long before its ids are
// used. Only the first record of a daemon may be committed together with the first of its ids.
void Registry::reserve_ids()
{
    constexpr StateStore::Id only_key = 0;
    reserved_ids_ = last_serial_ + ids_per_record;
    state_store_.put(only_key, record::Ids{to_record(reserved_ids_)});
}

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
    if (object.lifetime == Lifetime::session)
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
    if (const auto* subscriptions = object.subscriptions())
        for (const auto& [token, subscription] : subscriptions->all())
            unpersist(subscription);
    if (!object.is_persistent)
        return;
    state_store_.erase(object.serial, record::Kind::object);
    if (object.subscriptions())
        state_store_.erase(object.serial, record::Kind::counters);
}

void Registry::unpersist(const Subscription& subscription)
{
    if (subscription.is_persistent())
        state_store_.erase(subscription.id, record::Kind::subscription);
}

void Registry::remove_subscription(const Session::SubscriptionRef& subscription_ref, Object& object)
{
    if (const auto* subscription = object.subscriptions()->find(subscription_ref.token))
        unpersist(*subscription);
    object.subscriptions()->remove(subscription_ref.token);
    report({ObjectChange::Kind::subscribers, {subscription_ref.name, object.serial}});
}

void Registry::undo_open(Session& session)
{
    const auto opened = std::exchange(session.opened, {});
    std::erase_if(session.subscriptions, [&](const Session::SubscriptionRef& subscription_ref) {
        auto* object = find(subscription_ref.name);
        auto* subscriptions = object ? object->subscriptions() : nullptr;
        const auto* subscription =
            subscriptions ? subscriptions->find(subscription_ref.token) : nullptr;
        if (!subscription || std::ranges::find(opened, subscription->id) == opened.end())
            return false;
        remove_subscription(subscription_ref, *object);
        return true;
    });
}

// Adding and taking.

Result<void> Registry::apply_logged(const Increments& increments)
{
    // The intent has only persistent objects: the others do not exist any more when it is read.
    std::vector<record::Increment> logged;
    std::vector<int> persistent;
    std::vector<int> others;
    std::vector<Event*> unshared;
    std::vector<std::int64_t> unshared_tokens;
    for (const auto& [name, object, tokens, reported] : increments) {
        const auto before = counter_before(*object, tokens);
        if (object->is_persistent)
            logged.push_back({to_record(object->serial), tokens, before});
        if (auto* pulse = object->pulse()) {
            pulse->append_targets(tokens, persistent, others);
            pulse->count(tokens);
            persist_counters(*object);
        } else if (before) {
            unshared.push_back(object->event());
            unshared_tokens.push_back(tokens);
        } else {
            object->event()->append_targets(tokens, object->is_persistent ? persistent : others);
        }
    }
    std::optional<StateStore::Intent> intent;
    if (!logged.empty()) {
        auto begun = state_store_.begin_intent(logged, persistent.size());
        if (!begun) {
            for (const auto& [name, object, tokens, reported] : increments)
                if (auto* pulse = object->pulse()) {
                    pulse->count(-tokens);
                    persist_counters(*object);
                }
            return std::unexpected(begun.error());
        }
        intent.emplace(*std::move(begun));
    }
    const auto completion_bytes = intent ? intent->pending_increments() : std::span<char>{};
    signal_locally(increments); // The edges are delivered later.
    if (const auto added = incrementer_.add(persistent, completion_bytes); !added)
        return added;
    if (const auto added = incrementer_.add(others); !added)
        return added;
    for (std::size_t i = 0; i < unshared.size(); ++i)
        if (const auto added = unshared[i]->set(unshared_tokens[i], incrementer_); !added)
            return added;
    if (intent)
        intent->complete();
    report_pulses(increments);
    return {};
}

Result<bool> Registry::take(Object& object)
{
    if (const auto prepared = state_store_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    auto take = state_store_.begin_take(object.serial);
    return object.event()->take(take.slot());
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

// Each batch is one intent, committed with everything else that is staged: whenever the daemon is
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
        const auto increments = next_returns();
        if (increments.empty())
            continue;
        if (const auto returned = apply_logged(increments); !returned)
            log_.error({}, "tokens of '{}' and other events are lost: {}",
                       increments.front().name->text(), returned.error().message());
    }
}

// Records tokens that are to be returned. Without a record, a crash would lose them: the progress
// page has taken tokens only until the next commit, and a released hold has no record any more.
void Registry::record_pending_returns()
{
    constexpr std::uint64_t no_session = 0;
    for (auto& taken : pending_returns_)
        if (taken.id == 0 || taken.session != no_session)
            record_taken(no_session, taken);
}

// Confirms the returned tokens as taken, since the intent now accounts for them.
Registry::Increments Registry::next_returns()
{
    std::map<std::uint64_t, Increment> tokens; // The increments, by the serial of the object.
    for (std::size_t sum = 0; !pending_returns_.empty(); pending_returns_.pop_front()) {
        const auto& taken = pending_returns_.front();
        if (sum > 0 && sum + taken.tokens.size() > max_returned_per_batch)
            break;
        sum += taken.tokens.size();
        confirm_taken(taken);
        for (const auto& reference : taken.tokens) {
            const auto entry = objects_.find(reference.name);
            if (entry == objects_.end() || entry->second.serial != reference.serial)
                continue; // The object was deleted; another one may have its name.
            auto& increment = tokens[reference.serial];
            increment.name = &entry->first;
            increment.object = &entry->second;
            ++increment.tokens;
        }
    }
    Increments increments;
    for (const auto& [serial, increment] : tokens)
        increments.push_back(increment);
    return increments;
}

} // namespace evfd::daemon
