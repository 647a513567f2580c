#include "daemon/service/output_queue.h"

#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <algorithm>

namespace evfd::daemon {
namespace {

using Flushed = Outbox::Flushed;

struct Pair {
    Pair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours = UniqueFd{ends[0]};
        client = Client{UniqueFd{ends[1]}};
    }
    UniqueFd ours;
    Client client{UniqueFd{}};
};

// A reply that says `text`; descriptors ride along, eventfds that count from `first`.
void put(Outbox& outbox, const std::string& text, unsigned descriptors = 0, unsigned first = 1)
{
    if (descriptors == 0) {
        protocol::GetInterfaceDescription::Reply reply{text};
        outbox.reply(reply, false);
        return;
    }
    protocol::Open::Reply reply;
    for (unsigned i = 0; i < descriptors; ++i)
        reply.objects.push_back({Kind::event, Mode::manual, true, true,
                                 Handed{*make_eventfd(first + i, Counter::plain)}, text});
    outbox.reply(reply, false);
}

TEST_CASE("replies and errors go out in order, each a frame")
{
    Pair pair;
    Outbox outbox;
    CHECK(outbox.is_empty());
    put(outbox, "one");
    outbox.error(protocol::ExpectedMore{});
    protocol::CreateEvent::Reply last{true};
    outbox.reply(last, true);
    CHECK_FALSE(outbox.is_empty());

    CHECK(outbox.flush(pair.ours) == Flushed::all);

    CHECK(outbox.is_empty());
    CHECK(pair.client.reply() == R"({"parameters":{"description":"one"}})");
    CHECK(pair.client.reply() == R"({"error":"org.varlink.service.ExpectedMore","parameters":{}})");
    CHECK(pair.client.reply() == R"({"parameters":{"created":true},"continues":true})");
    CHECK(pair.client.reply().empty());
}

TEST_CASE("descriptors ride with the first byte of their reply, and with no other")
{
    Pair pair;
    Outbox outbox;
    put(outbox, "none");
    put(outbox, "two", 2, 10);
    put(outbox, "none again");
    REQUIRE(outbox.flush(pair.ours) == Flushed::all);

    const auto first = R"({"parameters":{"description":"none"}})"s.size() + 1;
    CHECK(pair.client.receive_some(first) == first);
    CHECK(pair.client.descriptors.empty());
    CHECK(pair.client.receive_some(1) == 1);
    REQUIRE(pair.client.descriptors.size() == 2);
    CHECK(count(pair.client.descriptors[0]) == 10U);
    CHECK(count(pair.client.descriptors[1]) == 11U);
    while (!pair.client.reply().empty()) {
    }
    CHECK(pair.client.descriptors.size() == 2);
}

TEST_CASE("some descriptors go out whether those before were read or not, more of them do not")
{
    Pair pair;
    Outbox outbox;
    for (unsigned i = 0; i < Outbox::unasked; ++i) {
        put(outbox, "x", 1, i);
        REQUIRE(outbox.flush(pair.ours) == Flushed::all);
        CHECK(outbox.unread_descriptors() == i + 1);
    }
    put(outbox, "x", 1, 99);
    CHECK(outbox.flush(pair.ours) == Flushed::undrained);

    for (unsigned i = 0; i < Outbox::unasked; ++i)
        CHECK_FALSE(pair.client.reply().empty());
    CHECK(outbox.flush(pair.ours) == Flushed::all);
    CHECK(outbox.unread_descriptors() == 1);
    CHECK_FALSE(pair.client.reply().empty());
    CHECK(count(pair.client.descriptors.back()) == 99U);
}

TEST_CASE("the next descriptors go out only after the peer has read all that came before")
{
    Pair pair;
    Outbox outbox;
    put(outbox, "first", Outbox::unasked, 1);
    put(outbox, "plain");
    put(outbox, "second", 1, 2);
    put(outbox, "last");

    CHECK(outbox.flush(pair.ours) == Flushed::undrained);
    CHECK(outbox.flush(pair.ours) == Flushed::undrained);
    CHECK_FALSE(outbox.is_empty());
    CHECK(pair.client.receive_some(10) == 10); // Not all of it.
    CHECK(outbox.flush(pair.ours) == Flushed::undrained);
    CHECK(pair.client.reply().contains("first"));
    CHECK(pair.client.reply().contains("plain"));
    CHECK(pair.client.reply().empty());

    CHECK(outbox.flush(pair.ours) == Flushed::all);
    CHECK(pair.client.reply().contains("second"));
    CHECK(pair.client.reply().contains("last"));
    REQUIRE(pair.client.descriptors.size() == Outbox::unasked + 1);
    CHECK(count(pair.client.descriptors.back()) == 2U);
}

TEST_CASE("as many descriptors as one message holds go out with one reply")
{
    Pair pair;
    Outbox outbox;
    constexpr auto most = static_cast<unsigned>(max_descriptors_per_message);
    put(outbox, "x", most);
    REQUIRE(outbox.flush(pair.ours) == Flushed::all);
    CHECK_FALSE(pair.client.reply().empty());
    REQUIRE(pair.client.descriptors.size() == most);
    CHECK(count(pair.client.descriptors.back()) == most);
}

TEST_CASE("a full socket is not waited for, and what it left goes out later, in order")
{
    Pair pair;
    Outbox outbox;
    const std::string large(200'000, 'x');
    put(outbox, large);
    put(outbox, "riding", 1);
    put(outbox, large);
    REQUIRE(outbox.flush(pair.ours) == Flushed::full);
    CHECK(outbox.is_high());

    std::vector<std::string> replies;
    for (int round = 0; round < 1'000 && replies.size() < 3; ++round) {
        if (auto reply = pair.client.reply(); !reply.empty())
            replies.push_back(std::move(reply));
        REQUIRE(outbox.flush(pair.ours));
    }
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].size() > large.size());
    CHECK(replies[1].contains("riding"));
    CHECK(replies[2].size() > large.size());
    CHECK(pair.client.descriptors.size() == 1);
    CHECK(outbox.is_empty());
}

