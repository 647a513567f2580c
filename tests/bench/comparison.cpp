#include "tests/bench/comparison.h"

#include <algorithm>
#include <cmath>

namespace evfd::bench {

nanoseconds percentile(Sample sample, double share)
{
    const auto index =
        static_cast<std::size_t>(std::floor(share * static_cast<double>(sample.size() - 1)));
    std::ranges::nth_element(sample, sample.begin() + static_cast<std::ptrdiff_t>(index));
    return sample[index];
}

Comparison compare(Comparison comparison, int pairs,
                   const std::function<Pair(bool is_ours_first)>& measure)
{
    for (int i = 0; i < pairs; ++i)
        comparison.pairs.push_back(measure(i % 2 == 0));
    return comparison;
}

Comparison compare(Comparison comparison, int pairs, int batches, const Measure& ours,
                   const Measure& baseline)
{
    Sample warm_up; // These times are discarded, because the caches are cold.
    ours(warm_up);
    baseline(warm_up);
    return compare(std::move(comparison), pairs, [&](bool is_ours_first) {
        Pair pair;
        for (int i = 0; i < batches; ++i) {
            if (is_ours_first)
                ours(pair.ours);
            baseline(pair.baseline);
            if (!is_ours_first)
                ours(pair.ours);
        }
        return pair;
    });
}

} // namespace evfd::bench
