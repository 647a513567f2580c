#include "tests/fuzz/client.h"

#include "common/json.h"
#include "common/socket.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

namespace evfd::daemon {

using namespace std::string_view_literals;

void TestClient::send_bytes(DaemonInstance& instance, std::string_view bytes)
{
    outgoing_ += bytes;
    flush(instance);
}

void TestClient::call(DaemonInstance& instance, std::string_view method,
                      std::string_view parameters)
{
    const auto mode = std::exchange(reply_mode_, ReplyMode::one);
    append_call(outgoing_, fmt::format("io.evfdd.{}", method), parameters, mode);
    constexpr std::array not_counted{"Show"sv, "List"sv, "Monitor"sv, "Status"sv, "Resume"sv};
    if (mode != ReplyMode::none)
        pending_calls_.push_back(std::ranges::find(not_counted, method) == not_counted.end());
    flush(instance);
}

void TestClient::flush(DaemonInstance& instance)
{
    if (!socket_)
        socket_ = instance.connect(peer_);
    if (!socket_) { // The daemon rejected the connection.
        outgoing_.clear();
        pending_calls_.clear();
        return;
    }
    while (!outgoing_.empty()) {
        const auto sent = evfd::send(socket_, outgoing_);
        if (!sent)
            return disconnect();
        if (!*sent)
            return;
        outgoing_.erase(0, **sent);
    }
}

void TestClient::disconnect()
{
    const bool was_not_reading = is_not_reading;
    *this = TestClient{std::move(peer_)};
    is_not_reading = was_not_reading;
}

void TestClient::shut_down_sending()
{
    if (socket_)
        ::shutdown(socket_.get(), SHUT_WR);
}

void TestClient::read_replies()
{
    // The buffer is static, because AddressSanitizer would mark all bytes of a local array on each
    // call, which takes time.
    static std::array<char, 16 * 1024> buffer;
    while (socket_) {
        const auto received = receive(socket_, buffer, descriptors_);
        if (received && !*received)
            break;
        if (!received || (*received)->bytes == 0)
            return disconnect();
        incoming_.append({buffer.data(), (*received)->bytes});
        while (true) {
            const auto frame = incoming_.next();
            expect(frame.has_value(), "no reply is longer than the limit");
            if (!*frame)
                break;
            handle_reply(**frame);
        }
    }
    constexpr std::size_t max_kept = 8;
    while (descriptors_.size() > max_kept)
        descriptors_.pop_front();
}

void TestClient::handle_reply(std::string_view frame)
{
    static json::Document document;
    const auto reply = read_reply(document, frame);
    expect(reply.has_value(), "a reply is valid");
    constexpr auto key = R"("subscription":")"sv;
    constexpr std::size_t token_size = 32;
    for (auto at = frame.find(key); at != frame.npos; at = frame.find(key, at + 1))
        subscriptions_.insert(subscriptions_.begin(),
                              std::string{frame.substr(at + key.size(), token_size)});
    if (subscriptions_.size() > 4)
        subscriptions_.resize(4);
    if (reply->continues || pending_calls_.empty())
        return;
    if (pending_calls_.front() && answered_calls_)
        ++*answered_calls_;
    pending_calls_.erase(pending_calls_.begin());
}

} // namespace evfd::daemon
