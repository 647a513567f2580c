#include "client/core/umask.h"
#include "tests/support/catch.h"
#include "tests/support/resource_limits.h"

#include <sys/stat.h>
#include <unistd.h>

namespace evfd {
namespace {

TEST_CASE("reading the umask does not set it")
{
    const auto before = ::umask(0037);
    const auto read = current_umask();
    CHECK(::umask(before) == 0037);
    CHECK(read == 0037);
}

TEST_CASE("an unreadable umask leaves no permission to others")
{
    const DescriptorLimit limit{static_cast<rlim_t>(UniqueFd{::dup(STDERR_FILENO)}.get())};
    CHECK(current_umask() == 0077);
}

} // namespace
} // namespace evfd
