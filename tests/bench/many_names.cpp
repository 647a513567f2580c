#include "tests/bench/many_names.h"

#include "common/envelope.h"
#include "common/json.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <utility>

namespace evfd::bench {

namespace {

constexpr std::int64_t calls_per_batch = 100; // How many calls are sent before a reply is read.

// Sends calls over one connection and reads their replies.
class CallSender {
public:
    explicit CallSender(const DaemonProcess& daemon) : socket_{connect_to(daemon.path())} {}

    // Sends the calls and waits for `count` replies. Returns how many of these are no errors.
    std::int64_t call(const std::string& calls, std::int64_t count)
    {
        e2e::require(::send(socket_.get(), calls.data(), calls.size(), MSG_NOSIGNAL) ==
                         static_cast<ssize_t>(calls.size()),
                     "send(2)");
        std::int64_t succeeded = 0;
        for (std::int64_t i = 0; i < count; ++i)
            succeeded += read_reply() ? 1 : 0;
        return succeeded;
    }
    const std::string& refusal() const { return refusal_; }

private:
    // Reads one reply. Returns false if it is an error.
    bool read_reply()
    {
        auto end = unread_.find('\0', begin_);
        while (end == std::string::npos) {
            unread_.erase(0, std::exchange(begin_, 0));
            std::array<char, 16 * 1024> bytes;
            const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
            e2e::require(got > 0, "no reply");
            unread_.append(bytes.data(), static_cast<std::size_t>(got));
            end = unread_.find('\0');
        }
        const auto reply = std::string_view{unread_}.substr(begin_, end - begin_);
        begin_ = end + 1;
        const bool is_error = reply.starts_with(R"({"error")");
        if (is_error && refusal_.empty())
            refusal_ = error_name(reply);
        return !is_error;
    }

    static std::string error_name(std::string_view reply)
    {
        json::Document document;
        const auto parsed = evfd::read_reply(document, reply);
        e2e::require(parsed && parsed->error, "a reply is not valid");
        return std::string{*parsed->error};
    }

    UniqueFd socket_;
    std::string unread_;
    std::size_t begin_ = 0; // The start of the first reply in unread_ that was not read.
    std::string refusal_;
};

using AppendCall = std::function<void(std::string& calls, std::int64_t number)>;

ManyNames call_for_each(const DaemonProcess& daemon, std::int64_t count,
                        const AppendCall& append_one)
{
    CallSender sender{daemon};
    ManyNames names{.wanted = count, .accepted = 0};
    std::string calls;
    for (std::int64_t i = 0; i < count && names.accepted == i; i += calls_per_batch) {
        const auto batch = std::min(calls_per_batch, count - i);
        calls.clear();
        for (std::int64_t j = 0; j < batch; ++j)
            append_one(calls, i + j);
        names.accepted += sender.call(calls, batch);
    }
    names.refusal = sender.refusal();
    return names;
}

} // namespace

std::string name_of(std::int64_t number)
{
    return fmt::format("some/name/{:010}", number);
}

ManyNames create_names(const DaemonProcess& daemon, std::int64_t count)
{
    return call_for_each(daemon, count, [](std::string& calls, std::int64_t number) {
        append_call(calls, "io.evfdd.CreateEvent",
                    fmt::format(R"({{"name":"{}"}})", name_of(number)), ReplyMode::one);
    });
}

ManyNames arm_timers(const DaemonProcess& daemon, std::int64_t count)
{
    static constexpr std::int64_t day = 86'400'000'000'000; // In nanoseconds.
    return call_for_each(daemon, count, [](std::string& calls, std::int64_t number) {
        append_call(calls, "io.evfdd.Arm",
                    fmt::format(R"({{"name":"timer/{:014}","afterNSec":{}}})", number, day),
                    ReplyMode::one);
    });
}

void delete_names(const DaemonProcess& daemon, const ManyNames& names)
{
    const auto deleted =
        call_for_each(daemon, names.accepted, [](std::string& calls, std::int64_t number) {
            append_call(calls, "io.evfdd.Delete",
                        fmt::format(R"({{"items":[{{"name":"{}"}}]}})", name_of(number)),
                        ReplyMode::one);
        });
    e2e::require(deleted.accepted == names.accepted, deleted.refusal);
}

std::string describe(const ManyNames& names)
{
    auto text = fmt::format("{} names", fmt::group_digits(names.accepted));
    if (names.accepted < names.wanted)
        text += fmt::format(" (not {}: {})", fmt::group_digits(names.wanted), names.refusal);
    return text;
}

} // namespace evfd::bench
