// The handlers of Service for the methods that report: on objects, on changes of objects, on the
// daemon and on its interfaces.
#include "common/protocol/interface.h"
#include "daemon/service/describe.h"
#include "daemon/service/open_metrics.h"
#include "daemon/service/pending_replies.h"
#include "daemon/service/service.h"

#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

namespace evfd::daemon {

Outcome<protocol::Show::Reply> Service::handle(Caller& caller, const protocol::Show& request)
{
    auto* object = registry_.objects.find(request.name);
    if (!object)
        return std::unexpected(refuse::no_such_name(request.name));
    const auto& peer = caller.session.peer;
    // A peer that is not allowed to see the object is not allowed to wait for it either. check()
    // thus returns a refusal, which becomes the reply.
    if (!registry_.authorization.sees(peer, request.name, *object))
        if (auto permitted =
                registry_.authorization.check(peer, request.name, object, Permission::wait);
            !permitted)
            return std::unexpected(std::move(permitted.error()));
    return protocol::Show::Reply{describe(registry_, waits_, peer, request.name, *object)};
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::ListObjects& request)
{
    return std::make_unique<PendingList>(registry_, waits_, caller.session.peer,
                                         request.pattern.value_or(Pattern{}));
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::Monitor& request)
{
    const auto& peer = caller.session.peer;
    auto charged = quota_.charge(peer.uid, Resource::monitors);
    if (!charged)
        return std::unexpected(charged.error());
    const auto scope = request.include_waiters.value_or(false) ? MonitorScope::with_waiters
                                                               : MonitorScope::changes;
    auto monitor = monitors_.start(peer, *std::move(charged), request.pattern.value_or(Pattern{}),
                                   scope, caller.wake);
    return std::make_unique<PendingMonitor>(registry_, waits_, delivery_, counters_,
                                            std::move(monitor));
}

protocol::Status::Reply Service::status()
{
    return {
        .version = EVFDD_VERSION,
        .pid = ::getpid(),
        .started_at = started_,
        .objects = quota_.used_by_all(Resource::objects),
        .connections = quota_.used_by_all(Resource::connections),
        .waits = quota_.used_by_all(Resource::waits),
        .monitors = quota_.used_by_all(Resource::monitors),
        .subscriptions = quota_.used_by_all(Resource::subscriptions),
        .descriptors = open_descriptors_.count(known_descriptors()),
        .descriptor_limit = descriptor_limit(),
        .fd_store = fd_store_,
        .orphaned_sessions = static_cast<std::int64_t>(sessions_.orphan_count()),
        .stashed_descriptors = static_cast<std::int64_t>(registry_.state_store.in_flight()),
        .journal_bytes = static_cast<std::int64_t>(registry_.state_store.journal_bytes()),
        .is_journal_writable = !registry_.state_store.fault(),
    };
}

Outcome<protocol::Status::Reply> Service::handle(Caller&, const protocol::Status&)
{
    return status();
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller, const protocol::Quotas&)
{
    const auto& peer = caller.session.peer;
    return std::make_unique<PendingQuotas>(
        quota_, sees_all_quotas(peer) ? quota_.users() : std::vector<uid_t>{peer.uid});
}

Outcome<protocol::Metrics::Reply> Service::handle(Caller&, const protocol::Metrics&)
{
    counters_.edges = delivery_.edges();
    return protocol::Metrics::Reply{
        open_metrics(counters_, status(), quota_, loop_.iteration_latency())};
}

Outcome<protocol::GetInfo::Reply> Service::handle(Caller&, const protocol::GetInfo&)
{
    return protocol::GetInfo::Reply{"The evfdd authors", "evfdd", EVFDD_VERSION, EVFDD_URL,
                                    protocol::interface_names()};
}

Outcome<protocol::GetInterfaceDescription::Reply>
Service::handle(Caller&, const protocol::GetInterfaceDescription& request)
{
    const auto* text = protocol::interface_text(request.interface_name);
    if (!text)
        return std::unexpected(protocol::InterfaceNotFound{request.interface_name});
    return protocol::GetInterfaceDescription::Reply{*text};
}

} // namespace evfd::daemon
