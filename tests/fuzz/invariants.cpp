#include "tests/fuzz/invariants.h"

#include <sys/types.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace evfd::daemon {

namespace {

void check_watch(DaemonInstance& instance, const Name& name, Object& object)
{
    if (object.pulse())
        return;
    const auto* timer = object.timer();
    const auto& service = instance.service;
    expect((object.interests > 0) == (service.waits().waiter_count(name) > 0),
           "exactly the objects with waits have an interest");
    expect(object.is_monitored == service.monitors().is_observing(name, object),
           "exactly the observed objects are monitored");
    const bool is_number = object.event() && object.event()->is_number();
    expect(is_watched(object) ==
               (!is_number && (is_needed(object) || (timer && timer->must_count()))),
           "exactly the needed objects are watched");
}

bool matches(const record::Timer& record, const Timer& timer)
{
    const auto current = timer.record();
    const bool same_link =
        record.target.has_value() == current.target.has_value() &&
        (!current.target ||
         (record.target->event == current.target->event &&
          record.target->id == current.target->id &&
          record.target->is_deleted == current.target->is_deleted &&
          record.target->uid == current.target->uid && record.target->gid == current.target->gid &&
          record.target->groups == current.target->groups &&
          record.target->is_declared == current.target->is_declared));
    return same_link && record.clock == current.clock &&
           record.is_relative == current.is_relative &&
           record.cancel_on_clock_change == current.cancel_on_clock_change &&
           record.was_in_past == current.was_in_past && record.grid == current.grid &&
           record.first == current.first && record.interval == current.interval &&
           record.state == current.state;
}

// Commits the staged records, and returns a duplicate of the journal's descriptor. The caller can
// open this journal and needs no copy of it, because opening a valid journal does not change the
// journal.
UniqueFd committed_journal(DaemonInstance& instance)
{
    instance.state_store.commit();
    return duplicate_fd(instance.state_store.descriptors()[2]);
}

struct JournalSnapshot {
    explicit JournalSnapshot(DaemonInstance& instance)
    {
        auto& empty = empty_state_store();
        auto inherited = stored_fds_of(empty.state_store);
        inherited[2] = committed_journal(instance);
        const StateStore state_store{empty.loop, std::move(inherited), state};
        read_objects(state, [this](RecoveredState::Id id, const record::Object& object) {
            objects.emplace(id, object);
        });
        expect(state.warnings.empty(), "the journal is valid");
    }
    RecoveredState state;
    std::map<RecoveredState::Id, record::Object> objects;
};

void check_held_tokens(DaemonInstance& instance, const RecoveredState& state)
{
    std::set<std::uint64_t> existing;
    for (const auto& [name, object] : instance.service.registry().objects.all())
        existing.insert(object.serial);
    std::int64_t held = 0;
    for (const auto& [id, record] : state.taken_tokens)
        if (record.is_held_by_session.value_or(false))
            held += std::ranges::count_if(record.objects, [&](auto serial) {
                return existing.contains(static_cast<std::uint64_t>(serial));
            });
    expect(held <= instance.service.quota().used_by_all(Resource::waits),
           "held tokens are charged");
}

// Checks that the journal has the number of the event, and that the mirror agrees with the number.
void check_number(const RecoveredState& state, std::uint64_t id, const record::Object& record,
                  const Event& event)
{
    expect(record.number.has_value() == event.is_number(), "the form of a counter is recorded");
    expect(record.opened_by.has_value() == event.has_descriptor(), "who opened it is recorded");
    const auto later = state.numbers.find(id);
    expect(event.is_number() || later == state.numbers.end(), "an eventfd has no recorded number");
    if (!event.is_number())
        return;
    const auto recorded = later == state.numbers.end() ? *record.number : later->second.count;
    expect(recorded == static_cast<std::int64_t>(*event.number()), "the number is recorded");
    if (event.has_descriptor() && event.mode() == Mode::semaphore)
        expect(count(event.fd()) == *event.number(), "a mirror has the tokens of its number");
    if (event.has_descriptor())
        expect(is_readable(event.fd()) == event.is_set(), "a mirror is readable if it is set");
}

} // namespace

