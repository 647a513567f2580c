// A system call that failed, as the one sentence of an error.
#pragma once

#include "evfd/error.h"
#include "common/result.h"

namespace evfd {

inline Error failed(const char* call) // Why, errno says.
{
    return {ErrorCode::system, Fault::last(call).message()};
}

} // namespace evfd
