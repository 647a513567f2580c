// Tests of quotas and metrics, as users see them and as the administrator sets them.
#include "tests/support/daemon_process.h"

#include <fstream>

namespace evfd::e2e {
namespace {

void as_unprivileged(const std::function<void()>& work)
{
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        work();
    }};
    CHECK(worker.wait() == 0);
}

std::vector<protocol::Quotas::User> quotas_of(const Client& client)
{
    std::vector<protocol::Quotas::User> users;
    value_or_throw(client.quotas([&](protocol::Quotas::User& user) { users.push_back(user); }));
    return users;
}

protocol::Quotas::Quota quota_of(const protocol::Quotas::User& user, Resource resource)
{
    return *std::ranges::find(user.quotas, resource, &protocol::Quotas::Quota::quota);
}

TEST_CASE("status --quotas prints each user's usage and limits")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl({"arm", "t", "--every", "100ms", "--sets", "e"});
    const auto uid = std::to_string(::geteuid());
    const auto text = daemon.checked_ctl({"status", "--quotas"});
    const auto name = text.substr(0, text.find('\t'));
    CHECK(text.contains(name + "\tobjects\t2\t20000\n"));
    CHECK(text.contains(name + "\tconnections\t1\t8192\n"));
    CHECK(text.contains(name + "\tticksPerSecond\t10\t50000\n"));
    CHECK(text.contains(name + "\tunreadBytes\t0\t16777216\n"));

    const auto json = Json::parse(daemon.checked_ctl({"status", "--quotas", "--json"}));
    CHECK(json["uid"].dump() == uid);
    CHECK(json["quotas"][0] == Json{{"quota", "objects"}, {"used", 2}, {"limit", 20'000}});
}

TEST_CASE("root sees the usage of all users, and another user sees only its own")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    value_or_throw(client.create("mine"));
    as_unprivileged([&] {
        const auto worker_client = daemon.client();
        value_or_throw(worker_client.create("its/1"));
        value_or_throw(worker_client.create("its/2"));
        const auto users = quotas_of(worker_client);
        require(users.size() == 1 && users.front().uid == unprivileged_uid, "it sees other users");
        require(quota_of(users.front(), Resource::objects).used == 2, "wrong usage");
    });
    const auto users = quotas_of(client);
    REQUIRE(users.size() == 2);
    CHECK(users[0].uid == uid_t{0});
    CHECK(quota_of(users[0], Resource::objects).used == 1);
    CHECK(users[1].uid == unprivileged_uid);
    CHECK(quota_of(users[1], Resource::objects).used == 2);
}

TEST_CASE("userLimits apply to their user and the general limits to all others")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const auto config = directory / "evfdd.json";
    std::ofstream{config} << R"({"limits": {"objects": 3}, "userLimits": [{"user": )"
                          << unprivileged_uid << R"(, "objects": 1}]})";
    const DaemonProcess daemon{{"--config", config}};
    as_unprivileged([&] {
        const auto worker_client = daemon.client();
        value_or_throw(worker_client.create("its"));
        const auto refused = worker_client.create("more");
        require(!refused && refused.error().message.contains("may have 1 objects"),
                "the call was not refused");
    });
    const auto client = daemon.client();
    for (const auto* name : {"a", "b", "c"})
        value_or_throw(client.create(name));
    CHECK_FALSE(client.create("d"));
    CHECK(daemon.ctl({"create", "d"}).status == 4);
}

TEST_CASE("metrics prints OpenMetrics text with the counters of earlier calls")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    CHECK(daemon.ctl({"show", "missing"}).status == 3);
    const auto text = daemon.checked_ctl({"metrics"});
    CHECK(text.ends_with("# EOF\n"));
    for (const auto* line : {"evfdd_resources{resource=\"objects\"} 1\n",
                             "evfdd_resources{resource=\"connections\"} 1\n",
                             "evfdd_calls_total{method=\"io.evfdd.CreateEvent\"} 1\n",
                             "evfdd_calls_total{method=\"io.evfdd.Metrics\"} 1\n",
                             "evfdd_refusals_total{reason=\"NoSuchName\"} 1\n",
                             "evfdd_recovered{kind=\"objects\"} 0\n"})
        CHECK(text.contains(line));
    CHECK(Json::parse(daemon.checked_ctl({"metrics", "--json"}))["text"].is_string());
}

TEST_CASE("metrics report what was recovered after a kill")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e"});
    supervised.checked_ctl({"create", "p", "--mode", "pulse"});
    supervised.kill_daemon();
    const auto text = supervised.checked_ctl({"metrics"});
    CHECK(text.contains("evfdd_recovered{kind=\"objects\"} 2\n"));
    CHECK(text.contains("evfdd_recovery_losses 0\n"));
    CHECK(text.contains("evfdd_recovery_seconds 0."));
    CHECK_FALSE(text.contains("evfdd_recovery_seconds 0.0\n"));
}

} // namespace
} // namespace evfd::e2e
