// Counts the open descriptors of this process without looking at each of them.
#pragma once

#include <cstdint>

namespace evfd::daemon {

class OpenDescriptors {
public:
    // `known`: how many of the descriptors that are open now count() will get as its argument.
    void begin(std::int64_t known);

    // Returns the kernel's count. Linux before 6.2 has none: then `known` plus the other
    // descriptors that were open at begin().
    std::int64_t count(std::int64_t known) const;

private:
    std::int64_t others_ = 0;
};

} // namespace evfd::daemon
