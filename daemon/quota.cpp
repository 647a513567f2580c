#include "daemon/quota.h"

#include <algorithm>

namespace evfd::daemon {

namespace {

constexpr std::size_t index(Resource resource)
{
    return static_cast<std::size_t>(resource);
}

} // namespace

std::expected<Quota::Charge, Quota::Exceeded> Quota::take(uid_t uid, Resource resource)
{
    const auto limit = limits_.of(resource);
    if (used(uid, resource) >= limit)
        return std::unexpected(Exceeded{uid, resource, limit});
    return take_again(uid, resource);
}

Quota::Charge Quota::take_again(uid_t uid, Resource resource)
{
    ++counts_[uid][index(resource)];
    ++totals_[index(resource)];
    return Charge{*this, uid, resource};
}

Quota::Charge::~Charge()
{
    if (!quota_)
        return;
    const auto user = quota_->counts_.find(uid_);
    --user->second[index(resource_)];
    --quota_->totals_[index(resource_)];
    if (std::ranges::all_of(user->second, [](auto count) { return count == 0; }))
        quota_->counts_.erase(user);
}

std::int64_t Quota::used(uid_t uid, Resource resource) const
{
    const auto user = counts_.find(uid);
    return user == counts_.end() ? 0 : user->second[index(resource)];
}

std::int64_t Quota::used_by_all(Resource resource) const
{
    return totals_[index(resource)];
}

} // namespace evfd::daemon
