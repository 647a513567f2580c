#include "daemon/objects/opening.h"

#include "daemon/base/on_stack.h"
#include "daemon/objects/object_records.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

// Reserves room for one more entry. If the list is full, removes its stale entries first, so that
// stale entries cannot make the list grow without limit.
template <class T, class IsGone>
void prune_and_reserve(std::vector<T>& list, IsGone is_stale)
{
    if (list.size() < list.capacity())
        return;
    std::erase_if(list, is_stale);
    list.reserve(2 * list.size() + 1);
}

} // namespace

Outcome<std::vector<protocol::Opened>> Opening::open(Session& session, const Items<Item>& items)
{
    const OnStack<Opening> entered;
    Call call{session};
    std::vector<protocol::Opened> opened;
    for (const auto& item : items.list) {
        auto one = open_one(call, item);
        if (!one) {
            undo(call, opened);
            return std::unexpected(std::move(one.error()));
        }
        opened.push_back(*std::move(one));
    }
    for (auto* entry : call.numbers)
        make_eventfd(*entry);
    return opened;
}

// Ends the subscriptions that a refused call has created, and closes the eventfds in Call::made. No
// client has received them. Wait-only handles, and the mirrors made for them, remain.
void Opening::undo(Call& call, const std::vector<protocol::Opened>& opened)
{
    for (const auto& one : opened)
        if (one.subscription)
            unsubscribe(call.session, *Token::parse(*one.subscription));
    // A number is not watched.
    for (auto* entry : call.numbers)
        entry->second.event()->descriptor()->watch = {};
    for (auto* entry : call.made)
        entry->second.event()->drop_mirror();
}

// Makes the number an eventfd, which the call is about to pass. If the daemon is killed before the
// new record of the object is committed, the number stays a number, because no client has received
// the eventfd.
void Opening::make_eventfd(Entry& entry)
{
    entry.second.event()->open();
    objects_.persist(entry);
    objects_.unpersist_number(entry.second);
}

Outcome<protocol::Opened> Opening::open_one(Call& call, const Item& item)
{
    auto& session = call.session;
    const auto& name = item.name;
    auto* found = objects_.find(name);
    if (!found)
        return std::unexpected(refuse::no_such_name(name));
    auto& object = *found;
    auto may_wait = authorization_.check(session.peer, name, &object, Permission::wait);
    const Access access{.wait = may_wait.has_value(),
                        .set =
                            authorization_.is_allowed(session.peer, name, object, Permission::set)};
    if (!access.wait && !access.set)
        return std::unexpected(std::move(may_wait.error()));
    if (auto same = check_id(item, object); !same)
        return std::unexpected(std::move(same.error()));
    if (object.subscriptions() && access.wait)
        return subscribe(session, name, object, access);

    protocol::Opened opened{object.kind(), object.mode(), access.wait, access.set, {}, {},
                            id_of(object)};
    if (auto* event = object.event(); event && access.wait) {
        auto& entry = objects_.entry(name);
        auto shared =
            access.set ? share(call, entry, *event) : share_wait_only(session, entry, *event);
        if (!shared)
            return std::unexpected(std::move(shared.error()));
        opened.file_descriptor = PassedFd{{}, *std::move(shared)};
    }
    return opened;
}

// Returns the eventfd. If the counter is a number, the end of the call makes it an eventfd.
Outcome<std::shared_ptr<const UniqueFd>> Opening::share(Call& call, Entry& entry, Event& event)
{
    auto& [name, object] = entry;
    if (!event.is_number()) {
        // Switches O_NONBLOCK on again if a client has switched it off, so that the next client
        // gets a non-blocking eventfd.
        if (const auto was_blocking = make_nonblocking(event.fd()); was_blocking && *was_blocking)
            events_.warn_once(name, object, Misuse::blocking);
        return event.descriptor()->eventfd.share();
    }
    if (!event.has_descriptor()) {
        if (auto made = make_descriptor(call.session, entry, event); !made)
            return std::unexpected(std::move(made.error()));
        call.made.push_back(&entry);
    }
    if (const auto watched = events_.watch_opened(entry, event); !watched)
        return std::unexpected(watched.error());
    call.numbers.push_back(&entry);
    return event.descriptor()->eventfd.share();
}

// Makes the mirror of a number. The caller must persist the object.
Outcome<void> Opening::make_descriptor(const Session& session, Entry& entry, Event& event)
{
    auto& object = entry.second;
    auto charged = charges_.charge_opened_event(session.peer);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    auto eventfd = event.make_descriptor();
    if (!eventfd)
        return std::unexpected(eventfd.error());
    auto stored =
        state_store_.store_fd_if(object.is_persistent, object.serial, *std::move(eventfd));
    if (!stored)
        return std::unexpected(stored.error());
    event.mirror({*std::move(stored), session.peer.uid, std::move(charged->quota),
                  std::move(charged->descriptor)});
    return {};
}

