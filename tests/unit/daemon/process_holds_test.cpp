// Tests holds and objects that belong to processes. A hold or an object ends with its process, not
// with a connection.
#include "tests/support/other_process.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>

namespace evfd::daemon {
namespace {

constexpr auto token = "00112233445566778899aabbccddeeff";

TestClient connect(ServiceFixture& daemon, const OtherProcess& process, uid_t uid = alice)
{
    auto [near, far] = process.connection();
    REQUIRE(daemon.accept({uid, uid, process.pid(), {}}, std::move(near)) == Admission::admitted);
    return TestClient{std::move(far)};
}

std::unique_ptr<ServiceFixture> with_semaphore(int initial)
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto owner = daemon->connect();
    REQUIRE(daemon
                ->request(owner, "CreateEvent",
                          fmt::format(R"({{"name":"s","mode":"semaphore","initial":{},)"
                                      R"("permissions":"0666"}})",
                                      initial))
                .contains("true"));
    return daemon;
}

std::string request_hold(ServiceFixture& daemon, TestClient& client, std::string_view more = "")
{
    return daemon.request(client, "Wait",
                          fmt::format(R"({{"items":[{{"name":"s"}}],"hold":"process"{}}})", more));
}

std::string id_in(const std::string& reply)
{
    constexpr std::string_view before = R"("hold":")";
    const auto begin = reply.find(before);
    INFO(reply);
    REQUIRE(begin != reply.npos);
    return reply.substr(begin + before.size(), 32);
}

// Holds a token for the client's process and returns the id of the hold.
std::string hold(ServiceFixture& daemon, TestClient& client)
{
    return id_in(request_hold(daemon, client));
}

std::string with_hold(std::string_view id)
{
    return fmt::format(R"({{"hold":"{}"}})", id);
}

std::string join(ServiceFixture& daemon, TestClient& client, std::string_view id)
{
    return daemon.request(client, "Join", with_hold(id));
}

std::string release(ServiceFixture& daemon, TestClient& client, std::string_view id)
{
    return daemon.request(client, "Release", with_hold(id));
}

constexpr auto done = R"({"parameters":{}})";

std::uint64_t tokens(ServiceFixture& daemon)
{
    auto* object = daemon.service.registry().objects.find("s"_name);
    REQUIRE(object);
    return *object->event()->count();
}

std::int64_t waits(ServiceFixture& daemon)
{
    return daemon.service.quota().used(alice, Resource::waits);
}

void disconnect(ServiceFixture& daemon, TestClient& client)
{
    client.socket = {};
    run_until_idle(daemon.loop);
}

void end(ServiceFixture& daemon, OtherProcess& process)
{
    process.kill();
    run_until_idle(daemon.loop);
}

std::unique_ptr<ServiceFixture> crash_and_recover(std::unique_ptr<ServiceFixture> daemon)
{
    auto successor = crash_and_restart(std::move(daemon));
    run_until_idle(successor->loop);
    return successor;
}

TEST_CASE("tokens held by a process return when it ends, whatever happens to its connection")
{
    auto daemon = with_semaphore(1);
    OtherProcess holder;
    auto client = connect(*daemon, holder);
    hold(*daemon, client);
    SECTION("the connection closes first")
    {
        disconnect(*daemon, client);
    }
    SECTION("the daemon disconnects it first")
    {
        client.send(framed("junk"));
        run_until_idle(daemon->loop);
        REQUIRE(client.is_disconnected());
    }
    SECTION("another process keeps the connection open") {}
    SECTION("the process executes another program")
    {
        holder.execute();
        run_until_idle(daemon->loop);
    }
    CHECK(tokens(*daemon) == 0);
    CHECK(waits(*daemon) == 1);
    auto next = daemon->connect();
    next.call("Wait", R"({"items":[{"name":"s"}]})");
    run_until_idle(daemon->loop);
    CHECK(next.reply().empty());
    end(*daemon, holder);
    CHECK(next.reply().contains("fired"));
    CHECK(waits(*daemon) == 0);
    CHECK(tokens(*daemon) == 0);
}

