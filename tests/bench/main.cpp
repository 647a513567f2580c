// evfdd-bench: compares the speed of evfdd with programs that use only the kernel.
#include "tests/bench/benchmarks.h"
#include "tests/bench/options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include <exception>

namespace evfd::bench {

namespace {

void raise_descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

Report measure(Report report, const std::string& only, const Setup& setup)
{
    raise_descriptor_limit();
    for (const auto& [name, run] : benchmarks())
        if (only.empty() || only == name)
            run(report, setup);
    return report;
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    using namespace evfd::bench;
    CLI::App app{"Compares evfdd with the bare kernel, in alternating batches of one run."};
    Options options{.pairs = 15};
    std::string only;
    std::string plot_file;
    std::int64_t names = 1'000'000;
    std::vector<std::string> benchmark_names;
    for (const auto& [name, run] : benchmarks())
        benchmark_names.push_back(name);
    add_options(app, options);
    app.add_option("--names", names,
                   "Create this number of names in the benchmarks that need very many")
        ->check(CLI::Range(1'000, 10'000'000));
    app.add_option("--only", only, "Run only this benchmark")
        ->check(CLI::IsMember(benchmark_names));
    app.add_option("--plot", plot_file, "Write the distribution of the times to this SVG file");
    CLI11_PARSE(app, argc, argv);
    try {
        const Setup setup{
            .daemon = daemon_settings(options), .names = names, .pairs = options.pairs};
        const auto report = measure(empty_report(options), only, setup);
        if (!plot_file.empty())
            evfd::e2e::write_file(plot_file, plot(report));
        fmt::print("{}", text(report, options));
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench: {}\n", failed.what());
        return 1;
    }
}
