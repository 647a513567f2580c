#include "client/evfd/client.h"

#include "client/channel.h"
#include "client/daemon.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdio>
#include <utility>

namespace evfd {

namespace {

Error malformed(std::string_view name)
{
    return {
        ErrorCode::invalid,
        fmt::format("'{}' is no name: use 1 to {} bytes, segments of letters, digits and ._@:+- "
                    "joined by single slashes, none of them '.' or '..'",
                    name, max_name_bytes)};
}

Try<Name> to_name(std::string_view text)
{
    if (auto name = Name::parse(text))
        return *std::move(name);
    return std::unexpected(malformed(text));
}

Try<Names> to_names(std::span<const std::string> texts)
{
    Names names;
    for (const auto& text : texts) {
        auto name = to_name(text);
        if (!name)
            return std::unexpected(name.error());
        names.list.push_back(*std::move(name));
    }
    if (names.list.empty() || names.list.size() > max_names_per_call)
        return std::unexpected(
            Error{ErrorCode::invalid, fmt::format("name 1 to {} objects at a time, not {}",
                                                  max_names_per_call, names.list.size())});
    if (Codec<Names>::has_twins(names.list))
        return std::unexpected(Error{ErrorCode::invalid, "name each object once"});
    return names;
}

// All, for an empty one.
Try<std::optional<Pattern>> to_pattern(std::string_view text)
{
    if (text.empty())
        return std::nullopt;
    if (auto pattern = Pattern::parse(text))
        return pattern;
    return std::unexpected(Error{ErrorCode::invalid,
                                 fmt::format("a pattern has at most {} bytes", max_pattern_bytes)});
}

// umask(2) can only be read by setting it, which other threads would see.
mode_t current_umask()
{
    constexpr mode_t usual = 022;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> status{std::fopen("/proc/self/status", "re"),
                                                           &std::fclose};
    char line[256];
    unsigned mask = usual;
    while (status && std::fgets(line, sizeof line, status.get()))
        if (std::sscanf(line, "Umask: %o", &mask) == 1)
            break;
    return mask;
}

template <class Reply>
Try<void> nothing(Try<Reply> reply)
{
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return {};
}

} // namespace

template <class Request, class Each>
Try<void> Client::stream(const Request& request, std::optional<nanoseconds> patience,
                         const Each& each) const
{
    auto channel = daemon_->borrow();
    if (!channel)
        return std::unexpected(channel.error());
    if (const auto sent =
            channel->send(request, monotonic_after(daemon_->patience()), Answers::many);
        !sent)
        return sent;
    while (true) {
        const auto deadline = patience ? Deadline{monotonic_after(*patience)} : Deadline{};
        auto received = channel->receive<Request>(deadline);
        if (!received)
            return std::unexpected(std::move(received.error()));
        if (!each(received->reply))
            return {}; // With the channel goes the rest of the stream.
        if (!received->continues)
            break;
    }
    daemon_->give_back(*std::move(channel));
    return {};
}

Client::Client(Address address, nanoseconds patience)
    : daemon_{std::make_shared<Daemon>(std::move(address), patience)}
{
}

Try<bool> Client::create(std::string_view text, const CreateOptions& options) const
{
    auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    if (options.initial < 0 || options.initial > max_initial_count)
        return std::unexpected(Error{
            ErrorCode::invalid, fmt::format("an event starts with 0 to {}", max_initial_count)});
    auto reply = daemon_->call(protocol::CreateEvent{
        .name = *std::move(name),
        .mode = options.mode,
        .initial = protocol::InitialCount{options.initial},
        .rights = options.rights.value_or(Rights::under_umask(current_umask())),
        .lifetime = options.lifetime,
        .if_missing = options.if_missing,
    });
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return reply->created;
}

Try<std::vector<Event>> Client::open(std::span<const std::string> texts) const
{
    const auto names = to_names(texts);
    if (!names)
        return std::unexpected(names.error());
    auto reply = daemon_->call(protocol::Open{*names});
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    if (reply->objects.size() != names->list.size())
        return std::unexpected(
            Error{ErrorCode::system, "the daemon answered for other names than it was asked for"});
    std::vector<Event> events;
    for (std::size_t i = 0; i < reply->objects.size(); ++i) {
        auto& opened = reply->objects[i];
        events.push_back(
            Event{daemon_, names->list[i], opened.mode,
                  Access{.wait = opened.may_wait, .set = opened.may_set},
                  opened.file_descriptor ? std::move(opened.file_descriptor->fd) : UniqueFd{},
                  opened.subscription.value_or("")});
    }
    return events;
}

Try<Event> Client::open(std::string_view name) const
{
    const std::string one[] = {std::string{name}};
    auto events = open(one);
    if (!events)
        return std::unexpected(std::move(events.error()));
    return std::move(events->front());
}

Try<void> Client::set(std::span<const std::string> texts, std::int64_t count) const
{
    const auto names = to_names(texts);
    if (!names)
        return std::unexpected(names.error());
    if (count < 1 || count > max_tokens_per_set)
        return std::unexpected(Error{ErrorCode::invalid,
                                     fmt::format("a set adds 1 to {} tokens", max_tokens_per_set)});
    return nothing(daemon_->call(protocol::Set{*names, protocol::Tokens{count}}));
}

Try<void> Client::clear(std::span<const std::string> texts) const
{
    const auto names = to_names(texts);
    return names ? nothing(daemon_->call(protocol::Clear{*names})) : std::unexpected(names.error());
}

Try<void> Client::remove(std::span<const std::string> texts) const
{
    const auto names = to_names(texts);
    return names ? nothing(daemon_->call(protocol::Delete{*names}))
                 : std::unexpected(names.error());
}

Try<void> Client::set_rights(std::string_view text, Rights rights) const
{
    const auto name = to_name(text);
    return name ? nothing(daemon_->call(protocol::SetRights{*name, rights}))
                : std::unexpected(name.error());
}

Try<protocol::Object> Client::show(std::string_view text) const
{
    const auto name = to_name(text);
    if (!name)
        return std::unexpected(name.error());
    auto reply = daemon_->call(protocol::Show{*name});
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->object);
}

Try<protocol::Status::Reply> Client::status() const
{
    return daemon_->call(protocol::Status{});
}

Try<void> Client::list(std::string_view text,
                       const std::function<void(protocol::Object&)>& each) const
{
    using protocol::ListObjects;
    auto pattern = to_pattern(text);
    if (!pattern)
        return std::unexpected(pattern.error());
    return stream(ListObjects{*std::move(pattern)}, daemon_->patience(),
                  [&](ListObjects::Reply& reply) {
                      for (auto& object : reply.objects)
                          each(object);
                      return true;
                  });
}

Try<std::vector<protocol::Fired>> Client::wait(std::span<const std::string> texts,
                                               const WaitOptions& options) const
{
    auto names = to_names(texts);
    if (!names)
        return std::unexpected(names.error());
    const auto deadline =
        options.timeout ? Deadline{monotonic_after(*options.timeout)} : Deadline{};
    return daemon_->wait({.names = *std::move(names),
                          .gather = options.gather,
                          .timeout = {},
                          .existing = options.existing},
                         deadline);
}

Try<void> Client::monitor(std::string_view text,
                          const std::function<bool(protocol::Monitor::Reply&)>& each) const
{
    auto pattern = to_pattern(text);
    if (!pattern)
        return std::unexpected(pattern.error());
    return stream(protocol::Monitor{*std::move(pattern)}, std::nullopt, each);
}

} // namespace evfd
