#include "daemon/objects/lifetimes.h"

#include "daemon/base/on_stack.h"
#include "daemon/limits.h"

#include <memory>
#include <utility>

namespace evfd::daemon {

namespace {

// The permissions of an object if the request gives none. These are the permissions of a new file
// under the usual umask, 022. The daemon does not know the caller's own umask.
constexpr auto default_permissions = Permissions::under_umask(022);

} // namespace

Outcome<Made> Lifetimes::create(Creation creation, const protocol::CreateEvent& request)
{
    const OnStack<Lifetimes> entered;
    const auto& peer = creation.session.peer;
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse && request.initial && request.initial->value > 0)
        return std::unexpected(protocol::InvalidParameter{"initial"});

    if (const auto* existing = creation.id ? nullptr : objects_.find(request.name)) {
        if (existing->mode() != mode)
            return std::unexpected(
                refuse::wrong_kind(request.name, existing->description(), description(mode)));
        if (!request.if_missing.value_or(false))
            return std::unexpected(refuse::name_taken(request.name));
        return Made::existed;
    }
    if (auto permitted = authorization_.check(peer, request.name, nullptr, Permission::create,
                                              creation.policy_check);
        !permitted)
        return std::unexpected(std::move(permitted.error()));

    auto charged = charges_.charge_object(peer);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    const auto draft = prepare(creation, request);
    if (!draft)
        return std::unexpected(draft.error());
    const auto initial = request.initial.value_or(protocol::InitialCount{0}).value;
    add(std::move(creation), request.name, *draft, *std::move(charged),
        mode == Mode::pulse ? Object::Body{std::make_unique<Pulse>()}
                            : Object::Body{Event{mode, static_cast<std::uint64_t>(initial)}});
    return Made::created;
}

Outcome<ObjectTable::Entry*> Lifetimes::create_timer(Creation creation,
                                                     const protocol::Arm& request,
                                                     const TimerSpec& spec,
                                                     std::optional<Timer::Target> target)
{
    const OnStack<Lifetimes> entered;
    auto charged = charges_.charge_object(creation.session.peer);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    const auto draft = prepare(creation, request);
    if (!draft)
        return std::unexpected(draft.error());
    return &add(std::move(creation), request.name, *draft, *std::move(charged),
                std::make_unique<Timer>(spec, std::move(target)));
}

// Prepares a new object: chooses its id (Object::serial) and makes room for its record. If the
// object ends with its session and the session cannot be resumed, the object is not recorded.
template <class Request>
Outcome<Lifetimes::Draft> Lifetimes::prepare(const Creation& creation, const Request& request)
{
    const auto lifetime = request.lifetime.value_or(Lifetime::permanent);
    const bool is_persistent = lifetime != Lifetime::session || creation.session.is_resumable();
    if (is_persistent)
        if (const auto prepared = state_store_.prepare(); !prepared)
            return std::unexpected(prepared.error());
    return Draft{creation.id ? *creation.id : ids_.next(), request.permissions, lifetime,
                 is_persistent};
}

ObjectTable::Entry& Lifetimes::add(Creation creation, const Name& name, const Draft& draft,
                                   Quota::Charge charge, Object::Body body)
{
    const auto& peer = creation.session.peer;
    const auto owner = draft.lifetime == Lifetime::permanent ? std::uint64_t{0}
                       : draft.lifetime == Lifetime::session ? creation.session.id
                                                             : creation.process->id();
    auto& entry = *objects_.all()
                       .try_emplace(name, draft.serial,
                                    Ownership{peer.uid, peer.gid,
                                              draft.permissions.value_or(default_permissions)},
                                    peer.pid, draft.lifetime, owner, draft.is_persistent,
                                    std::move(charge), std::move(body))
                       .first;
    if (draft.lifetime != Lifetime::permanent)
        owned_.add(owner, name, std::move(creation.process));
    objects_.persist(entry);
    objects_.report(ObjectChange::Kind::created, entry);
    return entry;
}

Outcome<void> Lifetimes::delete_objects(const Peer& peer, const Items<Item>& items,
                                        const Delivered&)
{
    const OnStack<Lifetimes> entered;
    for (const auto& item : items.list)
        if (const auto object = authorization_.find(peer, item, Permission::own); !object)
            return std::unexpected(object.error());
    for (const auto& item : items.list)
        erase(item.name);
    return {};
}

// Removes the object from all tables and from the state store.
void Lifetimes::erase(const Name& name)
{
    const auto found = objects_.all().find(name);
    auto& object = found->second;
    objects_.report({.kind = ObjectChange::Kind::deleted,
                     .object = {name, object.serial},
                     .before = object.ownership});
    objects_.unpersist(object);
    owned_.remove(object.lifetime_owner, name);
    objects_.all().erase(found);
}

std::vector<Name> Lifetimes::next_owned(std::uint64_t owner) const
{
    return owned_.first(owner, max_objects_deleted_per_iteration);
}

bool Lifetimes::delete_owned(std::uint64_t owner, const Delivered&)
{
    const OnStack<Lifetimes> entered;
    for (const auto& name : next_owned(owner))
        erase(name);
    return owned_.has_any(owner);
}

Outcome<void> Lifetimes::set_permissions(const Peer& peer, const Name& name,
                                         Permissions permissions, const Delivered&)
{
    const OnStack<Lifetimes> entered;
    const auto object = authorization_.find(peer, name, Permission::own);
    if (!object)
        return std::unexpected(object.error());
    const auto before = (*object)->ownership;
    (*object)->ownership.permissions = permissions;
    objects_.persist(objects_.entry(name));
    objects_.report({.kind = ObjectChange::Kind::permissions,
                     .object = {name, (*object)->serial},
                     .before = before});
    return {};
}

} // namespace evfd::daemon
