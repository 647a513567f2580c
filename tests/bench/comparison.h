// The same work done by us and on the bare kernel, by turns, and what one costs against the other.
#pragma once

#include "common/clock.h"

#include <functional>
#include <string>
#include <vector>

namespace evfd::bench {

using Sample = std::vector<nanoseconds>;

// The value that this share of the sample does not exceed.
nanoseconds percentile(Sample sample, double share);

struct Comparison {
    std::string work;
    std::vector<Sample> ours;
    std::vector<Sample> bare; // As many.
};

// Measures so many pairs, by turns, so that what else goes on meets both; the order changes from
// pair to pair.
Comparison compare(std::string work, int pairs, const std::function<Sample()>& ours,
                   const std::function<Sample()>& bare);

// A line for each share: our value and the bare one (medians over the pairs), and the median of the
// pairs' ratios.
std::string table(const Comparison& comparison);
std::string json(const Comparison& comparison);

} // namespace evfd::bench
