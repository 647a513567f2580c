// Counts the open descriptors of this process without looking at each of them.
#pragma once

#include <cstdint>

namespace evfd::daemon {

class OpenDescriptors {
public:
    // Must be called before count(). `known` is the number of open descriptors that the caller has
    // counted, in the same way as for the argument of count().
    void begin(std::int64_t known);

    // Returns the number of open descriptors, as the kernel counts them. Linux before 6.2 does not
    // count them: there the result is `known` plus the number of other descriptors that were open
    // at begin().
    std::int64_t count(std::int64_t known) const;

private:
    std::int64_t others_ = 0;
};

} // namespace evfd::daemon
