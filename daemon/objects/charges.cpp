#include "daemon/objects/charges.h"

#include <utility>

namespace evfd::daemon {

Outcome<Quota::Charge> Charges::charge(const Peer& peer, Resource resource)
{
    auto charge = quota_.charge(peer.uid, resource);
    if (!charge)
        return std::unexpected(refuse::quota_exceeded(charge.error()));
    return *std::move(charge);
}

Outcome<SharedPool::Charge> Charges::charge_descriptor(const Peer& peer, Resource resource)
{
    auto charge = descriptors_.take(quota_.payer(peer.uid));
    if (!charge)
        return std::unexpected(refuse::descriptor_shortage(
            charge.error(), {peer.uid, resource, quota_.used(peer.uid, resource)}));
    return *std::move(charge);
}

Outcome<Charges::PrivateDescriptor> Charges::charge_private_descriptor(const Peer& peer)
{
    auto descriptor = charge_descriptor(peer, Resource::subscriptions);
    if (!descriptor)
        return std::unexpected(std::move(descriptor.error()));
    auto charged = charge(peer, Resource::subscriptions);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    return PrivateDescriptor{*std::move(charged), *std::move(descriptor)};
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
