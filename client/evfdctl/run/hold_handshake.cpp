#include "client/evfdctl/run/hold_handshake.h"

#include "client/evfdctl/output/failure.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace evfd {

Expected<HoldHandshake> HoldHandshake::create()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
        return std::unexpected(system_call_error("socketpair(2)"));
    return HoldHandshake{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

// Ignores an error of send(2). The error means that the other process has exited, which receive()
// reports.
void HoldHandshake::send(std::string_view text) const
{
    (void)::send(own_end_.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

std::string HoldHandshake::receive() const
{
    constexpr std::size_t max_bytes = 64; // More than the length of a hold's identifier.
    std::string text(max_bytes, '\0');
    const auto got = TEMP_FAILURE_RETRY(::read(own_end_.get(), text.data(), text.size()));
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

} // namespace evfd
