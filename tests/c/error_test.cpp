#include "client/c/error.h"
#include "tests/support/catch.h"

#include <stdexcept>
#include <vector>

namespace evfd::c {
namespace {

TEST_CASE("each error code is returned as the errno value that evfd.h documents")
{
    const auto [code, is_limit, error] = GENERATE(table<ErrorCode, bool, int>({
        {ErrorCode::invalid, false, EINVAL},
        {ErrorCode::no_such_name, false, ENOENT},
        {ErrorCode::name_taken, false, EBUSY},
        {ErrorCode::refused, false, EACCES},
        {ErrorCode::refused, true, EDQUOT},
        {ErrorCode::deleted, false, EIDRM},
        {ErrorCode::cancelled, false, ECANCELED},
        {ErrorCode::timed_out, false, ETIMEDOUT},
        {ErrorCode::no_daemon, false, ECONNREFUSED},
        {ErrorCode::interrupted, false, ECONNRESET},
        {ErrorCode::no_descriptor, false, EMFILE},
        {ErrorCode::system, false, EIO},
    }));
    const Error failure{code, "a message", is_limit};
    CHECK(to_c_result([&]() -> Expected<void> { return std::unexpected(failure); }) == -error);
    CHECK(std::string_view{last_error_message()} == "a message");
}

TEST_CASE("a result is returned as a number, and an empty one as 0")
{
    CHECK(to_c_result<std::int64_t>([]() -> Expected<std::int64_t> { return INT64_MAX; }) ==
          INT64_MAX);
    CHECK(to_c_result([]() -> Expected<bool> { return true; }) == 1);
    CHECK(to_c_result([]() -> Result<bool> { return false; }) == 0);
    CHECK(to_c_result([]() -> Result<void> { return {}; }) == 0);
}

TEST_CASE("a failure sets errno after the destructors of the call, and a success leaves it")
{
    struct ClearsErrno {
        ~ClearsErrno() { errno = 0; }
    };
    errno = 0;
    CHECK(to_c_result([]() -> Result<int> {
              const ClearsErrno destroyed;
              return std::unexpected(Failure{ENOENT, "a message"});
          }) == -ENOENT);
    CHECK(errno == ENOENT);
    CHECK(to_c_result([]() -> Result<int> { return 7; }) == 7);
    CHECK(errno == ENOENT);
    CHECK(to_c_result([]() -> Result<int> { throw std::bad_alloc{}; }) == -ENOMEM);
    CHECK(errno == ENOMEM);
}

TEST_CASE("an exception is returned as an error")
{
    CHECK(to_c_result([]() -> Result<int> { throw std::bad_alloc{}; }) == -ENOMEM);
    CHECK(std::string_view{last_error_message()}.contains("memory"));
    CHECK(to_c_result([]() -> Result<int> { throw std::runtime_error{"unexpected"}; }) == -EIO);
    CHECK(std::string_view{last_error_message()} == "unexpected");
}

} // namespace
} // namespace evfd::c