TEST_CASE("a reply outlives the object it speaks of")
{
    Pair pair;
    Outbox outbox;
    {
        Hall hall;
        hall.create("e", Mode::manual, 7);
        auto opened = hall.registry.open(hall.owner, names({"e"}));
        REQUIRE(opened);
        protocol::Open::Reply reply{*std::move(opened)};
        outbox.reply(reply, false);
        REQUIRE(hall.registry.remove(hall.owner.peer, names({"e"})));
    }
    REQUIRE(outbox.flush(pair.ours) == Flushed::all);
    CHECK_FALSE(pair.client.reply().empty());
    REQUIRE(pair.client.descriptors.size() == 1);
    CHECK(count(pair.client.descriptors[0]) == 7U);
}

TEST_CASE("descriptors that never went out are closed with the outbox")
{
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd reading{ends[0]};
    {
        Outbox outbox;
        protocol::Open::Reply reply;
        reply.objects.push_back(
            {Kind::event, Mode::manual, true, true, Handed{UniqueFd{ends[1]}}, {}});
        outbox.reply(reply, false);
        CHECK_FALSE(is_ready(reading, POLLHUP));
    }
    CHECK(is_ready(reading, POLLHUP));
}

TEST_CASE("the outbox is high above its mark and not at it")
{
    Outbox outbox;
    Outbox empty_reply;
    put(empty_reply, "");
    const auto around = R"({"parameters":{"description":""}})"s.size() + 1;
    put(outbox, std::string(outbox_high_water_bytes - around, 'x'));
    CHECK_FALSE(outbox.is_high());
    put(outbox, "");
    CHECK(outbox.is_high());
}

TEST_CASE("an outbox that is never quite empty does not grow")
{
    Pair pair;
    Outbox outbox;
    const std::string text(1'000, 'x'); // For each descriptor.
    put(outbox, text, Outbox::unasked);
    std::size_t most = 0;
    for (int round = 0; round < 500; ++round) {
        put(outbox, text, Outbox::unasked);
        REQUIRE(outbox.flush(pair.ours) == Flushed::undrained);
        most = std::max(most, outbox.held_bytes());
        REQUIRE_FALSE(pair.client.reply().empty());
        CHECK(pair.client.descriptors.size() == Outbox::unasked); // And in step with their replies.
        pair.client.descriptors.clear();
    }
    CHECK(most < 10 * Outbox::unasked * text.size());
}

TEST_CASE("an outbox that is empty keeps no memory")
{
    Pair pair;
    Outbox outbox;
    put(outbox, std::string(10'000, 'x'));
    REQUIRE(outbox.flush(pair.ours) == Flushed::all);
    CHECK(outbox.held_bytes() < 100);
}

TEST_CASE("a peer that is gone is a fault, not a signal")
{
    Pair pair;
    Outbox outbox;
    put(outbox, "x");
    pair.client.socket = {};
    const auto flushed = outbox.flush(pair.ours);
    REQUIRE_FALSE(flushed);
    CHECK(flushed.error().error == EPIPE);
}

} // namespace
} // namespace evfd::daemon
