#include "daemon/access/shared_pool.h"

#include "daemon/access/policy.h"
#include "daemon/limits.h"

namespace evfd::daemon {

std::int64_t SharedPool::used_by(const Payer& payer) const
{
    const auto found = used_by_account_.find(payer.account);
    return found == used_by_account_.end() ? 0 : found->second;
}

std::expected<SharedPool::Charge, SharedPool::Shortage> SharedPool::take(const Payer& payer)
{
    const auto free = capacity_ - used_;
    if (free <= 0)
        return std::unexpected(Shortage::exhausted);
    const bool is_reserve = free <= capacity_ / pool_reserve_divisor;
    const bool has_little = used_by(payer) < capacity_ / pool_small_share_divisor;
    if (is_reserve && !has_little && !is_daemon_user(payer.uid))
        return std::unexpected(Shortage::reserved);
    return take_unchecked(payer);
}

SharedPool::Charge SharedPool::take_unchecked(const Payer& payer)
{
    ++used_;
    ++used_by_account_[payer.account];
    return Charge{*this, payer.account};
}

void SharedPool::Charge::Return::operator()(SharedPool* pool) const
{
    --pool->used_;
    if (const auto found = pool->used_by_account_.find(account); --found->second == 0)
        pool->used_by_account_.erase(found);
}

} // namespace evfd::daemon