TEST_CASE("held tokens return with the last holder")
{
    auto daemon = with_semaphore(1);
    OtherProcess first;
    OtherProcess second;
    auto client = connect(*daemon, first);
    auto other = connect(*daemon, second);
    const auto id = hold(*daemon, client);
    CHECK(join(*daemon, other, id) == done);
    // The process already holds the token, so a second Join changes nothing.
    CHECK(join(*daemon, other, id) == done);
    CHECK(waits(*daemon) == 2);
    const bool is_first = GENERATE(true, false);
    end(*daemon, is_first ? first : second);
    CHECK(tokens(*daemon) == 0);
    CHECK(waits(*daemon) == 1);
    end(*daemon, is_first ? second : first);
    CHECK(tokens(*daemon) == 1);
    CHECK(waits(*daemon) == 0);
}

TEST_CASE("a process may join the hold of a session, and a session that of a process")
{
    auto daemon = with_semaphore(1);
    auto owner = daemon->connect();
    OtherProcess process;
    auto client = connect(*daemon, process);
    const auto id =
        id_in(daemon->request(owner, "Wait", R"({"items":[{"name":"s"}],"hold":"session"})"));
    REQUIRE(join(*daemon, client, id) == done);
    disconnect(*daemon, client);
    SECTION("the session ends first")
    {
        disconnect(*daemon, owner);
        CHECK(tokens(*daemon) == 0);
        end(*daemon, process);
    }
    SECTION("the process ends first")
    {
        end(*daemon, process);
        CHECK(tokens(*daemon) == 0);
        disconnect(*daemon, owner);
    }
    SECTION("the process releases the hold")
    {
        client = connect(*daemon, process);
        CHECK(release(*daemon, client, id) == done);
        CHECK(tokens(*daemon) == 1);
        disconnect(*daemon, owner);
    }
    CHECK(tokens(*daemon) == 1);
    CHECK(waits(*daemon) == 0);
}

TEST_CASE("a holder releases a hold for all holders, once, on any connection and as any user")
{
    auto daemon = with_semaphore(1);
    OtherProcess first;
    OtherProcess second;
    auto client = connect(*daemon, first);
    auto other = connect(*daemon, second);
    const auto id = hold(*daemon, client);
    REQUIRE(join(*daemon, other, id) == done);
    const auto uid = GENERATE(alice, bob);
    auto again = connect(*daemon, second, uid);
    CHECK(release(*daemon, again, id) == done);
    CHECK(tokens(*daemon) == 1);
    CHECK(waits(*daemon) == 0);
    CHECK(release(*daemon, client, id).contains("io.evfdd.NoSuchHold"));
    CHECK(join(*daemon, client, id).contains("io.evfdd.NoSuchHold"));
    end(*daemon, first);
    end(*daemon, second);
    CHECK(tokens(*daemon) == 1);
}

TEST_CASE("a process outside a hold cannot release it, and one of another user cannot join it")
{
    auto daemon = with_semaphore(1);
    OtherProcess holder;
    OtherProcess outsider;
    auto client = connect(*daemon, holder);
    const auto id = hold(*daemon, client);
    auto same_user = connect(*daemon, outsider);
    auto other_user = connect(*daemon, outsider, bob);
    auto root = connect(*daemon, outsider, 0);
    CHECK(release(*daemon, same_user, id).contains("io.evfdd.NoSuchHold"));
    CHECK(release(*daemon, root, id).contains("io.evfdd.NoSuchHold"));
    for (auto* one : {&other_user, &root}) {
        CHECK(join(*daemon, *one, id).contains("io.evfdd.NoSuchHold"));
        // A hold of another user and a missing hold give the same error.
        CHECK(join(*daemon, *one, token).contains("io.evfdd.NoSuchHold"));
    }
    for (const auto* wrong_id : {"", "s", token})
        CHECK(join(*daemon, same_user, wrong_id).contains("io.evfdd.NoSuchHold"));
    end(*daemon, outsider);
    CHECK(tokens(*daemon) == 0);
}

