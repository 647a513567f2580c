// A Varlink client that connects to the socket file of a daemon and sends exactly the bytes that a
// test chooses.
#pragma once

#include "tests/support/frame_socket.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::e2e {

using Json = nlohmann::json;

// Returns the value without the ids of objects, because the ids differ from daemon to daemon.
Json without_ids(Json value);

// Returns a list with one item for each name. Each item has the members of `more` and the name.
inline Json items(const std::vector<std::string>& names, const Json& more = Json::object())
{
    auto list = Json::array();
    for (const auto& name : names) {
        auto item = more;
        item["name"] = name;
        list.push_back(std::move(item));
    }
    return list;
}

// Returns a socket that is connected to the socket file at `path`.
UniqueFd connect_to_path(const std::string& path);

class WireClient {
public:
    explicit WireClient(const std::string& path) : connection_{connect_to_path(path)} {}

    // Sends all bytes. Throws if the daemon does not read. Does not throw if the daemon has closed
    // the connection, because the next reply() then throws.
    void send(std::string_view bytes) const;
    // Sends the bytes that the socket accepts without blocking, and returns their number.
    std::size_t send_some(std::string_view bytes) const;
    // Calls a method of io.evfdd. `flag` is "more", "oneway" or empty.
    void call(std::string_view method, const Json& parameters = Json::object(),
              std::string_view flag = "") const;
    // Waits for the next reply and returns it. Throws at the deadline and at end of file.
    Json reply();
    Json request(std::string_view method, const Json& parameters = Json::object());
    // Waits until the daemon disconnects, and returns all unread bytes. Throws at the deadline.
    std::string read_to_end();
    const UniqueFd& socket() const { return connection_.socket; }
    std::deque<UniqueFd>& descriptors() { return connection_.descriptors; }

private:
    bool fill(); // Reads more bytes. Returns false at end of file.

    FrameSocket connection_;
};

} // namespace evfd::e2e
