#include "daemon/objects/process_watcher.h"

#include "common/process.h"

namespace evfd::daemon {

ProcessWatcher::Ref::~Ref()
{
    if (watcher_)
        watcher_->release(id_);
}

bool ProcessWatcher::Ref::has_ended() const
{
    return evfd::has_exited(watcher_->processes_.at(id_).pidfd.fd());
}

ProcessWatcher::Ref ProcessWatcher::ref(Id id)
{
    ++processes_.at(id).refs;
    return Ref{*this, id};
}

// The kernel does not reuse a pid before the process that has it was reaped.
std::optional<ProcessWatcher::Id> ProcessWatcher::find(pid_t pid) const
{
    const auto found = by_pid_.find(pid);
    if (found == by_pid_.end() || has_exited(processes_.at(found->second).pidfd.fd()))
        return {};
    return found->second;
}

Result<ProcessWatcher::Ref> ProcessWatcher::acquire(Identity identity, UniqueFd pidfd, Id new_id)
{
    if (const auto id = find(identity.pid))
        return ref(*id);
    if (const auto prepared = state_store_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    auto stored = state_store_.store_fd(new_id, std::move(pidfd));
    if (!stored)
        return std::unexpected(stored.error());
    if (const auto added = add(new_id, identity, *std::move(stored)); !added)
        return std::unexpected(added.error());
    state_store_.put(new_id, record::Process{identity.pid, identity.uid});
    return ref(new_id);
}

std::int64_t ProcessWatcher::count_of(uid_t uid) const
{
    const auto found = counts_.find(uid);
    return found == counts_.end() ? 0 : found->second;
}

Result<ProcessWatcher::Ref> ProcessWatcher::restore(Id id, Identity identity, FdStash::Stored pidfd)
{
    if (const auto added = add(id, identity, std::move(pidfd)); !added)
        return std::unexpected(added.error());
    return ref(id);
}

Result<void> ProcessWatcher::add(Id id, Identity identity, FdStash::Stored pidfd)
{
    auto watch = loop_.watch(pidfd.fd(), EPOLLIN, [this, id](std::uint32_t) {
        const auto reference = ref(id);  // Keeps the process watched during the callback.
        processes_.at(id).watch.reset(); // A pidfd stays readable after its process has ended.
        on_ended_(id);
    });
    if (!watch)
        return std::unexpected(watch.error());
    processes_.emplace(id, Process{.identity = identity, .pidfd = std::move(pidfd)})
        .first->second.watch.emplace(*std::move(watch));
    by_pid_.insert_or_assign(identity.pid, id);
    ++counts_[identity.uid];
    return {};
}

void ProcessWatcher::release(Id id)
{
    const auto process = processes_.find(id);
    if (--process->second.refs > 0)
        return;
    state_store_.erase(id, record::Kind::process);
    if (const auto by_pid = by_pid_.find(process->second.identity.pid);
        by_pid != by_pid_.end() && by_pid->second == id)
        by_pid_.erase(by_pid);
    if (const auto count = counts_.find(process->second.identity.uid); --count->second == 0)
        counts_.erase(count);
    processes_.erase(process);
}

} // namespace evfd::daemon
