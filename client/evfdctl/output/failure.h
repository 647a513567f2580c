// The error of a failed system call.
#pragma once

#include "common/result.h"
#include "evfd/error.h"

namespace evfd {

// Returns the error for the failed system call `call`. The reason is the present value of errno.
inline Error system_call_error(const char* call)
{
    return {ErrorCode::system, Fault::last(call).message()};
}

} // namespace evfd
