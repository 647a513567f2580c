#include "common/socket.h"

#include "common/overflow_ids.h"
#include "common/scm_rights.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

namespace evfd {

namespace {

bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

Result<std::optional<Received>> received(ssize_t bytes, std::string_view call)
{
    if (bytes >= 0)
        return Received{.bytes = static_cast<std::size_t>(bytes)};
    if (would_block(errno))
        return std::nullopt;
    return std::unexpected(Fault::last(call));
}

Result<std::optional<std::size_t>> sent(ssize_t bytes, std::string_view call)
{
    if (bytes >= 0)
        return static_cast<std::size_t>(bytes);
    if (would_block(errno))
        return std::nullopt;
    return std::unexpected(Fault::last(call));
}

} // namespace

Result<Peer> peer_of(const UniqueFd& socket)
{
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return std::unexpected(Fault::last("getsockopt(SO_PEERCRED)"));

    std::vector<gid_t> groups(16);
    while (true) {
        size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        const int result =
            ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
        const int error = errno;
        // If the call failed with ERANGE, `size` is the size in bytes that the groups need.
        groups.resize(size / sizeof(gid_t));
        if (result == 0)
            return mark_unmapped_ids(
                {credentials.uid, credentials.gid, credentials.pid, std::move(groups)},
                overflow_ids());
        if (error != ERANGE)
            return std::unexpected(Fault{"getsockopt(SO_PEERGROUPS)", error});
    }
}

Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into)
{
    return received(
        TEMP_FAILURE_RETRY(::recv(socket.get(), into.data(), into.size(), MSG_DONTWAIT)),
        "recv(2)");
}

Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into,
                                        std::deque<UniqueFd>& descriptors)
{
    auto message = scm_rights::receive(socket, into);
    if (!message && would_block(message.error().error))
        return std::nullopt;
    if (!message)
        return std::unexpected(message.error());
    std::ranges::move(message->fds, std::back_inserter(descriptors));
    return Received{.bytes = message->bytes, .is_truncated = message->is_truncated};
}

Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes)
{
    return sent(TEMP_FAILURE_RETRY(
                    ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)),
                "send(2)");
}

Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes,
                                        std::span<const int> descriptors)
{
    if (descriptors.empty())
        return send(socket, bytes);
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    const auto count = scm_rights::send(socket, {&data, 1}, descriptors);
    if (!count && would_block(count.error().error))
        return std::nullopt;
    return count ? Result<std::optional<std::size_t>>{*count} : std::unexpected(count.error());
}

Result<std::optional<Received>> peek(const UniqueFd& socket, std::span<char> into)
{
    iovec data{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    auto got =
        received(TEMP_FAILURE_RETRY(::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_PEEK)),
                 "recvmsg(2)");
    if (got && *got)
        (*got)->is_truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    return got;
}

Result<void> refuse_descriptors(const UniqueFd& socket)
{
    const int no = 0;
    if (::setsockopt(socket.get(), SOL_SOCKET, so_passrights, &no, sizeof no) < 0)
        return std::unexpected(Fault::last("setsockopt(SO_PASSRIGHTS)"));
    return {};
}

bool refuses_descriptors(const UniqueFd& socket)
{
    int passes = 1;
    socklen_t size = sizeof passes;
    return ::getsockopt(socket.get(), SOL_SOCKET, so_passrights, &passes, &size) == 0 &&
           passes == 0;
}

bool end_input(const UniqueFd& socket)
{
    ::shutdown(socket.get(), SHUT_RD);
    char first = 0;
    return ::recv(socket.get(), &first, sizeof first, MSG_DONTWAIT | MSG_PEEK) != 0;
}

void prepare_to_peek(const UniqueFd& socket)
{
    // None of these options can fail on a Unix socket, except that an older kernel does not know
    // SO_PASSPIDFD.
    const auto set = [&](int option, int value) {
        ::setsockopt(socket.get(), SOL_SOCKET, option, &value, sizeof value);
    };
    set(SO_OOBINLINE, 1);
    // An accepted socket inherits the following options from its listener.
    set(SO_PASSCRED, 0);
    set(so_passpidfd, 0);
    set(SO_PASSSEC, 0);
}

bool is_drained(const UniqueFd& socket)
{
    // SIOCOUTQ counts the memory of unread messages, hundreds of bytes for each. When the peer
    // reads the last message, the kernel wakes us while one byte of the message is still counted,
    // and does not wake us again. A count of 1 therefore means that the peer has read everything.
    int unread = 0;
    return ::ioctl(socket.get(), SIOCOUTQ, &unread) == 0 && unread <= 1;
}

} // namespace evfd
