#include "tests/bench/peers/servers.h"

#include <sys/stat.h>

namespace evfd::bench {

PeerServer::PeerServer(const CommandFactory& make_command)
    : path_{directory_ / "socket"}, process_{e2e::start(make_command(directory_, path_))}
{
    e2e::require(e2e::poll_until([&] { return can_connect(path_); }),
                 "the server does not start: " + path_);
}

PeerServer start_redis()
{
    return PeerServer{[](const auto& directory, const std::string& path) -> e2e::Command {
        return {.argv = {"/usr/bin/env", "redis-server", "--port", "0", "--unixsocket", path,
                         "--save", "", "--appendonly", "no", "--dir", directory / "."}};
    }};
}

PeerServer start_dbus()
{
    return PeerServer{[](const auto&, const std::string& path) -> e2e::Command {
        return {.argv = {"/usr/bin/env", "dbus-daemon", "--session", "--nofork", "--nopidfile",
                         "--address=unix:path=" + path}};
    }};
}

PeerServer start_fdholder()
{
    return PeerServer{[](const auto& directory, const std::string& path) -> e2e::Command {
        // Allows this user to store and retrieve descriptors; see s6-fdholderd(1).
        const auto rules = directory / "rules";
        const auto user = rules + "/uid/" + std::to_string(::getuid());
        for (const auto& subdirectory : {rules, rules + "/uid", user, user + "/env"})
            ::mkdir(subdirectory.c_str(), 0755);
        e2e::write_file(user + "/allow", "");
        e2e::write_file(user + "/env/S6_FDHOLDER_STORE_REGEX", ".");
        e2e::write_file(user + "/env/S6_FDHOLDER_RETRIEVE_REGEX", ".");
        return {.argv = {"/usr/bin/env", "s6-fdholder-daemon", "-i", rules, path}};
    }};
}

} // namespace evfd::bench
