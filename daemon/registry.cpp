#include "daemon/registry.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace evfd::daemon {

namespace {

// Of a whole file's default rights this is what a usual umask leaves: the caller's own we cannot
// see.
constexpr auto default_rights = Rights::under_umask(022);

EventLoop::Watch watch_or_throw(EventLoop& loop, const UniqueFd& fd, EventLoop::Callback callback)
{
    auto watch = loop.watch(fd, EPOLLIN, std::move(callback));
    if (!watch)
        throw std::system_error{watch.error().error, std::generic_category(), "epoll_ctl(2)"};
    return *std::move(watch);
}

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

std::string described(Mode mode)
{
    return fmt::format("{} {} event", mode == Mode::automatic ? "an" : "a", word(mode));
}

} // namespace

Mode Object::mode() const
{
    const auto* event = std::get_if<Event>(&body);
    return event ? event->mode() : Mode::pulse;
}

Registry::Registry(EventLoop& loop, Quota& quota, Audience& audience, Adder adder,
                   std::int64_t descriptor_budget)
    : quota_{quota}, audience_{audience}, adder_{std::move(adder)},
      descriptor_budget_{descriptor_budget},
      rings_watch_{watch_or_throw(loop, rings_.fd(), [this](std::uint32_t) { hear(); })}
{
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

Outcome<Object*> Registry::find_for(const Peer& peer, const Name& name, Right right)
{
    auto* object = find(name);
    if (!object)
        return std::unexpected(refuse::no_such_name(name));
    const auto access = access_of(peer, object->ownership);
    const bool may = right == Right::own    ? owns(peer, object->ownership)
                     : right == Right::wait ? access.wait
                                            : access.set;
    if (!may)
        return std::unexpected(
            refuse::not_permitted(name, right, object->ownership.rights, object->ownership.owner));
    return object;
}

std::int64_t Registry::free_descriptors() const
{
    return descriptor_budget_ - events_ - quota_.used_by_all(Resource::subscriptions);
}

// Making, opening, deleting.

Outcome<Object::Body> Registry::make_body(const protocol::CreateEvent& request) const
{
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse)
        return Pulse{};
    if (free_descriptors() <= 0)
        return std::unexpected(refuse::system_failure({"eventfd(2)", EMFILE}));
    auto event = Event::create(mode, request.initial.value_or(protocol::InitialCount{0}).value);
    if (!event)
        return std::unexpected(refuse::system_failure(event.error()));
    return *std::move(event);
}

Outcome<bool> Registry::create(Session& session, const protocol::CreateEvent& request)
{
    const auto mode = request.mode.value_or(Mode::manual);
    if (mode == Mode::pulse && request.initial && request.initial->value > 0)
        return std::unexpected(protocol::InvalidParameter{"initial"});

    if (const auto* there = find(request.name)) {
        if (there->mode() != mode)
            return std::unexpected(
                refuse::wrong_kind(request.name, described(there->mode()), described(mode)));
        if (!request.if_missing.value_or(false))
            return std::unexpected(refuse::name_taken(request.name));
        return false;
    }

    auto charge = quota_.take(session.peer.uid, Resource::objects);
    if (!charge)
        return std::unexpected(refuse::quota_exceeded(charge.error()));
    auto body = make_body(request);
    if (!body)
        return std::unexpected(std::move(body.error()));

    const bool stays = request.lifetime.value_or(Lifetime::permanent) == Lifetime::permanent;
    const auto [made, is_new] = objects_.try_emplace(
        request.name, ++last_serial_,
        Ownership{session.peer.uid, session.peer.gid, request.rights.value_or(default_rights)},
        session.peer.pid, stays ? 0 : session.id, *std::move(charge), *std::move(body));
    if (made->second.event())
        ++events_;
    if (!stays) {
        make_room(session.owned, [&](const Name& owned) { return is_gone(session, owned); });
        session.owned.push_back(request.name);
    }
    audience_.created(made->first, made->second);
    return is_new;
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
    const auto access = access_of(session.peer, object.ownership);
    if (!access.wait && !access.set)
        return std::unexpected(refuse::not_permitted(name, Right::wait, object.ownership.rights,
                                                     object.ownership.owner));
    if (auto* pulse = std::get_if<Pulse>(&object.body); pulse && access.wait)
        return subscribe(session, name, *pulse, access);

    protocol::Opened opened{Kind::event, object.mode(), access.wait, access.set, {}, {}};
    if (auto* event = object.event(); event && access.wait) {
        auto fd = access.set ? event->share() : event->share_wait_only();
        if (!fd)
            return std::unexpected(refuse::system_failure(fd.error()));
        opened.file_descriptor = Handed{*std::move(fd)};
    }
    return opened;
}

Outcome<protocol::Opened> Registry::subscribe(Session& session, const Name& name, Pulse& pulse,
                                              Access access)
{
    auto charge = quota_.take(session.peer.uid, Resource::subscriptions);
    if (!charge)
        return std::unexpected(refuse::quota_exceeded(charge.error()));
    if (free_descriptors() < 0)
        return std::unexpected(refuse::system_failure({"eventfd(2)", EMFILE}));
    const auto token = Token::make();
    if (!token)
        return std::unexpected(refuse::system_failure(token.error()));
    auto fd = pulse.subscribe(*token, *std::move(charge));
    if (!fd)
        return std::unexpected(refuse::system_failure(fd.error()));
    make_room(session.followings, [&](const auto& following) { return is_gone(following); });
    session.followings.push_back({name, *token});
    return protocol::Opened{
        Kind::event, Mode::pulse, access.wait, access.set, Handed{*std::move(fd)}, token->text()};
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
    if (auto* object = find(following.name))
        if (auto* pulse = std::get_if<Pulse>(&object->body))
            pulse->unsubscribe(following.token);
}

