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

void Client::say(World& world, std::string_view bytes)
{
    outgoing_ += bytes;
    flush(world);
}

void Client::call(World& world, std::string_view method, std::string_view parameters)
{
    const auto answers = std::exchange(answers_, Answers::one);
    append_call(outgoing_, fmt::format("io.evfdd.{}", method), parameters, answers);
    constexpr std::array uncounted{"Show"sv, "List"sv, "Monitor"sv, "Status"sv, "Resume"sv};
    if (answers != Answers::none)
        asked_.push_back(std::ranges::find(uncounted, method) == uncounted.end());
    flush(world);
}

void Client::flush(World& world)
{
    if (!socket_)
        socket_ = world.connect(peer_);
    if (!socket_) { // It is not let in.
        outgoing_.clear();
        asked_.clear();
        return;
    }
    while (!outgoing_.empty()) {
        const auto sent = evfd::send(socket_, outgoing_);
        if (!sent)
            return leave();
        if (!*sent)
            return;
        outgoing_.erase(0, **sent);
    }
}

void Client::leave()
{
    const bool was_lazy = is_lazy;
    *this = Client{std::move(peer_)};
    is_lazy = was_lazy;
}

void Client::hang_up_half()
{
    if (socket_)
        ::shutdown(socket_.get(), SHUT_WR);
}

void Client::hear()
{
    static std::array<char, 16 * 1024> buffer; // Once, since whoever looks after memory marks it.
    while (socket_) {
        const auto received = receive(socket_, buffer, descriptors_);
        if (received && !*received)
            break;
        if (!received || (*received)->bytes == 0)
            return leave();
        incoming_.append({buffer.data(), (*received)->bytes});
        while (true) {
            const auto frame = incoming_.next();
            expect(frame.has_value(), "no reply is longer than the limit");
            if (!*frame)
                break;
            understand(**frame);
        }
    }
    constexpr std::size_t most = 8;
    while (descriptors_.size() > most)
        descriptors_.pop_front();
}

void Client::understand(std::string_view frame)
{
    static json::Document document;
    const auto reply = read_reply(document, frame);
    expect(reply.has_value(), "a reply is one");
    constexpr auto mark = R"("subscription":")"sv;
    constexpr std::size_t token_size = 32;
    for (auto at = frame.find(mark); at != frame.npos; at = frame.find(mark, at + 1))
        subscriptions_.insert(subscriptions_.begin(),
                              std::string{frame.substr(at + mark.size(), token_size)});
    if (subscriptions_.size() > 4)
        subscriptions_.resize(4);
    if (reply->continues || asked_.empty())
        return;
    if (asked_.front() && answered_)
        ++*answered_;
    asked_.erase(asked_.begin());
}

} // namespace evfd::daemon
