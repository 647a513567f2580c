#include "evfd/client.h"

#include "client/core/connection.h"
#include "client/core/connection_pool.h"
#include "client/core/monitor.h"
#include "client/core/schedule_request.h"
#include "client/core/umask.h"
#include "client/core/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace evfd {

namespace {

// Parses the pattern `text`. Returns no pattern for an empty text, which means all names.
Expected<std::optional<Pattern>> to_pattern(std::string_view text)
{
    if (text.empty())
        return std::nullopt;
    if (auto pattern = Pattern::parse(text))
        return pattern;
    return std::unexpected(
        Error{ErrorCode::invalid,
              fmt::format("a pattern has at most {} bytes and no character class such "
                          "as [:alpha:]",
                          max_pattern_bytes)});
}

Error wrong_kind(const Name& name, std::string_view actual_kind, std::string_view right_function)
{
    return {ErrorCode::name_taken,
            fmt::format("'{}' is {}; use {}", name.text(), actual_kind, right_function)};
}

Expected<protocol::Set> to_set(std::span<const std::string> texts, std::int64_t count)
{
    const auto items = to_items(texts);
    if (!items)
        return std::unexpected(items.error());
    if (count < 1 || count > max_tokens_per_set)
        return std::unexpected(Error{ErrorCode::invalid,
                                     fmt::format("a set adds 1 to {} tokens", max_tokens_per_set)});
    protocol::Set request;
    for (const auto& item : items->list)
        request.items.list.push_back({.name = item.name, .count = protocol::Tokens{count}});
    return request;
}

// Returns whether the daemon passed a descriptor that this process could not receive, because the
// process had no free descriptor.
bool lacks_fd(const protocol::Opened& one)
{
    return one.file_descriptor && !one.file_descriptor->fd;
}

template <class Reply>
Expected<void> discard_value(Expected<Reply> reply)
{
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return {};
}

} // namespace

template <class Request, class Each>
Expected<void> Client::stream(const Request& request, std::optional<nanoseconds> timeout,
                              const Each& each) const
{
    auto session = pool_->acquire_connected();
    if (!session)
        return std::unexpected(session.error());
    auto& connection = session->connection();
    if (const auto sent =
            connection.send(request, monotonic_deadline(pool_->timeout()), ReplyMode::stream);
        !sent)
        return sent;
    while (true) {
        const auto deadline = timeout ? Deadline{monotonic_deadline(*timeout)} : Deadline{};
        auto received = connection.template receive<Request>(deadline);
        if (!received)
            return std::unexpected(std::move(received.error()));
        if (!each(received->reply))
            return {}; // The return destroys the session, which ends the stream.
        if (!received->continues)
            break;
    }
    pool_->release(*std::move(session));
    return {};
}

template <class Request, class Each>
Expected<void> Client::stream_with_retry(const Request& request, const Each& each) const
{
    const auto timeout = pool_->timeout();
    const auto retry_deadline = monotonic_deadline(timeout);
    while (true) {
        const auto streamed = stream(request, timeout, [&](auto& reply) {
            each(reply);
            return true;
        });
        if (streamed || streamed.error().code != ErrorCode::interrupted ||
            monotonic_now() > retry_deadline)
            return streamed;
    }
}

Client::Client(Address address, nanoseconds timeout)
    : pool_{std::make_shared<ConnectionPool>(std::move(address), timeout)}
{
}

const Address& Client::address() const
{
    return pool_->address();
}

Expected<Made> Client::create(std::string_view text, const CreateOptions& options) const
{
    auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    if (options.initial < 0 || options.initial > max_initial_count)
        return std::unexpected(Error{
            ErrorCode::invalid, fmt::format("an event starts with 0 to {}", max_initial_count)});
    auto reply = pool_->call(protocol::CreateEvent{
        .name = *std::move(name),
        .mode = options.mode,
        .initial = protocol::InitialCount{options.initial},
        .permissions = options.permissions.value_or(Permissions::under_umask(current_umask())),
        .lifetime = options.lifetime,
        .if_missing = options.if_missing,
    });
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    if (options.lifetime == Lifetime::session)
        pool_->enable_auto_resume();
    return Made{reply->created, reply->id.value};
}

