#include "daemon/objects/object_records.h"

#include <memory>
#include <utility>
#include <variant>

namespace evfd::daemon {

// The following functions convert objects to records.

namespace {

record::Counters counters_of(const Object& object)
{
    record::Counters counters{.expirations = {}, .backlog = 0, .pulses = 0};
    if (const auto* timer = object.timer()) {
        counters.expirations = timer->counted();
        counters.backlog = timer->target ? timer->target->backlog : 0;
    } else if (const auto* pulse = object.pulse()) {
        counters.pulses = pulse->pulses();
    }
    return counters;
}

} // namespace

record::Object record_of(const Name& name, const Object& object)
{
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
    if (const auto* event = object.event()) {
        record.number = event->number();
        if (const auto* descriptor = event->descriptor())
            record.opened_by = descriptor->opened_by;
    }
    return record;
}

void put_counters(StateStore& state_store, const Object& object)
{
    if (!object.is_persistent)
        return;
    const auto* event = object.event();
    if (!event)
        state_store.put(object.serial, counters_of(object));
    else if (const auto number = event->number())
        state_store.put(object.serial, record::Number{static_cast<std::int64_t>(*number)});
}

bool has_recorded_count(const Object& object)
{
    return object.timer() && object.timer()->persists_count();
}

record::Subscription record_of(const Token& token, const Object& object, const Session& session)
{
    return {std::string{token.text()}, to_record(object.serial), to_record(session.id)};
}

// The following functions convert records to objects.

Ownership ownership_of(const record::Object& record)
{
    return {static_cast<uid_t>(record.owner), static_cast<gid_t>(record.group), record.permissions};
}

Lifetime lifetime_of(const record::Object& record)
{
    return record.session   ? Lifetime::session
           : record.process ? Lifetime::process
                            : Lifetime::permanent;
}

std::uint64_t lifetime_owner_of(const record::Object& record)
{
    const auto owner = record.session ? record.session : record.process;
    return static_cast<std::uint64_t>(owner.value_or(0));
}

bool is_event(const record::Object& record)
{
    return !record.timer && record.mode && record.mode != Mode::pulse;
}

Object::Body body_of(record::Object record, const record::Counters& counters)
{
    if (!record.timer) {
        auto pulse = std::make_unique<Pulse>();
        pulse->set_pulses(counters.pulses);
        return pulse;
    }
    auto& target = record.timer->target;
    // A record from an earlier version of the daemon does not say who armed the timer. The daemon
    // then treats the timer's owner as the user who armed the timer.
    if (target && !target->uid) {
        target->uid = record.owner;
        target->gid = record.group;
    }
    return std::make_unique<Timer>(
        Timer::from_record(*record.timer, counters.expirations, counters.backlog));
}

} // namespace evfd::daemon