TEST_CASE("an ended or invisible process cannot hold tokens")
{
    auto daemon = with_semaphore(1);
    OtherProcess process;
    SECTION("it ended and another process has its connection")
    {
        auto client = connect(*daemon, process);
        process.kill();
        CHECK(request_hold(*daemon, client).contains("io.evfdd.NoSuchProcess"));
    }
    SECTION("it ends during its wait")
    {
        auto setter = daemon->connect();
        REQUIRE(daemon->request(setter, "Wait", R"({"items":[{"name":"s"}]})").contains("fired"));
        auto client = connect(*daemon, process);
        REQUIRE(request_hold(*daemon, client).empty());
        end(*daemon, process);
        daemon->request(setter, "Set", R"({"items":[{"name":"s"}]})");
        run_until_idle(daemon->loop);
        disconnect(*daemon, client);
    }
    SECTION("it is outside the daemon's pid namespace")
    {
        auto [near, far] = process.connection();
        REQUIRE(daemon->accept({alice, alice, 0, {}}, std::move(near)) == Admission::admitted);
        TestClient client{std::move(far)};
        const auto reply = request_hold(*daemon, client);
        CHECK(reply.contains("io.evfdd.NoSuchProcess"));
        CHECK(reply.contains("let it end with the connection instead"));
        CHECK(id_in(daemon->request(client, "Wait", R"({"items":[{"name":"s"}],"hold":"session"})"))
                  .size() == 32);
        disconnect(*daemon, client);
    }
    CHECK(tokens(*daemon) == 1);
    CHECK(waits(*daemon) == 0);
}

TEST_CASE("an abandoned wait with a hold leaves nothing behind")
{
    auto daemon = with_semaphore(0);
    const auto before = daemon->state_store.stored_fds();
    OtherProcess process;
    {
        auto client = connect(*daemon, process);
        REQUIRE(request_hold(*daemon, client).empty());
        CHECK(daemon->state_store.stored_fds() == before + 1);
        disconnect(*daemon, client);
    }
    auto client = connect(*daemon, process);
    CHECK(request_hold(*daemon, client, R"(,"timeoutNSec":0)").contains("TimedOut"));
    CHECK(daemon->state_store.stored_fds() == before);
    CHECK(waits(*daemon) == 0);
}

TEST_CASE("a process with thousands of holds returns all of them, each once")
{
    constexpr int many = 2'000;
    auto daemon = with_semaphore(many);
    OtherProcess process;
    auto client = connect(*daemon, process);
    constexpr int at_a_time = 100;
    int held = 0;
    for (int calls_sent = 0; calls_sent < many; calls_sent += at_a_time) {
        for (int i = 0; i < at_a_time; ++i)
            client.call("Wait", R"({"items":[{"name":"s"}],"hold":"process"})");
        run_until_idle(daemon->loop);
        while (!client.reply().empty())
            ++held;
    }
    REQUIRE(held == many);
    REQUIRE(waits(*daemon) == many);
    end(*daemon, process);
    CHECK(tokens(*daemon) == many);
    CHECK(waits(*daemon) == 0);
    daemon = crash_and_recover(std::move(daemon));
    CHECK(tokens(*daemon) == many);
}

TEST_CASE("each holder of a hold counts towards its user's waits and is refused beyond the limit")
{
    auto limits = default_limits;
    limits.set(Resource::waits, 2);
    ServiceFixture daemon{limits};
    auto owner = daemon.connect();
    daemon.request(owner, "CreateEvent",
                   R"({"name":"s","mode":"semaphore","initial":9,"permissions":"0666"})");
    OtherProcess first;
    OtherProcess second;
    OtherProcess third;
    auto client = connect(daemon, first);
    const auto id = hold(daemon, client);
    auto other = connect(daemon, second);
    CHECK(join(daemon, other, id) == done);
    auto late_client = connect(daemon, third);
    CHECK(join(daemon, late_client, id).contains(R"("quota":"waits","limit":2)"));
    end(daemon, first);
    CHECK(join(daemon, late_client, id) == done);
}

