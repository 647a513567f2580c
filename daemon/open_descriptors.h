// How many descriptors this process has open, without looking at each of them.
#pragma once

#include <cstdint>

namespace evfd::daemon {

class OpenDescriptors {
public:
    OpenDescriptors(); // Remembers how many there are now.

    // As the kernel says; before Linux 6.2 it does not, and then as many as there were at first and
    // `since`, which are known to have been opened since.
    std::int64_t count(std::int64_t since) const;

private:
    std::int64_t at_first_;
};

} // namespace evfd::daemon
