#include "common/unique_fd.h"
#include "tests/support/catch.h"

#include <fcntl.h>

#include <array>

namespace evfd {
namespace {

bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) >= 0;
}

UniqueFd some_fd()
{
    UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    REQUIRE(fd);
    return fd;
}

TEST_CASE("a descriptor is closed with its owner")
{
    int number = -1;
    {
        const auto fd = some_fd();
        number = fd.get();
        REQUIRE(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("a moved descriptor has one owner")
{
    auto first = some_fd();
    const int number = first.get();

    const auto second = std::move(first);

    CHECK_FALSE(first);
    CHECK(second.get() == number);
    CHECK(is_open(number));
}

TEST_CASE("a descriptor is closed when another one replaces it")
{
    auto fd = some_fd();
    const int replaced = fd.get();
    auto other = some_fd();
    const int number = other.get();

    fd = std::move(other);

    CHECK_FALSE(is_open(replaced));
    CHECK(is_open(number));
    CHECK(fd.get() == number);
    CHECK_FALSE(other);
}

TEST_CASE("a released descriptor stays open")
{
    int number = -1;
    {
        auto fd = some_fd();
        number = fd.release();
        CHECK_FALSE(fd);
    }
    CHECK(is_open(number));
    CHECK(::close(number) == 0);
}

TEST_CASE("an empty descriptor is empty, however it was made")
{
    CHECK_FALSE(UniqueFd{});
    CHECK_FALSE(UniqueFd{-1});
    CHECK(UniqueFd{}.get() == -1);
}

} // namespace
} // namespace evfd
