#include "daemon/objects/process_watcher.h"

#include "common/process.h"

namespace evfd::daemon {

Processes::Stay::~Stay()
{
    if (processes_)
        processes_->leave(id_);
}

bool Processes::Stay::has_ended() const
{
    return evfd::has_ended(processes_->known_.at(id_).pidfd);
}

Processes::Stay Processes::stay(Id id)
{
    ++known_.at(id).stays;
    return Stay{*this, id};
}

// A pid is not given to another process before the one that has it was reaped.
std::optional<Processes::Id> Processes::find(pid_t pid) const
{
    const auto found = by_pid_.find(pid);
    if (found == by_pid_.end() || has_ended(known_.at(found->second).pidfd))
        return {};
    return found->second;
}

Result<Processes::Stay> Processes::enter(Who who, UniqueFd pidfd, Id new_id)
{
    if (const auto id = find(who.pid))
        return stay(*id);
    if (const auto prepared = vault_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    if (const auto parked = vault_.park(new_id, pidfd); !parked)
        return std::unexpected(parked.error());
    if (const auto added = add(new_id, who, std::move(pidfd)); !added) {
        vault_.unpark(new_id);
        return std::unexpected(added.error());
    }
    vault_.put(new_id, record::Process{who.pid, who.uid});
    return stay(new_id);
}

std::int64_t Processes::count_of(uid_t uid) const
{
    const auto found = counts_.find(uid);
    return found == counts_.end() ? 0 : found->second;
}

Result<Processes::Stay> Processes::restore(Id id, Who who, UniqueFd pidfd)
{
    if (const auto added = add(id, who, std::move(pidfd)); !added)
        return std::unexpected(added.error());
    return stay(id);
}

Result<void> Processes::add(Id id, Who who, UniqueFd pidfd)
{
    auto watch = loop_.watch(pidfd, EPOLLIN, [this, id](std::uint32_t) {
        const auto known = stay(id); // While we are here.
        known_.at(id).watch.reset(); // It would be readable for ever.
        ended_(id);
    });
    if (!watch)
        return std::unexpected(watch.error());
    known_.emplace(id, Known{.who = who, .pidfd = std::move(pidfd)})
        .first->second.watch.emplace(*std::move(watch));
    by_pid_.insert_or_assign(who.pid, id);
    ++counts_[who.uid];
    return {};
}

void Processes::leave(Id id)
{
    const auto known = known_.find(id);
    if (--known->second.stays > 0)
        return;
    vault_.drop(id, record::Kind::process);
    vault_.unpark(id);
    if (const auto by_pid = by_pid_.find(known->second.who.pid);
        by_pid != by_pid_.end() && by_pid->second == id)
        by_pid_.erase(by_pid);
    if (const auto count = counts_.find(known->second.who.uid); --count->second == 0)
        counts_.erase(count);
    known_.erase(known);
}

} // namespace evfd::daemon
