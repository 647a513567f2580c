// What evfdd uses of kernels newer than Linux 6.1, the oldest that it is tested on. It runs without
// each of these: their users have another way, and tests take both.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::daemon {

struct KernelFeatures {
    // SO_PASSRIGHTS, Linux 6.16: the kernel refuses descriptors that a client sends (EPERM).
    // Without it they arrive: each read is preceded by a look, and who sends some is let go.
    bool pass_rights = false;
};

// By trying, not by the version: a distribution's kernel has what others have later.
KernelFeatures probe_kernel_features();

// A feature as the command line names it.
struct KernelFeature {
    std::string_view name;
    bool KernelFeatures::* flag;
};
inline constexpr std::array all_kernel_features{
    KernelFeature{"pass-rights", &KernelFeatures::pass_rights},
};
std::optional<KernelFeature> kernel_feature(std::string_view name);
std::string kernel_feature_names(); // For a sentence.

} // namespace evfd::daemon
