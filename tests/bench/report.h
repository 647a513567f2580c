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

// Returns a table with a line for each percentile of each comparison. The percentile is
// computed for each pair. The line shows three medians over all pairs: evfdd's percentile, the
// baseline's percentile, and the ratio of the two percentiles. The first line of a comparison also
// shows the goal. The table ends with a line for each figure.
std::string table(const Report& report);
std::string json(const Report& report);
// Returns an SVG image with the cumulative distribution of the times of each comparison.
std::string plot(const Report& report);

} // namespace evfd::bench