Expected<Made> Client::arm(std::string_view text, const Schedule& schedule,
                           const ArmOptions& options) const
{
    const auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    auto request = to_arm_request(*name, schedule);
    if (!request)
        return std::unexpected(std::move(request.error()));
    request->permissions = options.permissions.value_or(Permissions::under_umask(current_umask()));
    request->lifetime = options.lifetime;
    auto reply = pool_->call(*std::move(request));
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    if (options.lifetime == Lifetime::session)
        pool_->enable_auto_resume();
    return Made{reply->created, reply->id.value};
}

Expected<void> Client::disarm(std::span<const std::string> texts) const
{
    const auto items = to_items(texts);
    return items ? discard_value(pool_->call(protocol::Disarm{*items}))
                 : std::unexpected(items.error());
}

// Opens all `items` by one call. Returns one entry for each item, in the order of the items.
Expected<std::vector<protocol::Opened>> Client::open_all(const Items<protocol::Item>& items) const
{
    if (address().remote)
        return std::unexpected(
            Error{ErrorCode::refused,
                  fmt::format("'{}' cannot be opened from here: descriptors cannot "
                              "be passed between machines; run this on '{}'",
                              items.list.front().name.text(), address().remote->host)});
    auto reply = pool_->call(protocol::Open{items});
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    if (reply->objects.size() != items.list.size())
        return std::unexpected(
            Error{ErrorCode::system, "the daemon's reply does not match the requested names"});
    if (std::ranges::any_of(reply->objects, lacks_fd)) {
        for (const auto& one : reply->objects)
            if (one.subscription)
                pool_->send_oneway(protocol::Unsubscribe{*one.subscription});
        return std::unexpected(Error{
            ErrorCode::no_descriptor,
            fmt::format(
                "this process has no free descriptor for '{}'; close some, or raise its limit",
                items.list.front().name.text())});
    }
    if (std::ranges::any_of(reply->objects, [](const auto& one) { return !!one.subscription; }))
        pool_->enable_auto_resume();
    return std::move(reply->objects);
}

Event Client::to_event(const Name& name, protocol::Opened opened) const
{
    return {pool_,
            name,
            *opened.mode,
            Access{.wait = opened.may_wait, .set = opened.may_set},
            opened.file_descriptor ? std::move(opened.file_descriptor->fd) : UniqueFd{},
            opened.subscription.value_or("")};
}

Timer Client::to_timer(const Name& name, protocol::Opened opened) const
{
    return {pool_, name, Access{.wait = opened.may_wait, .set = opened.may_set},
            opened.file_descriptor ? std::move(opened.file_descriptor->fd) : UniqueFd{},
            opened.subscription.value_or("")};
}

Expected<std::vector<Event>> Client::open(std::span<const std::string> texts) const
{
    const auto items = to_items(texts);
    if (!items)
        return std::unexpected(items.error());
    auto opened = open_all(*items);
    if (!opened)
        return std::unexpected(std::move(opened.error()));
    std::vector<Event> events;
    std::optional<Error> error;
    for (std::size_t i = 0; i < opened->size(); ++i) {
        auto& one = (*opened)[i];
        if (one.kind == Kind::event && one.mode) {
            events.push_back(to_event(items->list[i].name, std::move(one)));
            continue;
        }
        error = wrong_kind(items->list[i].name, "a timer", "open_timer()");
        // The returned Timer is destroyed at once, which ends its subscription.
        (void)to_timer(items->list[i].name, std::move(one));
    }
    if (error)
        return std::unexpected(*std::move(error));
    return events;
}

