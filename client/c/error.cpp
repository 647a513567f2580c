#include "client/c/error.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace evfd::c {

namespace {

constexpr std::size_t max_message_bytes = 1024;
thread_local std::array<char, max_message_bytes> last_message{};

int errno_of(const Error& error)
{
    switch (error.code) {
    case ErrorCode::invalid: return EINVAL;
    case ErrorCode::no_such_name: return ENOENT;
    case ErrorCode::name_taken: return EBUSY;
    case ErrorCode::refused: return error.is_limit ? EDQUOT : EACCES;
    case ErrorCode::deleted: return EIDRM;
    case ErrorCode::cancelled: return ECANCELED;
    case ErrorCode::timed_out: return ETIMEDOUT;
    case ErrorCode::no_daemon: return ECONNREFUSED;
    case ErrorCode::interrupted: return ECONNRESET;
    case ErrorCode::no_descriptor: return EMFILE;
    case ErrorCode::system: return EIO;
    }
    std::abort();
}

} // namespace

Failure::Failure(const Error& source) : error{errno_of(source)}, message{source.message} {}

int fail(int error, std::string_view message) noexcept
{
    auto& buffer = last_message;
    const auto length = std::min(message.size(), buffer.size() - 1);
    std::copy_n(message.data(), length, buffer.data());
    buffer[length] = '\0';
    errno = error;
    return -error;
}

const char* last_error_message() noexcept
{
    return last_message.data();
}

} // namespace evfd::c
