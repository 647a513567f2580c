#include "daemon/service/sessions.h"

#include "daemon/limits.h"
#include "tests/support/recovery_fixture.h"
#include "tests/support/service_fixture.h"
#include "tests/support/torn_journal.h"

#include <fmt/format.h>

namespace evfd::daemon {
namespace {

constexpr auto token = "00112233445566778899aabbccddeeff";
constexpr auto other_token = "ffeeddccbbaa99887766554433221100";

std::string resume(ServiceFixture& daemon, TestClient& client, std::int64_t calls = 0,
                   std::string_view session = token)
{
    return daemon.request(client, "Resume",
                          fmt::format(R"({{"session":"{}","sequence":{}}})", session, calls));
}

bool is_error(const std::string& reply, std::string_view error)
{
    return reply.find(fmt::format(R"("error":"io.evfdd.{}")", error)) != std::string::npos;
}

bool is_refused(const std::string& reply)
{
    return is_error(reply, "NoSuchSession");
}

constexpr auto certain = R"({"parameters":{"isHistoryComplete":true}})";
constexpr auto uncertain = R"({"parameters":{"isHistoryComplete":false}})";

// Crashes a daemon that has answered all calls. Returns the daemon that starts after it.
std::unique_ptr<ServiceFixture> crash_and_recover(std::unique_ptr<ServiceFixture> daemon)
{
    return crash_and_restart(std::move(daemon));
}

std::uint64_t tokens(ServiceFixture& daemon, std::string_view name)
{
    const auto* object = daemon.service.registry().objects.find(*Name::parse(name));
    REQUIRE(object);
    return *std::get<Event>(object->body).count();
}

std::size_t subscriptions(ServiceFixture& daemon, std::string_view name)
{
    return daemon.service.registry().objects.find(*Name::parse(name))->subscriptions()->size();
}

std::unique_ptr<ServiceFixture> with_semaphore(std::int64_t initial)
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    REQUIRE(
        daemon
            ->request(client, "CreateEvent",
                      fmt::format(
                          R"({{"name":"s","mode":"semaphore","initial":{},"permissions":"0666"}})",
                          initial))
            .find("error") == std::string::npos);
    REQUIRE(
        daemon
            ->request(client, "CreateEvent", R"({"name":"p","mode":"pulse","permissions":"0666"})")
            .find("error") == std::string::npos);
    return daemon;
}

TEST_CASE("a new daemon knows no earlier call, and one with the state store knows all")
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    CHECK(resume(*daemon, client) == uncertain);
    daemon = crash_and_recover(std::move(daemon));
    auto other = daemon->connect();
    CHECK(resume(*daemon, other) == certain);
}

TEST_CASE("a call that is repeated after a restart is executed once and answered the same")
{
    const auto [method, parameters] = GENERATE(table<std::string, std::string>({
        {"CreateEvent", R"({"name":"new"})"},
        {"CreateEvent", R"({"name":"s"})"}, // The name is taken, so this call fails.
        {"Set", R"({"items":[{"name":"s","count":3}]})"},
        {"Set", R"({"items":[{"name":"s","count":30}]})"},
        {"Set", R"({"items":[{"name":"s"},{"name":"p"}]})"},
        {"Set", R"({"items":[{"name":"missing"}]})"},
        {"Delete", R"({"items":[{"name":"p"}]})"},
        {"Delete", R"({"items":[{"name":"missing"}]})"},
        {"Clear", R"({"items":[{"name":"s"}]})"},
        {"Wait", R"({"items":[{"name":"s"}]})"},
        {"Wait", R"({"items":[{"name":"s","count":2}]})"}, // This Wait is refused.
        {"Wait", R"({"items":[{"name":"missing","existing":true}]})"},
        {"Arm", R"({"name":"t","clock":"monotonic","afterNSec":3600000000000})"},
        {"SetPermissions", R"({"name":"s","permissions":"0600"})"},
        {"Open", R"({"items":[{"name":"missing"}]})"},
        {"Set", R"({"wrong":1})"},
    }));
    CAPTURE(method, parameters);
    auto daemon = with_semaphore(7);
    auto client = daemon->connect();
    REQUIRE(resume(*daemon, client) == uncertain);
    const auto reply = daemon->request(client, method, parameters);
    REQUIRE_FALSE(reply.empty());
    const auto after = tokens(*daemon, "s");

    for (int i = 0; i < 3; ++i) { // Repeated crashes change neither the tokens nor the reply.
        daemon = crash_and_recover(std::move(daemon));
        CHECK(tokens(*daemon, "s") == after);
        auto again = daemon->connect();
        REQUIRE(resume(*daemon, again) == certain);
        CHECK(daemon->request(again, method, parameters) == reply);
        CHECK(tokens(*daemon, "s") == after);
    }
}

