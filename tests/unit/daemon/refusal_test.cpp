#include "daemon/access/refusal.h"

#include "tests/support/service_fixture.h"

#include <sys/resource.h>

namespace evfd::daemon {
namespace {

std::string sentence(const Refusal& refusal)
{
    return std::visit(
        [](const auto& reason) {
            if constexpr (requires { reason.message; })
                return reason.message;
            else
                return ""s;
        },
        refusal.reason());
}

struct Case {
    Refusal refusal;
    std::string error;
    std::vector<std::string> names; // The words that the sentence of the error must contain.
};

TEST_CASE(
    "every refusal is an error of its own with a sentence that names the subject and the remedy")
{
    const auto name = "db/ready"_name;
    const auto permissions = "0640"_permissions;
    const std::vector<Case> cases{
        {refuse::no_such_name(name), "NoSuchName", {"'db/ready'", "create"}},
        {refuse::name_taken(name), "NameTaken", {"'db/ready'", "another name"}},
        {refuse::wrong_kind(name, "an auto event", "a pulse event"),
         "WrongKind",
         {"'db/ready' is an auto event, not a pulse event", "another name",
          "use it as an auto event"}},
        {refuse::not_permitted(name, Permission::wait, permissions, 42),
         "NotPermitted",
         {"'db/ready'", "wait for", "uid 42", "0640", "owner", "r permission"}},
        {refuse::not_permitted(name, Permission::set, permissions, 42),
         "NotPermitted",
         {"'db/ready'", "set, clear or arm", "uid 42", "0640", "owner", "w permission"}},
        {refuse::not_permitted(name, Permission::own, permissions, 42),
         "NotPermitted",
         {"'db/ready'", "delete or change the permissions", "uid 42", "0640",
          "only its owner and root"}},
        {refuse::not_permitted_by_policy(name, Permission::create, 42),
         "NotPermitted",
         {"'db/ready'", "the policy", "create", "another name", "administrator"}},
        {refuse::not_permitted_by_policy(name, Permission::wait, 42),
         "NotPermitted",
         {"'db/ready'", "the policy", "wait for", "permissions", "administrator"}},
        {refuse::not_permitted_by_policy(name, Permission::set, 42),
         "NotPermitted",
         {"'db/ready'", "the policy", "set, clear or arm", "permissions", "administrator"}},
        {refuse::not_permitted_by_policy(name, Permission::own, 42),
         "NotPermitted",
         {"'db/ready'", "the policy", "delete or change the permissions", "administrator"}},
        {refuse::not_permitted_by_policy("user/7/a"_name, Permission::create, 42),
         "NotPermitted",
         {"'user/7/a'", "create", "for uid 7 and root alone", "'user/42/' are yours"}},
        {refuse::not_permitted_by_policy("user/me"_name, Permission::wait, 42),
         "NotPermitted",
         {"'user/me'", "wait for", "for root alone", "'user/42/' are yours"}},
        {refuse::consume_not_permitted(name, permissions, 42),
         "NotPermitted",
         {"'db/ready'", "take from", "uid 42", "0640", "needs r and w", "owner", "w permission"}},
        {refuse::consume_not_permitted_by_policy(name),
         "NotPermitted",
         {"'db/ready'", "the policy", "take from", "'wait' and 'set'", "administrator"}},
        {refuse::too_many_groups(name),
         "NotPermitted",
         {"'db/ready'", "more than 128 supplementary groups", "fewer groups"}},
        {refuse::unmapped_user(name, Permission::create),
         "NotPermitted",
         {"'db/ready'", "create", "user namespace", "map it there"}},
        {refuse::quota_exceeded({42, Resource::monitors, 64}),
         "QuotaExceeded",
         {"uid 42", "64 monitors", "end some first"}},
        {refuse::too_many_tokens_to_set(name), "TooManyTokens", {"'db/ready'", "16384", "fewer"}},
        {refuse::too_many_tokens_to_clear(name),
         "TooManyTokens",
         {"'db/ready'", "4294967295", "create it again"}},
        {refuse::timed_out(), "TimedOut", {"timed out", "wait longer"}},
        {refuse::deleted(name), "Deleted", {"'db/ready'", "wait again"}},
        {refuse::cancelled(name),
         "Cancelled",
         {"'db/ready'", "wall clock was set", "arm it again"}},
        {refuse::clock_in_use(name, Clock::monotonic, Clock::boottime),
         "WrongKind",
         {"'db/ready'", "the clock monotonic", "change to the clock boottime", "delete it first"}},
        {refuse::wake_not_permitted(Clock::realtime_alarm),
         "NoCapability",
         {"realtime_alarm", "CAP_WAKE_ALARM", "root", "another clock"}},
        {refuse::clock_unavailable(Clock::boottime_alarm, {"timerfd_create(2)", EPERM}),
         "NoCapability",
         {"boottime_alarm", "CAP_WAKE_ALARM", "another clock"}},
        {refuse::clock_unavailable(Clock::boottime_alarm, {"timerfd_create(2)", ENOMEM}),
         "SystemFailure",
         {"timerfd_create(2)", "Cannot allocate memory", "try again"}},
        {refuse::clock_unavailable(Clock::monotonic, {"timerfd_create(2)", EMFILE}),
         "OutOfDescriptors",
         {"descriptors"}},
        {refuse::descriptor_shortage(SharedPool::Shortage::exhausted, {42, Resource::objects, 7}),
         "OutOfDescriptors",
         {"share", "delete", "raise"}},
        {refuse::descriptor_shortage(SharedPool::Shortage::reserved, {42, Resource::objects, 7}),
         "QuotaExceeded",
         {"uid 42", "7 objects", "fewer"}},
        {refuse::system_failure({"epoll_ctl(2)", ENOSPC}),
         "SystemFailure",
         {"fs.epoll.max_user_watches", "close", "raise"}},
        {refuse::system_failure({"eventfd(2)", ENOMEM}),
         "SystemFailure",
         {"eventfd(2)", "Cannot allocate memory", "try again"}},
    };
    for (const auto& [refusal, error, parts] : cases) {
        CHECK(error_name(refusal) == error);
        const auto text = sentence(refusal);
        INFO(text);
        for (const auto& part : parts)
            CHECK(text.contains(part));
        CHECK_FALSE(text.contains('\n'));
    }
}

TEST_CASE("a refusal carries the values that a program needs")
{
    const auto name = "x"_name;
    const auto quota = refuse::quota_exceeded({42, Resource::waits, 7});
    CHECK(std::get<protocol::QuotaExceeded>(quota.reason()).quota == Resource::waits);
    CHECK(std::get<protocol::QuotaExceeded>(quota.reason()).limit == 7);
    const auto right = refuse::not_permitted(name, Permission::own, "0600"_permissions, 1);
    CHECK(std::get<protocol::NotPermitted>(right.reason()).access == Permission::own);
    CHECK(std::get<protocol::NotPermitted>(right.reason()).name == name);
    const auto creation = refuse::not_permitted_by_policy(name, Permission::create, 1);
    CHECK(std::get<protocol::NotPermitted>(creation.reason()).access == Permission::create);
    CHECK(std::get<protocol::NotPermitted>(creation.reason()).name == name);
    const auto cancelled = refuse::cancelled(name);
    CHECK(std::get<protocol::Cancelled>(cancelled.reason()).name == name);
    const auto in_use = refuse::clock_in_use(name, Clock::realtime, Clock::boottime);
    CHECK(std::get<protocol::WrongKind>(in_use.reason()).name == name);
    const auto tokens = refuse::too_many_tokens_to_set(name);
    CHECK(std::get<protocol::TooManyTokens>(tokens.reason()).limit == max_tokens_per_set);
}

TEST_CASE("a refusal at a limit names the limit and the remedy")
{
    for (const auto& [resource, word] : enum_names(Resource{})) {
        const auto text = sentence(refuse::quota_exceeded({42, resource, 4711}));
        INFO(word << ": " << text);
        CHECK(text.contains("uid 42"));
        CHECK(text.contains("4711 "));
        CHECK(text.contains(";")); // The hint follows the semicolon.
    }
}

TEST_CASE("too many descriptors in flight are OutOfDescriptors")
{
    const auto refusal = refuse::system_failure({"sendmsg(2)", ETOOMANYREFS});
    REQUIRE(std::get_if<protocol::OutOfDescriptors>(&refusal.reason()));
    CHECK(sentence(refusal).contains("in flight in sockets"));
}

TEST_CASE("a system call that failed without a descriptor is OutOfDescriptors with the limit")
{
    const auto error = GENERATE(EMFILE, ENFILE);
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);

    const auto refusal = refuse::system_failure({"eventfd(2)", error});

    const auto* reason = std::get_if<protocol::OutOfDescriptors>(&refusal.reason());
    REQUIRE(reason);
    CHECK(reason->limit == static_cast<std::int64_t>(limit.rlim_cur));
    CHECK(reason->message.contains(std::to_string(limit.rlim_cur) + " descriptors"));
}

} // namespace
} // namespace evfd::daemon
