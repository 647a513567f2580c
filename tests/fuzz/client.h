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
    // Sets the reply mode of the next call.
    void set_reply_mode(ReplyMode reply_mode) { reply_mode_ = reply_mode; }
    ReplyMode reply_mode() const { return reply_mode_; }
    // From now on, the client adds 1 to `answered` when the last reply to a call arrives. The
    // client leaves out calls that change nothing, such as Show or List, because a session does not
    // count these calls.
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
    // The calls that have no reply yet. An entry is true if the session counts the call.
    std::vector<bool> pending_calls_;
    std::int64_t* answered_calls_ = nullptr;
    ReplyMode reply_mode_ = ReplyMode::one;
};

} // namespace evfd::daemon
