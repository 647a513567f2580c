#include "daemon/access/quota.h"

#include <algorithm>

namespace evfd::daemon {

namespace {

constexpr std::size_t index(Resource resource)
{
    return static_cast<std::size_t>(resource);
}

} // namespace

void Quota::set_reclaim(Resource resource, Reclaim reclaim)
{
    reclaims_[index(resource)] = std::move(reclaim);
}

std::expected<void, Quota::Exceeded> Quota::check(uid_t uid, Resource resource, std::int64_t amount)
{
    const auto max = limit(uid, resource);
    if (used(uid, resource) + amount <= max)
        return {};
    if (const auto& reclaim = reclaims_[index(resource)]) {
        reclaim(account(uid));
        if (used(uid, resource) + amount <= max)
            return {};
    }
    return std::unexpected(Exceeded{uid, resource, max});
}

std::expected<Quota::Charge, Quota::Exceeded> Quota::charge(uid_t uid, Resource resource,
                                                            std::int64_t amount)
{
    if (const auto checked = check(uid, resource, amount); !checked)
        return std::unexpected(checked.error());
    return charge_unchecked(uid, resource, amount);
}

Quota::Charge Quota::charge_unchecked(uid_t uid, Resource resource, std::int64_t amount)
{
    const auto payer = account(uid);
    add(payer, resource, amount);
    return Charge{*this, payer, resource, amount};
}

void Quota::add(uid_t account, Resource resource, std::int64_t amount)
{
    if (amount == 0)
        return;
    auto& counts = counts_[account];
    counts[index(resource)] += amount;
    totals_[index(resource)] += amount;
    if (std::ranges::all_of(counts, [](auto count) { return count == 0; }))
        counts_.erase(account);
}

Quota::Charge::~Charge()
{
    if (quota_)
        resize(0);
}

void Quota::Charge::resize(std::int64_t amount)
{
    quota_->add(account_, resource_, amount - std::exchange(amount_, amount));
}

std::int64_t Quota::used(uid_t uid, Resource resource) const
{
    const auto user = counts_.find(account(uid));
    return user == counts_.end() ? 0 : user->second[index(resource)];
}

std::int64_t Quota::used_by_all(Resource resource) const
{
    return totals_[index(resource)];
}

std::vector<uid_t> Quota::users() const
{
    std::vector<uid_t> uids;
    for (const auto& [uid, counts] : counts_)
        uids.push_back(uid);
    std::ranges::sort(uids);
    return uids;
}

} // namespace evfd::daemon
