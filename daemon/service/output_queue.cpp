#include "daemon/service/output_queue.h"

#include "common/limits.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

namespace evfd::daemon {

namespace {

Result<std::optional<std::size_t>> send_batch(const UniqueFd& socket, std::string_view bytes,
                                              std::span<const PassedFd> descriptors)
{
    std::array<int, max_descriptors_per_message> numbers;
    // sendmsg(2) fails with EINVAL if a message has more than max_descriptors_per_message
    // descriptors.
    if (descriptors.size() > numbers.size())
        return std::unexpected(Fault{"sendmsg(2)", EINVAL});
    const auto end = std::ranges::transform(descriptors, numbers.begin(), &PassedFd::number).out;
    return send(socket, bytes, std::span<const int>{numbers.begin(), end});
}

} // namespace

// Frees the part of the buffer that was sent. Without this function, the buffer for a peer that
// reads slowly would grow without limit, because the queue might never become empty.
void OutputQueue::discard_sent()
{
    if (offset_ < bytes_.size() / 2)
        return; // Moving a large unsent part would cost more than it saves.
    bytes_.erase(0, offset_);
    for (auto& batch : fd_batches_)
        batch.begin -= offset_;
    offset_ = 0;
}

std::size_t OutputQueue::unread_descriptors() const
{
    auto count = fds_in_flight_;
    for (const auto& batch : fd_batches_)
        count += batch.descriptors.size();
    return count;
}

void OutputQueue::refresh_unread_fds(const UniqueFd& socket)
{
    if (fds_in_flight_ > 0 && is_drained(socket))
        fds_in_flight_ = 0;
}

bool OutputQueue::may_send_next_batch(const UniqueFd& socket)
{
    const auto next = fd_batches_.front().descriptors.size();
    if (fds_in_flight_ > 0 && fds_in_flight_ + next > max_unconfirmed_fds)
        refresh_unread_fds(socket);
    return fds_in_flight_ == 0 || fds_in_flight_ + next <= max_unconfirmed_fds;
}

Result<OutputQueue::Flushed> OutputQueue::send_all(const UniqueFd& socket)
{
    discard_sent();
    while (!is_empty()) {
        const bool carries = !fd_batches_.empty() && fd_batches_.front().begin == offset_;
        if (carries && !may_send_next_batch(socket))
            return Flushed::peer_has_unread_fds;

        const std::size_t next = carries ? 1 : 0;
        const auto end = fd_batches_.size() > next ? fd_batches_[next].begin : bytes_.size();
        const auto chunk = std::string_view{bytes_}.substr(offset_, end - offset_);
        const auto sent = carries ? send_batch(socket, chunk, fd_batches_.front().descriptors)
                                  : send(socket, chunk);
        if (!sent && sent.error().error == ETOOMANYREFS)
            // ETOOMANYREFS means that other clients have not read their descriptors.
            return Flushed::peer_has_unread_fds;
        if (!sent)
            return std::unexpected(sent.error());
        if (!*sent)
            return Flushed::socket_full;
        offset_ += **sent;
        bytes_sent_ += **sent;
        if (carries) {
            fds_in_flight_ += fd_batches_.front().descriptors.size();
            fd_batches_.erase(fd_batches_.begin());
        }
    }
    // Unlike an assignment, a swap frees the buffer, so an idle connection has no buffer.
    std::string{}.swap(bytes_);
    offset_ = 0;
    return Flushed::all;
}

} // namespace evfd::daemon