Expected<Event> Client::open(std::string_view name) const
{
    const std::string one[] = {std::string{name}};
    auto events = open(one);
    if (!events)
        return std::unexpected(std::move(events.error()));
    return std::move(events->front());
}

Expected<Timer> Client::open_timer(std::string_view text) const
{
    const auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    auto opened = open_all({{{*name}}});
    if (!opened)
        return std::unexpected(std::move(opened.error()));
    auto& one = opened->front();
    if (one.kind == Kind::timer)
        return to_timer(*name, std::move(one));
    if (one.mode)
        (void)to_event(*name, std::move(one)); // The Event's destructor ends the subscription.
    return std::unexpected(wrong_kind(*name, "an event", "open()"));
}

Expected<std::variant<Event, Timer>> Client::to_either(const Name& name,
                                                       protocol::Opened opened) const
{
    if (opened.kind == Kind::timer)
        return to_timer(name, std::move(opened));
    if (opened.mode)
        return to_event(name, std::move(opened));
    return std::unexpected(
        Error{ErrorCode::system,
              fmt::format("the daemon's reply has no mode for '{}'; is it newer than this program?",
                          name.text())});
}

Expected<std::variant<Event, Timer>> Client::open_either(std::string_view text) const
{
    const auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    auto opened = open_all({{{*name}}});
    if (!opened)
        return std::unexpected(std::move(opened.error()));
    return to_either(*name, std::move(opened->front()));
}

Expected<std::vector<std::unique_ptr<Waitable>>>
Client::open_each(std::span<const std::string> texts) const
{
    const auto items = to_items(texts);
    if (!items)
        return std::unexpected(items.error());
    auto opened = open_all(*items);
    if (!opened)
        return std::unexpected(std::move(opened.error()));
    std::vector<std::unique_ptr<Waitable>> all;
    for (std::size_t i = 0; i < opened->size(); ++i) {
        auto either = to_either(items->list[i].name, std::move((*opened)[i]));
        if (!either)
            return std::unexpected(std::move(either.error()));
        all.push_back(std::visit(
            [](auto& one) -> std::unique_ptr<Waitable> {
                return std::make_unique<std::remove_reference_t<decltype(one)>>(std::move(one));
            },
            *either));
    }
    return all;
}

Expected<void> Client::set(std::span<const std::string> texts, std::int64_t count) const
{
    auto request = to_set(texts, count);
    return request ? discard_value(pool_->call(*std::move(request)))
                   : std::unexpected(request.error());
}

Expected<void> Client::set_oneway(std::span<const std::string> texts, std::int64_t count) const
{
    const auto request = to_set(texts, count);
    return request ? pool_->send_once(*request) : std::unexpected(request.error());
}

Expected<void> Client::clear(std::span<const std::string> texts) const
{
    const auto items = to_items(texts);
    return items ? pool_->clear({*items}) : std::unexpected(items.error());
}

Expected<void> Client::delete_object(std::span<const std::string> texts) const
{
    const auto items = to_items(texts);
    return items ? discard_value(pool_->call(protocol::Delete{*items}))
                 : std::unexpected(items.error());
}

Expected<void> Client::set_permissions(std::string_view text, Permissions permissions) const
{
    const auto name = to_name(text);
    return name ? discard_value(pool_->call(protocol::SetPermissions{*name, permissions}))
                : std::unexpected(name.error());
}

Expected<protocol::Object> Client::show(std::string_view text) const
{
    const auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    auto reply = pool_->call(protocol::Show{*name});
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->object);
}

Expected<protocol::Status::Reply> Client::status() const
{
    return pool_->call(protocol::Status{});
}

Expected<protocol::Metrics::Reply> Client::metrics() const
{
    return pool_->call(protocol::Metrics{});
}

