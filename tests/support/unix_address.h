// Functions that bind and connect Unix sockets by the path of a socket file.
#pragma once

#include "common/unique_fd.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace evfd {

inline sockaddr_un unix_address(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw std::length_error{"the path of a socket is too long: " + path};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

// Binds the socket to the path. Returns 0 or -1, as bind(2) does.
inline int bind_path(const UniqueFd& socket, const std::string& path)
{
    const auto address = unix_address(path);
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// Connects the socket to the path. Returns 0 or -1, as connect(2) does.
inline int connect_path(const UniqueFd& socket, const std::string& path)
{
    const auto address = unix_address(path);
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

} // namespace evfd