TEST_CASE("a reply is not sent again for a later call after a restart")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    const auto first = daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again, 1) == certain);
    CHECK(daemon->request(again, "Set", R"({"items":[{"name":"s"}]})") == first);
    CHECK(tokens(*daemon, "s") == 2);
}

TEST_CASE("a repeated call is repeated only once")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again, 0) == certain);
    daemon->request(again, "Set", R"({"items":[{"name":"s"}]})");
    CHECK(tokens(*daemon, "s") == 1);
    daemon->request(again, "Set", R"({"items":[{"name":"s"}]})");
    CHECK(tokens(*daemon, "s") == 2);
    daemon = crash_and_recover(std::move(daemon));
    auto third = daemon->connect();
    REQUIRE(resume(*daemon, third, 2) == certain);
}

TEST_CASE("tokens of a wait are kept by a client that resumes and returned without one")
{
    auto daemon = with_semaphore(2);
    auto client = daemon->connect();
    resume(*daemon, client);
    SECTION("the client resumes")
    {
        daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})");
        daemon = crash_and_recover(std::move(daemon));
        auto again = daemon->connect();
        REQUIRE(resume(*daemon, again, 1) == certain);
        run_until_idle(daemon->loop);
        daemon = crash_and_recover(std::move(daemon));
        CHECK(tokens(*daemon, "s") == 1);
    }
    SECTION("no client resumes")
    {
        client.call("Wait", R"({"items":[{"name":"s"}]})");
        // The daemon sends the reply, and the client does not read it.
        REQUIRE(daemon->loop.run_once(0ns));
        REQUIRE(tokens(*daemon, "s") == 1);
        auto stored = crash(std::move(daemon));
        ServiceFixture last{std::move(stored), 0ns};
        run_until_idle(last.loop);
        const auto token_count = tokens(last, "s");
        // Two tokens are left if the daemon returned the token of the unread reply. One token is
        // left if the daemon had already committed that the reply arrived.
        CHECK((token_count == 2 || token_count == 1));
    }
}

TEST_CASE("a lost reply to Open is undone and the call executed again")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Open", R"({"items":[{"name":"p"}]})");
    REQUIRE(subscriptions(*daemon, "p") == 1);
    for (int i = 0; i < 3; ++i) {
        daemon = crash_and_recover(std::move(daemon));
        CHECK(subscriptions(*daemon, "p") == 1);
        auto again = daemon->connect();
        REQUIRE(resume(*daemon, again, 0) == certain);
        CHECK(subscriptions(*daemon, "p") == 0);
        const auto reply = daemon->request(again, "Open", R"({"items":[{"name":"p"}]})");
        CHECK(reply.find("subscription") != std::string::npos);
        CHECK(again.descriptors.size() == 1);
        CHECK(subscriptions(*daemon, "p") == 1);
    }
    daemon = crash_and_recover(std::move(daemon));
    auto last = daemon->connect();
    REQUIRE(resume(*daemon, last, 1) == certain); // The client has received the reply to its Open.
    CHECK(subscriptions(*daemon, "p") == 1);
    CHECK(daemon->state_store.stored_fds() == 1); // The descriptor of the subscription.
}

