#include "common/result.h"
#include "tests/support/catch.h"

#include <cerrno>

namespace evfd {
namespace {

TEST_CASE("a fault names the failed call and its error")
{
    errno = ENOENT;
    const auto fault = Fault::last("open(2)");
    errno = 0;

    CHECK(fault.call == "open(2)");
    CHECK(fault.error == ENOENT);
    CHECK(fault.message() == "open(2): No such file or directory");
}

} // namespace
} // namespace evfd
