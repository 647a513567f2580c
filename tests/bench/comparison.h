// The same work done by us and by something else, by turns, and what one costs against the other.
#pragma once

#include "common/clock.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace evfd::bench {

using Sample = std::vector<nanoseconds>;

// The value that this share of the sample does not exceed.
nanoseconds percentile(Sample sample, double share);

template <class T>
T median(std::vector<T> values)
{
    std::ranges::nth_element(values,
                             values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

// Of one stretch of time, in which both were measured by turns: so what else goes on meets both.
struct Pair {
    Sample ours;
    Sample baseline;
};

struct Comparison {
    std::string work;
    std::string against;
    std::optional<double> goal; // Of the ratio in the median.
    std::vector<Pair> pairs = {};
};

// Does the work once, or some times, and tells how long each time took.
using Measure = std::function<void(Sample&)>;

// So many pairs, each of `turns` of both; in every other pair the other one comes first.
Comparison compare(Comparison comparison, int pairs, int batches, const Measure& ours,
                   const Measure& baseline);
// The same, where a pair is more than that.
Comparison compare(Comparison comparison, int pairs,
                   const std::function<Pair(bool is_ours_first)>& measure);

// How long it takes, so many times.
template <class Work>
Measure timed(int repetitions, Work work)
{
    return [repetitions, work](Sample& sample) {
        for (int i = 0; i < repetitions; ++i) {
            const auto begin = monotonic_now();
            work();
            sample.push_back(monotonic_now() - begin);
        }
    };
}

// Something that is one number, and no ratio.
struct Figure {
    std::string name;
    double value;
    std::string unit;
    std::optional<double> max = {};
    std::optional<double> min = {};
};

} // namespace evfd::bench
