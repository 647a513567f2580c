#include "daemon/objects/token_log.h"

#include "common/eventfd.h"
#include "common/limits.h"
#include "daemon/limits.h"
#include "daemon/objects/object_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <variant>

namespace evfd::daemon {

namespace {

static_assert(max_tokens_returned_per_intent <= max_tokens_per_set);

// A crash interrupted this increment, which an intent had recorded. Appends its eventfds to
// `targets`.
void append_interrupted(const Increment& increment, std::vector<int>& targets)
{
    const auto* object = increment.object;
    const auto tokens = increment.tokens;
    if (!object || object->timer())
        return; // No intent has a timer, so the record of one that has is damaged.
    if (tokens < 0 || tokens > max_tokens_per_set ||
        count_increments(*object, tokens) > max_tokens_per_set)
        return; // The record is invalid: no intent has so many tokens.
    if (const auto* pulse = object->pulse())
        pulse->append_targets(tokens, targets, targets);
    else if (const auto* event = object->event(); event && !event->is_number())
        event->append_targets(tokens, targets);
}

Increments pulsed_by(const Increments& increments)
{
    Increments pulsed;
    for (const auto& [name, object, tokens, reported] : increments)
        if (const auto times = reported.value_or(tokens); object->pulse() && times > 0)
            pulsed.push_back({name, object, times});
    return pulsed;
}

} // namespace

std::int64_t count_increments(const Object& object, std::int64_t tokens)
{
    if (const auto* subscriptions = object.subscriptions())
        return tokens * static_cast<std::int64_t>(subscriptions->size());
    if (object.event()->is_number())
        return 0;
    return object.mode() == Mode::semaphore ? tokens : 1;
}

// The following functions add tokens.

// The eventfds and mirrors to which increments add tokens. The intent is the record of increments
// that are about to be made. It contains only persistent objects: after a crash, the next daemon
// has no other objects.
struct TokenLog::Targets {
    std::vector<record::Increment> logged; // The increments that the intent records.
    // The eventfds that the state store keeps. An eventfd is listed once for each token that it
    // gets.
    std::vector<int> persistent;
    // The eventfds that end with the daemon. An eventfd is listed once for each token that it gets.
    std::vector<int> others;
    // The numbers with a mirror, and the tokens that each mirror gets.
    std::vector<std::pair<const Event*, std::int64_t>> mirrored;
};

TokenLog::Targets TokenLog::find_targets(const Increments& increments) const
{
    Targets targets;
    for (const auto& [name, object, tokens, reported] : increments) {
        const auto* event = object->event();
        if (event && event->is_number()) {
            if (event->has_descriptor())
                targets.mirrored.emplace_back(event, tokens);
            continue;
        }
        if (object->is_persistent)
            targets.logged.push_back({to_record(object->serial), tokens});
        if (const auto* pulse = object->pulse())
            pulse->append_targets(tokens, targets.persistent, targets.others);
        else
            event->append_targets(tokens,
                                  object->is_persistent ? targets.persistent : targets.others);
    }
    return targets;
}

// Adds the tokens to the counters that the daemon itself has: those of numbers and of pulses.
// Stages the new counters. Returns the earlier counter of each object; 0 for an eventfd.
std::vector<std::uint64_t> TokenLog::count(const Increments& increments)
{
    std::vector<std::uint64_t> before;
    for (const auto& [name, object, tokens, reported] : increments) {
        const auto* event = object->event();
        if (const auto* pulse = object->pulse()) {
            before.push_back(static_cast<std::uint64_t>(pulse->pulses()));
            set_count(*object, before.back() + static_cast<std::uint64_t>(tokens));
        } else {
            before.push_back(event->number().value_or(0));
            if (event->is_number())
                set_count(*object, event->number_after(tokens));
        }
    }
    return before;
}

// Sets the counter of a number or a pulse, and stages it. Does nothing for an eventfd.
void TokenLog::set_count(Object& object, std::uint64_t count)
{
    auto* event = object.event();
    if (event && !event->is_number())
        return;
    if (event)
        event->set_number(count);
    else
        object.pulse()->set_pulses(static_cast<std::int64_t>(count));
    put_counters(state_store_, object);
}

// Commits everything that is staged, if other processes will see the tokens at once: in eventfds
// that survive the daemon, for which the function begins an intent, or in mirrors. Otherwise the
// commit can wait until a reply is to be sent.
Result<std::optional<StateStore::Intent>> TokenLog::commit(Targets& targets)
{
    if (!targets.logged.empty()) {
        auto intent =
            state_store_.begin_intent(std::move(targets.logged), targets.persistent.size());
        if (!intent)
            return std::unexpected(intent.error());
        return std::optional{*std::move(intent)};
    }
    if (!targets.mirrored.empty() && !state_store_.commit())
        return std::unexpected(*state_store_.fault());
    return std::nullopt;
}

// Mirrors come first, because a failure among the eventfds must not leave a mirror with fewer
// tokens than its number.
Result<void> TokenLog::apply(const Targets& targets, std::span<char> completion_bytes) const
{
    for (const auto& [event, tokens] : targets.mirrored)
        if (const auto added = event->add_to_mirror(tokens); !added)
            return added;
    if (const auto added = incrementer_.add(targets.persistent, completion_bytes); !added)
        return added;
    return incrementer_.add(targets.others);
}

Result<Increments> TokenLog::add(const Increments& increments)
{
    auto targets = find_targets(increments);
    const auto before = count(increments); // The counters are committed together with the intent.
    auto intent = commit(targets);
    if (!intent) {
        for (auto i = increments.size(); i-- > 0;)
            set_count(*increments[i].object, before[i]);
        return std::unexpected(intent.error());
    }
    on_begun_(increments);
    const auto completion_bytes = *intent ? (*intent)->pending_increments() : std::span<char>{};
    if (const auto applied = apply(targets, completion_bytes); !applied)
        return std::unexpected(applied.error());
    if (*intent)
        (*intent)->complete();
    return pulsed_by(increments);
}

std::vector<std::string> TokenLog::redo(const Increments& increments)
{
    const auto completion_bytes = state_store_.pending_increments();
    if (std::ranges::count(completion_bytes, 1) == 0)
        return {};
    std::vector<int> targets;
    for (const auto& increment : increments)
        append_interrupted(increment, targets);
    if (targets.size() != completion_bytes.size())
        return {"an interrupted set is not completed: its intent does not match the recovered "
                "objects"};
    std::vector<std::string> warnings;
    for (std::size_t i = 0; i < targets.size(); ++i)
        if (completion_bytes[i] != 0)
            if (const auto added = incrementer_.add(std::span{targets}.subspan(i, 1),
                                                    completion_bytes.subspan(i, 1));
                !added)
                warnings.push_back(fmt::format("a token is lost: {}", added.error().message()));
    state_store_.resume_intent().complete();
    return warnings;
}

// The following functions take tokens.

Result<bool> TokenLog::take(Object& object)
{
    if (const auto prepared = state_store_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    auto& event = *object.event();
    if (!event.is_number()) {
        auto take = state_store_.begin_take(object.serial);
        return take_into(event.fd(), take.slot());
    }
    const auto taken = event.take();
    if (taken && *taken)
        put_counters(state_store_, object);
    return taken;
}

void TokenLog::record_taken(std::uint64_t session, TakenTokens& taken, const HoldRecord* hold)
{
    if (taken.id == 0)
        taken.id = ids_.next();
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

void TokenLog::confirm_taken(const TakenTokens& taken)
{
    if (taken.id != 0)
        state_store_.erase(taken.id, record::Kind::taken_tokens);
}

// The following functions return tokens.

void TokenLog::return_tokens(std::span<const TakenTokens> all)
{
    const bool is_delayed = !pending_returns_.empty();
    pending_returns_.insert(pending_returns_.end(), all.begin(), all.end());
    if (is_delayed)
        record_pending(); // The commits of earlier batches must not lose the new tokens.
    return_pending();
}

// Returns the pending tokens to their events, in batches. Each batch is one intent, which is
// committed together with all staged records. So each token returns exactly once, even if the
// daemon is killed meanwhile.
void TokenLog::return_pending()
{
    return_retry_.reset();
    while (!pending_returns_.empty()) {
        if (!state_store_.prepare()) {
            record_pending();
            return_retry_.emplace(loop_.add_timeout(monotonic_deadline(commit_retry_interval),
                                                    [this] { return_pending(); }));
            return;
        }
        const auto increments = next_returns();
        if (increments.empty())
            continue;
        if (const auto returned = add(increments); !returned)
            log_.error({}, "tokens of '{}' and other events are lost: {}",
                       increments.front().name->text(), returned.error().message());
    }
}

// Records that the pending tokens must be returned. The records name no session and no hold, so the
// next daemon returns the tokens after a crash. It neither keeps them for a session nor restores a
// hold that was released. Tokens without a record would be lost, because the progress page keeps
// taken tokens only until the next commit.
void TokenLog::record_pending()
{
    constexpr std::uint64_t no_session = 0;
    for (auto& taken : pending_returns_)
        if (taken.id == 0 || taken.session != no_session)
            record_taken(no_session, taken);
}

// Removes the next batch of tokens from pending_returns_. The result lists the increments that add
// these tokens to their events. Also erases the records of the tokens, because the intent will
// record the increments. A pulse gets no increment, because a pulse has no tokens.
Increments TokenLog::next_returns()
{
    std::map<std::uint64_t, Increment> tokens; // The increments, by the serial of the object.
    for (std::size_t sum = 0; !pending_returns_.empty(); pending_returns_.pop_front()) {
        const auto& taken = pending_returns_.front();
        if (sum > 0 && sum + taken.tokens.size() > max_tokens_returned_per_intent)
            break;
        sum += taken.tokens.size();
        confirm_taken(taken);
        for (const auto& reference : taken.tokens) {
            const auto entry = objects_.find(reference.name);
            if (entry == objects_.end() || entry->second.serial != reference.serial ||
                !entry->second.event())
                continue; // The object was deleted, and another object can have its name.
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
