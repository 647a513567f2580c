#include "daemon/objects/registry.h"

#include "common/process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace evfd::daemon {

namespace {

// Of a whole file's default rights this is what a usual umask leaves: the caller's own we cannot
// see.
constexpr auto default_rights = Rights::under_umask(022);

// Objects that end with their session or process, in one turn of the loop.
constexpr std::ptrdiff_t most_ended_at_once = 256;

// Makes room for one more. What is gone by now is forgotten first, so that the list stays within
// twice what is there, however often its owner creates and deletes.
template <class T, class IsGone>
void make_room(std::vector<T>& list, IsGone is_gone)
{
    if (list.size() < list.capacity())
        return;
    std::erase_if(list, is_gone);
    list.reserve(2 * list.size() + 1);
}

std::string described(std::optional<Mode> mode)
{
    if (!mode)
        return "a timer";
    return fmt::format("{} {} event", mode == Mode::automatic ? "an" : "a", word(*mode));
}

} // namespace

std::optional<Mode> Object::mode() const
{
    if (timer())
        return {};
    const auto* event = std::get_if<Event>(&body);
    return event ? event->mode() : Mode::pulse;
}

Followers* Object::followers()
{
    if (auto* followed = timer())
        return &followed->followers();
    return pulse() ? &pulse()->followers() : nullptr;
}

const Followers* Object::followers() const
{
    return const_cast<Object*>(this)->followers();
}

std::string Object::described() const
{
    return daemon::described(mode());
}

Registry::Registry(EventLoop& loop, Quota& quota, Audience& audience, Vault& vault, Adder adder,
                   std::int64_t descriptor_budget)
    : quota_{quota}, audience_{audience}, vault_{vault}, adder_{std::move(adder)},
      descriptor_budget_{descriptor_budget},
      processes_{loop, vault, [this](Processes::Id process) { end(process); }},
      holds_{loop, quota, *this}, timetable_{loop, [this] { hear(); }, [this] { on_clock_set(); }},
      loop_{loop}
{
    listen_to_rings();
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

Object* Registry::find(const Reference& reference)
{
    auto* object = find(reference.name);
    return object && object->serial == reference.serial ? object : nullptr;
}

bool Registry::may(const Peer& peer, const Name& name, const Object& object, Right right) const
{
    return !denial(&policy_, peer, name, &object.ownership, right);
}

bool Registry::sees(const Peer& peer, const Name& name, const Object& object) const
{
    return daemon::sees(policy_, peer, name, object.ownership);
}

Outcome<void> Registry::permit(const Peer& peer, const Name& name, const Object* object,
                               Right right, Leave leave) const
{
    const auto denied = denial(leave == Leave::needed ? &policy_ : nullptr, peer, name,
                               object ? &object->ownership : nullptr, right);
    if (denied == Denial::policy)
        return std::unexpected(refuse::not_permitted_by_policy(name, right, peer.uid));
    if (denied == Denial::unmapped)
        return std::unexpected(refuse::unmapped_user(name, right));
    if (denied)
        return std::unexpected(
            refuse::not_permitted(name, right, object->ownership.rights, object->ownership.owner));
    return {};
}

Outcome<void> Registry::permit_consuming(const Peer& peer, const Name& name,
                                         const Object* object) const
{
    const auto denied =
        denial(&policy_, peer, name, object ? &object->ownership : nullptr, Right::set);
    if (denied == Denial::policy)
        return std::unexpected(refuse::may_not_consume_by_policy(name));
    if (denied)
        return std::unexpected(
            refuse::may_not_consume(name, object->ownership.rights, object->ownership.owner));
    return {};
}

Outcome<Object*> Registry::find_for(const Peer& peer, const Name& name, Right right, Leave leave)
{
    auto* object = find(name);
    if (!object)
        return std::unexpected(refuse::no_such_name(name));
    if (auto permitted = permit(peer, name, object, right, leave); !permitted)
        return std::unexpected(std::move(permitted.error()));
    return object;
}

Outcome<void> Registry::check_descriptors(const Peer& peer, Resource resource) const
{
    const auto free = descriptor_budget_ - descriptors();
    if (free <= 0)
        return std::unexpected(refuse::system_failure({"dup(2)", EMFILE}));
    const auto its = quota_.used(peer.uid, Resource::objects) +
                     quota_.used(peer.uid, Resource::subscriptions) +
                     processes_.count_of(quota_.account(peer.uid));
    if (!may_have_more(peer.uid, its, free, descriptor_budget_))
        return std::unexpected(
            refuse::kept_for_others({peer.uid, resource, quota_.used(peer.uid, resource)}));
    return {};
}

// More than one call can set may not follow a pulse, or nobody could set it any more.
Outcome<void> Registry::check_room(const Peer& peer, const Followers& followers) const
{
    const auto free = max_tokens_per_set - static_cast<std::int64_t>(followers.size());
    if (free > 0 && may_have_more(peer.uid, max_tokens_per_set, free, max_tokens_per_set))
        return {}; // However many it has.
    const auto its = std::ranges::count_if(followers.all(), [&](const auto& follower) {
        return follower.second.charge.account() == quota_.account(peer.uid);
    });
    if (free <= 0 || !may_have_more(peer.uid, its, free, max_tokens_per_set))
        return std::unexpected(refuse::kept_for_others({peer.uid, Resource::subscriptions, its}));
    return {};
}

Outcome<Quota::Charge> Registry::charge(const Peer& peer, Resource resource)
{
    auto charge = quota_.take(peer.uid, resource);
    if (!charge)
        return std::unexpected(refuse::quota_exceeded(charge.error()));
    return *std::move(charge);
}

// Making, opening, deleting.

Outcome<Object::Body> Registry::make_body(const protocol::CreateEvent& request)
{
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse)
        return Pulse{};
    auto event = Event::create(mode, request.initial.value_or(protocol::InitialCount{0}).value);
    if (!event)
        return std::unexpected(refuse::system_failure(event.error()));
    return *std::move(event);
}

