#include "client/c/error.h"
#include "tests/support/catch.h"

#include <stdexcept>
#include <vector>

namespace evfd::c {
namespace {

TEST_CASE("each code of an error is the errno value that evfd.h says")
{
    const auto [code, is_limit, error] = GENERATE(table<ErrorCode, bool, int>({
        {ErrorCode::invalid, false, EINVAL},
        {ErrorCode::no_such_name, false, ENOENT},
        {ErrorCode::name_taken, false, EEXIST},
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
    const Error given{code, "a sentence", is_limit};
    CHECK(to_c_result([&]() -> Expected<void> { return std::unexpected(given); }) == -error);
    CHECK(std::string_view{last_error_message()} == "a sentence");
}

TEST_CASE("what is there is returned as a number, and nothing as 0")
{
    CHECK(to_c_result<std::int64_t>([]() -> Expected<std::int64_t> { return INT64_MAX; }) ==
          INT64_MAX);
    CHECK(to_c_result([]() -> Expected<bool> { return true; }) == 1);
    CHECK(to_c_result([]() -> Result<bool> { return false; }) == 0);
    CHECK(to_c_result([]() -> Result<void> { return {}; }) == 0);
}

TEST_CASE("what is thrown becomes an error")
{
    CHECK(to_c_result([]() -> Result<int> { throw std::bad_alloc{}; }) == -ENOMEM);
    CHECK(std::string_view{last_error_message()}.contains("memory"));
    CHECK(to_c_result([]() -> Result<int> { throw std::runtime_error{"how odd"}; }) == -EIO);
    CHECK(std::string_view{last_error_message()} == "how odd");
}

} // namespace
} // namespace evfd::c
