// Reports of comparisons: a table, JSON, and a plot of the distribution of the times.
#pragma once

#include "tests/bench/comparison.h"

#include <string>
#include <string_view>
#include <vector>

namespace evfd::bench {

struct Report {
    std::string daemon; // Which daemon was measured, such as "evfdd".
    std::vector<Comparison> comparisons = {};
    std::vector<Figure> figures = {};
};

// Returns a line that names the processor, the number of cores, the kernel and the date.
std::string machine();

// Returns a table with a line for each percentile of each comparison. The percentiles are computed
// within each pair of samples. A line shows three medians over all pairs: the median of evfdd's
// percentile, of the baseline's percentile, and of the ratio of these two percentiles. The first
// line of a comparison also shows the goal, if the comparison has one. The table ends with a line
// for each `Figure`, a value without a baseline.
std::string table(const Report& report);
std::string json(const Report& report);
// Returns an SVG image with the cumulative distribution of the times of each comparison.
std::string plot(const Report& report);

} // namespace evfd::bench
