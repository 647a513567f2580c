#include "daemon/policy.h"

#include "tests/daemon_fixture.h"

namespace evfd::daemon {
namespace {

constexpr gid_t team = 3000;

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

TEST_CASE("who may what goes by the first that fits: owner, group, others; root may all")
{
    const auto [peer, rights, access] = GENERATE(table<Peer, std::string, Access>({
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
    INFO("uid " << peer.uid << " gid " << peer.gid << " rights " << rights);
    CHECK(access_of(peer, {alice, team, *Rights::parse(rights)}) == access);
}

TEST_CASE("only the owner and root own, whatever the rights are")
{
    const auto rights = GENERATE(as<std::string>{}, "0000", "0666");
    const auto [peer, is_owner] = GENERATE(table<Peer, bool>({
        {owner, true},
        {owner_in_group, true},
        {member, false},
        {supplementary_member, false},
        {other, false},
        {root, true},
    }));
    CHECK(owns(peer, {alice, team, *Rights::parse(rights)}) == is_owner);
}

TEST_CASE("root and the daemon's own user may have the machine woken, and nobody else")
{
    CHECK(may_wake_machine({0, 0, 1, {}}));
    CHECK(may_wake_machine({::geteuid(), 1, 1, {}}));
    CHECK_FALSE(may_wake_machine({::geteuid() + 1, 0, 1, {0}}));
}

} // namespace
} // namespace evfd::daemon
