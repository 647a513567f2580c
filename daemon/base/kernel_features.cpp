#include "daemon/base/kernel_features.h"

#include "common/socket.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include <algorithm>
#include <ranges>

namespace evfd::daemon {

KernelFeatures probe_kernel_features()
{
    const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return {.pass_rights = refuse_descriptors(socket).has_value()};
}

std::optional<KernelFeature> kernel_feature(std::string_view name)
{
    const auto* const found = std::ranges::find(all_kernel_features, name, &KernelFeature::name);
    return found == all_kernel_features.end() ? std::nullopt : std::optional{*found};
}

std::string kernel_feature_names()
{
    return fmt::format(
        "{}", fmt::join(all_kernel_features | std::views::transform(&KernelFeature::name), ", "));
}

} // namespace evfd::daemon
