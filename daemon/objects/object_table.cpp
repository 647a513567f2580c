#include "daemon/objects/object_table.h"

#include "daemon/objects/object_records.h"

#include <cassert>
#include <utility>

namespace evfd::daemon {

Object* ObjectTable::find(const Name& name)
{
    return const_cast<Object*>(std::as_const(*this).find(name));
}

const Object* ObjectTable::find(const Name& name) const
{
    const auto found = all_.find(name);
    return found == all_.end() ? nullptr : &found->second;
}

void ObjectTable::report(ObjectChange::Kind kind, const Entry& entry, std::int64_t times)
{
    report({kind, {entry.first, entry.second.serial}, times});
}

std::vector<ObjectChange> ObjectTable::take_changes()
{
    return std::exchange(changes_, {});
}

Delivered ObjectTable::confirm_delivery() const
{
    assert(changes_.empty());
    return Delivered{};
}

void ObjectTable::persist(const Entry& entry)
{
    const auto& [name, object] = entry;
    if (!object.is_persistent)
        return;
    state_store_.put(object.serial, record_of(name, object));
    if (has_recorded_count(object))
        persist_counters(object);
}

void ObjectTable::persist_counters(const Object& object)
{
    put_counters(state_store_, object);
}

void ObjectTable::unpersist(const Object& object)
{
    if (const auto* subscriptions = object.subscriptions())
        for (const auto& [token, subscription] : subscriptions->all())
            unpersist(subscription);
    if (!object.is_persistent)
        return;
    state_store_.erase(object.serial, record::Kind::object);
    if (object.subscriptions())
        state_store_.erase(object.serial, record::Kind::counters);
    else
        unpersist_number(object);
}

void ObjectTable::unpersist_number(const Object& object)
{
    if (object.is_persistent)
        state_store_.erase(object.serial, record::Kind::number);
}

void ObjectTable::unpersist(const Subscription& subscription)
{
    if (subscription.is_persistent())
        state_store_.erase(subscription.id, record::Kind::subscription);
}

} // namespace evfd::daemon
