// Boots one container for all tests of the units; where none can be booted, says so by a status of
// its own.
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

constexpr int exit_skipped = 77; // What CTest is told to take for skipped.

} // namespace

int main(int argc, char** argv)
{
    Catch::Session session;
    if (const int wrong = session.applyCommandLine(argc, argv); wrong != 0)
        return wrong;
    const auto& asked = session.configData();
    if (asked.showHelp || asked.listTests || asked.listTags || asked.listReporters)
        return session.run();
    if (const auto obstacle = evfd::e2e::Container::unavailable_reason()) {
        std::printf("SKIPPED: %s\n", obstacle->c_str());
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
