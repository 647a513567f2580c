#include "daemon/objects/process_watcher.h"

#include "common/process.h"

#include <cerrno>

namespace evfd::daemon {

bool ProcessWatcher::Ref::has_ended() const
{
    return evfd::has_exited(watcher_->processes_.at(id()).pidfd.fd());
}

ProcessWatcher::Ref ProcessWatcher::ref(Id id)
{
    ++processes_.at(id).refs;
    return Ref{*this, id};
}

// A watched process that has not exited still has its pid: the kernel does not reuse a pid before
// the process was reaped.
std::optional<ProcessWatcher::Id> ProcessWatcher::find(pid_t pid) const
{
    const auto found = by_pid_.find(pid);
    if (found == by_pid_.end() || has_exited(processes_.at(found->second).pidfd.fd()))
        return {};
    return found->second;
}

Outcome<ProcessWatcher::Ref> ProcessWatcher::acquire(const Peer& peer, const UniqueFd& socket,
                                                     nanoseconds accepted, Resource needed_for)
{
    if (peer.pid == 0)
        return std::unexpected(refuse::no_such_process());
    auto pidfd = open_peer_pidfd(socket, peer.pid, accepted);
    if (!pidfd && pidfd.error().error == ESRCH)
        return std::unexpected(refuse::no_such_process());
    if (!pidfd)
        return std::unexpected(pidfd.error());
    if (const auto known = find(peer.pid))
        return ref(*known);
    const auto payer = quota_.payer(peer.uid);
    auto charge = descriptors_.take(payer);
    if (!charge)
        return std::unexpected(refuse::descriptor_shortage(
            charge.error(), {peer.uid, needed_for, quota_.used(peer.uid, needed_for)}));
    return add({peer.pid, payer.account}, *std::move(pidfd), *std::move(charge));
}

Outcome<std::optional<ProcessWatcher::Id>>
ProcessWatcher::find(const Peer& peer, const UniqueFd& socket, nanoseconds accepted) const
{
    const auto known = peer.pid == 0 ? std::nullopt : find(peer.pid);
    if (!known)
        return std::nullopt;
    if (const auto pidfd = open_peer_pidfd(socket, peer.pid, accepted); !pidfd) {
        // The peer has exited, and another process has its pid by now.
        if (pidfd.error().error == ESRCH)
            return std::nullopt;
        return std::unexpected(pidfd.error());
    }
    return known;
}

Result<ProcessWatcher::Ref> ProcessWatcher::add(Identity identity, UniqueFd pidfd,
                                                SharedPool::Charge charge)
{
    if (const auto prepared = state_store_.prepare(); !prepared)
        return std::unexpected(prepared.error());
    const auto id = ids_.next();
    auto stored = state_store_.store_fd(id, std::move(pidfd));
    if (!stored)
        return std::unexpected(stored.error());
    auto added = restore(id, identity, *std::move(stored), std::move(charge));
    if (added)
        state_store_.put(id, record::Process{identity.pid, identity.uid});
    return added;
}

Result<ProcessWatcher::Ref> ProcessWatcher::restore(Id id, Identity identity, FdStash::Stored pidfd,
                                                    SharedPool::Charge charge)
{
    auto watch = loop_.watch(pidfd.fd(), EPOLLIN, [this, id](std::uint32_t) {
        // This reference keeps the process watched during the callback.
        const auto reference = ref(id);
        // The watch must end, because a pidfd stays readable after its process has ended.
        processes_.at(id).watch.reset();
        on_ended_(id);
    });
    if (!watch)
        return std::unexpected(watch.error());
    processes_
        .emplace(
            id,
            Process{.identity = identity, .pidfd = std::move(pidfd), .charge = std::move(charge)})
        .first->second.watch.emplace(*std::move(watch));
    by_pid_.insert_or_assign(identity.pid, id);
    return ref(id);
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
    processes_.erase(process);
}

} // namespace evfd::daemon
