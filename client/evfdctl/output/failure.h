// A system call that failed, as the one sentence of an error.
#pragma once

#include "common/result.h"
#include "evfd/error.h"

namespace evfd {

inline Error system_call_error(const char* call) // Why, errno says.
{
    return {ErrorCode::system, Fault::last(call).message()};
}

} // namespace evfd
