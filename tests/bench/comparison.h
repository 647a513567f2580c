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

// Of one stretch of time, in which both were measured by turns: so what else goes on meets both.
struct Pair {
    Sample ours;
    Sample bare;
};

struct Comparison {
    std::string work;
    std::vector<Pair> pairs;
};

// `measure` is told which of the two is to come first: in every other pair the other one.
Comparison compare(std::string work, int pairs,
                   const std::function<Pair(bool is_ours_first)>& measure);

// A line for each share: our value and the bare one (medians over the pairs), and the median of the
// pairs' ratios.
std::string table(const Comparison& comparison);
std::string json(const Comparison& comparison);

} // namespace evfd::bench
