#include "tests/bench/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace evfd::bench {

namespace {

constexpr std::array shares{0.5, 0.99};

struct Figures {
    double share;
    double ours; // Microseconds.
    double bare;
    double ratio;
};

template <class T>
T median(std::vector<T> values)
{
    std::ranges::sort(values);
    return values[values.size() / 2];
}

double microseconds(nanoseconds span)
{
    return std::chrono::duration<double, std::micro>{span}.count();
}

Figures figures(const Comparison& comparison, double share)
{
    std::vector<double> ours;
    std::vector<double> bare;
    std::vector<double> ratios;
    for (const auto& pair : comparison.pairs) {
        ours.push_back(microseconds(percentile(pair.ours, share)));
        bare.push_back(microseconds(percentile(pair.bare, share)));
        ratios.push_back(ours.back() / bare.back());
    }
    return {share, median(ours), median(bare), median(ratios)};
}

} // namespace

nanoseconds percentile(Sample sample, double share)
{
    const auto index =
        static_cast<std::size_t>(std::floor(share * static_cast<double>(sample.size() - 1)));
    std::ranges::nth_element(sample, sample.begin() + static_cast<std::ptrdiff_t>(index));
    return sample[index];
}

Comparison compare(std::string work, int pairs,
                   const std::function<Pair(bool is_ours_first)>& measure)
{
    Comparison comparison{std::move(work), {}};
    for (int i = 0; i < pairs; ++i)
        comparison.pairs.push_back(measure(i % 2 == 0));
    return comparison;
}

std::string table(const Comparison& comparison)
{
    std::string text;
    for (const double share : shares) {
        const auto row = figures(comparison, share);
        text += fmt::format("{:<40}  p{:<3.0f} {:>9.2f} us {:>9.2f} us {:>7.3f}\n", comparison.work,
                            share * 100, row.ours, row.bare, row.ratio);
    }
    return text;
}

std::string json(const Comparison& comparison)
{
    std::string text;
    for (const double share : shares) {
        const auto row = figures(comparison, share);
        text +=
            fmt::format("{}{{\"work\":\"{}\",\"pairs\":{},\"percentile\":{:.0f},\"oursUSec\":{:."
                        "3f},\"bareUSec\":{:.3f},\"ratio\":{:.4f}}}",
                        text.empty() ? "" : ",", comparison.work, comparison.pairs.size(),
                        share * 100, row.ours, row.bare, row.ratio);
    }
    return text;
}

} // namespace evfd::bench
