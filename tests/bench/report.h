// What is told of comparisons: a table for people, JSON, and a plot of how the times are spread.
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

// Which machine, which kernel, when.
std::string machine();

// A line for each share of a comparison: our value and the other one (medians over the pairs), the
// median of the pairs' ratios, and the goal.
std::string table(const Report& report);
std::string json(const Report& report);
// An SVG image: for each comparison how many of all times are below which time.
std::string plot(const Report& report);

} // namespace evfd::bench