Expected<void> Client::quotas(const std::function<void(protocol::Quotas::User&)>& each) const
{
    // The last user that was passed to `each`. A daemon that is restarted sends the whole list
    // again, which is sorted by uid. The users up to `last` are skipped.
    std::optional<uid_t> last;
    return stream_with_retry(protocol::Quotas{}, [&](protocol::Quotas::Reply& reply) {
        for (auto& user : reply.users) {
            if (last && user.uid <= *last)
                continue;
            last = user.uid;
            each(user);
        }
    });
}

Expected<void> Client::list(std::string_view text,
                            const std::function<void(protocol::Object&)>& each) const
{
    using protocol::ListObjects;
    auto pattern = to_pattern(text);
    if (!pattern)
        return std::unexpected(pattern.error());
    // The last name that was passed to `each`. A daemon that is restarted sends the whole list
    // again, which is sorted by name. The names up to `last` are skipped.
    std::optional<Name> last;
    return stream_with_retry(ListObjects{*pattern}, [&](ListObjects::Reply& reply) {
        for (auto& object : reply.objects) {
            if (last && object.name <= *last)
                continue;
            last = object.name;
            each(object);
        }
    });
}

// Makes a Wait request without a timeout. The code that sends the request adds the timeout.
Expected<protocol::Wait> Client::to_wait(std::span<const std::string> texts,
                                         const WaitOptions& options)
{
    const auto items = to_items(texts);
    if (!items)
        return std::unexpected(items.error());
    if (options.count < 1)
        return std::unexpected(Error{ErrorCode::invalid, "wait for at least one expiry"});
    protocol::Wait request{.items = {}, .require = options.require};
    for (const auto& item : items->list)
        request.items.list.push_back({.name = item.name,
                                      .count = protocol::Count{options.count},
                                      .existing = options.existing});
    return request;
}

Expected<std::vector<protocol::Fired>> Client::wait(std::span<const std::string> texts,
                                                    const WaitOptions& options) const
{
    auto request = to_wait(texts, options);
    if (!request)
        return std::unexpected(std::move(request.error()));
    return pool_->wait(*std::move(request), to_deadline(options.timeout));
}

Expected<Hold> Client::hold(std::string_view text, std::optional<nanoseconds> timeout) const
{
    return hold(text, timeout, address().remote ? Holder::session : Holder::process);
}

Expected<Hold> Client::hold(std::string_view text, std::optional<nanoseconds> timeout,
                            Holder holder) const
{
    auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    auto pool = std::make_unique<ConnectionPool>(pool_->address(), pool_->timeout());
    auto id = pool->hold({.items = {{{*std::move(name)}}}}, holder, to_deadline(timeout));
    if (!id)
        return std::unexpected(std::move(id.error()));
    return Hold{std::move(pool), *std::move(id), holder};
}

Expected<Hold> Client::join(std::string id) const
{
    auto pool = std::make_unique<ConnectionPool>(pool_->address(), pool_->timeout());
    if (const auto joined = pool->call(protocol::Join{id}); !joined)
        return std::unexpected(joined.error());
    return Hold{std::move(pool), std::move(id), Holder::process};
}

Expected<void> Client::monitor(std::string_view text,
                               const std::function<bool(protocol::Monitor::Reply&)>& each) const
{
    auto pattern = to_pattern(text);
    if (!pattern)
        return std::unexpected(pattern.error());
    return stream(protocol::Monitor{.pattern = *std::move(pattern)}, std::nullopt, each);
}

Expected<Monitor> Client::changes_with_waiters(std::string_view text) const
{
    auto pattern = to_pattern(text);
    if (!pattern)
        return std::unexpected(pattern.error());
    return Monitor::begin(pool_, *std::move(pattern), true);
}

Expected<Monitor> Client::changes(std::string_view text) const
{
    auto pattern = to_pattern(text);
    if (!pattern)
        return std::unexpected(pattern.error());
    return Monitor::begin(pool_, *std::move(pattern), false);
}

} // namespace evfd
