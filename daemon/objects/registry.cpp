#include "daemon/objects/registry.h"

#include "daemon/base/on_stack.h"
#include "daemon/limits.h"
#include "daemon/objects/object_records.h"

#include <algorithm>
#include <iterator>
#include <ranges>

namespace evfd::daemon {

namespace {

// The permissions that a usual umask leaves of the default for files: the caller's own umask is not
// known to us.
constexpr auto default_permissions = Permissions::under_umask(022);

// Reserves room for one more entry. Stale entries are erased first, so the list stays within twice
// the number of live ones, however often its owner creates and deletes.
template <class T, class IsGone>
void prune_and_reserve(std::vector<T>& list, IsGone is_stale)
{
    if (list.size() < list.capacity())
        return;
    std::erase_if(list, is_stale);
    list.reserve(2 * list.size() + 1);
}

Outcome<void> check_id(const Item& item, const Object& object)
{
    if (item.id && item.id != id_of(object))
        return std::unexpected(refuse::replaced(item.name, id_of(object)));
    return {};
}

std::int64_t tokens_of(const protocol::SetItem& item)
{
    return item.count.value_or(protocol::Tokens{1}).value;
}

} // namespace

Registry::Registry(EventLoop& loop, Quota& quota, StateStore& state_store,
                   EventfdIncrementer incrementer, std::int64_t descriptor_budget,
                   EdgeWatcher::Deliver deliver)
    : quota_{quota}, state_store_{state_store}, descriptors_{descriptor_budget}, ids_{state_store},
      tokens_{loop,
              state_store,
              ids_,
              objects_,
              std::move(incrementer),
              [this](const Increments& increments) { signal_locally(increments); }},
      processes_{loop,
                 state_store,
                 ids_,
                 quota,
                 descriptors_,
                 [this, deliver](ProcessWatcher::Id process) {
                     ended_processes_.push_back(process);
                     deliver();
                 }},
      holds_{loop, quota, tokens_}, edges_{loop, deliver},
      deadlines_{loop, [deliver] { deliver(); },
                 [this](uid_t payer, nanoseconds used) { cooldowns_.charge(payer, used); },
                 [this] { on_clock_set(); }},
      loop_{loop}
{
}

void Registry::report(ObjectChange::Kind kind, const Entry& entry, std::int64_t times)
{
    report({kind, {entry.first, entry.second.serial}, times});
}

Object* Registry::find(const Name& name)
{
    const auto found = objects_.find(name);
    return found == objects_.end() ? nullptr : &found->second;
}

const Object* Registry::find(const Name& name) const
{
    const auto found = objects_.find(name);
    return found == objects_.end() ? nullptr : &found->second;
}

Object* Registry::find(const ObjectRef& reference)
{
    return daemon::find(objects_, reference);
}

bool Registry::is_allowed(const Peer& peer, const Name& name, const Object& object,
                          Permission permission) const
{
    return !check_access(&policy_, peer, name, &object.ownership, permission);
}

bool Registry::sees(const Peer& peer, const Name& name, const Object& object) const
{
    return daemon::sees(policy_, peer, name, object.ownership);
}

Outcome<void> Registry::authorize(const Peer& peer, const Name& name, const Object* object,
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

Outcome<void> Registry::authorize_consuming(const Peer& peer, const Name& name,
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

Outcome<Object*> Registry::find_authorized(const Peer& peer, const Name& name,
                                           Permission permission, PolicyCheck policy_check)
{
    auto* object = find(name);
    if (!object)
        return std::unexpected(refuse::no_such_name(name));
    if (auto permitted = authorize(peer, name, object, permission, policy_check); !permitted)
        return std::unexpected(std::move(permitted.error()));
    return object;
}

Outcome<Object*> Registry::find_authorized(const Peer& peer, const Item& item,
                                           Permission permission)
{
    const auto object = find_authorized(peer, item.name, permission);
    if (object)
        if (auto same = check_id(item, **object); !same)
            return std::unexpected(std::move(same.error()));
    return object;
}

Outcome<Object*> Registry::find_event(const Peer& peer, const Item& item)
{
    const auto object = find_authorized(peer, item, Permission::set);
    if (object && (*object)->timer())
        return std::unexpected(refuse::wrong_kind(item.name, (*object)->description(), "an event"));
    return object;
}

Outcome<SharedPool::Charge> Registry::charge_descriptor(const Peer& peer, Resource resource)
{
    auto charge = descriptors_.take(quota_.payer(peer.uid));
    if (!charge)
        return std::unexpected(refuse::descriptor_shortage(
            charge.error(), {peer.uid, resource, quota_.used(peer.uid, resource)}));
    return *std::move(charge);
}

// Returns nothing for a timer, which may have any number of subscribers.
Outcome<std::optional<SharedPool::Charge>> Registry::take_place(const Peer& peer, Object& object)
{
    auto* pulse = object.pulse();
    if (!pulse)
        return std::nullopt;
    const auto payer = quota_.payer(peer.uid);
    auto place = pulse->take_place(payer);
    if (!place)
        return std::unexpected(refuse::reserved_for_others(
            {peer.uid, Resource::subscriptions, pulse->places_of(payer)}));
    return std::optional{*std::move(place)};
}

Outcome<Quota::Charge> Registry::charge(const Peer& peer, Resource resource)
{
    auto charge = quota_.charge(peer.uid, resource);
    if (!charge)
        return std::unexpected(refuse::quota_exceeded(charge.error()));
    return *std::move(charge);
}

// Creating, opening, deleting.

// Stores the descriptor under `id`, if it must survive the daemon.
Result<FdStash::Stored> Registry::store(Result<UniqueFd> fd, std::uint64_t id, bool is_persistent)
{
    if (!fd)
        return std::unexpected(fd.error());
    if (!is_persistent)
        return FdStash::Stored{*std::move(fd)};
    return state_store_.store_fd(id, *std::move(fd));
}

Outcome<Object::Body> Registry::make_body(const protocol::CreateEvent& request,
                                          const ObjectDraft& draft,
                                          std::optional<SharedPool::Charge> descriptor)
{
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse)
        return Pulse{};
    const auto initial = request.initial.value_or(protocol::InitialCount{0}).value;
    auto stored = store(Event::make_descriptor(mode, initial), draft.serial, draft.is_persistent);
    if (!stored)
        return std::unexpected(refuse::system_failure(stored.error()));
    return Event{mode, *std::move(stored), *std::move(descriptor), false};
}

Outcome<Made> Registry::create(Session& session, const protocol::CreateEvent& request,
                               PolicyCheck policy_check, std::optional<ProcessWatcher::Ref> process,
                               std::optional<std::uint64_t> id)
{
    const OnStack<Registry> entered;
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse && request.initial && request.initial->value > 0)
        return std::unexpected(protocol::InvalidParameter{"initial"});

    if (const auto* existing = find(request.name)) {
        if (existing->mode() != mode)
            return std::unexpected(
                refuse::wrong_kind(request.name, existing->description(), description(mode)));
        if (!request.if_missing.value_or(false))
            return std::unexpected(refuse::name_taken(request.name));
        return Made::existed;
    }
    if (auto permitted =
            authorize(session.peer, request.name, nullptr, Permission::create, policy_check);
        !permitted)
        return std::unexpected(std::move(permitted.error()));

    std::optional<SharedPool::Charge> descriptor; // A pulse has none.
    if (mode != Mode::pulse) {
        auto taken = charge_descriptor(session.peer, Resource::objects);
        if (!taken)
            return std::unexpected(std::move(taken.error()));
        descriptor.emplace(*std::move(taken));
    }
    auto charged = charge(session.peer, Resource::objects);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    const auto draft = prepare_object(session, request.permissions, request.lifetime, id);
    if (!draft)
        return std::unexpected(draft.error());
    auto body = make_body(request, *draft, std::move(descriptor));
    if (!body)
        return std::unexpected(std::move(body.error()));
    report(ObjectChange::Kind::created,
           add_object(session, request.name, *draft, *std::move(charged), *std::move(body),
                      std::move(process)));
    return Made::created;
}

// An object that ends with a session which cannot be resumed is not recorded.
Outcome<Registry::ObjectDraft> Registry::prepare_object(const Session& session,
                                                        std::optional<Permissions> permissions,
                                                        std::optional<Lifetime> lifetime,
                                                        std::optional<std::uint64_t> id)
{
    const auto object_lifetime = lifetime.value_or(Lifetime::permanent);
    const bool is_persistent = object_lifetime != Lifetime::session || session.is_resumable();
    if (is_persistent)
        if (const auto prepared = state_store_.prepare(); !prepared)
            return std::unexpected(refuse::system_failure(prepared.error()));
    return ObjectDraft{id ? *id : new_id(), permissions, object_lifetime, is_persistent};
}

Registry::Entry& Registry::add_object(Session& session, const Name& name, const ObjectDraft& draft,
                                      Quota::Charge charge, Object::Body body,
                                      std::optional<ProcessWatcher::Ref> process)
{
    const auto owner = draft.lifetime == Lifetime::permanent ? std::uint64_t{0}
                       : draft.lifetime == Lifetime::session ? session.id
                                                             : process->id();
    const auto added = objects_
                           .try_emplace(name, draft.serial,
                                        Ownership{session.peer.uid, session.peer.gid,
                                                  draft.permissions.value_or(default_permissions)},
                                        session.peer.pid, draft.lifetime, owner,
                                        draft.is_persistent, std::move(charge), std::move(body))
                           .first;
    if (draft.lifetime != Lifetime::permanent)
        owned_objects_.add(owner, name, std::move(process));
    persist(*added);
    return *added;
}

Outcome<std::vector<protocol::Opened>> Registry::open(Session& session, const Items<Item>& items)
{
    const OnStack<Registry> entered;
    std::vector<protocol::Opened> opened;
    for (const auto& item : items.list) {
        auto one = open_one(session, item);
        if (!one) { // Opens all or none of the objects.
            for (const auto& one_opened : opened)
                if (one_opened.subscription)
                    unsubscribe(session, *Token::parse(*one_opened.subscription));
            return std::unexpected(std::move(one.error()));
        }
        opened.push_back(*std::move(one));
    }
    return opened;
}

Outcome<protocol::Opened> Registry::open_one(Session& session, const Item& item)
{
    const auto& name = item.name;
    auto* found = find(name);
    if (!found)
        return std::unexpected(refuse::no_such_name(name));
    auto& object = *found;
    auto may_wait = authorize(session.peer, name, &object, Permission::wait);
    const Access access{.wait = may_wait.has_value(),
                        .set = is_allowed(session.peer, name, object, Permission::set)};
    if (!access.wait && !access.set)
        return std::unexpected(std::move(may_wait.error()));
    if (auto same = check_id(item, object); !same)
        return std::unexpected(std::move(same.error()));
    if (object.subscriptions() && access.wait)
        return subscribe(session, name, object, access);

    protocol::Opened opened{object.kind(), object.mode(), access.wait, access.set, {}, {},
                            id_of(object)};
    auto* event = object.event();
    if (!event || !access.wait)
        return opened;
    if (access.set) {
        auto shared = share(*objects_.find(name), *event);
        if (!shared)
            return std::unexpected(refuse::system_failure(shared.error()));
        opened.file_descriptor = PassedFd{{}, *std::move(shared)};
    } else {
        auto handle = share_wait_only(session, object, *event);
        if (!handle)
            return std::unexpected(std::move(handle.error()));
        opened.file_descriptor = PassedFd{{}, *std::move(handle)};
    }
    return opened;
}

Result<std::shared_ptr<const UniqueFd>> Registry::share(Entry& entry, Event& event)
{
    auto& [name, object] = entry;
    if (object.watch.is_local())
        if (const auto watched = watch_shared(entry, event); !watched)
            return std::unexpected(watched.error());
    // A new holder gets the event with O_NONBLOCK, even if an earlier holder has switched it off.
    if (!event.is_unshared())
        if (const auto was_blocking = make_nonblocking(event.fd()); was_blocking && *was_blocking)
            warn_once(name, object, Misuse::blocking);
    return event.share();
}

Outcome<Registry::PrivateDescriptorCharges> Registry::charge_private_descriptor(const Peer& peer)
{
    auto descriptor = charge_descriptor(peer, Resource::subscriptions);
    if (!descriptor)
        return std::unexpected(std::move(descriptor.error()));
    auto charged = charge(peer, Resource::subscriptions);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    return PrivateDescriptorCharges{*std::move(charged), *std::move(descriptor)};
}

// Charges a wait-only handle. If the quota is used up, it first releases the handles of this
// session. The client's open descriptors stay valid.
Outcome<Registry::PrivateDescriptorCharges> Registry::charge_reclaiming_handles(Session& session)
{
    auto charged = charge_private_descriptor(session.peer);
    if (charged)
        return charged;
    session.handles = {};
    return charge_private_descriptor(session.peer);
}

Outcome<std::shared_ptr<const UniqueFd>> Registry::share_wait_only(Session& session, Object& object,
                                                                   const Event& event)
{
    const auto& peer = session.peer;
    auto handle = object.handles.find(peer.uid);
    if (!handle) {
        auto charged = charge_reclaiming_handles(session);
        if (!charged)
            return std::unexpected(std::move(charged.error()));
        auto fd = event.make_wait_only();
        if (!fd)
            return std::unexpected(refuse::system_failure(fd.error()));
        handle = std::make_shared<WaitOnlyHandle>(std::make_shared<const UniqueFd>(*std::move(fd)),
                                                  std::move(charged->quota),
                                                  std::move(charged->descriptor));
        object.handles.add(peer.uid, handle);
    }
    session.handles.add(handle);
    return handle->fd;
}

Outcome<protocol::Opened> Registry::subscribe(Session& session, const Name& name, Object& object,
                                              Access access)
{
    auto charged = charge_private_descriptor(session.peer);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    auto place = take_place(session.peer, object);
    if (!place)
        return std::unexpected(std::move(place.error()));
    const auto token = Token::make();
    if (!token)
        return std::unexpected(refuse::system_failure(token.error()));
    auto fd = object.timer() ? object.timer()->make_descriptor() : Pulse::make_descriptor();
    auto copy = fd ? duplicate(*fd) : std::unexpected(fd.error());
    if (!copy)
        return std::unexpected(refuse::system_failure(copy.error()));
    const auto id = new_id();
    auto stored = store(std::move(fd), id, object.is_persistent && session.is_resumable());
    if (!stored)
        return std::unexpected(refuse::system_failure(stored.error()));
    if (stored->is_stored()) {
        state_store_.put(id, record_of(*token, object, session));
        session.opened.push_back(id);
    }
    object.subscriptions()->add(*token, {id, *std::move(stored), std::move(charged->quota),
                                         std::move(charged->descriptor), *std::move(place)});
    report({ObjectChange::Kind::subscribers, {name, object.serial}});
    prune_and_reserve(session.subscriptions,
                      [&](const auto& subscription) { return is_stale(subscription); });
    session.subscriptions.push_back({name, *token});
    return protocol::Opened{
        object.kind(), object.mode(), access.wait, access.set, PassedFd{*std::move(copy)},
        token->text(), id_of(object)};
}

bool Registry::unsubscribe(Session& session, const Token& token)
{
    const auto subscription =
        std::ranges::find(session.subscriptions, token, &Session::SubscriptionRef::token);
    if (subscription == session.subscriptions.end())
        return false;
    end_subscription(*subscription);
    session.subscriptions.erase(subscription);
    return true;
}

void Registry::end_subscription(const Session::SubscriptionRef& subscription)
{
    // The name may belong to another object by now; the token does not.
    if (auto* object = find(subscription.name); object && object->subscriptions())
        remove_subscription(subscription, *object);
}

bool Registry::is_stale(const Session::SubscriptionRef& subscription) const
{
    const auto* object = find(subscription.name);
    const auto* subscriptions = object ? object->subscriptions() : nullptr;
    return !subscriptions || !subscriptions->has(subscription.token);
}

Outcome<void> Registry::delete_objects(const Peer& peer, const Items<Item>& items,
                                       const Delivered& delivered)
{
    const OnStack<Registry> entered;
    for (const auto& item : items.list)
        if (const auto object = find_authorized(peer, item, Permission::own); !object)
            return std::unexpected(object.error());
    for (const auto& item : items.list)
        erase(objects_.find(item.name), delivered);
    return {};
}

// Removes the object from all tables and from the state store.
void Registry::erase(Objects::iterator object, const Delivered&)
{
    edges_.forget(object->second);
    report({.kind = ObjectChange::Kind::deleted,
            .object = {object->first, object->second.serial},
            .before = object->second.ownership});
    unpersist(object->second);
    owned_objects_.remove(object->second.lifetime_owner, object->first);
    objects_.erase(object);
}

void Registry::end(Session& session)
{
    for (const auto& subscription : std::exchange(session.subscriptions, {}))
        end_subscription(subscription);
    auto taken = holds_.end(session);
    if (session.is_resumable()) {
        std::ranges::move(std::exchange(session.in_doubt, {}), std::back_inserter(taken));
        state_store_.erase(session.id, record::Kind::session);
    }
    tokens_.return_tokens(taken);
}

std::vector<Name> Registry::next_owned(std::uint64_t owner) const
{
    return owned_objects_.first(owner, max_objects_deleted_per_iteration);
}

void Registry::poll_owned(std::uint64_t owner)
{
    const OnStack<Registry> entered;
    for (const auto& name : next_owned(owner))
        poll_timer(name);
}

bool Registry::delete_owned(std::uint64_t owner, const Delivered& delivered)
{
    const OnStack<Registry> entered;
    for (const auto& name : next_owned(owner))
        erase(objects_.find(name), delivered);
    return owned_objects_.has_any(owner);
}

std::optional<ProcessWatcher::Id> Registry::take_ended_process()
{
    const OnStack<Registry> entered;
    if (ended_processes_.empty())
        return {};
    const auto process = ended_processes_.back();
    ended_processes_.pop_back();
    return process;
}

Outcome<void> Registry::set_permissions(const Peer& peer, const Name& name, Permissions permissions,
                                        const Delivered&)
{
    const OnStack<Registry> entered;
    const auto object = find_authorized(peer, name, Permission::own);
    if (!object)
        return std::unexpected(object.error());
    const auto before = (*object)->ownership;
    (*object)->ownership.permissions = permissions;
    persist(*objects_.find(name));
    report({.kind = ObjectChange::Kind::permissions,
            .object = {name, (*object)->serial},
            .before = before});
    return {};
}

// Set and Clear.

Outcome<Increments> Registry::check_set(const Peer& peer, const Items<protocol::SetItem>& items)
{
    Increments increments;
    std::int64_t sum = 0;
    for (const auto& item : items.list) {
        const auto object = find_event(peer, {item.name, item.id});
        if (!object)
            return std::unexpected(object.error());
        const auto tokens = tokens_of(item);
        if (const auto* subscriptions = (*object)->subscriptions())
            sum += tokens * static_cast<std::int64_t>(subscriptions->size());
        else
            sum += (*object)->mode() == Mode::semaphore ? tokens : 1;
        if (sum > max_tokens_per_set)
            return std::unexpected(refuse::too_many_tokens_to_set(item.name));
        increments.push_back({&item.name, *object, tokens});
    }
    return increments;
}

Increments Registry::recheck_set(const Peer& peer, const Items<protocol::SetItem>& items)
{
    Increments increments;
    for (const auto& item : items.list) {
        const auto object = find_event(peer, {item.name, item.id});
        const bool is_recovered = object && ids_.is_recovered((*object)->serial);
        increments.push_back({&item.name, is_recovered ? *object : nullptr, tokens_of(item)});
    }
    return increments;
}

Outcome<void> Registry::add(const Peer& peer, const Increments& increments)
{
    const OnStack<Registry> entered;
    const bool is_observed = std::ranges::any_of(
        increments, [](const Increment& one) { return is_watched(*one.object); });
    if (const auto done = apply_logged(increments); !done)
        return std::unexpected(refuse::system_failure(done.error()));
    const auto now = wall_now();
    for (const auto& increment : increments)
        increment.object->last_set = LastSet{now, peer.uid, peer.pid};
    if (is_observed)
        collect_edges(); // The edges are delivered before the next request can undo the set.
    return {};
}

Outcome<Registry::ClearProgress> Registry::check_clear(const Peer& peer, const Items<Item>& items)
{
    ClearProgress progress;
    for (const auto& item : items.list) {
        const auto object = find_event(peer, item);
        if (!object)
            return std::unexpected(object.error());
        if ((*object)->event())
            progress.objects.push_back({item.name, (*object)->serial});
    }
    return progress;
}

Outcome<bool> Registry::clear(ClearProgress& progress, const TimeSlice& slice, const Delivered&)
{
    const OnStack<Registry> entered;
    for (; progress.cleared < progress.objects.size(); ++progress.cleared) {
        const auto& next = progress.objects[progress.cleared];
        if (auto* object = find(next)) {
            const auto is_clear = object->event()->clear(progress.remaining, slice);
            if (!is_clear && is_clear.error().error == E2BIG)
                return std::unexpected(refuse::too_many_tokens_to_clear(next.name));
            if (!is_clear)
                return std::unexpected(refuse::system_failure(is_clear.error()));
            if (!*is_clear)
                return false;
        }
        progress.remaining.reset();
    }
    return true;
}

} // namespace evfd::daemon
