#include "daemon/access/policy.h"

#include "tests/support/policy_fixture.h"

#include <unistd.h>

namespace evfd::daemon {
namespace {

const Peer owner{alice, alice, 1, {}};
const Peer owner_in_group{alice, team, 1, {team}};
const Peer member{bob, team, 1, {}};
const Peer supplementary_member{bob, bob, 1, {4, team, 5}};
const Peer other{bob, bob, 1, {4, 5}};
const Peer root{0, 0, 1, {}};

constexpr Access none{.wait = false, .set = false};
constexpr Access wait{.wait = true, .set = false};
constexpr Access set{.wait = false, .set = true};
constexpr Access both{.wait = true, .set = true};

TEST_CASE("access follows the first fitting class of owner, group and others, and root has all")
{
    const auto [peer, permissions, access] = GENERATE(table<Peer, std::string, Access>({
        {owner, "0400", wait},
        {owner, "0200", set},
        {owner, "0600", both},
        {owner, "0066", none},
        {owner_in_group, "0060", none},
        {member, "0040", wait},
        {member, "0020", set},
        {member, "0060", both},
        {member, "0606", none},
        {supplementary_member, "0040", wait},
        {supplementary_member, "0020", set},
        {supplementary_member, "0606", none},
        {other, "0004", wait},
        {other, "0002", set},
        {other, "0006", both},
        {other, "0660", none},
        {root, "0000", both},
        {root, "0600", both},
    }));
    INFO("uid " << peer.uid << " gid " << peer.gid << " permissions " << permissions);
    CHECK(access_of(peer, {alice, team, *Permissions::parse(permissions)}) == access);
}

TEST_CASE("an object is visible to root, to its owner and to users with access")
{
    const auto [peer, permissions, rules, is_seen] =
        GENERATE(table<Peer, std::string, std::string, bool>({
            {root, "0000", "a * -ws", true},
            {owner, "0000", "", true},
            {owner, "0000", "a * -ws", true},
            {member, "0040", "", true},
            {member, "0020", "", true},
            {member, "0606", "", false},
            {member, "0060", "a bob -w", true},
            {member, "0060", "a bob -ws", false},
            {member, "0020", "a bob -s", false},
            {other, "0660", "", false},
            {other, "0664", "", true},
            {other, "0662", "", true},
        }));
    CAPTURE(peer.uid, peer.gid, permissions, rules);
    CHECK(sees(make_policy(rules), peer, "a"_name,
               {alice, team, *Permissions::parse(permissions)}) == is_seen);
}

TEST_CASE("a name below user is visible to its user and to root alone")
{
    const auto name = *Name::parse("user/" + std::to_string(bob) + "/x");
    const Ownership object{alice, team, *Permissions::parse("0666")};
    CHECK(sees({}, other, name, object));
    CHECK(sees({}, root, name, object));
    CHECK_FALSE(sees({}, owner, name, object));
}

TEST_CASE("only the owner and root own an object, whatever its permissions")
{
    const auto permissions = GENERATE(as<std::string>{}, "0000", "0666");
    const auto [peer, is_owner] = GENERATE(table<Peer, bool>({
        {owner, true},
        {owner_in_group, true},
        {member, false},
        {supplementary_member, false},
        {other, false},
        {root, true},
    }));
    CHECK(owns(peer, {alice, team, *Permissions::parse(permissions)}) == is_owner);
}

TEST_CASE("only root and the daemon's own user may wake the machine")
{
    CHECK(may_wake_machine({0, 0, 1, {}}));
    CHECK(may_wake_machine({::geteuid(), 1, 1, {}}));
    CHECK_FALSE(may_wake_machine({::geteuid() + 1, 0, 1, {0}}));
}

// Returns the permissions that the policy allows the peer for an object with this name, such as
// "cwsd" or "-w--". The letters mean create, wait, set and delete. A dash means that the policy
// denies the permission.
std::string allowed_verbs(const Policy& policy, const Peer& peer, std::string_view name)
{
    const auto parsed = *Name::parse(name);
    std::string text;
    for (const auto& [right, letter] :
         {std::pair{Permission::create, 'c'}, std::pair{Permission::wait, 'w'},
          std::pair{Permission::set, 's'}, std::pair{Permission::own, 'd'}})
        text += policy.allows(peer, parsed, right) ? letter : '-';
    return text;
}

// Returns what the policy allows five peers: alice, bob, bob with the team as his group, bob with
// the team as a supplementary group, and root.
std::string verbs_of_all(const Policy& policy, std::string_view name)
{
    std::string text;
    for (const auto* peer : {&owner, &other, &member, &supplementary_member, &root})
        text += (text.empty() ? "" : " ") + allowed_verbs(policy, *peer, name);
    return text;
}

TEST_CASE("policy: the last rule for the user, prefix and verb decides, else the default")
{
    const auto [rules, name, verbs] = GENERATE(table<std::string, std::string, std::string>({
        // No rule applies, so the default decides.
        {"", "a", "cwsd cwsd cwsd cwsd cwsd"},
        {"default allow", "a", "cwsd cwsd cwsd cwsd cwsd"},
        {"default deny", "a", "---- ---- ---- ---- cwsd"},
        {"db/ * -c", "db/x", "-wsd -wsd -wsd -wsd cwsd"},
        {"db/ * -cwsd", "db/x", "---- ---- ---- ---- cwsd"},
        {"db/ alice -ws", "db/x", "c--d cwsd cwsd cwsd cwsd"},
        {"db/ @team -s", "db/x", "cwsd cwsd cw-d cw-d cwsd"},
        {"default deny; db/ * +w", "db/x", "-w-- -w-- -w-- -w-- cwsd"},
        {"default deny; db/ alice +cwsd", "db/x", "cwsd ---- ---- ---- cwsd"},
        {"default deny; db/ @team +cw", "db/x", "---- ---- cw-- cw-- cwsd"},
        // One rule can allow some permissions and deny others.
        {"db/ * +ws-cd", "db/x", "-ws- -ws- -ws- -ws- cwsd"},
        {"default deny; db/ * +ws-cd", "db/x", "-ws- -ws- -ws- -ws- cwsd"},
        // The prefix "db/" matches only the last of the names that follow.
        {"db/ * -cwsd", "web/x", "cwsd cwsd cwsd cwsd cwsd"},
        {"default deny; db/ * +cwsd", "web/x", "---- ---- ---- ---- cwsd"},
        {"db/ * -cwsd", "db", "cwsd cwsd cwsd cwsd cwsd"},
        {"db/ * -cwsd", "adb/x", "cwsd cwsd cwsd cwsd cwsd"},
        {"db/ * -cwsd", "DB/x", "cwsd cwsd cwsd cwsd cwsd"},
        {"db/ * -cwsd", "db/x/y/z", "---- ---- ---- ---- cwsd"},
        // A prefix matches bytes, not whole segments of a name.
        {"db * -cwsd", "db", "---- ---- ---- ---- cwsd"},
        {"db * -cwsd", "dbase", "---- ---- ---- ---- cwsd"},
        {"db/x * -cwsd", "db/x", "---- ---- ---- ---- cwsd"},
        {"db/x * -cwsd", "db/xy", "---- ---- ---- ---- cwsd"},
        {"db/xyz * -cwsd", "db/xy", "cwsd cwsd cwsd cwsd cwsd"},
        {"\"\" * -c", "a", "-wsd -wsd -wsd -wsd cwsd"},
        {"\"\" * -c", "db/x", "-wsd -wsd -wsd -wsd cwsd"},
        // If several rules match, the last one decides, not the one with the longest prefix.
        {"db/ * -w; db/ * +w", "db/x", "cwsd cwsd cwsd cwsd cwsd"},
        {"db/ * +w; db/ * -w", "db/x", "c-sd c-sd c-sd c-sd cwsd"},
        {"db/ * -cwsd; db/x * +w", "db/x", "-w-- -w-- -w-- -w-- cwsd"},
        {"db/x * +w; db/ * -cwsd", "db/x", "---- ---- ---- ---- cwsd"},
        {"db/ alice +w; db/ * -w", "db/x", "c-sd c-sd c-sd c-sd cwsd"},
        {"db/ * -w; db/ alice +w", "db/x", "cwsd c-sd c-sd c-sd cwsd"},
        {"db/ @team -w; db/ bob +w", "db/x", "cwsd cwsd cwsd cwsd cwsd"},
        {"db/ bob +w; db/ @team -w", "db/x", "cwsd cwsd c-sd c-sd cwsd"},
        // Each permission is decided by the last matching rule that names it.
        {"db/ * -c; db/ * -w; db/ alice +c", "db/x", "c-sd --sd --sd --sd cwsd"},
        {"default deny; db/ alice +cwsd; db/ @team +w; db/ * -d", "db/x",
         "cws- ---- -w-- -w-- cwsd"},
        {"default deny; \"\" * +w; db/ * -w; db/public/ * +w", "db/public/x",
         "-w-- -w-- -w-- -w-- cwsd"},
        {"default deny; \"\" * +w; db/ * -w; db/public/ * +w", "db/x", "---- ---- ---- ---- cwsd"},
        {"default deny; \"\" * +w; db/ * -w; db/public/ * +w", "web", "-w-- -w-- -w-- -w-- cwsd"},
    }));
    INFO(rules << " of " << name);
    CHECK(verbs_of_all(make_policy(rules), name) == verbs);
}

TEST_CASE("policy: names below user belong to their users, whatever the rules")
{
    const auto* rules = GENERATE("", "default deny", "user/ * +cwsd", "user/ * -cwsd", "\"\" * +w",
                                 "user/2001/ bob +cwsd; user/2001/ alice -cwsd", "\"\" @team -c");
    const auto alices = "cwsd ---- ---- ---- cwsd"s;
    const auto bobs = "---- cwsd cwsd cwsd cwsd"s;
    const auto roots = "---- ---- ---- ---- cwsd"s;
    const auto [name, verbs] = GENERATE_COPY(table<std::string, std::string>({
        {"user/2001", alices},
        {"user/2001/x", alices},
        {"user/2001/x/y", alices},
        {"user/2001/2002", alices},
        {"user/2002", bobs},
        {"user/2002/x", bobs},
        // The number 3000 is the id of a group and of no user.
        {"user/3000/x", roots},
        {"user/0", roots},
        {"user/0/x", roots},
        // A number that is not in the canonical form of a uid names no user.
        {"user/02001/x", roots},
        {"user/007/x", roots},
        {"user/00", roots},
        {"user/+2001/x", roots},
        {"user/-2001/x", roots},
        {"user/2001.0/x", roots},
        {"user/2001a", roots},
        {"user/0x7d1", roots},
        {"user/20010", roots},
        {"user/200", roots},
        {"user/alice/x", roots},
        {"user/abc", roots},
        // The next four numbers are 2001 + 2^32, 2001 + 2^64, the invalid uid 2^32 - 1, and 2^32.
        {"user/4294969297/x", roots},
        {"user/18446744073709553617/x", roots},
        {"user/4294967295", roots},
        {"user/4294967296", roots},
        {"user/" + std::string(250, '9'), roots},
    }));
    INFO(rules << " of " << name);
    CHECK(verbs_of_all(make_policy(rules), name) == verbs);
}

TEST_CASE("policy: a name that only resembles one below user is an ordinary name")
{
    const auto* name = GENERATE("user", "users/2001", "user.2001", "my/user/2001", "User/2001");
    INFO(name);
    CHECK(verbs_of_all({}, name) == "cwsd cwsd cwsd cwsd cwsd");
    CHECK(verbs_of_all(make_policy("default deny"), name) == "---- ---- ---- ---- cwsd");
}

TEST_CASE("policy: rules only restrict, and object permissions decide about the rest")
{
    const Ownership object{alice, team, "0640"_permissions};
    const auto [rules, peer, right, expected] =
        GENERATE(table<std::string, Peer, Permission, std::optional<DeniedBy>>({
            {"", owner, Permission::wait, {}},
            {"", owner, Permission::set, {}},
            {"", owner, Permission::own, {}},
            {"", member, Permission::wait, {}},
            {"", member, Permission::set, DeniedBy::permissions},
            {"", member, Permission::own, DeniedBy::permissions},
            {"", other, Permission::wait, DeniedBy::permissions},
            {"\"\" * +cwsd", other, Permission::wait, DeniedBy::permissions},
            {"\"\" * +cwsd", other, Permission::own, DeniedBy::permissions},
            {"\"\" * -cwsd", other, Permission::wait, DeniedBy::policy},
            {"\"\" * -cwsd", owner, Permission::wait, DeniedBy::policy},
            {"\"\" * -cwsd", owner, Permission::set, DeniedBy::policy},
            {"\"\" * -cwsd", owner, Permission::own, DeniedBy::policy},
            {"\"\" * -s", owner, Permission::wait, {}},
            {"\"\" * -s", owner, Permission::own, {}},
            {"\"\" * -cwsd", root, Permission::own, {}},
            {"\"\" * -cwsd", root, Permission::wait, {}},
        }));
    INFO(rules << " for uid " << peer.uid << " gid " << peer.gid << ": " << to_string(right));
    const auto policy = make_policy(rules);
    CHECK(check_access(&policy, peer, "e"_name, &object, right) == expected);
    if (expected != DeniedBy::policy)
        CHECK(check_access(nullptr, peer, "e"_name, &object, right) == expected);
}

TEST_CASE("policy: the policy alone decides about a name without an object")
{
    const auto policy = make_policy("db/ * -cw");
    for (const auto right : {Permission::create, Permission::wait}) {
        CHECK(check_access(&policy, owner, "db/x"_name, nullptr, right) == DeniedBy::policy);
        CHECK_FALSE(check_access(&policy, owner, "x"_name, nullptr, right));
        CHECK_FALSE(check_access(&policy, root, "db/x"_name, nullptr, right));
    }
}

TEST_CASE("policy: the owner of a namespace below user is parsed from the name")
{
    CHECK(namespace_owner("user/2001"_name) == alice);
    CHECK(namespace_owner("user/2001/x"_name) == alice);
    CHECK(namespace_owner("user/0/x"_name) == uid_t{0});
    for (const auto* name : {"user", "a", "user/x", "user/01", "user/4294967296"})
        CHECK_FALSE(namespace_owner(*Name::parse(name)));
    CHECK(is_in_user_namespace("user/"));
    CHECK_FALSE(is_in_user_namespace("user"));
}

// Returns a peer whose user and group have no mapping in the user namespace. The kernel reports the
// overflow uid and the overflow gid for each such peer. In the tests, the overflow uid and gid are
// `uid`.
Peer unmapped(uid_t uid, std::vector<gid_t> groups = {})
{
    Peer peer{uid, uid, 1, std::move(groups)};
    peer.is_user_mapped = false;
    peer.is_group_mapped = false;
    return peer;
}

TEST_CASE("an unmapped user is neither owner nor member and has the access of others")
{
    const auto permissions = GENERATE("0600"s, "0660"s, "0662"s, "0664"s, "0006"s);
    CAPTURE(permissions);
    const auto others = *Permissions::parse(permissions);
    const Ownership object{alice, alice, others};
    CHECK(access_of(unmapped(alice), object) == access_of(make_peer(bob), object));
    CHECK_FALSE(owns(unmapped(alice), object));
    CHECK(check_access(nullptr, unmapped(alice), "e"_name, &object, Permission::own) ==
          DeniedBy::permissions);
    CHECK(sees({}, unmapped(alice), "e"_name, object) ==
          sees({}, make_peer(bob), "e"_name, object));
    // The team is one of the peer's groups and has a mapping. So the peer has the access of the
    // team.
    CHECK(access_of(unmapped(alice, {team}), {bob, team, "0060"_permissions}) == both);
}

TEST_CASE("an unmapped user cannot create objects")
{
    const Policy policy;
    CHECK(check_access(&policy, unmapped(alice), "e"_name, nullptr, Permission::create) ==
          DeniedBy::unmapped);
    CHECK(check_access(nullptr, unmapped(alice), "e"_name, nullptr, Permission::create) ==
          DeniedBy::unmapped);
    CHECK(check_access(&policy, unmapped(alice), "user/2001/e"_name, nullptr, Permission::wait) ==
          DeniedBy::policy);
    const Ownership object{alice, alice, "0666"_permissions};
    CHECK_FALSE(sees(policy, unmapped(alice), "user/2001/e"_name, object));
}

TEST_CASE("an unmapped user is not the daemon's own user")
{
    CHECK(is_daemon_user(make_peer(::geteuid())));
    CHECK(is_daemon_user(unmapped(::geteuid())) == false);
    CHECK_FALSE(may_wake_machine(unmapped(::geteuid())));
    CHECK_FALSE(sees_all_quotas(unmapped(::geteuid())));
}

TEST_CASE("policy: a rule for an unmapped user allows nothing, but denies")
{
    const auto rules_allow = [](std::string_view rules, const Peer& peer) {
        return make_policy(rules).allows(peer, "e"_name, Permission::wait);
    };
    CHECK(rules_allow("default deny; e alice +w", make_peer(alice)));
    CHECK_FALSE(rules_allow("default deny; e alice +w", unmapped(alice)));
    CHECK_FALSE(rules_allow("e alice -w", unmapped(alice)));
    CHECK(rules_allow("default deny; e * +w", unmapped(alice)));
    CHECK_FALSE(rules_allow("default deny; e @team +w", unmapped(team)));
    CHECK(rules_allow("default deny; e @team +w", unmapped(alice, {team})));
}

} // namespace
} // namespace evfd::daemon
