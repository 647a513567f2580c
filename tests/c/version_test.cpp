// Tests that the version of evfd.h and of the library are that of the project.
#include "evfd.h"
#include "tests/support/catch.h"

#include <string>

namespace evfd {
namespace {

TEST_CASE("the header and the library have the version of the project")
{
    CHECK(std::to_string(EVFD_VERSION_MAJOR) + "." + std::to_string(EVFD_VERSION_MINOR) + "." +
              std::to_string(EVFD_VERSION_PATCH) ==
          EVFDD_PROJECT_VERSION);
    CHECK(evfd_version() == EVFD_VERSION_NUMBER);
}

} // namespace
} // namespace evfd
