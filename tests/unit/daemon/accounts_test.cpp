#include "daemon/access/accounts.h"

#include "tests/support/catch.h"

#include <string>

namespace evfd::daemon {
namespace {

TEST_CASE("a range of subordinate uids is one account")
{
    const Accounts accounts{"alice:100000:65536\nbob:165536:65536\n"};
    const auto [uid, account] = GENERATE(table<uid_t, uid_t>({
        {0, 0},
        {1'000, 1'000},
        {99'999, 99'999},
        {100'000, 100'000},
        {100'001, 100'000},
        {165'535, 100'000},
        {165'536, 165'536},
        {231'071, 165'536},
        {231'072, 231'072},
        {4'294'967'294, 4'294'967'294},
    }));
    CHECK(accounts.account_of(uid) == account);
}

TEST_CASE("overlapping ranges are one account, in any order")
{
    const Accounts accounts{"b:2000:1000\na:1000:1500\nc:1000:10\nd:2900:200\ne:3100:1"};
    CHECK(accounts.account_of(1'000) == 1'000);
    CHECK(accounts.account_of(2'000) == 1'000);
    CHECK(accounts.account_of(3'099) == 1'000);
    CHECK(accounts.account_of(3'100) == 3'100);
}

TEST_CASE("a malformed line of subordinate uids is skipped")
{
    const auto* line =
        GENERATE("", "alice", "alice:", "alice:100", "alice:100:", "alice:100:x", "alice:100:-5",
                 "alice:100:0", "alice:100:20:30", "alice: 100:20", "alice:100:4294967296",
                 "alice:4294967296:1", "alice:100:4294967295", "alice:18446744073709551616:1",
                 "alice:0:65536", "# alice:100:20");
    const Accounts accounts{std::string{line} + "\nbob:5000:2\n"};
    for (const uid_t uid : {0U, 100U, 101U, 110U})
        CHECK(accounts.account_of(uid) == uid);
    CHECK(accounts.account_of(5'001) == 5'000);
}

TEST_CASE("each user has an account without subordinate uids")
{
    CHECK(Accounts{}.account_of(100'001) == 100'001);
    CHECK(Accounts{""}.account_of(100'001) == 100'001);
}

} // namespace
} // namespace evfd::daemon