// A daemon and its client, and the length of the journal at each reply. The client holds a token,
// owns an event and subscribes to a pulse. The client's last call is an Open without a
// subscription. This call need not survive a crash.
struct DaemonLife {
    DaemonLife()
    {
        REQUIRE(resume(*daemon, client) == uncertain);
        call("CreateEvent", R"({"name":"mine","lifetime":"session"})");
        call("Open", R"({"items":[{"name":"p"}]})");
        call("Wait", R"({"items":[{"name":"s"}],"hold":"session"})");
        call("Open", R"({"items":[{"name":"mine"}]})");
    }
    std::string journal() const { return bytes_of(stored_fds_of(daemon->state_store)[2]); }
    // Returns a daemon that recovers from the given journal.
    std::unique_ptr<ServiceFixture> recover(std::string_view journal) const
    {
        auto stored = stored_fds_of(daemon->state_store);
        stored[2] = memfd_of(journal);
        return std::make_unique<ServiceFixture>(std::move(stored));
    }

    std::unique_ptr<ServiceFixture> daemon = with_semaphore(1);
    TestClient client = daemon->connect();
    // The length of the journal in bytes at each reply.
    std::vector<std::size_t> journal_ends;

private:
    void call(std::string_view method, std::string_view parameters)
    {
        REQUIRE_FALSE(daemon->request(client, method, parameters).contains("error"));
        journal_ends.push_back(Frames{journal()}.end());
    }
};

TEST_CASE("a client continues if the journal ends at any byte after its last answered call")
{
    const DaemonLife life;
    const auto whole = life.journal();
    const Frames frames{whole};
    for (auto end = Frames::page; end <= frames.end(); end += 11) {
        CAPTURE(end);
        auto journal = whole;
        journal.replace(end, std::string::npos, journal.size() - end, '\0');
        std::uint64_t last = 0;
        for (const auto& frame : frames.all)
            if (frame.end <= end)
                last = frame.number;
        mark_complete(journal, last);
        const auto daemon = life.recover(journal);
        CHECK(daemon->service.counters().recovery.losses == 0);
        auto again = daemon->connect();
        const auto calls =
            std::ranges::count_if(life.journal_ends, [&](auto at) { return at <= end; });
        CHECK(resume(*daemon, again, calls) == certain);
    }
}

TEST_CASE("a commit that is torn at any byte after an Open costs the client nothing")
{
    const auto tear = GENERATE(&truncate_last_commit, &tail_of_last_commit);
    std::size_t size = 1;
    for (std::size_t at = 0; at < size; at += 9) {
        CAPTURE(at);
        DaemonLife life;
        // The daemon crashes after this call.
        life.daemon->request(life.client, "CreateEvent", R"({"name":"late"})");
        const auto whole = life.journal();
        const auto last = Frames{whole}.all.back();
        size = last.end - last.begin;
        const auto torn = tear(whole, at == 0 ? 1 : at);
        if (torn.substr(Frames::page) == whole.substr(Frames::page))
            continue; // Only zeros were cut off, which fill the last record.

        const auto daemon = life.recover(torn);

        CHECK(daemon->service.counters().recovery.losses == 0);
        auto again = daemon->connect();
        REQUIRE(resume(*daemon, again, 4) == certain);
        CHECK(tokens(*daemon, "s") == 0);
        CHECK(subscriptions(*daemon, "p") == 1);
        CHECK(daemon->service.registry().objects.find("mine"_name));
        CHECK_FALSE(daemon->service.registry().objects.find("late"_name));
        CHECK(daemon->request(again, "CreateEvent", R"({"name":"late"})")
                  .contains(R"("created":true)"));
    }
}

TEST_CASE("only the lost one of several replies to Open is undone")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Open", R"({"items":[{"name":"p"}]})");
    daemon->request(client, "Open", R"({"items":[{"name":"p"}]})");
    REQUIRE(subscriptions(*daemon, "p") == 2);
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again, 1) == certain); // The client received only the first reply.
    CHECK(subscriptions(*daemon, "p") == 1);
}

// Returns the successor of a daemon that crashed after it had committed the reply to a Wait, and
// before it sent the reply. The Wait is the client's first call.
std::unique_ptr<ServiceFixture> restart_with_reply_in_doubt()
{
    auto daemon = with_semaphore(2);
    const auto serial = daemon->service.registry().objects.find("s"_name)->serial;
    const auto id = daemon->service.registry().ids.next();
    daemon->state_store.put(id, record::Session{.token = token,
                                                .uid = alice,
                                                .sequence = 1,
                                                .cached_reply = R"({"parameters":{"fired":[]}})",
                                                .new_subscriptions = {},
                                                .tokens_applied = {}});
    daemon->state_store.put(daemon->service.registry().ids.next(),
                            record::TakenTokens{.session = static_cast<record::Id>(id),
                                                .sequence = 1,
                                                .objects = {static_cast<record::Id>(serial)}});
    daemon->state_store.commit();
    daemon = crash_and_recover(std::move(daemon));
    REQUIRE(tokens(*daemon, "s") == 2);
    return daemon;
}

