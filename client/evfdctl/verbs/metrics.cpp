// evfdctl metrics: prints the daemon's counters.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Metrics : public Verb {
public:
    static constexpr auto name = "metrics";
    static constexpr auto help = "Print the daemon's counters as OpenMetrics text";
    static constexpr auto group = verb_group::daemon;

    explicit Metrics(CLI::App& app) : Verb{app} {}

    Exit run(const Client& client) override
    {
        auto metrics = client.metrics();
        if (!metrics)
            return report_error(metrics.error());
        if (is_json())
            print_json(*metrics);
        else
            fmt::print("{}", printable_lines(metrics->text));
        return exit_done;
    }
};

} // namespace

void add_metrics(Verbs& verbs)
{
    verbs.add<Metrics>();
}

} // namespace evfd::control
