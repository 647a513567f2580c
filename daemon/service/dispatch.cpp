#include "daemon/service/dispatch.h"

#include "daemon/base/on_stack.h"
#include "daemon/service/write_refusal.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace evfd::daemon {

namespace {

using Serve = std::unique_ptr<PendingReply> (*)(Service&, Caller&, const Call&, OutputQueue&);

struct Method {
    std::string_view name; // The full name, such as "io.evfdd.Open".
    Serve serve;
};

std::unique_ptr<PendingReply> refuse(Service& service, const Refusal& refusal, OutputQueue& output)
{
    write_refusal(refusal, service.counters(), output);
    return {};
}

// Returns which part of the call the daemon records. Because of the record, a call that the client
// repeats is not done twice. For an Open, the daemon records only the new subscriptions, because an
// Open that creates no subscription can be executed again without harm.
template <class Request>
ReplyCache::Recorded what_to_record(const Call& call)
{
    using Recorded = ReplyCache::Recorded;
    if (!protocol::is_counted<Request> || call.oneway)
        return Recorded::nothing;
    return std::is_same_v<Request, protocol::Open> ? Recorded::subscriptions : Recorded::reply;
}

// Returns whether the call must be refused while the state store cannot record anything. A Wait
// need not be refused, because it changes nothing until it takes tokens.
template <class Request>
bool requires_storage(const ReplyCache& reply_cache)
{
    return protocol::is_counted<Request> && !std::is_same_v<Request, protocol::Wait> &&
           !reply_cache.has_begun();
}

template <class Request>
std::unique_ptr<PendingReply> answer(Service& service, Caller& caller, const Call& call,
                                     OutputQueue& output)
{
    // The second check gives the same result as the check that set may_reply, because no unread
    // bytes of the user are released in between. It returns the refusal. A oneway call needs no
    // room, because it has no reply.
    if (!caller.may_reply && !call.oneway &&
        !ReplyCache{service.registry(), caller.session}.has_begun())
        if (const auto room = service.check_reply_room(caller.session.peer.uid); !room)
            return refuse(service, room.error(), output);
    if (protocol::is_streaming<Request> && !call.more)
        return refuse(service, protocol::ExpectedMore{}, output);
    const auto request = decode<Request>(call.parameters);
    if (!request)
        return refuse(service, protocol::InvalidParameter{request.error().name}, output);
    auto answer = [&] {
        const OnStack<Service> entered;
        return service.handle(caller, *request);
    }();
    service.apply_changes();
    if (!answer)
        return refuse(service, answer.error(), output);
    caller.modifies_state = protocol::is_counted<Request>;
    using Answer = typename decltype(answer)::value_type;
    if constexpr (std::is_same_v<Answer, std::unique_ptr<PendingReply>>)
        if (*answer)
            return *std::move(answer);
    if constexpr (std::is_same_v<Answer, typename Request::Reply>) {
        output.reply(*answer, false);
    } else {
        typename Request::Reply done;
        output.reply(done, false);
    }
    return {};
}

// Executes the call, unless the session has already recorded the reply to this call. In that case,
// returns a pending reply that sends the recorded reply again.
template <class Request>
std::unique_ptr<PendingReply> serve(Service& service, Caller& caller, const Call& call,
                                    OutputQueue& output)
{
    caller.is_streaming = call.more;
    ReplyCache reply_cache{service.registry(), caller.session};
    if (auto done_before = reply_cache.begin(what_to_record<Request>(call)))
        return done_before;
    service.counters().count_call<Request>();
    service.reserve_stash_room(1);
    const auto begin = output.bytes_queued();
    if (requires_storage<Request>(reply_cache))
        if (const auto prepared = service.registry().state_store.prepare(); !prepared) {
            refuse(service, prepared.error(), output);
            reply_cache.finish_refused(output.text_since(begin));
            return {};
        }
    auto pending = answer<Request>(service, caller, call, output);
    // The call is finished. A reply with descriptors is recorded as an empty text, because it
    // cannot be sent again.
    if (!pending)
        reply_cache.finish(output.carries_descriptors() ? std::string_view{}
                                                        : output.text_since(begin));
    return pending;
}

// Returns the methods with their handlers. If the service does not handle a method that the
// protocol lists, this function does not compile.
template <class... Requests>
consteval auto methods(TypeList<Requests...>)
{
    return std::array{Method{protocol::full_name<Requests>(), &serve<Requests>}...};
}

constexpr auto all_methods = methods(AllMethods{});

Refusal unknown_method(std::string_view name)
{
    const auto dot = name.rfind('.');
    const auto interface = name.substr(0, dot == name.npos ? 0 : dot);
    if (interface == protocol::Evfdd::name || interface == protocol::VarlinkService::name)
        return protocol::MethodNotFound{std::string{name}};
    return protocol::InterfaceNotFound{std::string{interface}};
}

std::unique_ptr<PendingReply> find_and_serve(Service& service, Caller& caller, const Call& call,
                                             OutputQueue& output)
{
    const auto* method = std::ranges::find(all_methods, call.method, &Method::name);
    if (method == all_methods.end())
        return refuse(service, unknown_method(call.method), output);
    // The daemon has no other protocol that a connection could be upgraded to. The connection stays
    // usable after this error.
    if (call.upgrade)
        return refuse(service, protocol::InvalidParameter{"upgrade"}, output);
    return method->serve(service, caller, call, output);
}

} // namespace

std::unique_ptr<PendingReply> dispatch(Service& service, Caller& caller, const Call& call,
                                       OutputQueue& output)
{
    using Replies = OutputQueue::Replies;
    output.begin_call(call.oneway ? Replies::discarded : Replies::sent);
    auto pending = find_and_serve(service, caller, call, output);
    if (!call.oneway || !pending || pending->must_finish())
        return pending;
    // The client wants no reply, so the call ends as if its reply had been sent.
    pending->on_sent();
    return {};
}

} // namespace evfd::daemon