Outcome<bool> Registry::create(Session& session, const protocol::CreateEvent& request, Leave leave,
                               std::optional<Processes::Stay> process)
{
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse && request.initial && request.initial->value > 0)
        return std::unexpected(protocol::InvalidParameter{"initial"});

    if (const auto* there = find(request.name)) {
        if (there->mode() != mode)
            return std::unexpected(
                refuse::wrong_kind(request.name, there->described(), described(mode)));
        if (!request.if_missing.value_or(false))
            return std::unexpected(refuse::name_taken(request.name));
        return false;
    }
    if (auto permitted = permit(session.peer, request.name, nullptr, Right::create, leave);
        !permitted)
        return std::unexpected(std::move(permitted.error()));

    if (mode != Mode::pulse)
        if (auto free = check_descriptors(session.peer, Resource::objects); !free)
            return std::unexpected(std::move(free.error()));
    auto paid = charge(session.peer, Resource::objects);
    if (!paid)
        return std::unexpected(std::move(paid.error()));
    const auto making = begin_making(session, request.rights, request.lifetime);
    if (!making)
        return std::unexpected(making.error());
    auto body = make_body(request);
    if (!body)
        return std::unexpected(std::move(body.error()));
    if (const auto* event = std::get_if<Event>(&*body); event && making->is_kept)
        if (const auto parked = vault_.park(making->serial, event->fd()); !parked)
            return std::unexpected(refuse::system_failure(parked.error()));
    auto& [name, object] = add_object(session, request.name, *making, *std::move(paid),
                                      *std::move(body), std::move(process));
    audience_.created(name, object);
    return true;
}

// What ends with a connection that nobody can take up again need not be kept.
Outcome<Registry::Making> Registry::begin_making(const Session& session,
                                                 std::optional<Rights> rights,
                                                 std::optional<Lifetime> lifetime)
{
    const auto how_long = lifetime.value_or(Lifetime::permanent);
    const bool is_kept = how_long != Lifetime::connection || session.count;
    if (is_kept)
        if (const auto prepared = vault_.prepare(); !prepared)
            return std::unexpected(refuse::system_failure(prepared.error()));
    return Making{new_id(), rights, how_long, is_kept};
}

Registry::Entry& Registry::add_object(Session& session, const Name& name, const Making& making,
                                      Quota::Charge charge, Object::Body body,
                                      std::optional<Processes::Stay> process)
{
    const auto owner = making.lifetime == Lifetime::permanent    ? std::uint64_t{0}
                       : making.lifetime == Lifetime::connection ? session.id
                                                                 : process->id();
    const auto made = objects_
                          .try_emplace(name, making.serial,
                                       Ownership{session.peer.uid, session.peer.gid,
                                                 making.rights.value_or(default_rights)},
                                       session.peer.pid, making.lifetime, owner, making.is_kept,
                                       std::move(charge), std::move(body))
                          .first;
    if (made->second.event())
        ++events_;
    if (making.lifetime == Lifetime::process)
        belongings_.try_emplace(owner, *std::move(process)).first->second.names.insert(name);
    if (making.lifetime == Lifetime::connection) {
        make_room(session.owned, [&](const Name& owned) { return is_gone(session.id, owned); });
        session.owned.push_back(name);
    }
    keep(*made);
    return *made;
}

