// The error of a failed system call.
#pragma once

#include "common/result.h"
#include "evfd/error.h"

namespace evfd {

inline Error system_call_error(const char* call) // Reads errno.
{
    return {ErrorCode::system, Fault::last(call).message()};
}

} // namespace evfd
