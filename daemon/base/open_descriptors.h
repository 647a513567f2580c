// Counts the open descriptors of this process without looking at each of them.
#pragma once

#include <cstdint>

namespace evfd::daemon {

// Returns the limit on the open descriptors of this process.
std::int64_t descriptor_limit();

class OpenDescriptors {
public:
    // Counts the descriptors that the caller does not know of, if the kernel is older than Linux
    // 6.2. Must be called before count(). `known` is the number of open descriptors that the caller
    // knows of.
    void begin(std::int64_t known);

    // Returns the number of open descriptors of the process. Linux 6.2 and later report this
    // number. On older kernels the result is an estimate: `known` plus the number of other
    // descriptors that were open at begin(). `known` is the number of open descriptors that the
    // caller knows of now.
    std::int64_t count(std::int64_t known) const;

private:
    std::int64_t others_ = 0;
};

} // namespace evfd::daemon