void check_invariants(DaemonInstance& instance)
{
    auto& service = instance.service;
    const auto& quota = service.quota();
    std::map<uid_t, std::int64_t> objects;
    std::int64_t all = 0;
    std::int64_t subscriptions = 0;
    std::int64_t opened_events = 0;
    std::size_t stashed = 0;
    for (auto& [name, object] : service.registry().objects.all()) {
        ++all;
        ++objects[object.ownership.owner];
        if (auto* event = object.event(); event && event->has_descriptor()) {
            subscriptions += static_cast<std::int64_t>(event->descriptor()->handles.size());
            ++opened_events;
            stashed += object.is_persistent ? 1 : 0;
        }
        if (const auto* table = object.subscriptions())
            for (const auto& [token, subscription] : table->all()) {
                ++subscriptions;
                stashed += subscription.is_persistent() ? 1 : 0;
            }
        check_watch(instance, name, object);
    }
    expect(quota.used_by_all(Resource::objects) == all, "every object is charged once");
    for (const auto& [uid, count] : objects)
        expect(quota.used(uid, Resource::objects) == count, "every object is charged to its owner");
    expect(quota.used_by_all(Resource::subscriptions) == subscriptions,
           "every subscription is charged once");
    expect(quota.used_by_all(Resource::opened_events) == opened_events,
           "every opened event is charged once");
    expect(quota.used_by_all(Resource::connections) ==
               static_cast<std::int64_t>(instance.connections()),
           "every connection is charged once");
    expect(instance.state_store.stored_fds() == stashed,
           "exactly the persistent descriptors are stored");
}

void check_journal_matches(DaemonInstance& instance)
{
    const JournalSnapshot snapshot{instance};
    std::size_t objects = 0;
    std::size_t subscriptions = 0;
    for (const auto& [name, object] : instance.service.registry().objects.all()) {
        const auto* table = object.subscriptions();
        static const std::map<Token, Subscription> none;
        for (const auto& [token, subscription] : table ? table->all() : none) {
            const auto record = snapshot.state.subscriptions.find(subscription.id);
            expect(subscription.is_persistent() == (record != snapshot.state.subscriptions.end()),
                   "exactly the persistent subscriptions are in the journal");
            if (!subscription.is_persistent())
                continue;
            ++subscriptions;
            expect(record->second.token == token.text() &&
                       record->second.object == static_cast<record::Id>(object.serial),
                   "the record of a subscription is right");
        }
        const auto found = snapshot.objects.find(object.serial);
        expect(object.is_persistent == (found != snapshot.objects.end()),
               "exactly the persistent objects are in the journal");
        if (!object.is_persistent)
            continue;
        ++objects;
        const auto& record = found->second;
        if (const auto* event = object.event())
            check_number(snapshot.state, object.serial, record, *event);
        expect(record.name == name && record.mode == object.mode() &&
                   record.owner == object.ownership.owner &&
                   record.group == object.ownership.group &&
                   record.permissions == object.ownership.permissions &&
                   record.created == object.created &&
                   record.session.value_or(0) == static_cast<record::Id>(object.lifetime_owner) &&
                   record.timer.has_value() == (object.timer() != nullptr),
               "the record of an object is right");
        if (record.timer)
            expect(matches(*record.timer, *object.timer()), "the record of a timer is right");
    }
    expect(snapshot.objects.size() == objects, "the journal has no record of a missing object");
    expect(snapshot.state.subscriptions.size() == subscriptions,
           "the journal has no record of a missing subscription");
    check_held_tokens(instance, snapshot.state);
}

void check_journal_is_empty(DaemonInstance& instance)
{
    Journal::Contents contents;
    expect(Journal::open(committed_journal(instance), contents).has_value(),
           "the journal can be read");
    expect(contents.is_journal && contents.damaged_bytes == 0 && contents.truncated_bytes == 0,
           "the journal is valid");
    for (const auto& [key, text] : contents.records) {
        const auto kind = static_cast<record::Kind>(key.kind);
        expect(kind == record::Kind::intent || kind == record::Kind::ids,
               "the journal has only the last intent and the reserved ids at the end");
    }
}

} // namespace evfd::daemon
