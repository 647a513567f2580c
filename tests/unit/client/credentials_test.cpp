#include "client/core/credentials.h"
#include "tests/support/skip.h"

#include "tests/support/catch.h"

#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

namespace evfd {
namespace {

// Calls `change` in a child process. Returns the result of can_change_groups() in the child, or
// nothing if `change` failed.
template <class Change>
std::optional<bool> in_child(Change change)
{
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
        ::_exit(change() ? (can_change_groups() ? 1 : 0) : 2);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) > 1)
        return {};
    return WEXITSTATUS(status) == 1;
}

constexpr uid_t user = 60'123;
constexpr gid_t group = 60'124;

bool become(uid_t saved_user, gid_t saved_group)
{
    return ::setgroups(0, nullptr) == 0 && ::setresgid(group, group, saved_group) == 0 &&
           ::setresuid(user, user, saved_user) == 0;
}

TEST_CASE("a process can change its groups with CAP_SETGID or a saved group of its own")
{
    if (::geteuid() != 0)
        skip("only root can become another user");

    CHECK(in_child([] { return true; }) == true);
    CHECK(in_child([] { return become(user, group); }) == false);
    CHECK(in_child([] { return become(user, group + 1); }) == true);
    // The saved uid of the child is still root. So the child keeps CAP_SETGID in its permitted set.
    CHECK(in_child([] { return become(0, group); }) == true);
}

} // namespace
} // namespace evfd