Outcome<std::vector<protocol::Opened>> Registry::open(Session& session, const Names& names)
{
    std::vector<protocol::Opened> opened;
    for (const auto& name : names.list) {
        auto* object = find(name);
        auto one = object ? open_one(session, name, *object)
                          : Outcome<protocol::Opened>{std::unexpected(refuse::no_such_name(name))};
        if (!one) { // All or nothing.
            for (const auto& undone : opened)
                if (undone.subscription)
                    unsubscribe(session, *Token::parse(*undone.subscription));
            return std::unexpected(std::move(one.error()));
        }
        opened.push_back(*std::move(one));
    }
    return opened;
}

Outcome<protocol::Opened> Registry::open_one(Session& session, const Name& name, Object& object)
{
    auto may_wait = permit(session.peer, name, &object, Right::wait);
    const Access access{.wait = may_wait.has_value(),
                        .set = may(session.peer, name, object, Right::set)};
    if (!access.wait && !access.set)
        return std::unexpected(std::move(may_wait.error()));
    if (object.followers() && access.wait)
        return subscribe(session, name, object, access);

    protocol::Opened opened{object.kind(), object.mode(), access.wait, access.set, {}, {}};
    auto* event = object.event();
    if (!event || !access.wait)
        return opened;
    if (access.set) {
        auto shared = share(*objects_.find(name), *event);
        if (!shared)
            return std::unexpected(refuse::system_failure(shared.error()));
        opened.file_descriptor = Handed{{}, *std::move(shared)};
    } else {
        auto handle = share_wait_only(session, object, *event);
        if (!handle)
            return std::unexpected(std::move(handle.error()));
        opened.file_descriptor = Handed{{}, *std::move(handle)};
    }
    return opened;
}

Result<std::shared_ptr<const UniqueFd>> Registry::share(Entry& entry, Event& event)
{
    auto& [name, object] = entry;
    if (object.is_told_of)
        if (const auto watched = watch_shared(entry, event); !watched)
            return std::unexpected(watched.error());
    // Who comes new does not find it as another left it.
    if (!event.is_ours_alone())
        if (const auto was_blocking = make_nonblocking(event.fd()); was_blocking && *was_blocking)
            report(name, object, Abuse::blocking);
    return event.share();
}

Outcome<Quota::Charge> Registry::charge_for_handle(const Peer& peer)
{
    if (auto free = check_descriptors(peer, Resource::subscriptions); !free)
        return std::unexpected(std::move(free.error()));
    return charge(peer, Resource::subscriptions);
}

// If need be with the session's others: what its client has open of them it keeps.
Outcome<Quota::Charge> Registry::pay_for_handle(Session& session)
{
    auto paid = charge_for_handle(session.peer);
    if (paid)
        return paid;
    session.handles = {};
    return charge_for_handle(session.peer);
}

Outcome<std::shared_ptr<const UniqueFd>> Registry::share_wait_only(Session& session, Object& object,
                                                                   const Event& event)
{
    const auto& peer = session.peer;
    auto handle = object.handles.find(peer.uid);
    if (!handle) {
        auto paid = pay_for_handle(session);
        if (!paid)
            return std::unexpected(std::move(paid.error()));
        auto fd = event.make_wait_only();
        if (!fd)
            return std::unexpected(refuse::system_failure(fd.error()));
        handle = std::make_shared<Handle>(std::make_shared<const UniqueFd>(*std::move(fd)),
                                          *std::move(paid));
        object.handles.add(peer.uid, handle);
    }
    session.handles.add(handle);
    return handle->fd;
}

