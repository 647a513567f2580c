// Comparisons: the times of the same work with evfdd and with a baseline, and their ratio.
//
// A comparison consists of pairs. A pair holds two samples, ours and the baseline's, which were
// taken in alternating batches within a short stretch of time. Other load on the machine, a change
// of the processor's frequency or a full cache thus meets both sides of a pair alike. The result is
// the ratio of each pair, and of these the median: a disturbed pair does not move it.
//
//     pair 1:  ours base ours base ours base     samples of all batches  -> percentile -> ratio 1
//     pair 2:  base ours base ours base ours                                           -> ratio 2
//     ...                                                                       median of the
//     ratios
//
// A batch is one call of a Measure, which does the work some times and appends each duration to a
// sample. Before the first pair each side runs one batch whose times are discarded.
//
// What must hold:
// - Both sides do the same work and transfer the same number of bytes and descriptors.
// - In every other pair the other side comes first, so that no side gains from its position.
// - The reported percentiles are taken within a pair. Only the plot pools the times of all pairs.
// - A Figure is an absolute value, and depends on the machine; a goal for it leaves room.
#pragma once

#include "common/clock.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace evfd::bench {

using Sample = std::vector<nanoseconds>;

// Returns the value that this share of the sample does not exceed.
nanoseconds percentile(Sample sample, double share);

template <class T>
T median(std::vector<T> values)
{
    std::ranges::nth_element(values,
                             values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

// The samples of both sides, from alternating batches.
struct Pair {
    Sample ours;
    Sample baseline;
};

struct Comparison {
    std::string work;
    std::string against;
    std::optional<double> goal; // The largest acceptable ratio of the medians.
    std::vector<Pair> pairs = {};
};

// Does the work one or more times and appends the duration of each.
using Measure = std::function<void(Sample&)>;

// Measures `pairs` pairs, each of `batches` batches of both sides, and adds them to the comparison.
Comparison compare(Comparison comparison, int pairs, int batches, const Measure& ours,
                   const Measure& baseline);
// The same with a function that measures a whole pair.
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

// A single value with its goal, instead of a ratio.
struct Figure {
    std::string name;
    double value;
    std::string unit;
    std::optional<double> max = {};
    std::optional<double> min = {};
};

} // namespace evfd::bench
