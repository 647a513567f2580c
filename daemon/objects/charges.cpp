#include "daemon/objects/charges.h"

#include "daemon/access/policy.h"
#include "daemon/limits.h"

#include <utility>

namespace evfd::daemon {

Outcome<Quota::Charge> Charges::charge_object(const Peer& peer)
{
    const auto used = quota_.used(peer.uid, Resource::objects);
    const auto left = max_objects - quota_.used_by_all(Resource::objects);
    const bool has_few = used < max_objects / pool_small_share_divisor || is_daemon_user(peer);
    if (left <= (has_few ? 0 : max_objects / pool_reserve_divisor))
        return std::unexpected(refuse::reserved_for_others({peer.uid, Resource::objects, used}));
    return quota_.charge(peer.uid, Resource::objects);
}

// Charges a unit of the pool of descriptors and a unit of `resource`. A refusal names `resource`.
Outcome<Charges::Descriptor> Charges::charge_with_descriptor(const Peer& peer, Resource resource)
{
    auto descriptor = descriptors_.take(quota_.payer(peer.uid));
    if (!descriptor)
        return std::unexpected(refuse::descriptor_shortage(
            descriptor.error(), {peer.uid, resource, quota_.used(peer.uid, resource)}));
    auto charged = quota_.charge(peer.uid, resource);
    if (!charged)
        return std::unexpected(charged.error());
    return Descriptor{*std::move(charged), *std::move(descriptor)};
}

Outcome<SharedPool::Charge> Charges::charge_place(const Peer& peer, Pulse& pulse)
{
    const auto payer = quota_.payer(peer.uid);
    auto place = pulse.take_place(payer);
    if (!place)
        return std::unexpected(refuse::reserved_for_others(
            {peer.uid, Resource::subscriptions, pulse.places_of(payer)}));
    return *std::move(place);
}

} // namespace evfd::daemon
