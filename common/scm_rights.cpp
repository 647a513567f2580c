#include "common/scm_rights.h"

#include "common/limits.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace evfd::scm_rights {

namespace {

// Room for the descriptors of one message.
struct ControlBuffer {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(max_descriptors_per_message * sizeof(int))> bytes;
};

std::vector<UniqueFd> descriptors_of(msghdr& message)
{
    std::vector<UniqueFd> fds;
    for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    return fds;
}

} // namespace

Result<Message> receive(const UniqueFd& socket, std::span<char> into, int flags)
{
    ControlBuffer control;
    iovec data{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();

    const auto bytes = TEMP_FAILURE_RETRY(
        ::recvmsg(socket.get(), &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (bytes < 0)
        return std::unexpected(Fault::last("recvmsg(2)"));
    return Message{static_cast<std::size_t>(bytes), descriptors_of(message),
                   (message.msg_flags & MSG_CTRUNC) != 0};
}

Result<std::size_t> send(const UniqueFd& socket, std::span<iovec> data, std::span<const int> fds)
{
    // Returns the error that sendmsg(2) reports for too many descriptors.
    if (fds.size() > max_descriptors_per_message)
        return std::unexpected(Fault{"sendmsg(2)", EINVAL});

    ControlBuffer control;
    msghdr message{};
    message.msg_iov = data.data();
    message.msg_iovlen = data.size();
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    std::memset(control.bytes.data(), 0, message.msg_controllen);
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());

    const auto bytes =
        TEMP_FAILURE_RETRY(::sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    if (bytes < 0)
        return std::unexpected(Fault::last("sendmsg(2)"));
    return static_cast<std::size_t>(bytes);
}

} // namespace evfd::scm_rights