TEST_CASE("each holding process uses a descriptor of the daemon, and the last ones are reserved")
{
    // The reserve is for users who have fewer than budget / 64 descriptors. With a budget of 64,
    // these are the users who have none. With a smaller budget, the quotient is rounded down to 0.
    constexpr std::int64_t budget = 64;
    ServiceFixture daemon{default_limits, budget};
    auto owner = daemon.connect(0);
    daemon.request(owner, "CreateEvent",
                   R"({"name":"s","mode":"semaphore","initial":99,"permissions":"0666"})");
    std::deque<OtherProcess> processes;
    std::string refused;
    for (std::int64_t i = 0; i <= budget && refused.empty(); ++i) {
        auto client = connect(daemon, processes.emplace_back());
        if (const auto reply = request_hold(daemon, client); reply.contains("error"))
            refused = reply;
    }
    CHECK(refused.contains(R"("quota":"waits")"));
    CHECK(static_cast<std::int64_t>(processes.size()) < budget);
    CHECK(daemon.request(owner, "CreateEvent", R"({"name":"another"})").contains("true"));
    end(daemon, processes.front());
    end(daemon, processes[1]);
    auto again = connect(daemon, processes.back());
    CHECK(hold(daemon, again).size() == 32);
}

// The tests below crash and restart the daemon.

TEST_CASE("a process keeps its hold across a crash, and the tokens return once")
{
    auto daemon = with_semaphore(3);
    OtherProcess first;
    OtherProcess second;
    auto client = connect(*daemon, first);
    const bool has_session = GENERATE(true, false);
    if (has_session)
        daemon->request(client, "Resume", fmt::format(R"({{"session":"{}","sequence":0}})", token));
    const auto id = hold(*daemon, client);
    auto other = connect(*daemon, second);
    REQUIRE(join(*daemon, other, id) == done);
    const auto charged = waits(*daemon);
    for (int i = 0; i < 3; ++i) {
        daemon = crash_and_recover(std::move(daemon));
        CHECK(tokens(*daemon) == 2);
        CHECK(waits(*daemon) == charged);
    }
    SECTION("the processes end while the daemon runs")
    {
        end(*daemon, first);
        daemon = crash_and_recover(std::move(daemon));
        CHECK(tokens(*daemon) == 2);
        end(*daemon, second);
    }
    SECTION("the processes end while the daemon is down")
    {
        auto stored = crash(std::move(daemon));
        first.kill();
        second.kill();
        second.reap();
        daemon = std::make_unique<ServiceFixture>(std::move(stored));
        run_until_idle(daemon->loop);
    }
    SECTION("one process releases the hold on a new connection")
    {
        client = connect(*daemon, second);
        CHECK(release(*daemon, client, id) == done);
        CHECK(release(*daemon, client, id).contains("NoSuchHold"));
    }
    for (int i = 0; i < 2; ++i) {
        CHECK(tokens(*daemon) == 3);
        CHECK(waits(*daemon) == 0);
        daemon = crash_and_recover(std::move(daemon));
    }
    CHECK(daemon->state_store.stored_fds() == 0); // The pidfds are no longer stored.
}

TEST_CASE("a client that missed the reply to its hold gets it again with the same id")
{
    auto daemon = with_semaphore(3);
    OtherProcess process;
    auto client = connect(*daemon, process);
    const auto resume = fmt::format(R"({{"session":"{}","sequence":0}})", token);
    daemon->request(client, "Resume", resume);
    const auto id = hold(*daemon, client);
    daemon = crash_and_restart(std::move(daemon));
    client = connect(*daemon, process);
    REQUIRE(daemon->request(client, "Resume", resume).contains("true"));
    CHECK(hold(*daemon, client) == id);
    CHECK(tokens(*daemon) == 2);
    CHECK(release(*daemon, client, id) == done);
    // At the first crash, the client missed the reply to the Wait that took the hold. At this
    // second crash, the client misses the reply to Release.
    daemon = crash_and_restart(std::move(daemon));
    client = connect(*daemon, process);
    REQUIRE(
        daemon->request(client, "Resume", fmt::format(R"({{"session":"{}","sequence":1}})", token))
            .contains("true"));
    CHECK(release(*daemon, client, id) == done);
    CHECK(tokens(*daemon) == 3);
}

