// The far end of a connection: what it says, what it hears, and the descriptors that it got.
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

    // It connects first, if it has to; who is not let in says nothing.
    void send_bytes(DaemonInstance& instance, std::string_view bytes);
    void call(DaemonInstance& instance, std::string_view method, std::string_view parameters);
    // Of the next call.
    void set_reply_mode(ReplyMode reply_mode) { reply_mode_ = reply_mode; }
    ReplyMode reply_mode() const { return reply_mode_; }
    // The calls that its session counts are told to `answered` from now on.
    void resume(std::int64_t& answered) { answered_calls_ = &answered; }
    bool has_unsent() const { return !outgoing_.empty(); }
    // What was sent to it.
    void read_replies();
    void disconnect();
    void shut_down_sending();

    const UniqueFd& socket() const { return socket_; }
    const std::vector<std::string>& subscriptions() const { return subscriptions_; }
    std::deque<UniqueFd>& descriptors() { return descriptors_; }

    bool is_not_reading = false; // It does not read what it is told.

private:
    void flush(DaemonInstance& instance);
    void handle_reply(std::string_view frame);

    Peer peer_;
    UniqueFd socket_;
    FrameReader incoming_{max_reply_bytes};
    std::string outgoing_;
    std::deque<UniqueFd> descriptors_;
    std::vector<std::string> subscriptions_;
    std::vector<bool>
        pending_calls_; // Calls not answered yet, and whether their session counts them.
    std::int64_t* answered_calls_ = nullptr;
    ReplyMode reply_mode_ = ReplyMode::one;
};

} // namespace evfd::daemon