Outcome<protocol::Opened> Registry::subscribe(Session& session, const Name& name, Object& object,
                                              Access access)
{
    if (auto free = check_descriptors(session.peer, Resource::subscriptions); !free)
        return std::unexpected(std::move(free.error()));
    if (const auto* pulse = object.pulse())
        if (auto room = check_room(session.peer, pulse->followers()); !room)
            return std::unexpected(std::move(room.error()));
    auto paid = charge(session.peer, Resource::subscriptions);
    if (!paid)
        return std::unexpected(std::move(paid.error()));
    const auto token = Token::make();
    if (!token)
        return std::unexpected(refuse::system_failure(token.error()));
    auto fd = object.timer() ? object.timer()->make_descriptor() : Pulse::make_descriptor();
    auto copy = fd ? duplicate(*fd) : std::unexpected(fd.error());
    if (!copy)
        return std::unexpected(refuse::system_failure(copy.error()));
    const auto id = new_id();
    const bool is_kept = object.is_kept && session.count;
    if (is_kept) {
        if (const auto parked = vault_.park(id, *fd); !parked)
            return std::unexpected(refuse::system_failure(parked.error()));
        vault_.put(id, record::Subscription{token->text(), static_cast<record::Id>(object.serial),
                                            static_cast<record::Id>(session.id)});
        session.count->opened.push_back(id);
    }
    object.followers()->add(*token, {id, *std::move(fd), *std::move(paid), is_kept});
    audience_.attended(name);
    make_room(session.followings, [&](const auto& following) { return is_gone(following); });
    session.followings.push_back({name, *token});
    return protocol::Opened{
        object.kind(), object.mode(), access.wait, access.set, Handed{*std::move(copy)},
        token->text()};
}

bool Registry::unsubscribe(Session& session, const Token& token)
{
    const auto following = std::ranges::find(session.followings, token, &Session::Following::token);
    if (following == session.followings.end())
        return false;
    unfollow(*following);
    session.followings.erase(following);
    return true;
}

void Registry::unfollow(const Session::Following& following)
{
    // The name may be another object's by now; the token is not.
    if (auto* object = find(following.name); object && object->followers())
        forget_follower(following, *object);
}

bool Registry::is_gone(std::uint64_t owner, const Name& owned) const
{
    const auto* object = find(owned);
    return !object || object->session != owner;
}

bool Registry::is_gone(const Session::Following& following) const
{
    const auto* object = find(following.name);
    const auto* followers = object ? object->followers() : nullptr;
    return !followers || !followers->has(following.token);
}

Outcome<void> Registry::remove(const Peer& peer, const Names& names)
{
    for (const auto& name : names.list)
        if (const auto object = find_for(peer, name, Right::own); !object)
            return std::unexpected(object.error());
    for (const auto& name : names.list)
        look(name);
    hear(); // Who waited for what was set until now has it.
    for (const auto& name : names.list)
        erase(objects_.find(name));
    return {};
}

void Registry::erase(Objects::iterator object)
{
    if (object->second.event())
        --events_;
    std::erase(rung_, &*object);
    forget(object->second);
    const auto name = object->first;
    const auto ownership = object->second.ownership;
    if (const auto found = belongings_.find(object->second.session); found != belongings_.end()) {
        found->second.names.erase(name);
        if (found->second.names.empty())
            belongings_.erase(found);
    }
    objects_.erase(object);
    audience_.deleted(name, ownership);
}

void Registry::end(Session& session)
{
    for (const auto& following : std::exchange(session.followings, {}))
        unfollow(following);
    end_all(std::exchange(session.owned, {}), session.id);
    auto takings = holds_.end(session);
    if (session.count) {
        std::ranges::move(session.count->in_doubt, std::back_inserter(takings));
        session.count->in_doubt.clear();
        vault_.drop(session.id, record::Kind::session);
    }
    put_back(takings);
}

// So many in each turn of the loop.
void Registry::end_all(std::vector<Name> owned, std::uint64_t owner)
{
    const auto begin = owned.end() - std::min(std::ssize(owned), most_ended_at_once);
    const std::vector<Name> now{std::make_move_iterator(begin),
                                std::make_move_iterator(owned.end())};
    owned.erase(begin, owned.end());
    for (const auto& name : now)
        look(name);
    if (!now.empty())
        hear(); // Its last deed may have been a set.
    for (const auto& name : now)
        if (!is_gone(owner, name))
            erase(objects_.find(name));
    if (!owned.empty())
        loop_.defer(
            [this, owner, rest = std::move(owned)]() mutable { end_all(std::move(rest), owner); });
}

// Processes.

Outcome<Processes::Stay> Registry::enter(const Peer& peer, const UniqueFd& socket,
                                         nanoseconds accepted, Resource needed_for)
{
    if (peer.pid == 0)
        return std::unexpected(refuse::no_such_process());
    auto pidfd = peer_process(socket, peer.pid, accepted);
    if (!pidfd)
        return std::unexpected(pidfd.error().error == ESRCH
                                   ? refuse::no_such_process()
                                   : refuse::system_failure(pidfd.error()));
    if (!processes_.find(peer.pid))
        if (auto free = check_descriptors(peer, needed_for); !free)
            return std::unexpected(std::move(free.error()));
    auto entered =
        processes_.enter({peer.pid, quota_.account(peer.uid)}, *std::move(pidfd), new_id());
    if (!entered)
        return std::unexpected(refuse::system_failure(entered.error()));
    return *std::move(entered);
}