TEST_CASE("an orphaned session takes nothing from the hold of a process")
{
    auto daemon = with_semaphore(3);
    OtherProcess process;
    auto client = connect(*daemon, process);
    daemon->request(client, "Resume", fmt::format(R"({{"session":"{}","sequence":0}})", token));
    hold(*daemon, client);
    daemon = std::make_unique<ServiceFixture>(crash(std::move(daemon)), 0ns);
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon) == 2);
    end(*daemon, process);
    CHECK(tokens(*daemon) == 3);
}

// The tests below are about objects that end with a process.

TEST_CASE(
    "an object of a process exists until the process ends, whatever happens to its connections")
{
    auto daemon = std::make_unique<ServiceFixture>();
    OtherProcess process;
    auto client = connect(*daemon, process);
    const bool is_timer = GENERATE(true, false);
    const auto reply =
        is_timer
            ? daemon->request(client, "Arm", R"({"name":"o","afterNSec":1,"lifetime":"process"})")
            : daemon->request(client, "CreateEvent", R"({"name":"o","lifetime":"process"})");
    REQUIRE(reply.contains("true"));
    disconnect(*daemon, client);
    process.execute();
    const bool is_restarted = GENERATE(true, false);
    if (is_restarted)
        for (int i = 0; i < 2; ++i)
            daemon = crash_and_recover(std::move(daemon));
    auto other = daemon->connect();
    CHECK(daemon->request(other, "Show", R"({"name":"o"})").contains(R"("lifetime":"process")"));
    other.call("Wait", R"({"items":[{"name":"o"},{"name":"x"}]})");
    run_until_idle(daemon->loop);
    CHECK(other.reply().empty());
    end(*daemon, process);
    CHECK(other.reply().contains("io.evfdd.Deleted"));
    CHECK_FALSE(daemon->service.registry().objects.find("o"_name));
    daemon = crash_and_recover(std::move(daemon));
    CHECK_FALSE(daemon->service.registry().objects.find("o"_name));
    CHECK(daemon->state_store.stored_fds() == 0);
}

TEST_CASE(
    "an object that was created again after its deletion is not deleted with the first process")
{
    ServiceFixture daemon;
    OtherProcess process;
    auto client = connect(daemon, process);
    daemon.request(client, "CreateEvent", R"({"name":"o","lifetime":"process"})");
    daemon.request(client, "Delete", R"({"items":[{"name":"o"}]})");
    CHECK(daemon.state_store.stored_fds() == 0); // No object depends on the process any more.
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"o"})");
    end(daemon, process);
    CHECK(daemon.service.registry().objects.find("o"_name));
}

TEST_CASE("many objects of an ended process are all deleted, over several iterations")
{
    ServiceFixture daemon;
    OtherProcess process;
    auto client = connect(daemon, process);
    constexpr int many = 1'000;
    for (int i = 0; i < many; ++i)
        REQUIRE(daemon
                    .request(client, "CreateEvent",
                             fmt::format(R"({{"name":"o/{}","lifetime":"process"}})", i))
                    .contains("true"));
    const auto objects = [&] { return daemon.service.quota().used_by_all(Resource::objects); };
    process.kill();
    std::vector<std::int64_t> counts_per_iteration;
    while (objects() > 0) {
        REQUIRE(daemon.loop.run_once(20s));
        counts_per_iteration.push_back(objects());
    }
    CHECK(counts_per_iteration.size() >= 3);
    // The daemon has closed the descriptor with which it watched the process.
    CHECK(daemon.service.registry().descriptors.used() == 0);
    CHECK(daemon.state_store.stored_fds() == 0);
}

TEST_CASE("an ended process cannot own an object")
{
    ServiceFixture daemon;
    OtherProcess process;
    auto client = connect(daemon, process);
    process.kill();
    CHECK(daemon.request(client, "CreateEvent", R"({"name":"o","lifetime":"process"})")
              .contains("io.evfdd.NoSuchProcess"));
    CHECK_FALSE(daemon.service.registry().objects.find("o"_name));
}

} // namespace
} // namespace evfd::daemon
