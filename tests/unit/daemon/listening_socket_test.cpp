#include "daemon/process/listening_socket.h"

#include "tests/support/service_fixture.h"
#include "tests/support/unix_address.h"

#include <sys/stat.h>

#include <fstream>
#include <system_error>

namespace evfd::daemon {
namespace {

UniqueFd bound(const std::string& path, int type)
{
    UniqueFd socket{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
    REQUIRE(bind_path(socket, path) == 0);
    return socket;
}

bool can_connect(const std::string& path)
{
    const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return connect_path(socket, path) == 0;
}

// Listens at the path. Returns the text of the error, or an empty string on success.
std::string error_text(const std::string& path)
{
    try {
        const ListeningSocket socket{path, 0600, KernelFeatures{}};
        return {};
    } catch (const std::system_error& error) {
        return error.what();
    }
}

bool exists(const std::string& path)
{
    struct stat file{};
    return ::lstat(path.c_str(), &file) == 0;
}

TEST_CASE("a listening socket exists at its path with its mode and is removed with its owner")
{
    const auto mode = GENERATE(mode_t{0600}, mode_t{0666});
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    {
        const ListeningSocket socket{path, mode, KernelFeatures{}};
        struct stat file{};
        REQUIRE(::lstat(path.c_str(), &file) == 0);
        CHECK(S_ISSOCK(file.st_mode));
        CHECK((file.st_mode & 07777) == mode);
        CHECK(can_connect(path));
    }
    CHECK_FALSE(exists(path));
}

TEST_CASE("a listening socket owns its file after the socket was released")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    {
        ListeningSocket socket{path, 0600, KernelFeatures{}};
        const auto released = socket.release();
        CHECK(can_connect(path));
        CHECK_THROWS_AS((ListeningSocket{path, 0600, KernelFeatures{}}), AlreadyRunning);
    }
    CHECK_FALSE(exists(path));
}

TEST_CASE("a stale socket is replaced")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    bound(path, SOCK_STREAM); // The socket is closed at once, and its file remains.
    REQUIRE(exists(path));
    const ListeningSocket socket{path, 0600, KernelFeatures{}};
    CHECK(can_connect(path));
}

TEST_CASE("the leftovers of a crashed daemon beside the socket are replaced")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    bound(path + ".new", SOCK_STREAM);
    const ListeningSocket socket{path, 0600, KernelFeatures{}};
    CHECK(can_connect(path));
    CHECK_FALSE(exists(path + ".new"));
}

TEST_CASE("a second daemon at the same path is refused, and the first keeps working")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    const ListeningSocket first{path, 0600, KernelFeatures{}};
    CHECK_THROWS_AS((ListeningSocket{path, 0600, KernelFeatures{}}), AlreadyRunning);
    CHECK(can_connect(path));
}

TEST_CASE("a live socket of another program is refused and kept, whatever its type")
{
    const auto type = GENERATE(SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM);
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    const auto foreign = bound(path, type);
    if (type != SOCK_DGRAM)
        REQUIRE(::listen(foreign.get(), 1) == 0);
    struct stat before{};
    REQUIRE(::lstat(path.c_str(), &before) == 0);

    CHECK_THROWS_AS((ListeningSocket{path, 0600, KernelFeatures{}}), AlreadyRunning);

    struct stat after{};
    REQUIRE(::lstat(path.c_str(), &after) == 0);
    CHECK(after.st_ino == before.st_ino);
}

TEST_CASE("a live socket whose queue is full is not stale")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    const auto foreign = bound(path, SOCK_STREAM);
    REQUIRE(::listen(foreign.get(), 0) == 0);
    std::deque<UniqueFd> waiting;
    int connected = 0;
    while (connected == 0 && waiting.size() < 100) {
        const auto& socket =
            waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        connected = connect_path(socket, path);
    }
    REQUIRE(connected < 0);
    CHECK_THROWS_AS((ListeningSocket{path, 0600, KernelFeatures{}}), AlreadyRunning);
}

TEST_CASE("a file that is no socket is kept and named in the error")
{
    const TemporaryDirectory directory;
    const auto path = directory / "file";
    std::ofstream{path} << "precious";
    CHECK(error_text(path).contains("is not a socket"));
    std::string text;
    std::ifstream{path} >> text;
    CHECK(text == "precious");
}

TEST_CASE("a socket file that another program replaced is not removed")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    {
        const ListeningSocket socket{path, 0600, KernelFeatures{}};
        // Renames the file instead of deleting it: a new file could get the inode number of a
        // deleted one.
        std::filesystem::rename(path, path + ".moved");
        std::ofstream{path} << "foreign";
    }
    CHECK(exists(path));
}

TEST_CASE("an impossible path is an error and leaves nothing behind")
{
    const TemporaryDirectory directory;
    CHECK_FALSE(error_text(directory / "missing/socket").empty());
    const auto too_long = directory / std::string(120, 'x');
    CHECK(error_text(too_long).contains("path"));
    CHECK_FALSE(exists(too_long));
}

TEST_CASE("an obstacle beside the socket is named and kept")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    std::filesystem::create_directory(path + ".new");
    CHECK(error_text(path).contains(path + ".new"));
    CHECK(exists(path + ".new"));
    CHECK_FALSE(exists(path));
}

TEST_CASE("a refused daemon does not block a later one")
{
    const TemporaryDirectory directory;
    const auto path = directory / "socket";
    {
        const ListeningSocket first{path, 0600, KernelFeatures{}};
        CHECK_THROWS_AS((ListeningSocket{path, 0600, KernelFeatures{}}), AlreadyRunning);
    }
    const ListeningSocket next{path, 0600, KernelFeatures{}};
    CHECK(can_connect(path));
}

} // namespace
} // namespace evfd::daemon
