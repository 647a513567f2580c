// Boots one container, in which all tests of the systemd units and the packages run. Exits with
// status 77 if this machine cannot boot a container.
#define CATCH_CONFIG_RUNNER
#ifdef EVFDD_CATCH2_V3
#include <catch2/catch_session.hpp>
#else
#include <catch2/catch.hpp>
#endif
#include "tests/packaging/container.h"
#include "tests/support/skip.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace {

// The exit status by which CTest recognizes a skipped test. See SKIP_RETURN_CODE in CMakeLists.txt.
constexpr int exit_skipped = 77;

} // namespace

int main(int argc, char** argv)
{
    Catch::Session session;
    if (const int status = session.applyCommandLine(argc, argv); status != 0)
        return status;
    const auto& options = session.configData();
    if (options.showHelp || options.listTests || options.listTags || options.listReporters)
        return session.run();
    if (const auto reason = evfd::e2e::Container::unavailable_reason()) {
        std::printf("SKIPPED: %s\n", reason->c_str());
        return evfd::forbids_skips() ? EXIT_FAILURE : exit_skipped;
    }
    try {
        const evfd::e2e::Container container;
        return session.run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return EXIT_FAILURE;
    }
}
