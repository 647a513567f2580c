// The endpoints of a ping-pong: evfdd's events, through several interfaces, and bare eventfds.
#pragma once

#include "common/unique_fd.h"
#include "evfd.h"
#include "evfd/client.h"
#include "tests/support/process.h"

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace evfd::bench {

// Uses an event by its descriptor, through the C++ library.
class EventEndpoint {
public:
    EventEndpoint(const Client& client, std::string_view name)
        : event_{e2e::value_or_throw(client.open(name))}
    {
    }
    void set() const { e2e::value_or_throw(event_.set()); }
    void wait() const { e2e::value_or_throw(event_.wait()); }
    void clear() const
    {
        if (event_.mode() == Mode::manual) // In the other modes, wait() has consumed the token.
            e2e::value_or_throw(event_.clear());
    }

private:
    Event event_;
};

// Uses an event by its descriptor, through the C library. evfd_connect() must have been called.
class CEndpoint {
public:
    explicit CEndpoint(const std::string& name) : fd_{checked(evfd_open(name.c_str(), 0, 0, 0))} {}
    void set() const { checked(evfd_set(fd_)); }
    void wait() const { checked(static_cast<int>(evfd_wait(fd_, EVFD_FOREVER))); }
    void clear() const
    {
        if (is_manual_)
            checked(evfd_clear(fd_));
    }

    static int checked(int result)
    {
        e2e::require(result >= 0, evfd_error());
        return result;
    }

private:
    int fd_;
    bool is_manual_ = evfd_get_mode(fd_) == EVFD_MANUAL;
};

// Uses an event by its name, through calls to the daemon.
class NameEndpoint {
public:
    NameEndpoint(Client client, std::string name)
        : client_{std::move(client)}, names_{std::move(name)}
    {
    }
    void set() const { e2e::value_or_throw(client_.set(names_)); }
    void wait() const { e2e::value_or_throw(client_.wait(names_)); }
    void clear() const {}

private:
    Client client_;
    std::vector<std::string> names_;
};

// Uses an eventfd by system calls, without evfdd.
class EventfdEndpoint {
public:
    explicit EventfdEndpoint(const UniqueFd& eventfd) : fd_{eventfd.get()} {}
    void set() const
    {
        const std::uint64_t one = 1;
        e2e::require(::write(fd_, &one, sizeof one) == sizeof one, "write(2)");
    }
    void wait() const
    {
        pollfd wanted{fd_, POLLIN, 0};
        while (::poll(&wanted, 1, -1) != 1) {
        }
    }
    void clear() const
    {
        std::uint64_t count = 0;
        e2e::require(::read(fd_, &count, sizeof count) == sizeof count, "read(2)");
    }

private:
    int fd_;
};

} // namespace evfd::bench
