// Reports of comparisons: a table, JSON, and a plot of the distribution of the times.
#pragma once

#include "tests/bench/comparison.h"

#include <string>
#include <string_view>
#include <vector>

namespace evfd::bench {

struct Report {
    std::vector<Comparison> comparisons = {};
    std::vector<Figure> figures = {};
};

// Returns a line that names the processor, the number of cores, the kernel and the date.
std::string machine();

// Returns a table with a line for each percentile of each comparison. A line has evfdd's time and
// the baseline's time, each the median over all pairs, the median of the pairs' ratios, and the
// goal.
std::string table(const Report& report);
std::string json(const Report& report);
// Returns an SVG image with the cumulative distribution of the times of each comparison.
std::string plot(const Report& report);

} // namespace evfd::bench