TEST_CASE(
    "a token in doubt is kept by a client that gets the reply, and is returned once otherwise")
{
    auto daemon = restart_with_reply_in_doubt();
    auto client = daemon->connect();
    std::uint64_t left = 2;
    SECTION("the client has the reply")
    {
        REQUIRE(resume(*daemon, client, 1) == certain);
    }
    SECTION("the client repeats the call and reads the reply")
    {
        REQUIRE(resume(*daemon, client, 0) == certain);
        CHECK(daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})").contains("fired"));
    }
    SECTION("the client repeats the call and does not read the reply")
    {
        REQUIRE(resume(*daemon, client, 0) == certain);
        client.call("Wait", R"({"items":[{"name":"s"}]})");
        REQUIRE(::shutdown(client.socket.get(), SHUT_RD) == 0);
        left = 3;
    }
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon, "s") == left);
    daemon = std::make_unique<ServiceFixture>(crash(std::move(daemon)), 0ns);
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon, "s") == left);
}

TEST_CASE("an undone Open stays undone if the daemon crashes before the repeated call")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Open", R"({"items":[{"name":"p"}]})");
    for (int i = 0; i < 3; ++i) {
        daemon = crash_and_recover(std::move(daemon));
        auto again = daemon->connect();
        REQUIRE(resume(*daemon, again, 0) == certain);
        run_until_idle(daemon->loop);
        CHECK(subscriptions(*daemon, "p") == 0);
    }
    daemon = crash_and_recover(std::move(daemon));
    CHECK(subscriptions(*daemon, "p") == 0);
}

TEST_CASE("subscriptions and temporary objects survive with a resumed session and end with it")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Open", R"({"items":[{"name":"p"}]})");
    daemon->request(client, "CreateEvent", R"({"name":"mine","lifetime":"session"})");
    REQUIRE(client.descriptors.size() == 1);
    daemon = crash_and_recover(std::move(daemon));
    CHECK(daemon->service.registry().objects.find("mine"_name));
    {
        auto again = daemon->connect();
        REQUIRE(resume(*daemon, again, 2) == certain);
        daemon->request(again, "Set", R"({"items":[{"name":"p"}]})");
        CHECK(count(client.descriptors.front()) == 1U);
    }
    run_until_idle(daemon->loop);
    CHECK_FALSE(daemon->service.registry().objects.find("mine"_name));
    CHECK(subscriptions(*daemon, "p") == 0);
    daemon = crash_and_recover(std::move(daemon));
    CHECK_FALSE(daemon->service.registry().objects.find("mine"_name));
    auto late_client = daemon->connect();
    CHECK(is_refused(resume(*daemon, late_client, 3)));
}

TEST_CASE("a client that resumes too late gets no false certainty")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "CreateEvent", R"({"name":"mine","lifetime":"session"})");
    ServiceFixture last{crash(std::move(daemon)), 0ns};
    run_until_idle(last.loop);
    CHECK_FALSE(last.service.registry().objects.find("mine"_name));
    auto late_client = last.connect();
    CHECK(is_refused(resume(last, late_client, 1)));
    CHECK(resume(last, late_client, 0) == uncertain);
}

TEST_CASE(
    "sessions that no client resumed end in several iterations, and none of them is resumed then")
{
    constexpr int sessions = 4 * max_orphans_ended_per_iteration;
    auto daemon = with_semaphore(0);
    std::vector<TestClient> clients;
    std::string last_session;
    for (int i = 0; i < sessions; ++i) {
        clients.push_back(daemon->connect(i + 1 < sessions ? bob : alice));
        last_session = fmt::format("{:032x}", i + 1);
        resume(*daemon, clients.back(), 0, last_session);
    }
    ServiceFixture next{crash(std::move(daemon)), 0ns};
    int ended = 0;
    next.service.sessions().on_orphans_ended([&] { ++ended; });
    auto client = next.connect(alice);
    run_iterations(next.loop, 1);
    client.call("Resume", fmt::format(R"({{"session":"{}","sequence":0}})", last_session));

    run_iterations(next.loop, 1);

    CHECK(is_refused(client.reply()));
    CHECK(ended == 0);
    run_until_idle(next.loop);
    CHECK(ended == 1);
    CHECK(resume(next, client, 0, last_session) == uncertain);
}

