// Sends bytes with descriptors, for scripted daemons.
#pragma once

#include "common/socket.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace evfd {

inline Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes,
                                               std::span<const UniqueFd> descriptors)
{
    std::vector<int> numbers;
    for (const auto& descriptor : descriptors)
        numbers.push_back(descriptor.get());
    return send(socket, bytes, std::span<const int>{numbers});
}

} // namespace evfd
