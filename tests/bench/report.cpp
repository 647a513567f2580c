#include "tests/bench/report.h"

#include "common/json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <fstream>

namespace evfd::bench {

namespace {

constexpr std::array shares{0.5, 0.99};
constexpr double us = 1e-3; // Microseconds per nanosecond.

struct Row {
    // The times `ours` and `baseline` are in microseconds.
    double ours;
    double baseline;
    double ratio;
};

double microseconds(nanoseconds span)
{
    return static_cast<double>(span.count()) * us;
}

Row row(const Comparison& comparison, double share)
{
    std::vector<double> ours;
    std::vector<double> baseline;
    std::vector<double> ratios;
    for (const auto& pair : comparison.pairs) {
        ours.push_back(microseconds(percentile(pair.ours, share)));
        baseline.push_back(microseconds(percentile(pair.baseline, share)));
        ratios.push_back(ours.back() / baseline.back());
    }
    return {median(ours), median(baseline), median(ratios)};
}

// Returns how many percentiles a report shows for the comparison. If a sample has fewer than 100
// times, the report shows only the median.
std::size_t percentiles_shown(const Comparison& comparison)
{
    return comparison.pairs.front().ours.size() < 100 ? 1 : shares.size();
}

std::string json_string(std::string_view text)
{
    std::string quoted;
    json::append_string(quoted, text);
    return quoted;
}

std::string processor()
{
    std::ifstream file{"/proc/cpuinfo"};
    const std::string key = "model name";
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(key))
            return line.substr(line.find(':') + 2);
    return "unknown processor";
}

} // namespace

std::string machine()
{
    utsname names{};
    ::uname(&names);
    return fmt::format("{}, {} cores, Linux {}, {:%Y-%m-%d}", processor(),
                       ::sysconf(_SC_NPROCESSORS_ONLN), names.release,
                       fmt::localtime(std::time(nullptr)));
}

namespace {

constexpr std::size_t work_columns = 46;

// Returns the first column of a comparison's first line. A text that is too long for the column is
// on a line of its own.
std::string work_column(const std::string& work)
{
    return work.size() <= work_columns ? fmt::format("{:<{}}", work, work_columns)
                                       : fmt::format("{}\n{:<{}}", work, "", work_columns);
}

} // namespace

std::string table(const Report& report)
{
    std::string text = fmt::format("{:<{}} {:<38} {:>4} {:>11} {:>11} {:>7} {:>6}\n", "work",
                                   work_columns, "against", "", "evfdd", "other", "ratio", "goal");
    for (const auto& comparison : report.comparisons)
        for (std::size_t i = 0; i < percentiles_shown(comparison); ++i) {
            const auto [ours, baseline, ratio] = row(comparison, shares.at(i));
            const bool is_first = i == 0;
            text += fmt::format(
                "{} {:<38} p{:<3.0f} {:>8.2f} us {:>8.2f} us {:>7.2f} {:>6}\n",
                work_column(is_first ? comparison.work : ""), is_first ? comparison.against : "",
                shares.at(i) * 100, ours, baseline, ratio,
                is_first && comparison.goal ? fmt::format("{:.2f}", *comparison.goal) : "");
        }
    for (const auto& figure : report.figures)
        text += fmt::format("{:<86} {:>14.2f} {}{}{}\n", figure.name, figure.value, figure.unit,
                            figure.max ? fmt::format(" (goal: at most {})", *figure.max) : "",
                            figure.min ? fmt::format(" (goal: at least {})", *figure.min) : "");
    return text;
}

std::string json(const Report& report)
{
    std::string text = fmt::format("{{\"daemon\":{},\"machine\":{},\"comparisons\":[",
                                   json_string(report.daemon), json_string(machine()));
    std::string_view separator;
    for (const auto& comparison : report.comparisons)
        for (std::size_t i = 0; i < percentiles_shown(comparison); ++i) {
            const auto [ours, baseline, ratio] = row(comparison, shares.at(i));
            text += fmt::format(
                "{}{{\"work\":{},\"against\":{},\"pairs\":{},\"percentile\":{:.0f},\"oursUSec\":{:"
                ".3f},\"otherUSec\":{:.3f},\"ratio\":{:.4f},\"goal\":{}}}",
                std::exchange(separator, ","), json_string(comparison.work),
                json_string(comparison.against), comparison.pairs.size(), shares.at(i) * 100, ours,
                baseline, ratio, comparison.goal ? fmt::format("{}", *comparison.goal) : "null");
        }
    text += "],\"figures\":[";
    separator = "";
    for (const auto& figure : report.figures)
        text += fmt::format(
            "{}{{\"what\":{},\"value\":{:.3f},\"unit\":{},\"most\":{},\"least\":{}}}",
            std::exchange(separator, ","), json_string(figure.name), figure.value,
            json_string(figure.unit), figure.max ? fmt::format("{}", *figure.max) : "null",
            figure.min ? fmt::format("{}", *figure.min) : "null");
    return text + "]}\n";
}