Outcome<std::optional<Processes::Id>>
Registry::find_process(const Peer& peer, const UniqueFd& socket, nanoseconds accepted) const
{
    const auto known = peer.pid == 0 ? std::nullopt : processes_.find(peer.pid);
    if (!known)
        return std::nullopt;
    if (const auto pidfd = peer_process(socket, peer.pid, accepted); !pidfd) {
        if (pidfd.error().error == ESRCH) // Another process has its number now.
            return std::nullopt;
        return std::unexpected(refuse::system_failure(pidfd.error()));
    }
    return known;
}

void Registry::end(Processes::Id process)
{
    if (const auto found = belongings_.find(process); found != belongings_.end())
        end_all({found->second.names.begin(), found->second.names.end()}, process);
    holds_.end(process);
}

Outcome<void> Registry::set_rights(const Peer& peer, const Name& name, Rights rights)
{
    const auto object = find_for(peer, name, Right::own);
    if (!object)
        return std::unexpected(object.error());
    const auto before = (*object)->ownership;
    (*object)->ownership.rights = rights;
    keep(*objects_.find(name));
    audience_.altered(name, **object, before);
    return {};
}

// Setting and clearing.

Outcome<void> Registry::set(const Peer& peer, const Names& names, std::int64_t tokens)
{
    const auto additions = check_set(peer, names, tokens);
    return additions ? add(peer, *additions) : std::unexpected(additions.error());
}

Outcome<Registry::Additions> Registry::check_set(const Peer& peer, const Names& names,
                                                 std::int64_t tokens)
{
    Additions additions;
    std::int64_t sum = 0;
    for (const auto& name : names.list) {
        const auto object = find_for(peer, name, Right::set);
        if (!object)
            return std::unexpected(object.error());
        if ((*object)->timer())
            return std::unexpected(refuse::wrong_kind(name, (*object)->described(), "an event"));
        if (const auto* followers = (*object)->followers())
            sum += tokens * static_cast<std::int64_t>(followers->size());
        else
            sum += (*object)->mode() == Mode::semaphore ? tokens : 1;
        if (sum > max_tokens_per_set)
            return std::unexpected(refuse::too_many_tokens_to_set(name));
        additions.push_back({&name, *object, tokens});
    }
    return additions;
}

Outcome<void> Registry::add(const Peer& peer, const Additions& additions)
{
    const bool anyone_cares =
        std::ranges::any_of(additions, [](const Addition& one) { return is_watched(*one.object); });
    if (const auto done = add_planned(additions); !done)
        return std::unexpected(refuse::system_failure(done.error()));
    const auto now = wall_now();
    for (const auto& addition : additions)
        addition.object->last_set = LastSet{now, peer.uid, peer.pid};
    if (anyone_cares)
        hear(); // Before the next request can undo it.
    return {};
}

Outcome<void> Registry::clear(const Peer& peer, const Names& names)
{
    auto clearance = check_clear(peer, names);
    if (!clearance)
        return std::unexpected(std::move(clearance.error()));
    const auto is_clear = clear(*clearance, MonotonicTime::max());
    return is_clear ? Outcome<void>{} : std::unexpected(is_clear.error());
}

Outcome<Registry::Clearance> Registry::check_clear(const Peer& peer, const Names& names)
{
    Clearance clearance;
    for (const auto& name : names.list) {
        const auto object = find_for(peer, name, Right::set);
        if (!object)
            return std::unexpected(object.error());
        if ((*object)->timer())
            return std::unexpected(refuse::wrong_kind(name, (*object)->described(), "an event"));
        if ((*object)->event())
            clearance.objects.push_back({name, (*object)->serial});
    }
    return clearance;
}

Outcome<bool> Registry::clear(Clearance& clearance, MonotonicTime end)
{
    hear(); // Who waited for what was set until now has it.
    for (; clearance.cleared < clearance.objects.size(); ++clearance.cleared) {
        const auto& next = clearance.objects[clearance.cleared];
        if (auto* object = find(next)) {
            const auto is_clear = object->event()->clear(clearance.left, end);
            if (!is_clear && is_clear.error().error == E2BIG)
                return std::unexpected(refuse::too_many_tokens_to_clear(next.name));
            if (!is_clear)
                return std::unexpected(refuse::system_failure(is_clear.error()));
            if (!*is_clear)
                return false;
        }
        clearance.left.reset();
    }
    return true;
}

} // namespace evfd::daemon
