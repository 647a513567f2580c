#include "daemon/ipc/stream.h"

#include "common/limits.h"
#include "daemon/limits.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <utility>

namespace evfd::daemon {

Stream::Stream(UniqueFd socket, IncomingFds descriptors)
    : incoming_{max_call_bytes}, socket_{std::move(socket)}, descriptors_{descriptors}
{
}

Result<void> Stream::attach(EventLoop& loop, EventLoop::Callback callback)
{
    watched_events_ = EPOLLIN;
    auto watch = loop.watch(socket_, watched_events_, std::move(callback));
    if (!watch)
        return std::unexpected(watch.error());
    watch_.emplace(*std::move(watch));
    return {};
}

UniqueFd Stream::release_socket()
{
    watch_.reset();
    return std::move(socket_);
}

void Stream::on_events(std::uint32_t events)
{
    if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        state_ = input_is_open() ? State::hung_up : State::closed;
    if ((events & (EPOLLIN | EPOLLHUP)) != 0)
        has_unread_input_ = true;
}

Result<void> Stream::await(Need need)
{
    const auto wanted = events_for(need);
    if (wanted == watched_events_)
        return {};
    if (const auto changed = watch_->change(wanted); !changed)
        return changed;
    watched_events_ = wanted;
    return {};
}

std::uint32_t Stream::events_for(Need need) const
{
    if (peer_hung_up() && need == Need::no_hangup)
        // With EPOLLET, the kernel reports the hangup again only when the mask changes.
        return EPOLLET;
    // The kernel reports EPOLLOUT when the peer reads. The daemon can hold back output although the
    // socket has room for it. Without EPOLLET, the kernel would then report EPOLLOUT again and
    // again.
    if (is_blocked())
        return EPOLLOUT | EPOLLET;
    if (!input_is_open() || (has_unread_input_ && need != Need::input))
        return 0; // EPOLLHUP is reported even with an empty mask. epoll_ctl(2)
    return EPOLLIN;
}

// Reads bytes. If descriptors came with the bytes, the function leaves everything in the socket and
// sets is_truncated. The daemon would have to close received descriptors, and close(2) can sleep
// (see FdCloser).
Result<std::optional<Received>> Stream::receive_bytes(std::span<char> into) const
{
    if (descriptors_ == IncomingFds::none)
        return receive(socket_, into);
    const auto peeked = peek(socket_, into);
    if (!peeked || !*peeked || (*peeked)->is_truncated)
        return peeked;
    // Reads only the bytes that were peeked at, because later bytes can have come with descriptors.
    return receive(socket_, into.first((*peeked)->bytes));
}

std::expected<void, std::string> Stream::read()
{
    has_unread_input_ = false;
    std::array<char, max_bytes_per_read> buffer;
    const auto received = receive_bytes(buffer);
    if (!received)
        return std::unexpected(received.error().message());
    if (!*received)
        return {};
    if ((*received)->is_truncated)
        return std::unexpected("it sent descriptors, which no call accepts");
    if ((*received)->bytes == 0)
        end_input();
    incoming_.append({buffer.data(), (*received)->bytes});
    has_calls_ = true;
    return {};
}

void Stream::end_input()
{
    state_ = peer_hung_up() ? State::closed : State::input_closed;
}

std::expected<std::optional<std::string_view>, std::string> Stream::next_call()
{
    const auto frame = incoming_.next();
    if (!frame)
        return std::unexpected("it sent a call longer than the limit");
    has_calls_ = frame->has_value();
    return *frame;
}

bool Stream::is_long_call() const
{
    return incoming_.unread_bytes() > max_uncounted_call_bytes;
}

Result<OutputQueue::Flushed> Stream::flush(Committed committed)
{
    return drop_output_if_useless(output_.flush(socket_, std::move(committed)));
}

Result<OutputQueue::Flushed> Stream::flush_without_changes()
{
    return drop_output_if_useless(output_.flush_without_changes(socket_));
}

Result<OutputQueue::Flushed> Stream::drop_output_if_useless(Result<OutputQueue::Flushed> flushed)
{
    if (!flushed && flushed.error().error == EPIPE)
        output_ = {};
    return flushed;
}

} // namespace evfd::daemon