TEST_CASE("Resume is refused where it would be wrong")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    for (int i = 0; i < 3; ++i)
        daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    daemon = crash_and_recover(std::move(daemon));

    SECTION("the session is of another user")
    {
        auto outsider = daemon->connect(bob);
        for (const std::int64_t calls : {0, 2, 3})
            CHECK(is_refused(resume(*daemon, outsider, calls)));
    }
    SECTION("the number of calls is impossible")
    {
        auto again = daemon->connect();
        for (const std::int64_t calls : {0, 1})
            CHECK(is_refused(resume(*daemon, again, calls)));
        for (const std::int64_t calls : {std::int64_t{-1}, max_sequence + 1})
            CHECK(resume(*daemon, again, calls).find("sequence") != std::string::npos);
    }
    SECTION("the token is malformed")
    {
        auto again = daemon->connect();
        for (const auto* bad :
             {"", "12", "0011223344556677 8899aabbccddeef", "+0112233445566778899aabbccddeeff",
              "00112233445566778899aabbccddeeff0", "g0112233445566778899aabbccddeeff"})
            CHECK(resume(*daemon, again, 0, bad).find("session") != std::string::npos);
    }
    SECTION("the session never existed")
    {
        auto again = daemon->connect();
        CHECK(is_refused(resume(*daemon, again, 1, other_token)));
    }
    // The refused attempts to resume the session have not ended the session.
    auto right = daemon->connect();
    CHECK(resume(*daemon, right, 3) == certain);
    auto second = daemon->connect();
    CHECK(is_refused(resume(*daemon, second, 3)));
    CHECK(is_refused(resume(*daemon, second, 0)));
    // A connection that has resumed a session cannot resume the session again.
    CHECK(resume(*daemon, right, 3).find("session") != std::string::npos);
}

TEST_CASE("a connection with objects or subscriptions of its own cannot resume a session")
{
    auto daemon = with_semaphore(0);
    const auto parameters =
        GENERATE(std::pair{"CreateEvent", R"({"name":"mine","lifetime":"session"})"},
                 std::pair{"Open", R"({"items":[{"name":"p"}]})"});
    auto client = daemon->connect();
    daemon->request(client, parameters.first, parameters.second);
    CHECK(resume(*daemon, client).find("session") != std::string::npos);
}

TEST_CASE("an Open without a subscription is counted, but not written to the journal")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    const auto open = [&](ServiceFixture& at, TestClient& by) {
        return at.request(by, "Open", R"({"items":[{"name":"s"}]})").contains("fileDescriptor");
    };
    // This Open creates no subscription, so the daemon writes no record of the call.
    REQUIRE(open(*daemon, client));
    const auto reply = daemon->request(client, "Set", R"({"items":[{"name":"s","count":3}]})");
    for (int i = 0; i < 3; ++i)
        REQUIRE(open(*daemon, client));

    auto calls = GENERATE(as<std::int64_t>{}, 1, 2, 3, 5, max_sequence);
    CAPTURE(calls);
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again, calls) == certain);
    if (calls == 1) { // This client has missed the reply to the Set, so it repeats the Set.
        CHECK(daemon->request(again, "Set", R"({"items":[{"name":"s","count":3}]})") == reply);
        ++calls;
    }
    CHECK(tokens(*daemon, "s") == 3);
    if (calls == max_sequence)
        return;

    CHECK(open(*daemon, again));
    daemon->request(again, "Set", R"({"items":[{"name":"s"}]})");
    calls += 2;
    // The record of the Set contains the number of calls in the session, which includes the Open.
    daemon = crash_and_recover(std::move(daemon));
    auto third = daemon->connect();
    CHECK(is_refused(resume(*daemon, third, calls - 2)));
    CHECK(resume(*daemon, third, calls) == certain);
    CHECK(tokens(*daemon, "s") == 4);
}

