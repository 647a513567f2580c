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
    return fmt::format("{}: {}", call, std::generic_category().message(error));
}

} // namespace evfd
