#include "client/c/error.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace evfd::c {

namespace {

constexpr std::size_t max_sentence_bytes = 1024;
thread_local std::array<char, max_sentence_bytes> sentence_of_thread{};

int errno_of(const Error& error)
{
    switch (error.code) {
    case ErrorCode::invalid: return EINVAL;
    case ErrorCode::no_such_name: return ENOENT;
    case ErrorCode::name_taken: return EEXIST;
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

Failure::Failure(const Error& of) : error{errno_of(of)}, sentence{of.message} {}

int fail(int error, std::string_view sentence) noexcept
{
    auto& kept = sentence_of_thread;
    const auto length = std::min(sentence.size(), kept.size() - 1);
    std::copy_n(sentence.data(), length, kept.data());
    kept[length] = '\0';
    return -error;
}

const char* last_sentence() noexcept
{
    return sentence_of_thread.data();
}

} // namespace evfd::c
