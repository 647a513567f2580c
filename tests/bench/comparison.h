// Comparison: the times of one kind of work with evfdd and with a baseline, and their ratio.
//
// A comparison consists of pairs. A pair holds two samples, ours and the baseline's, which were
// taken in alternating batches within a short stretch of time. Other load on the machine, a change
// of the processor's frequency or a full cache thus affects both samples of a pair alike. The
// result is the median of the ratios of all pairs, which a single disturbed pair does not change.
//
//     pair 1:  ours base ours base ours base     samples of all batches  -> percentile -> ratio 1
//     pair 2:  base ours base ours base ours                                           -> ratio 2
//     ...                                                                -> median of the ratios
//
// A batch is one call of a Measure, which does the work several times and appends each duration to
// a sample. Before the first pair, evfdd and the baseline each run one batch whose times are
// discarded.
//
// Invariants:
// - evfdd and the baseline do equal work and transfer equal numbers of bytes and descriptors.
// - evfdd and the baseline take turns in being measured first in a pair, so that neither gains from
//   its position.
// - The reported percentiles are taken within a pair. Only the plot pools the times of all pairs.
// - A Figure is an absolute value that depends on the machine, so its goal has a margin.
#pragma once

#include "common/clock.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace evfd::bench {

using Sample = std::vector<nanoseconds>;

// Returns a percentile of the times in the sample. A share of 0.5 means the median.
nanoseconds percentile(Sample sample, double share);

template <class T>
T median(std::vector<T> values)
{
    std::ranges::nth_element(values,
                             values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

// The samples of evfdd and of the baseline, from alternating batches.
struct Pair {
    Sample ours;
    Sample baseline;
};

struct Comparison {
    std::string work;
    std::string against;
    // The largest acceptable ratio of the median times of evfdd and of the baseline.
    std::optional<double> goal;
    std::vector<Pair> pairs = {};
};

// A function that does the work one or more times and appends the duration of each repetition to
// the sample.
using Measure = std::function<void(Sample&)>;

// Measures `pairs` pairs and adds them to the comparison. A pair has `batches` batches of evfdd and
// as many of the baseline.
Comparison compare(Comparison comparison, int pairs, int batches, const Measure& ours,
                   const Measure& baseline);
// Adds `pairs` pairs to the comparison. Each call of the given function measures one pair.
Comparison compare(Comparison comparison, int pairs,
                   const std::function<Pair(bool is_ours_first)>& measure);

// Returns a Measure that does the work `repetitions` times.
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

// A single measured value and its goal, for a benchmark that has no baseline.
struct Figure {
    std::string name;
    double value;
    std::string unit;
    std::optional<double> max = {};
    std::optional<double> min = {};
};

} // namespace evfd::bench
