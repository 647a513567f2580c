#include "daemon/service/dispatch.h"

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace evfd::daemon {

namespace {

using Serve = std::unique_ptr<PendingReply> (*)(Service&, Caller&, const Call&, OutputQueue&);

struct Method {
    std::string_view interface;
    std::string_view name;
    Serve serve;
};

std::unique_ptr<PendingReply> refuse(Service& service, Refusal refusal, OutputQueue& output)
{
    service.refuse(std::move(refusal), output);
    return {};
}

template <class Request>
std::unique_ptr<PendingReply> answer(Service& service, Caller& caller, const Call& call,
                                     OutputQueue& output)
{
    if (!caller.may_reply)
        return refuse(service, service.no_reply_room(caller.session.peer.uid), output);
    if (protocol::is_streaming<Request> && !call.more)
        return refuse(service, protocol::ExpectedMore{}, output);
    const auto request = decode<Request>(call.parameters);
    if (!request)
        return refuse(service, protocol::InvalidParameter{request.error().name}, output);
    auto answer = service.handle(caller, *request);
    if (!answer)
        return refuse(service, std::move(answer.error()), output);
    caller.modifies_state = protocol::is_counted<Request>;
    if constexpr (std::is_same_v<typename decltype(answer)::value_type,
                                 std::unique_ptr<PendingReply>>) {
        if (*answer == nullptr) {
            typename Request::Reply done;
            output.reply(done, false);
        }
        return *std::move(answer);
    } else {
        output.reply(*answer, false);
        return {};
    }
}

// Returns whether the call is refused while nothing can be recorded. A Wait is accepted, because it
// changes nothing until it takes tokens. A Set that has begun continues, because it is too late to
// refuse it.
template <class Request>
bool requires_storage(const Session& session)
{
    const bool has_begun = session.reply_cache && session.reply_cache->tokens_applied > 0;
    return protocol::is_counted<Request> && !std::is_same_v<Request, protocol::Wait> && !has_begun;
}

// Executes the call once if the session counts it: a call that was done before is only answered
// again.
template <class Request>
std::unique_ptr<PendingReply> serve(Service& service, Caller& caller, const Call& call,
                                    OutputQueue& output)
{
    auto& session = caller.session;
    caller.is_streaming = call.more;
    const bool is_sequenced = protocol::is_counted<Request> && session.reply_cache && !call.oneway;
    if (is_sequenced)
        if (auto replay = service.replay(session))
            return replay;
    service.counters().count_call<Request>();
    service.reserve_stash_room(1);
    if (requires_storage<Request>(session))
        if (auto prepared = service.prepare(); !prepared) {
            if (is_sequenced) // A refusal is not recorded either.
                service.finish_idempotent_call(session);
            return refuse(service, std::move(prepared.error()), output);
        }
    if (!is_sequenced)
        return answer<Request>(service, caller, call, output);
    caller.is_sequenced = true;
    service.begin_call(session);
    const auto sequence_before = session.reply_cache->sequence;
    const auto begin = output.bytes_queued();
    auto pending = answer<Request>(service, caller, call, output);
    if (pending)
        return pending;
    if (std::is_same_v<Request, protocol::Open> && session.reply_cache->opened.empty())
        // The daemon need not record which descriptors it sent.
        service.finish_idempotent_call(session);
    else // Descriptors cannot be sent again.
        service.finish_call(session, sequence_before,
                            output.carries_descriptors() ? std::string_view{}
                                                         : output.text_since(begin));
    return {};
}

// A method that the protocol lists and the service does not handle fails to compile.
template <class Interface, class... Requests>
consteval auto methods(TypeList<Requests...>)
{
    return std::array{Method{Interface::name, Requests::method, &serve<Requests>}...};
}

constexpr auto evfdd_methods = methods<protocol::Evfdd>(protocol::Evfdd::Methods{});
constexpr auto varlink_methods =
    methods<protocol::VarlinkService>(protocol::VarlinkService::Methods{});

const Method* find(std::string_view interface, std::string_view name)
{
    const auto among = [&](const auto& methods) -> const Method* {
        for (const auto& method : methods)
            if (method.interface == interface && method.name == name)
                return &method;
        return nullptr;
    };
    const auto* found = among(evfdd_methods);
    return found ? found : among(varlink_methods);
}

// A pending reply that must finish, whose client wants no reply.
class DiscardedReply : public PendingReply {
public:
    explicit DiscardedReply(std::unique_ptr<PendingReply> pending) : pending_{std::move(pending)} {}

    Progress advance(OutputQueue&) override
    {
        OutputQueue discarded;
        return pending_->advance(discarded);
    }
    bool must_finish() const override { return pending_->must_finish(); }

private:
    std::unique_ptr<PendingReply> pending_;
};

bool is_known_interface(std::string_view interface)
{
    return interface == protocol::Evfdd::name || interface == protocol::VarlinkService::name;
}

std::unique_ptr<PendingReply> find_and_serve(Service& service, Caller& caller, const Call& call,
                                             OutputQueue& output)
{
    const auto dot = call.method.rfind('.');
    const auto interface = call.method.substr(0, dot == std::string_view::npos ? 0 : dot);
    if (!is_known_interface(interface))
        return refuse(service, protocol::InterfaceNotFound{std::string{interface}}, output);
    const auto* method = find(interface, call.method.substr(dot + 1));
    if (!method)
        return refuse(service, protocol::MethodNotFound{std::string{call.method}}, output);
    if (call.upgrade) // The protocol cannot be upgraded; after an error it continues.
        return refuse(service, protocol::InvalidParameter{"upgrade"}, output);
    return method->serve(service, caller, call, output);
}

} // namespace

std::unique_ptr<PendingReply> dispatch(Service& service, Caller& caller, const Call& call,
                                       OutputQueue& output)
{
    if (!call.oneway)
        return find_and_serve(service, caller, call, output);
    OutputQueue discarded;
    auto pending = find_and_serve(service, caller, call, discarded);
    if (pending && pending->must_finish())
        return std::make_unique<DiscardedReply>(std::move(pending));
    if (pending)
        pending->on_sent(); // The call is done, and no reply is wanted.
    return {};
}

} // namespace evfd::daemon