bool Registry::is_gone(const Session& session, const Name& owned) const
{
    const auto* object = find(owned);
    return !object || object->session != session.id;
}

bool Registry::is_gone(const Session::Following& following) const
{
    const auto* object = find(following.name);
    const auto* pulse = object ? std::get_if<Pulse>(&object->body) : nullptr;
    return !pulse || !pulse->has(following.token);
}

Outcome<void> Registry::remove(const Peer& peer, const Names& names)
{
    for (const auto& name : names.list)
        if (const auto object = find_for(peer, name, Right::own); !object)
            return std::unexpected(object.error());
    hear(); // Who waited for what was set until now has it.
    for (const auto& name : names.list)
        erase(objects_.find(name));
    return {};
}

void Registry::erase(Objects::iterator object)
{
    if (object->second.event())
        --events_;
    const auto name = object->first;
    objects_.erase(object);
    audience_.deleted(name);
}

void Registry::end(Session& session)
{
    for (const auto& following : std::exchange(session.followings, {}))
        unfollow(following);
    if (session.owned.empty())
        return;
    hear(); // Its last deed may have been a set.
    for (const auto& name : std::exchange(session.owned, {}))
        if (!is_gone(session, name))
            erase(objects_.find(name));
}

Outcome<void> Registry::set_rights(const Peer& peer, const Name& name, Rights rights)
{
    const auto object = find_for(peer, name, Right::own);
    if (!object)
        return std::unexpected(object.error());
    (*object)->ownership.rights = rights;
    audience_.altered(name, **object);
    return {};
}

// Setting and clearing.

Outcome<void> Registry::set(const Peer& peer, const Names& names, std::int64_t tokens)
{
    std::int64_t sum = 0;
    for (const auto& name : names.list) {
        const auto object = find_for(peer, name, Right::set);
        if (!object)
            return std::unexpected(object.error());
        if (const auto* pulse = std::get_if<Pulse>(&(*object)->body))
            sum += tokens * static_cast<std::int64_t>(pulse->subscriptions());
        else
            sum += (*object)->mode() == Mode::semaphore ? tokens : 1;
        if (sum > max_tokens_per_set)
            return std::unexpected(refuse::too_many_tokens_to_set(name));
    }

    bool anyone_cares = false;
    for (const auto& name : names.list) {
        auto& object = *find(name);
        anyone_cares |= object.watch.has_value();
        const auto set_it = [&](auto& body) { return body.set(tokens, adder_); };
        if (const auto done = std::visit(set_it, object.body); !done)
            return std::unexpected(refuse::system_failure(done.error()));
        if (!object.event())
            audience_.pulsed(name, object, tokens);
    }
    if (anyone_cares)
        hear(); // Before the next request can undo it.
    return {};
}

Outcome<void> Registry::clear(const Peer& peer, const Names& names)
{
    for (const auto& name : names.list)
        if (const auto object = find_for(peer, name, Right::set); !object)
            return std::unexpected(object.error());

    hear(); // Who waited for what was set until now has it.
    auto reads = max_tokens_per_clear;
    for (const auto& name : names.list) {
        const auto* event = find(name)->event();
        if (!event)
            continue;
        const auto cleared = event->clear(reads);
        if (!cleared && cleared.error().error == E2BIG)
            return std::unexpected(refuse::too_many_tokens_to_clear(name));
        if (!cleared)
            return std::unexpected(refuse::system_failure(cleared.error()));
    }
    return {};
}

// Watching.

Result<void> Registry::watch(const Name& name, Object& object)
{
    auto* event = object.event();
    if (!event || object.watch) {
        hear();
        return {};
    }
    // A write and a read each ring, whoever does them. Edge-triggered, so nothing has to be taken;
    // EPOLLOUT, or a set that is cleared at once would not be told: epoll looks again, and finds an
    // event that is not readable but is writable. It also makes the watch ring once to begin with.
    auto& entry = *objects_.find(name);
    auto watch = rings_.watch(event->fd(), EPOLLIN | EPOLLOUT | EPOLLET,
                              [this, &entry](std::uint32_t) { on_ring(entry); });
    if (!watch)
        return std::unexpected(watch.error());
    object.watch.emplace(*std::move(watch));
    object.is_freshly_watched = true;
    hear();
    return {};
}

void Registry::reconsider(const Name& name)
{
    auto* object = find(name);
    if (object && object->watch && !audience_.cares_for(name))
        object->watch.reset();
}

void Registry::on_ring(Entry& entry)
{
    if (std::exchange(entry.second.is_freshly_watched, false))
        return;
    audience_.rang(entry.first, entry.second);
}

void Registry::hear()
{
    if (std::exchange(hearing_, true))
        return; // Whoever hears may do what asks for this again.
    // Each turn tells of a batch, the longest waiting first; busy writers could go on for ever.
    constexpr auto batch = static_cast<std::int64_t>(EventLoop::batch);
    const auto most_turns = 1 + events_ / batch;
    for (std::int64_t turn = 0; turn < most_turns; ++turn) {
        const auto told = rings_.run_once(nanoseconds{0});
        if (!told)
            spdlog::error("cannot hear of events: {}", told.error().message());
        if (!told || *told < batch)
            break;
    }
    audience_.heard();
    hearing_ = false;
}

} // namespace evfd::daemon