namespace {

constexpr int width = 360;
constexpr int height = 200;
constexpr int margin = 45;
constexpr int columns = 2;
constexpr int steps = 200; // The number of points of a curve.
constexpr double max_share = 0.995;

Sample sorted_times(const Comparison& comparison, Sample Pair::* side)
{
    Sample sample;
    for (const auto& pair : comparison.pairs)
        sample.insert(sample.end(), (pair.*side).begin(), (pair.*side).end());
    std::ranges::sort(sample);
    return sample;
}

nanoseconds value_at(const Sample& sorted, double share)
{
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

// The logarithmic time axis of a plot.
struct Scale {
    double min;
    double max;
    double x(nanoseconds time) const
    {
        return margin + (width - margin - 10) * (std::log(microseconds(time)) - std::log(min)) /
                            (std::log(max) - std::log(min));
    }
};

double y(double share)
{
    return height - margin - (height - margin - 30) * share;
}

std::string curve(const Sample& sorted, const Scale& scale, std::string_view color)
{
    std::string points;
    for (int i = 0; i <= steps; ++i) {
        const double share = max_share * i / steps;
        points += fmt::format("{:.1f},{:.1f} ", scale.x(value_at(sorted, share)), y(share));
    }
    return fmt::format(
        "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>\n", color,
        points);
}

std::string escaped(std::string_view text)
{
    std::string result;
    for (const char c : text)
        result += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
    return result;
}

std::string panel(const Comparison& comparison)
{
    const auto ours = sorted_times(comparison, &Pair::ours);
    const auto baseline = sorted_times(comparison, &Pair::baseline);
    const Scale scale{
        microseconds(std::min(ours.front(), baseline.front())),
        1.01 * microseconds(std::max(value_at(ours, max_share), value_at(baseline, max_share)))};
    std::string text = fmt::format("<text x=\"{}\" y=\"18\" font-weight=\"bold\">{}</text>\n",
                                   margin, escaped(comparison.work));
    for (const double share : {0.0, 0.5, 0.9, 0.99})
        text += fmt::format("<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" "
                            "stroke=\"#ddd\"/><text x=\"{3}\" y=\"{4:.1f}\" "
                            "text-anchor=\"end\">{5:.0f}%</text>\n",
                            margin, width - 10, y(share), margin - 4, y(share) + 4, share * 100);
    for (const auto* sample : {&ours, &baseline}) {
        const auto middle = value_at(*sample, 0.5);
        text += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.1f} us</text>\n",
                            scale.x(middle), height - (sample == &ours ? 28 : 14),
                            microseconds(middle));
    }
    return text + curve(baseline, scale, "#888") + curve(ours, scale, "#c33") +
           fmt::format("<text x=\"{}\" y=\"{}\" fill=\"#c33\">evfdd (upper figure)</text>"
                       "<text x=\"{}\" y=\"{}\" fill=\"#888\">{}</text>\n",
                       margin + 140, height - margin - 20, margin + 140, height - margin - 6,
                       escaped(comparison.against));
}

} // namespace

std::string plot(const Report& report)
{
    std::string panels;
    int count = 0;
    for (const auto& comparison : report.comparisons) {
        if (percentiles_shown(comparison) < shares.size())
            continue;
        panels += fmt::format("<g transform=\"translate({},{})\">\n{}</g>\n",
                              count % columns * width, count / columns * height, panel(comparison));
        ++count;
    }
    const int rows = (count + columns - 1) / columns;
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"10\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"white\"/>\n{2}<text x=\"10\" y=\"{3}\">Share of all times below each time "
        "(logarithmic). {4}</text>\n</svg>\n",
        columns * width, rows * height + 20, panels, rows * height + 12, escaped(machine()));
}

} // namespace evfd::bench
