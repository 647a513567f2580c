#include "daemon/service/dispatch.h"

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace evfd::daemon {

namespace {

using Serve = std::unique_ptr<Pending> (*)(Service&, Caller&, const Call&, Outbox&);

struct Method {
    std::string_view interface;
    std::string_view name;
    Serve serve;
};

std::unique_ptr<Pending> refuse(Service& service, Refusal refusal, Outbox& outbox)
{
    service.refuse(std::move(refusal), outbox);
    return {};
}

template <class Request>
std::unique_ptr<Pending> answer(Service& service, Caller& caller, const Call& call, Outbox& outbox)
{
    if (!caller.has_room)
        return refuse(service, service.no_room_for_answers(caller.session.peer.uid), outbox);
    if (protocol::is_streaming<Request> && !call.more)
        return refuse(service, protocol::ExpectedMore{}, outbox);
    const auto request = decode<Request>(call.parameters);
    if (!request)
        return refuse(service, protocol::InvalidParameter{request.error().name}, outbox);
    auto answer = service.handle(caller, *request);
    if (!answer)
        return refuse(service, std::move(answer.error()), outbox);
    caller.changes = protocol::is_counted<Request>;
    if constexpr (std::is_same_v<typename decltype(answer)::value_type, std::unique_ptr<Pending>>) {
        if (*answer == nullptr) {
            typename Request::Reply done;
            outbox.reply(done, false);
        }
        return *std::move(answer);
    } else {
        outbox.reply(*answer, false);
        return {};
    }
}

// Whether it is refused while nothing can be kept. To wait changes nothing: what it takes in the
// end is another matter. And for one that has begun it is too late.
template <class Request>
bool may_change(const Session& session)
{
    const bool has_begun = session.count && session.count->given > 0;
    return protocol::is_counted<Request> && !std::is_same_v<Request, protocol::Wait> && !has_begun;
}

// Once, if the session counts it: what was done before is only answered again.
template <class Request>
std::unique_ptr<Pending> serve(Service& service, Caller& caller, const Call& call, Outbox& outbox)
{
    auto& session = caller.session;
    caller.wants_more = call.more;
    const bool is_counted = protocol::is_counted<Request> && session.count && !call.oneway;
    if (is_counted)
        if (auto replay = service.replay(session))
            return replay;
    service.counters().count_call<Request>();
    service.make_room_to_park(1);
    if (may_change<Request>(session))
        if (auto prepared = service.prepare(); !prepared) {
            if (is_counted) // That is not kept either.
                service.end_fleeting_call(session);
            return refuse(service, std::move(prepared.error()), outbox);
        }
    if (!is_counted)
        return answer<Request>(service, caller, call, outbox);
    caller.is_counted = true;
    service.begin_call(session);
    const auto calls = session.count->calls;
    const auto begin = outbox.written();
    auto pending = answer<Request>(service, caller, call, outbox);
    if (pending)
        return pending;
    if (std::is_same_v<Request, protocol::Open> && session.count->opened.empty())
        service.end_fleeting_call(session); // What it handed over, the daemon need not know.
    else                                    // Descriptors cannot be handed over twice.
        service.end_call(session, calls,
                         outbox.carries_descriptors() ? std::string_view{}
                                                      : outbox.text_since(begin));
    return {};
}

// A method that the protocol lists and the service does not handle does not compile.
template <class Interface, class... Requests>
consteval auto methods(List<Requests...>)
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

// One whose answer nobody wants to hear.
class Unheard : public Pending {
public:
    explicit Unheard(std::unique_ptr<Pending> pending) : pending_{std::move(pending)} {}

    Progress advance(Outbox&) override
    {
        Outbox unheard;
        return pending_->advance(unheard);
    }
    bool is_promised() const override { return pending_->is_promised(); }

private:
    std::unique_ptr<Pending> pending_;
};

bool is_spoken(std::string_view interface)
{
    return interface == protocol::Evfdd::name || interface == protocol::VarlinkService::name;
}

std::unique_ptr<Pending> find_and_serve(Service& service, Caller& caller, const Call& call,
                                        Outbox& outbox)
{
    const auto dot = call.method.rfind('.');
    const auto interface = call.method.substr(0, dot == std::string_view::npos ? 0 : dot);
    if (!is_spoken(interface))
        return refuse(service, protocol::InterfaceNotFound{std::string{interface}}, outbox);
    const auto* method = find(interface, call.method.substr(dot + 1));
    if (!method)
        return refuse(service, protocol::MethodNotFound{std::string{call.method}}, outbox);
    if (call.upgrade) // There is no other protocol here; after an error this one goes on.
        return refuse(service, protocol::InvalidParameter{"upgrade"}, outbox);
    return method->serve(service, caller, call, outbox);
}

} // namespace

std::unique_ptr<Pending> dispatch(Service& service, Caller& caller, const Call& call,
                                  Outbox& outbox)
{
    if (!call.oneway)
        return find_and_serve(service, caller, call, outbox);
    Outbox unheard;
    auto pending = find_and_serve(service, caller, call, unheard);
    if (pending && pending->is_promised())
        return std::make_unique<Unheard>(std::move(pending));
    if (pending)
        pending->delivered(); // It is done; nobody wanted to hear of it.
    return {};
}

} // namespace evfd::daemon
