#include "tests/support/wire_client.h"

#include "common/socket.h"
#include "tests/support/process.h"
#include "tests/support/unix_address.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace evfd::e2e {

Json without_ids(Json value)
{
    if (value.is_object())
        value.erase("id");
    for (auto& part : value)
        if (part.is_structured())
            part = without_ids(std::move(part));
    return value;
}

UniqueFd connect_to_path(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (connect_path(socket, path) < 0)
        fail(path);
    return socket;
}

void WireClient::send(std::string_view bytes) const
{
    while (!bytes.empty()) {
        bytes.remove_prefix(send_some(bytes));
        if (bytes.empty())
            return;
        pollfd polled{socket().get(), POLLOUT, 0};
        require(::poll(&polled, 1, static_cast<int>(default_timeout / 1ms)) == 1,
                "the daemon does not read");
    }
}

std::size_t WireClient::send_some(std::string_view bytes) const
{
    std::size_t bytes_sent = 0;
    while (bytes_sent < bytes.size()) {
        const auto sent = evfd::send(socket(), bytes.substr(bytes_sent));
        if (!sent && sent.error().error == EPIPE)
            return bytes.size();
        if (!sent)
            throw std::runtime_error{sent.error().message()};
        if (!*sent)
            break;
        bytes_sent += **sent;
    }
    return bytes_sent;
}

void WireClient::call(std::string_view method, const Json& parameters, std::string_view flag) const
{
    Json call{{"method", "io.evfdd." + std::string{method}}, {"parameters", parameters}};
    if (!flag.empty())
        call[std::string{flag}] = true;
    send(call.dump() + '\0');
}

bool WireClient::fill()
{
    errno = 0;
    if (!await_readable(socket().get()))
        fail("the daemon does not reply");
    return connection_.receive_some() != std::optional<std::size_t>{0};
}

Json WireClient::reply()
{
    while (true) {
        if (const auto frame = connection_.next_frame())
            return Json::parse(*frame);
        require(fill(), "the daemon disconnected");
    }
}

Json WireClient::request(std::string_view method, const Json& parameters)
{
    call(method, parameters);
    return reply();
}

std::string WireClient::read_to_end()
{
    while (fill()) {
    }
    return connection_.take_unread();
}

} // namespace evfd::e2e
