// How many descriptors this process has open, without looking at each of them.
#pragma once

#include <cstdint>

namespace evfd::daemon {

class OpenDescriptors {
public:
    // `known`: of those that are open now, how many count() will be told of.
    void begin(std::int64_t known);

    // As the kernel says; before Linux 6.2 it does not, and then `known` and as many as were open
    // beside those at first.
    std::int64_t count(std::int64_t known) const;

private:
    std::int64_t others_ = 0;
};

} // namespace evfd::daemon
