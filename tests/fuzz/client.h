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

class Client {
public:
    explicit Client(Peer peer) : peer_{std::move(peer)} {}

    // It connects first, if it has to; who is not let in says nothing.
    void say(World& world, std::string_view bytes);
    void call(World& world, std::string_view method, std::string_view parameters);
    // Of the next call.
    void set_answers(Answers answers) { answers_ = answers; }
    Answers answers() const { return answers_; }
    // The calls that its session counts are told to `answered` from now on.
    void resume(std::int64_t& answered) { answered_ = &answered; }
    bool has_more_to_say() const { return !outgoing_.empty(); }
    // What was sent to it.
    void hear();
    void leave();
    void hang_up_half();

    const UniqueFd& socket() const { return socket_; }
    const std::vector<std::string>& subscriptions() const { return subscriptions_; }
    std::deque<UniqueFd>& descriptors() { return descriptors_; }

    bool is_lazy = false; // It does not read what it is told.

private:
    void flush(World& world);
    void understand(std::string_view frame);

    Peer peer_;
    UniqueFd socket_;
    FrameReader incoming_{max_reply_bytes};
    std::string outgoing_;
    std::deque<UniqueFd> descriptors_;
    std::vector<std::string> subscriptions_;
    std::vector<bool> asked_; // Calls not answered yet, and whether their session counts them.
    std::int64_t* answered_ = nullptr;
    Answers answers_ = Answers::one;
};

} // namespace evfd::daemon
