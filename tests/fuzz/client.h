// A client of the fuzzed daemon: its connection, its unsent bytes, its replies and the descriptors
// that it received.
#pragma once

#include "common/envelope.h"
#include "common/frame.h"
#include "common/limits.h"
#include "tests/fuzz/environment.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

class TestClient {
public:
    explicit TestClient(Peer peer) : peer_{std::move(peer)} {}

    // Sends bytes, and connects first if necessary. Discards the bytes if the daemon rejects the
    // connection.
    void send_bytes(DaemonInstance& instance, std::string_view bytes);
    void call(DaemonInstance& instance, std::string_view method, std::string_view parameters);
    // Sets how many replies the next call demands: none, one or several.
    void set_reply_mode(ReplyMode reply_mode) { reply_mode_ = reply_mode; }
    ReplyMode reply_mode() const { return reply_mode_; }
    // Makes the client count its answered calls in `answered`. A call is answered when its last
    // reply arrives. The client does not count calls that change nothing, such as Show or List,
    // because the daemon does not count these calls in the session either.
    void resume(std::int64_t& answered) { answered_calls_ = &answered; }
    bool has_unsent() const { return !outgoing_.empty(); }
    // Reads all replies that have arrived.
    void read_replies();
    void disconnect();
    void shut_down_sending();

    const UniqueFd& socket() const { return socket_; }
    const std::vector<std::string>& subscriptions() const { return subscriptions_; }
    std::deque<UniqueFd>& descriptors() { return descriptors_; }

    bool is_not_reading = false; // Whether the client leaves its replies unread.

private:
    void flush(DaemonInstance& instance);
    void handle_reply(std::string_view frame);

    Peer peer_;
    UniqueFd socket_;
    FrameReader incoming_{max_reply_bytes};
    std::string outgoing_;
    std::deque<UniqueFd> descriptors_;
    std::vector<std::string> subscriptions_;
    // One entry for each call whose last reply has not arrived yet. The entry says whether
    // `answered_calls_` will count the call.
    std::vector<bool> pending_calls_;
    std::int64_t* answered_calls_ = nullptr;
    ReplyMode reply_mode_ = ReplyMode::one;
};

} // namespace evfd::daemon
