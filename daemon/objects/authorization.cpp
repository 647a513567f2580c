#include "daemon/objects/authorization.h"

namespace evfd::daemon {

Outcome<void> check_id(const Item& item, const Object& object)
{
    if (item.id && item.id != id_of(object))
        return std::unexpected(refuse::replaced(item.name, id_of(object)));
    return {};
}

bool Authorization::is_allowed(const Peer& peer, const Name& name, const Object& object,
                               Permission permission) const
{
    return !check_access(&policy_, peer, name, &object.ownership, permission);
}

bool Authorization::sees(const Peer& peer, const Name& name, const Object& object) const
{
    return daemon::sees(policy_, peer, name, object.ownership);
}

Outcome<void> Authorization::check(const Peer& peer, const Name& name, const Object* object,
                                   Permission permission, PolicyCheck policy_check) const
{
    const auto denied = check_access(policy_check == PolicyCheck::enforce ? &policy_ : nullptr,
                                     peer, name, object ? &object->ownership : nullptr, permission);
    if (denied == DeniedBy::policy)
        return std::unexpected(refuse::not_permitted_by_policy(name, permission, peer.uid));
    if (denied == DeniedBy::unmapped)
        return std::unexpected(refuse::unmapped_user(name, permission));
    if (denied)
        return std::unexpected(refuse::not_permitted(
            name, permission, object->ownership.permissions, object->ownership.owner));
    return {};
}

Outcome<void> Authorization::check_consuming(const Peer& peer, const Name& name,
                                             const Object* object) const
{
    const auto denied =
        check_access(&policy_, peer, name, object ? &object->ownership : nullptr, Permission::set);
    if (denied == DeniedBy::policy)
        return std::unexpected(refuse::consume_not_permitted_by_policy(name));
    if (denied)
        return std::unexpected(refuse::consume_not_permitted(name, object->ownership.permissions,
                                                             object->ownership.owner));
    return {};
}

Outcome<Object*> Authorization::find(const Peer& peer, const Name& name, Permission permission,
                                     PolicyCheck policy_check)
{
    auto* object = objects_.find(name);
    if (!object)
        return std::unexpected(refuse::no_such_name(name));
    if (auto permitted = check(peer, name, object, permission, policy_check); !permitted)
        return std::unexpected(std::move(permitted.error()));
    return object;
}

Outcome<Object*> Authorization::find(const Peer& peer, const Item& item, Permission permission)
{
    const auto object = find(peer, item.name, permission);
    if (object)
        if (auto same = check_id(item, **object); !same)
            return std::unexpected(std::move(same.error()));
    return object;
}

Outcome<Object*> Authorization::find_event(const Peer& peer, const Item& item)
{
    const auto object = find(peer, item, Permission::set);
    if (object && (*object)->timer())
        return std::unexpected(refuse::wrong_kind(item.name, (*object)->description(), "an event"));
    return object;
}

Outcome<Timer*> Authorization::find_timer(const Peer& peer, const Item& item)
{
    const auto object = find(peer, item, Permission::set);
    if (!object)
        return std::unexpected(object.error());
    if (auto* timer = (*object)->timer())
        return timer;
    return std::unexpected(refuse::wrong_kind(item.name, (*object)->description(), "a timer"));
}

} // namespace evfd::daemon