Outcome<std::shared_ptr<const UniqueFd>> Opening::share_wait_only(Session& session, Entry& entry,
                                                                  Event& event)
{
    const auto uid = session.peer.uid;
    const bool needs_mirror = !event.has_descriptor();
    auto handle = needs_mirror ? nullptr : event.descriptor()->handles.find(uid);
    if (!handle) {
        if (needs_mirror)
            if (auto made = make_descriptor(session, entry, event); !made)
                return std::unexpected(std::move(made.error()));
        auto made = make_handle(session, event);
        if (!made) {
            if (needs_mirror)
                event.drop_mirror();
            return std::unexpected(std::move(made.error()));
        }
        handle = *std::move(made);
        event.descriptor()->handles.add(uid, handle);
        if (event.is_number())
            objects_.persist(entry); // From now on the mirror must survive the daemon.
    }
    session.handles.add(handle);
    return handle->fd;
}

Outcome<std::shared_ptr<WaitOnlyHandle>> Opening::make_handle(Session& session, const Event& event)
{
    auto charged = charge_reclaiming_handles(session);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    auto fd = make_wait_only(event.fd());
    if (!fd)
        return std::unexpected(fd.error());
    return std::make_shared<WaitOnlyHandle>(std::make_shared<const UniqueFd>(*std::move(fd)),
                                            std::move(charged->quota),
                                            std::move(charged->descriptor));
}

// Charges a wait-only handle. If the charge is refused, the session gives up all of its wait-only
// handles, and the function tries again. The client keeps the descriptors that it has received, and
// they stay valid.
Outcome<Charges::Descriptor> Opening::charge_reclaiming_handles(Session& session)
{
    auto charged = charges_.charge_private_descriptor(session.peer);
    if (charged)
        return charged;
    session.handles = {};
    return charges_.charge_private_descriptor(session.peer);
}

Outcome<protocol::Opened> Opening::subscribe(Session& session, const Name& name, Object& object,
                                             Access access)
{
    auto charged = charges_.charge_private_descriptor(session.peer);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    // A pulse has a limited number of places for subscribers. A timer has no such limit, so `place`
    // stays empty for a timer.
    std::optional<SharedPool::Charge> place;
    if (auto* pulse = object.pulse()) {
        auto taken = charges_.charge_place(session.peer, *pulse);
        if (!taken)
            return std::unexpected(std::move(taken.error()));
        place.emplace(*std::move(taken));
    }
    const auto token = Token::make();
    if (!token)
        return std::unexpected(token.error());
    auto fd = object.timer() ? object.timer()->make_descriptor() : Pulse::make_descriptor();
    auto copy = fd ? duplicate(*fd) : std::unexpected(fd.error());
    if (!copy)
        return std::unexpected(copy.error());
    const auto id = ids_.next();
    auto stored = state_store_.store_fd_if(object.is_persistent && session.is_resumable(), id,
                                           *std::move(fd));
    if (!stored)
        return std::unexpected(stored.error());
    if (stored->is_stored()) {
        state_store_.put(id, record_of(*token, object, session));
        session.opened.push_back(id);
    }
    object.subscriptions()->add(*token, {id, *std::move(stored), std::move(charged->quota),
                                         std::move(charged->descriptor), std::move(place)});
    objects_.report({ObjectChange::Kind::subscribers, {name, object.serial}});
    prune_and_reserve(session.subscriptions,
                      [&](const auto& subscription) { return !find(subscription); });
    session.subscriptions.push_back({name, *token});
    return protocol::Opened{object.kind(),
                            object.mode(),
                            access.wait,
                            access.set,
                            PassedFd{*std::move(copy)},
                            std::string{token->text()},
                            id_of(object)};
}

bool Opening::unsubscribe(Session& session, const Token& token)
{
    const auto subscription =
        std::ranges::find(session.subscriptions, token, &Session::SubscriptionRef::token);
    if (subscription == session.subscriptions.end())
        return false;
    end(*subscription);
    session.subscriptions.erase(subscription);
    return true;
}

void Opening::end(Session& session)
{
    const OnStack<Opening> entered;
    for (const auto& subscription : std::exchange(session.subscriptions, {}))
        end(subscription);
}

void Opening::undo(Session& session)
{
    const OnStack<Opening> entered;
    const auto opened = std::exchange(session.opened, {});
    std::erase_if(session.subscriptions, [&](const Session::SubscriptionRef& reference) {
        const auto* subscription = find(reference);
        if (!subscription || std::ranges::find(opened, subscription->id) == opened.end())
            return false;
        end(reference);
        return true;
    });
}

// Returns the subscription of a session, or null if the subscription has ended. Also returns null
// if the name belongs to another object by now: no subscription to the other object has the random
// token of `reference`.
const Subscription* Opening::find(const Session::SubscriptionRef& reference)
{
    auto* object = objects_.find(reference.name);
    auto* subscriptions = object ? object->subscriptions() : nullptr;
    return subscriptions ? subscriptions->find(reference.token) : nullptr;
}

void Opening::end(const Session::SubscriptionRef& reference)
{
    const auto* subscription = find(reference);
    if (!subscription)
        return;
    objects_.unpersist(*subscription);
    auto& object = *objects_.find(reference.name);
    object.subscriptions()->remove(reference.token);
    objects_.report({ObjectChange::Kind::subscribers, {reference.name, object.serial}});
}

} // namespace evfd::daemon
