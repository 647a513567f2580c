// Features of kernels newer than Linux 6.1, the oldest kernel that evfdd is tested on. evfdd also
// runs without each of these features: the code that uses a feature has an alternative, and the
// tests cover the feature and the alternative.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::daemon {

struct KernelFeatures {
    // SO_PASSRIGHTS, Linux 6.16: the kernel refuses descriptors that a client sends (EPERM).
    // Without this feature, the descriptors arrive. The daemon then peeks at its input before each
    // read, and disconnects a client that sends descriptors.
    bool pass_rights = false;
};

// Finds out which features the kernel has by trying them. The kernel's version is not enough,
// because distributions backport features to older kernels.
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
std::string kernel_feature_names(); // Returns the names of all features, separated by commas.

} // namespace evfd::daemon
