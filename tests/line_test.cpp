#include "client/line.h"
#include "common/socket.h"
#include "tests/catch.h"
#include "tests/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

// The daemon's end of one connection.
class Connection {
public:
    explicit Connection(UniqueFd socket) : socket_{std::move(socket)} {}

    // The next call, as text.
    std::string hear()
    {
        while (!unread_.contains('\0')) {
            pollfd wanted{socket_.get(), POLLIN, 0};
            std::array<char, 4096> buffer;
            REQUIRE(::poll(&wanted, 1, 30'000) == 1);
            const auto received = receive(socket_, buffer);
            REQUIRE((received && *received && (*received)->bytes > 0));
            unread_.append(buffer.data(), (*received)->bytes);
        }
        const auto end = unread_.find('\0');
        const auto call = unread_.substr(0, end);
        unread_.erase(0, end + 1);
        return call;
    }
    void say(std::string_view reply)
    {
        const auto frame = std::string{reply} + '\0';
        REQUIRE(send(socket_, frame, {}).value() == frame.size());
    }

private:
    UniqueFd socket_;
    std::string unread_;
};

// A daemon by hand: where it listens, and what it hears.
class ByHand {
public:
    ByHand()
    {
        REQUIRE(::mkdtemp(directory_.data()));
        listen();
    }
    ~ByHand()
    {
        close();
        ::rmdir(directory_.c_str());
    }
    Address address() const { return Address::at(directory_ + "/socket"); }
    void listen()
    {
        sockaddr_un place{};
        place.sun_family = AF_UNIX;
        std::strcpy(place.sun_path, address().path.c_str());
        listener_ = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&place), sizeof place) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
    }
    void close()
    {
        listener_ = {};
        ::unlink(address().path.c_str());
    }
    Connection accept()
    {
        pollfd wanted{listener_.get(), POLLIN, 0};
        REQUIRE(::poll(&wanted, 1, 30'000) == 1);
        UniqueFd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        REQUIRE(socket);
        return Connection{std::move(socket)};
    }

private:
    std::string directory_ = "/tmp/evfd-line-XXXXXX";
    UniqueFd listener_;
};

TEST_CASE("a call that was under way is sent again on the session that is taken up")
{
    ByHand daemon;
    const auto address = daemon.address();
    Line line{address, 30s};
    Try<protocol::Set::Reply> answer;
    std::thread caller{[&] { answer = line.call(protocol::Set{{{"e"_name}}, {}}); }};
    std::string call;
    {
        auto connection = daemon.accept();
        CHECK(connection.hear().contains(R"("calls":0)"));
        call = connection.hear();
    }
    auto connection = daemon.accept();
    CHECK(connection.hear().contains(R"("calls":0)"));
    connection.say(R"({"parameters":{"isCertain":true}})");
    CHECK(connection.hear() == call);
    connection.say(R"({"parameters":{}})");
    caller.join();
    CHECK(answer);
}

// It may have been done: then the daemon would answer the next call of the session with its answer,
// and not do that.
TEST_CASE("the next call is not answered in the place of one that was given up")
{
    ByHand daemon;
    const auto address = daemon.address();
    Line line{address, 200ms};
    Try<protocol::Set::Reply> given_up;
    std::thread caller{[&] { given_up = line.call(protocol::Set{{{"e"_name}}, {}}); }};
    std::string began;
    {
        auto connection = daemon.accept();
        began = connection.hear();
        connection.hear();
        daemon.close(); // And nobody comes in time.
    }
    caller.join();
    REQUIRE_FALSE(given_up);
    CHECK(given_up.error().code == ErrorCode::no_daemon);

    daemon.listen();
    Try<protocol::Clear::Reply> answer;
    std::thread next{[&] { answer = line.call(protocol::Clear{{{"f"_name}}}); }};
    auto connection = daemon.accept();
    const auto begins = connection.hear();
    CHECK(begins.contains("io.evfdd.Resume"));
    CHECK(begins != began);
    CHECK(begins.contains(R"("oneway":true)"));
    const auto call = begins.contains("oneway") ? connection.hear() : ""s;
    CHECK(call.contains("io.evfdd.Clear"));
    connection.say(R"({"parameters":{}})");
    next.join();
    CHECK(answer);
}

} // namespace
} // namespace evfd