TEST_CASE("a session is persistent from its beginning, with the effects of its oneway calls")
{
    auto daemon = with_semaphore(2);
    auto client = daemon->connect();
    resume(*daemon, client);
    std::string oneway;
    append_call(oneway, "io.evfdd.CreateEvent", R"({"name":"mine","lifetime":"session"})",
                ReplyMode::none);
    append_call(oneway, "io.evfdd.Wait", R"({"items":[{"name":"s"}],"hold":"session"})",
                ReplyMode::none);
    client.send(oneway);
    REQUIRE(daemon->request(client, "Show", R"({"name":"mine"})").contains("\"session\""));
    REQUIRE(tokens(*daemon, "s") == 1);
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again) == certain);
    CHECK(tokens(*daemon, "s") == 1);
    CHECK(daemon->request(again, "Show", R"({"name":"mine"})").contains("\"session\""));
}

TEST_CASE("a daemon that lost records does not claim that calls had no effect")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    auto impossible = event_record("orphaned", Mode::automatic);
    impossible.owner = -1;
    daemon->state_store.put(daemon->service.registry().ids.next(), impossible);
    daemon->state_store.commit();
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    CHECK(is_refused(resume(*daemon, again, 2)));
    CHECK(resume(*daemon, again, 1) == certain);
}

TEST_CASE("uncounted calls and oneway calls are executed each time")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    daemon->request(client, "Show", R"({"name":"s"})");
    daemon->request(client, "Status");
    client.send(
        framed(R"({"method":"io.evfdd.Set","parameters":{"items":[{"name":"s"}]},"oneway":true})"));
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon, "s") == 2);
    daemon = crash_and_recover(std::move(daemon));

    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again, 0) == certain);
    CHECK(daemon->request(again, "Show", R"({"name":"s"})").find(R"("name":"s")") !=
          std::string::npos);
    again.send(
        framed(R"({"method":"io.evfdd.Set","parameters":{"items":[{"name":"s"}]},"oneway":true})"));
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon, "s") == 3);
    // This call repeats the recorded call, so the daemon does not execute it again.
    daemon->request(again, "Set", R"({"items":[{"name":"s"}]})");
    CHECK(tokens(*daemon, "s") == 3);
}

TEST_CASE("a oneway Resume begins a session like any other")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    client.send(framed(fmt::format(
        R"({{"method":"io.evfdd.Resume","parameters":{{"session":"{}","sequence":0}},"oneway":true}})",
        token)));
    daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    CHECK(resume(*daemon, again, 1) == certain);
}

TEST_CASE("a oneway Wait consumes for good")
{
    auto daemon = with_semaphore(2);
    auto client = daemon->connect();
    resume(*daemon, client);
    client.send(framed(
        R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}]},"oneway":true})"));
    daemon->request(client, "Set", R"({"items":[{"name":"p"}]})");
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon, "s") == 1);
    auto stored = crash(std::move(daemon));
    ServiceFixture last{std::move(stored), 0ns};
    run_until_idle(last.loop);
    CHECK(tokens(last, "s") == 1);
}

TEST_CASE("a connection with earlier calls may resume a session if it owns nothing")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    CHECK(resume(*daemon, client) == uncertain);
    daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    CHECK(resume(*daemon, again, 1) == certain);
}

TEST_CASE("a wait that was pending at a crash starts again")
{
    auto daemon = with_semaphore(0);
    auto client = daemon->connect();
    resume(*daemon, client);
    CHECK(daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})").empty());
    daemon = crash_and_recover(std::move(daemon));
    auto again = daemon->connect();
    REQUIRE(resume(*daemon, again, 0) == certain);
    CHECK(daemon->request(again, "Wait", R"({"items":[{"name":"s"}]})").empty());
    auto setter = daemon->connect(bob);
    daemon->request(setter, "Set", R"({"items":[{"name":"s","count":2}]})");
    run_until_idle(daemon->loop);
    CHECK_FALSE(again.reply().empty());
    CHECK(daemon->service.registry().objects.find("s"_name));
    CHECK(tokens(*daemon, "s") == 1);
}

} // namespace
} // namespace evfd::daemon
