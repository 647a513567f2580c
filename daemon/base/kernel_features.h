// Features of kernels newer than Linux 6.1, the oldest kernel that evfdd is tested on. evfdd runs
// without each of them: their users have another way, and tests cover both ways.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::daemon {

struct KernelFeatures {
    // SO_PASSRIGHTS, Linux 6.16: the kernel refuses descriptors that a client sends (EPERM).
    // Without it they arrive: the daemon peeks before each read, and disconnects a client that
    // sends some.
    bool pass_rights = false;
};

// Probes by trying, not by version: distributions backport features to older kernels.
KernelFeatures probe_kernel_features();

// A feature and its name on the command line.
struct KernelFeature {
    std::string_view name;
    bool KernelFeatures::* flag;
};
inline constexpr std::array all_kernel_features{
    KernelFeature{"pass-rights", &KernelFeatures::pass_rights},
};
std::optional<KernelFeature> kernel_feature(std::string_view name);
std::string kernel_feature_names(); // Separated by commas.

} // namespace evfd::daemon
