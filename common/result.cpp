#include "common/result.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace evfd {

Fault Fault::last(std::string_view call)
{
    return {call, errno};
}

std::string Fault::message() const
{
    return fmt::format("{}: {}{}", call, std::generic_category().message(error), errno_hint(error));
}

std::string_view errno_hint(int error)
{
    if (error == EFBIG) // RLIMIT_FSIZE limits the size of memfds, too. setrlimit(2)
        return "; raise the limit RLIMIT_FSIZE (ulimit -f)";
    return {};
}

} // namespace evfd
