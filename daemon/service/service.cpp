#include "daemon/service/service.h"

#include "daemon/base/log.h"
#include "daemon/base/on_stack.h"
#include "daemon/objects/recovery.h"

#include <unistd.h>

namespace evfd::daemon {

namespace {

// Logs that an object of the configuration was created, or why it could not be created.
void log_declared(const Name& name, uid_t owner, const Outcome<Made>& made)
{
    const auto message = [](const auto& refusal) -> std::string {
        if constexpr (requires { refusal.message; })
            return refusal.message;
        else
            return std::string{refusal.error};
    };
    if (!made)
        log::error({.name = name.text(), .uid = owner},
                   "cannot create '{}' of the configuration: {}", name.text(),
                   std::visit(message, made.error().reason()));
    else if (*made == Made::created)
        log::info({.name = name.text(), .uid = owner}, "created '{}' from the configuration",
                  name.text());
}

} // namespace

Service::Service(EventLoop& loop, LimitTable limits, StateStore& state_store,
                 EventfdIncrementer incrementer, DescriptorBudget budget)
    : loop_{loop}, connections_{budget.connections}, quota_{std::move(limits)},
      registry_{loop,           quota_,
                state_store,    std::move(incrementer),
                budget.objects, [this] { return delivery_.run(); }},
      monitors_{loop, registry_},
      waits_{loop, registry_, monitors_, [this](Wait& wait) { delivery_.time_out(wait); }},
      delivery_{loop, registry_, waits_, monitors_}, sessions_{registry_, delivery_}
{
}

void Service::restore(RecoveredState recovered, nanoseconds grace)
{
    auto sessions = Recovery{registry_, quota_, recovered}.run();
    const bool history_is_complete = recovered.is_complete() && !recovered.has_defects;
    open_descriptors_.begin(known_descriptors());
    counters_.recovery = {.objects = quota_.used_by_all(Resource::objects),
                          .subscriptions = quota_.used_by_all(Resource::subscriptions),
                          .sessions = static_cast<std::int64_t>(sessions.size()),
                          .losses = static_cast<std::int64_t>(recovered.warnings.size())};
    sessions_.adopt_orphans(loop_, std::move(sessions), grace, history_is_complete);
}

void Service::set_policy(Policy policy)
{
    const OnStack<Service> entered;
    if (policy == registry_.authorization.policy())
        return;
    delivery_.deliver_before_ending_waits();
    const auto before = registry_.authorization.set_policy(std::move(policy));
    waits_.on_policy_changed();
    monitors_.on_policy_changed(before);
    apply_changes();
}

void Service::declare(uid_t owner, gid_t group, const protocol::CreateEvent& request)
{
    const OnStack<Service> entered;
    Session session{registry_.ids.next(), {owner, group, ::getpid(), {}}};
    log_declared(request.name, owner,
                 registry_.lifetimes.create({session, PolicyCheck::skip}, request));
    apply_changes();
}

void Service::declare(uid_t owner, gid_t group, const protocol::Arm& request)
{
    const OnStack<Service> entered;
    Session session{registry_.ids.next(), {owner, group, ::getpid(), {}}};
    const auto* existing = registry_.objects.find(request.name);
    log_declared(request.name, owner,
                 existing && existing->timer()
                     ? Outcome<Made>{Made::existed}
                     : registry_.arming.arm({session, PolicyCheck::skip}, request,
                                            delivery_.deliver(request.name)));
    apply_changes();
}

// Makes room in the fd stash for `coming` descriptors. If the stash has no room for them, the state
// store commits its changes early and then makes room. The usual commit, at the end of each
// iteration of the event loop, can be too late, because thousands of calls in one iteration can
// stash descriptors.
void Service::reserve_stash_room(std::size_t coming)
{
    registry_.state_store.reserve_fd_slots(coming);
}

std::optional<Committed> Service::commit()
{
    if (!registry_.state_store.commit())
        return std::nullopt;
    return Committed{};
}

// Root and the daemon's user can connect even if no descriptor is left for connections. Thus they
// can, for example, delete the objects that use up the descriptors.
Outcome<ConnectionCharges> Service::admit(const Peer& peer)
{
    const auto payer = quota_.payer(peer.uid);
    auto descriptor = connections_.take(payer);
    if (!descriptor && is_daemon_user(peer.uid))
        descriptor = connections_.take_unchecked(payer);
    if (!descriptor)
        return std::unexpected(refuse::reserved_for_others(
            {peer.uid, Resource::connections, quota_.used(peer.uid, Resource::connections)}));
    auto connection = quota_.charge(peer.uid, Resource::connections);
    if (!connection)
        return std::unexpected(connection.error());
    return ConnectionCharges{*std::move(connection), *std::move(descriptor),
                             quota_.charge_unchecked(peer.uid, Resource::unread_bytes, 0),
                             quota_.charge_unchecked(peer.uid, Resource::unread_descriptors, 0)};
}

Outcome<void> Service::check_reply_room(uid_t uid)
{
    return quota_.check(uid, Resource::unread_bytes);
}

bool Service::is_idle() const
{
    return quota_.used_by_all(Resource::objects) == 0 &&
           quota_.used_by_all(Resource::connections) == 0;
}

} // namespace evfd::daemon
